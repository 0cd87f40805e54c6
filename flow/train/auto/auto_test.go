package auto_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/auto"
	"github.com/leat-ai/leat/flow/train/gbdt"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/flow/train/traintest"
	"github.com/leat-ai/leat/spec"
)

var trainer = auto.Trainer{Linear: linear.Trainer{}, Trees: gbdt.Trainer{}}

// The bounds are a little below what XGBoost, or where it is better logistic
// regression, reaches on the same split.
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
		"telco": {csv("tabular-telco-churn", "customerID"), "Churn", every(5), "auc", 0.83, "linear model won"},
		"higgs": {higgs, "f0", every(15), "auc", 0.825, "trees won"},
		"bike":  {csv("tabular-bike-sharing"), "cnt", every(5), "rmse", 40, "trees won"},
		"wine":  {csv("tabular-wine-quality"), "quality", every(5), "rmse", 0.61, "trees won"},
		"elec2": {csv("tabular-electricity-drift"), "class", spec.Split{By: "timestamp", Test: 0.7}, "auc", 0.75, ""},
	} {
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
