package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/flow/train/traintest"
	"github.com/leat-ai/leat/model"
	runtime "github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/spec"
)

func run(t *testing.T, in train.Input, step spec.TrainStep) *train.Candidate {
	t.Helper()
	c, err := train.Run(context.Background(), in, step, train.Options{Trainer: linear.Trainer{}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// made is a table of n rows with a label of the given texts.
func made(n int, label func(i int) string) *traintest.Table {
	t := &traintest.Table{Columns: []frame.Column{{Name: "x", Type: frame.Double}, {Name: "at", Type: frame.Int},
		{Name: "city", Type: frame.String}, {Name: "w", Type: frame.Double}, {Name: "y", Type: frame.String}}}
	for i := range n {
		t.Cells = append(t.Cells, []string{fmt.Sprint(i * 37 % 101), fmt.Sprint(n - i),
			[]string{"Lund", "Bern"}[i%2], fmt.Sprint(1 + i%3), label(i)})
	}
	return t
}

// half says yes where x is large, more or less.
func half(yes, no string) func(i int) string {
	return func(i int) string {
		if (i*37%101)+i%23 > 70 {
			return yes
		}
		return no
	}
}

// The figure is scikit-learn's for the same split: 0.835.
func TestTelcoChurnWithALinearModel(t *testing.T) {
	in := traintest.Read(t, "tabular-telco-churn/data.csv.gz", ',').Drop("customerID").Input()
	c := run(t, in, spec.TrainStep{Label: "Churn", Split: spec.Split{Every: 5}, Slices: []string{"Contract", "tenure"}})
	if c.Metrics["auc"] < 0.83 {
		t.Errorf("AUC %.4f", c.Metrics["auc"])
	}
	r := c.Report
	if !slices.Equal(r.Classes, []string{"No", "Yes"}) || r.Rows.Test != 1409 || r.Rows.Train+r.Rows.Valid != 5634 {
		t.Errorf("classes %v, rows %+v", r.Classes, r.Rows)
	}
	if c.Threshold == nil || *c.Threshold < 0.15 || *c.Threshold > 0.6 || c.Metrics["f1"] < 0.58 {
		t.Errorf("threshold %v with F1 %v", *c.Threshold, c.Metrics["f1"])
	}
	if len(r.Slices) != 7 || r.Slices[0].Value != "Month-to-month" || r.Slices[0].Metrics["auc"] == 0 {
		t.Errorf("slices %+v", r.Slices)
	}
	if c.Metrics["p95_ms"] <= 0 || len(r.Importance) != 19 || r.Importance[0].Share < r.Importance[1].Share {
		t.Errorf("p95 %v, importance %v", c.Metrics["p95_ms"], r.Importance)
	}
	if c.Profile.Column("tenure") == nil || c.Profile.Column(train.PredictionColumn) == nil || c.Profile.Column("Churn") != nil {
		t.Error("the profile lacks a column or has the label")
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestTaskAndPositiveClassComeFromTheLabel(t *testing.T) {
	column := func(kind frame.Type, cells func(i int) string) *traintest.Table {
		table := made(400, cells)
		table.Columns[4].Type = kind
		return table
	}
	number := func(of int) func(i int) string { return func(i int) string { return fmt.Sprint(i * 37 % 101 % of) } }
	for name, c := range map[string]struct {
		table   *traintest.Table
		step    spec.TrainStep
		task    model.Task
		classes string
	}{
		"yes is positive":          {column(frame.String, half("Yes", "No")), spec.TrainStep{}, model.Binary, "[No Yes]"},
		"the rarer is positive":    {column(frame.String, half("a", "b")), spec.TrainStep{}, model.Binary, "[b a]"},
		"one may choose":           {column(frame.String, half("yes", "no")), spec.TrainStep{Positive: "no"}, model.Binary, "[yes no]"},
		"two numbers are classes":  {column(frame.Int, number(2)), spec.TrainStep{}, model.Binary, "[0 1]"},
		"many numbers are numbers": {column(frame.Int, number(5)), spec.TrainStep{}, model.Regression, "[]"},
		"unless told otherwise":    {column(frame.Int, number(5)), spec.TrainStep{Task: "multiclass"}, model.Multiclass, "[0 1 2 3 4]"},
		"texts are classes":        {column(frame.String, func(i int) string { return string(rune('c' - i%3)) }), spec.TrainStep{}, model.Multiclass, "[a b c]"},
	} {
		t.Run(name, func(t *testing.T) {
			c.step.Label = "y"
			got := run(t, c.table.Input(), c.step)
			if got.Report.Task != c.task || fmt.Sprint(got.Report.Classes) != c.classes {
				t.Errorf("%s %v", got.Report.Task, got.Report.Classes)
			}
		})
	}
}

func TestSplitByTimeTestsOnTheLatest(t *testing.T) {
	// at falls from row to row: the first rows are the latest, and only there
	// does the label turn round.
	table := made(1000, func(i int) string {
		if i < 300 {
			return half("no", "yes")(i)
		}
		return half("yes", "no")(i)
	})
	c := run(t, table.Input(), spec.TrainStep{Label: "y", Split: spec.Split{By: "at", Test: 0.3}})
	if c.Metrics["auc"] > 0.3 || c.Report.Rows.Test != 300 {
		t.Errorf("AUC %v of %d rows: the test rows are not the latest", c.Metrics["auc"], c.Report.Rows.Test)
	}
	if slices.ContainsFunc(c.Signature.Inputs, func(f model.Field) bool { return f.Name == "at" }) {
		t.Error("the model was given the time that the rows are split by")
	}
}

func TestRowsWithoutALabelAreCounted(t *testing.T) {
	table := made(500, half("yes", "no"))
	for i := 0; i < 500; i += 7 {
		table.Cells[i][4] = ""
	}
	c := run(t, table.Input(), spec.TrainStep{Label: "y", Split: spec.Split{Every: 5}, MaxRows: 300})
	r := c.Report.Rows
	if r.Dropped != 72 || r.Sampled != 128 || r.Train+r.Valid+r.Test != 300 {
		t.Errorf("%+v", r)
	}
}

func TestSameInputGivesTheSameArtifact(t *testing.T) {
	in := made(700, half("yes", "no")).Input()
	step := spec.TrainStep{Label: "y", Weights: "balanced", Seed: 3}
	a, b := run(t, in, step), run(t, in, step)
	if !bytes.Equal(a.Artifact.Files[runtime.FileName], b.Artifact.Files[runtime.FileName]) || *a.Threshold != *b.Threshold {
		t.Error("two runs differ")
	}
	step.Seed = 4
	if c := run(t, in, step); bytes.Equal(a.Artifact.Files[runtime.FileName], c.Artifact.Files[runtime.FileName]) {
		t.Error("another seed gives the same rows")
	}
}

func TestResultDoesNotDependOnBatches(t *testing.T) {
	table := made(5200, half("yes", "no"))
	in := table.Input()
	var parts []frame.Batch
	for _, b := range in.Batches {
		for from := int64(0); from < b.NumRows(); from += 613 {
			parts = append(parts, b.NewSlice(from, min(from+613, b.NumRows())))
		}
	}
	step := spec.TrainStep{Label: "y", Weights: "w"}
	a, b := run(t, in, step), run(t, train.Input{Schema: in.Schema, Batches: parts}, step)
	if !bytes.Equal(a.Artifact.Files[runtime.FileName], b.Artifact.Files[runtime.FileName]) {
		t.Error("the artifacts differ")
	}
	for _, m := range []map[string]float64{a.Metrics, b.Metrics} {
		delete(m, "p50_ms")
		delete(m, "p95_ms")
	}
	if !maps.Equal(a.Metrics, b.Metrics) {
		t.Errorf("%v is not %v", b.Metrics, a.Metrics)
	}
}

func TestClassThatOnlyTestRowsHaveIsLeftOut(t *testing.T) {
	table := made(400, func(i int) string { return []string{"a", "b", "c"}[i%3] })
	table.Cells[0][4] = "never again"
	c := run(t, table.Input(), spec.TrainStep{Label: "y", Split: spec.Split{Every: 50}})
	if fmt.Sprint(c.Report.Classes) != "[a b c]" || c.Report.Rows.Test != 7 || len(c.Report.Notes) == 0 {
		t.Errorf("%v, %+v, %v", c.Report.Classes, c.Report.Rows, c.Report.Notes)
	}
}

func TestRegressionIsMeasured(t *testing.T) {
	table := made(400, func(i int) string { return fmt.Sprint(2*(i*37%101) + i%2) })
	table.Columns[4].Type = frame.Double
	c := run(t, table.Input(), spec.TrainStep{Label: "y"})
	if c.Threshold != nil || !(c.Metrics["r2"] > 0.99) || c.Metrics["rmse"] > 2 || math.IsNaN(c.Metrics["mae"]) {
		t.Errorf("%v", c.Metrics)
	}
}

func TestMistakesOfAStepAreNamed(t *testing.T) {
	in := made(600, half("yes", "no")).Input()
	for want, step := range map[string]spec.TrainStep{
		`no label column "z"`:    {Label: "z"},
		`no column "z" to split`: {Label: "y", Split: spec.Split{By: "z"}},
		"which is no time":       {Label: "y", Split: spec.Split{By: "city"}},
		"choose":                 {Label: "y", Split: spec.Split{By: "at", Every: 3}},
		`column "z" to report`:   {Label: "y", Slices: []string{"z"}},
		`no class "maybe"`:       {Label: "y", Positive: "maybe"},
		`threshold is "high"`:    {Label: "y", Threshold: "high"},
		`column "z" of weights`:  {Label: "y", Weights: "z"},
		"regression cannot":      {Label: "y", Task: "regression"},
		"has two values":         {Label: "y", Task: "multiclass"},
		"no parameter":           {Label: "y", Params: map[string]float64{"depth": 3}},
		"more than 256 classes":  {Label: "at", Task: "multiclass"},
	} {
		_, err := train.Run(context.Background(), in, step, train.Options{Trainer: linear.Trainer{}})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error()+fault.HintOf(err), want) {
			t.Errorf("%v (%s), want %q", err, fault.HintOf(err), want)
		}
	}
}

func TestAllOfOneLabelIsRefused(t *testing.T) {
	for want, label := range map[string]string{"only one value": "yes", "no row has": ""} {
		in := made(100, func(int) string { return label }).Input()
		_, err := train.Run(context.Background(), in, spec.TrainStep{Label: "y"}, train.Options{Trainer: linear.Trainer{}})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
