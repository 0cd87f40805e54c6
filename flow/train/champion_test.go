package train_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/flow/train/traintest"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

var byTime = spec.TrainStep{Label: "y", Split: spec.Split{By: "at", Test: 0.3}}

// against trains on a table beside a champion.
func against(t *testing.T, table *traintest.Table, champion *train.Champion) *train.Candidate {
	t.Helper()
	c, err := train.Run(context.Background(), table.Input(), byTime, train.Options{Trainer: linear.Trainer{}, Champion: champion})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func asChampion(c *train.Candidate) *train.Champion {
	return &train.Champion{Version: "v", Number: 4, Model: c.Artifact.Model, Threshold: c.Threshold, Split: c.Split}
}

// easy is a table whose label is plain to see; hard one whose label is noise
// for the most part.
func easy() *traintest.Table {
	return made(1000, func(i int) string { return map[bool]string{true: "yes", false: "no"}[i*37%101 > 50] })
}

func hard() *traintest.Table {
	return made(1000, func(i int) string { return map[bool]string{true: "yes", false: "no"}[(i*37%101)+i*i%211 > 150] })
}

func TestChampionDoesNotWinByEasyRows(t *testing.T) {
	former := run(t, easy().Input(), byTime)
	c := against(t, hard(), asChampion(former))
	if former.Metrics["auc"] < c.Metrics["auc"]+0.1 {
		t.Fatalf("the rows are not easier: AUC %.3f and %.3f", former.Metrics["auc"], c.Metrics["auc"])
	}
	figures, same := train.ChampionFigures(c.Report.Champion, "v", former.Metrics)
	if !same || figures["auc"] > c.Metrics["auc"]+0.02 {
		t.Errorf("on the same rows the champion has %.3f, the candidate %.3f", figures["auc"], c.Metrics["auc"])
	}
	if figures["p95_ms"] <= 0 || figures["f1"] <= 0 {
		t.Errorf("figures %v", figures)
	}
	note(t, c, "was measured on the same test rows")
}

func TestChampionOnItsOwnRowsHasTheCandidatesFigures(t *testing.T) {
	former := run(t, hard().Input(), byTime)
	c := against(t, hard(), asChampion(former))
	for name, v := range c.Report.Champion.Metrics {
		if !strings.HasSuffix(name, "_ms") && v != c.Metrics[name] {
			t.Errorf("%s is %v and %v", name, v, c.Metrics[name])
		}
	}
}

func note(t *testing.T, c *train.Candidate, want string) {
	t.Helper()
	if !strings.Contains(strings.Join(c.Report.Notes, "\n"), want) {
		t.Errorf("notes %q, want %q", c.Report.Notes, want)
	}
}

// broken is a champion whose runtime fails.
type broken struct{ model.Model }

func (broken) Predict(context.Context, frame.Batch) (frame.Batch, error) {
	return nil, fault.New(fault.Internal, "it broke")
}

func TestChampionThatCannotBeMeasuredStandsByItsFigures(t *testing.T) {
	former := run(t, easy().Input(), byTime)
	classes := made(1000, half("good", "bad"))
	lacks := easy().Drop("city")
	retyped := easy()
	retyped.Columns[3].Type = frame.String
	wrecked := asChampion(former)
	wrecked.Model = broken{wrecked.Model}
	for want, c := range map[string]struct {
		table    *traintest.Table
		champion *train.Champion
	}{
		`column "city", which the rows do not`: {lacks, asChampion(former)},
		`column "w" as double, which is utf8`:  {retyped, asChampion(former)},
		"the label is binary of":               {classes, asChampion(former)},
		"it broke":                             {easy(), wrecked},
		"defined otherwise":                    {easy(), &train.Champion{Version: "v", Number: 4, Why: "its features are defined otherwise now"}},
	} {
		got := against(t, c.table, c.champion)
		note(t, got, "figures that are stored with it")
		note(t, got, want)
		stored := map[string]float64{"auc": 0.5}
		if figures, same := train.ChampionFigures(got.Report.Champion, "v", stored); same || figures["auc"] != 0.5 {
			t.Errorf("%s: figures %v, same rows %v", want, figures, same)
		}
	}
}

func TestAnotherSplitIsNoted(t *testing.T) {
	former := asChampion(run(t, easy().Input(), spec.TrainStep{Label: "y"}))
	note(t, against(t, easy(), former), "may have learned from some of them")
}

func TestFiguresOfAnotherVersionAreTheStoredOnes(t *testing.T) {
	c := against(t, easy(), asChampion(run(t, easy().Input(), byTime)))
	stored := map[string]float64{"auc": 0.4, "lift": 3, "size_bytes": 10}
	if figures, same := train.ChampionFigures(c.Report.Champion, "another", stored); same || figures["auc"] != 0.4 {
		t.Errorf("%v", figures)
	}
	figures, same := train.ChampionFigures(c.Report.Champion, "v", stored)
	if !same || figures["auc"] == 0.4 || figures["lift"] != 3 || figures["size_bytes"] != 10 || stored["auc"] != 0.4 {
		t.Errorf("%v of %v", figures, stored)
	}
}

// What a model was tested on its successor must not have been trained on, and
// the other way round: rows keep their side as a table grows.
func TestRandomSplitKeepsRowsOnTheirSide(t *testing.T) {
	tested := func(rows int) (known map[string]bool) {
		known = map[string]bool{}
		watch := &watcher{}
		in := made(rows, half("yes", "no")).Input()
		if _, err := train.Run(context.Background(), in, spec.TrainStep{Label: "y"}, train.Options{Tables: watch}); err == nil {
			t.Fatal("the watcher trains nothing")
		}
		for _, id := range watch.test {
			known[id] = true
		}
		return known
	}
	before, after := tested(500), tested(900)
	if len(before) < 60 || len(before) > 140 {
		t.Errorf("%d of 500 rows are for the test", len(before))
	}
	for i := range 500 {
		// at counts down from the number of rows.
		if before[fmt.Sprint(500-i)] != after[fmt.Sprint(900-i)] {
			t.Fatalf("row %d changed its side", i)
		}
	}
}

// watcher notes the rows that it is handed to test on.
type watcher struct{ test []string }

func (w *watcher) TrainTables(_ context.Context, tables *train.Tables, _ train.Params) (*train.Artifact, map[string]float64, error) {
	for _, b := range tables.Test {
		col := b.Column(frame.Index(b.Schema(), "at"))
		for row := range col.Len() {
			w.test = append(w.test, col.ValueStr(row))
		}
	}
	return nil, nil, fault.New(fault.Rejected, "enough seen")
}
