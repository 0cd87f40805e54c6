package auto_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/auto"
	"github.com/leat-ai/leat/flow/train/gbdt"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/flow/train/traintest"
	"github.com/leat-ai/leat/spec"
)

var trainer = auto.Trainer{Linear: linear.Trainer{}, Trees: gbdt.Trainer{}}

// The bounds are a little below what XGBoost with usual settings, or where it
// is better logistic regression, reaches on the same split.
func TestRealTablesReachTheirFigures(t *testing.T) {
	higgs := func(t *testing.T) *traintest.Table {
		return traintest.Interleave(traintest.Read(t, "tabular-lightgbm-examples/binary.train.gz", '\t'),
			traintest.Read(t, "tabular-lightgbm-examples/binary.test.gz", '\t'), 15)
	}
	csv := func(name string, drop ...string) func(t *testing.T) *traintest.Table {
		return func(t *testing.T) *traintest.Table {
			return traintest.Read(t, name+"/data.csv.gz", ',').Drop(drop...)
		}
	}
	every := func(n int) spec.Split { return spec.Split{Every: n} }
	for name, c := range map[string]struct {
		table  func(t *testing.T) *traintest.Table
		label  string
		split  spec.Split
		metric string
		bound  float64 // from below, or from above for an error
		winner string
	}{
		"bank":  {csv("tabular-bank-marketing", "duration"), "deposit", every(5), "auc", 0.80, "trees won"},
		"adult": {csv("tabular-adult-income"), "income >50K", every(5), "auc", 0.93, "trees won"},
		"telco": {csv("tabular-telco-churn", "customerID"), "Churn", every(5), "auc", 0.83, ""}, // small trees and the linear model are close
		"higgs": {higgs, "f0", every(15), "auc", 0.825, "trees won"},
		"bike":  {csv("tabular-bike-sharing"), "cnt", every(5), "rmse", 40, "trees won"},
		"wine":  {csv("tabular-wine-quality"), "quality", every(5), "rmse", 0.61, "trees won"},
		"elec2": {csv("tabular-electricity-drift"), "class", spec.Split{By: "timestamp", Test: 0.7}, "auc", 0.75, "linear model won"}, // the market changes
	} {
		if underRace && name != "telco" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			cand, err := train.Run(context.Background(), c.table(t).Input(), spec.TrainStep{Label: c.label, Split: c.split}, train.Options{Trainer: trainer})
			if err != nil {
				t.Fatal(err)
			}
			got := cand.Metrics[c.metric]
			if c.metric == "auc" && got < c.bound || c.metric == "rmse" && got > c.bound {
				t.Errorf("%s is %.4f, not within %v", c.metric, got, c.bound)
			}
			notes := strings.Join(cand.Report.Notes, "\n")
			if !strings.Contains(notes, c.winner) {
				t.Errorf("not %q", c.winner)
			}
			t.Logf("%s %.4f in %.1f s\n%s", c.metric, got, time.Since(start).Seconds(), notes)
		})
	}
}

// table has a label that a straight line explains, or one that no line does.
func table(n int, straight bool) *traintest.Table {
	t := &traintest.Table{Columns: []frame.Column{{Name: "a", Type: frame.Double}, {Name: "b", Type: frame.Double},
		{Name: "c", Type: frame.String}, {Name: "at", Type: frame.Int}, {Name: "y", Type: frame.String}}}
	r := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		a, b, c := r.NormFloat64(), r.NormFloat64(), r.IntN(3)
		s := 2*a - b + float64(c) - 1
		if !straight {
			s = 4*a*b + float64(c) - 1
		}
		y := "no"
		if r.Float64() < 1/(1+math.Exp(-s)) {
			y = "yes"
		}
		t.Cells = append(t.Cells, []string{fmt.Sprint(a), fmt.Sprint(b), []string{"x", "y", "z"}[c], fmt.Sprint(i), y})
	}
	return t
}

func TestTheSimplerModelWinsWhereItIsRight(t *testing.T) {
	for want, straight := range map[string]bool{"linear": true, "tree": false} {
		for _, split := range []spec.Split{{}, {By: "at"}} {
			c, err := train.Run(context.Background(), table(1200, straight).Input(), spec.TrainStep{Label: "y", Split: split}, train.Options{Trainer: trainer})
			if err != nil {
				t.Fatal(err)
			}
			if c.Artifact.Format != want {
				t.Errorf("%s won\n%s", c.Artifact.Format, strings.Join(c.Artifact.Notes, "\n"))
			}
			// The threshold was chosen on rows that judged, not on fitted ones.
			if n := len(c.Artifact.HeldOut); n < 100 || *c.Threshold < 0.2 || *c.Threshold > 0.7 {
				t.Errorf("%d scores were held out, threshold %v", n, *c.Threshold)
			}
		}
	}
}

func TestSameModelOnAnyNumberOfThreads(t *testing.T) {
	in := table(500, false).Input()
	var files []map[string][]byte
	for _, threads := range []int{1, 3} {
		c, err := train.Run(context.Background(), in, spec.TrainStep{Label: "y"}, train.Options{Trainer: trainer, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, c.Artifact.Files)
	}
	if !maps.EqualFunc(files[0], files[1], bytes.Equal) {
		t.Error("the artifacts differ")
	}
}

func TestParametersAreRefusedAndMonotoneIsPassedOn(t *testing.T) {
	in := table(600, true).Input()
	_, err := train.Run(context.Background(), in, spec.TrainStep{Label: "y", Params: map[string]float64{"trees": 3}}, train.Options{Trainer: trainer})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("parameters: %v", err)
	}
	step := spec.TrainStep{Label: "y", Monotone: map[string]int{"a": -1}} // truly rising
	c, err := train.Run(context.Background(), in, step, train.Options{Trainer: trainer})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Report.Importance {
		if w.Name == "a" && w.Share > 0.05 {
			t.Errorf("the column that may only fall has the share %v", w.Share)
		}
	}
}

func TestProgressEndsAndCancelStops(t *testing.T) {
	in := table(600, true).Input()
	var last, total int
	ctx, cancel := context.WithCancel(context.Background())
	progress := func(doing string, done, of int, _ float64) {
		if doing == "training" {
			last, total = done, of
		}
	}
	if _, err := train.Run(ctx, in, spec.TrainStep{Label: "y"}, train.Options{Trainer: trainer, Progress: progress}); err != nil {
		t.Fatal(err)
	}
	if last == 0 || last != total {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	cancel()
	if _, err := train.Run(ctx, in, spec.TrainStep{Label: "y"}, train.Options{Trainer: trainer}); !fault.Is(err, fault.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}
