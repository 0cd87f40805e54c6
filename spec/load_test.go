package spec

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/leat-ai/leat/base/fault"
)

var update = flag.Bool("update", false, "write the expected files of testdata and the generated pages anew")

// TestGood reads a file that has every field of every kind.
func TestGood(t *testing.T) {
	p, err := Load("testdata/good", Options{})
	if err != nil {
		t.Fatal(explain(err))
	}
	s, ok := Find[*Source](p.Resources, "transactions")
	if !ok || s.From != "s3://lake-dev/transactions/*.csv.gz" {
		t.Errorf("source read as %+v", s)
	}
	e, _ := Find[*Endpoint](p.Resources, "fraud")
	if e.Limits.Timeout.Std().Milliseconds() != 250 || e.Limits.MaxBody != 4<<20 || e.SLO.Availability != 0.999 {
		t.Errorf("endpoint read as %+v", e)
	}
	own, _ := Find[*Pipeline](p.Resources, "own-trainer")
	if train := own.Steps[0].Train; train.Split.Test != 0.2 || train.Threshold != "f1" {
		t.Errorf("defaults are not filled in: %+v", train)
	}
	if p.Environment != "dev" {
		t.Errorf("environment %q", p.Environment)
	}
}

// TestBad reads every file of testdata/bad and compares all that is said of it
// with the .txt file beside it.
func TestBad(t *testing.T) {
	samples, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(samples) < 10 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, sample := range samples {
		name := strings.TrimSuffix(filepath.Base(sample), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(sample)
			if err != nil {
				t.Fatal(err)
			}
			_, err = LoadFS(fstest.MapFS{name + ".yaml": {Data: data}}, Options{})
			if err == nil {
				t.Fatal("no mistake was found")
			}
			golden(t, strings.TrimSuffix(sample, ".yaml")+".txt", explain(err))
		})
	}
}

// explain renders mistakes as the command line does.
func explain(err error) string {
	var b strings.Builder
	fault.Each(err, func(err error) {
		b.WriteString(err.Error() + "\n")
		if hint := fault.HintOf(err); hint != "" {
			b.WriteString("    hint: " + hint + "\n")
		}
	})
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run go test ./spec -update and look at the difference\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}
