package examples

import (
	"bufio"
	"compress/gzip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train/gbdt"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/cli/sample"
)

// TestEveryExampleLoads reads each folder as a project, and reads it back from
// the YAML that Leat itself would write.
func TestEveryExampleLoads(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	projects := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		projects++
		t.Run(e.Name(), func(t *testing.T) {
			p := load(t, e.Name())
			var specs []spec.Spec
			for _, r := range p.Resources {
				specs = append(specs, r.Spec)
			}
			dir := t.TempDir()
			if err := os.WriteFile(dir+"/all.yaml", spec.Format(specs...), 0o644); err != nil {
				t.Fatal(err)
			}
			if plan := spec.Diff(p.Resources, load(t, dir).Resources); !plan.Empty() {
				t.Errorf("written and read again it is another project:\n%s", plan)
			}
			if _, err := os.Stat(e.Name() + "/README.md"); err != nil {
				t.Errorf("the example says nothing about itself: %v", err)
			}
		})
	}
	if projects < 3 {
		t.Errorf("only %d examples", projects)
	}
}

func load(t *testing.T, dir string) *spec.Project {
	t.Helper()
	p, err := spec.Load(dir, spec.Options{})
	if err != nil {
		fault.Each(err, func(err error) { t.Errorf("%v (%s)", err, fault.HintOf(err)) })
		t.FailNow()
	}
	return p
}

// TestFraudIsTheDemo holds the example to the table that the demo writes.
func TestFraudIsTheDemo(t *testing.T) {
	s, _ := spec.Find[*spec.Source](load(t, "fraud").Resources, "transactions")
	if want := sample.Schema(); !slices.Equal(s.Schema, want) {
		t.Errorf("the example declares %v, the demo writes %v", s.Schema, want)
	}
}

// TestColumnsAreThoseOfTheData holds the examples without a declared schema
// to the first line of the real table.
func TestColumnsAreThoseOfTheData(t *testing.T) {
	for project, data := range map[string]string{
		"churn": "tabular-telco-churn/data.csv.gz",
		"bikes": "tabular-bike-sharing/data.csv.gz",
		// The columns of the source are those that the model reads.
		"own-model": "tabular-bike-sharing/data.csv.gz",
	} {
		t.Run(project, func(t *testing.T) {
			known := header(t, realdata.Path(t, data))
			p := load(t, project)
			check := func(where string, names ...string) {
				for _, name := range names {
					if !slices.Contains(known, name) {
						t.Errorf("%s reads %q, which is no column of the data", where, name)
					}
				}
			}
			for _, s := range spec.All[*spec.Source](p.Resources) {
				for _, src := range s.Expect {
					check(src, columns(t, src)...)
				}
			}
			for _, v := range spec.All[*spec.FeatureView](p.Resources) {
				check(v.Name, v.Columns...)
				for _, f := range v.Features {
					check(f.Name, columns(t, f.Expr)...)
				}
			}
			for _, b := range spec.All[*spec.Batch](p.Resources) {
				check(b.Name, b.Keep...)
				check(b.Name, b.Key)
			}
			for _, line := range spec.All[*spec.Pipeline](p.Resources) {
				for _, step := range line.Steps {
					if step.Train != nil {
						check(line.Name, step.Train.Label)
						check(line.Name, step.Train.Slices...)
						parameters(t, step.Train)
					}
				}
			}
		})
	}
}

// parameters checks the settings of a step against those of its trainer.
func parameters(t *testing.T, step *spec.TrainStep) {
	t.Helper()
	for name := range step.Params {
		if !slices.ContainsFunc(gbdt.Parameters(), func(p gbdt.Parameter) bool { return p.Name == name }) {
			t.Errorf("%s is no parameter of gbdt", name)
		}
	}
}

func columns(t *testing.T, src string) []string {
	t.Helper()
	e, err := expr.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	return e.Names()
}

// header reads the names of a CSV file, and "" for an absent field.
func header(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(z).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return append(strings.Split(strings.TrimRight(line, "\r\n"), ","), "")
}
