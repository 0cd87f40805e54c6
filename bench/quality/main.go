// Command quality measures models on real tables: what the demo's trainer
// auto reaches on rows that it has not seen, what gbdt reaches beside LightGBM
// with the same trees, leaves and rate on the same rows, and whether the watch
// notices real drift and keeps quiet without it.
//
//	make build && LEAT_PYTHON=…/python go run ./bench/quality
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/auto"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/flow/train/gbdt"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/spec"
)

// study is a table with its split and what is wanted on the rows held out.
type study struct {
	name, file, label, positive string
	drop                        []string
	split                       spec.Split
	metric                      string
	wanted                      float64
	trees                       int // of the comparison with LightGBM
}

// fifth holds out the rows i with i % 5 == 0.
var fifth = spec.Split{Every: 5}

func studies() []study {
	return []study{
		{name: "bank marketing without duration", file: "tabular-bank-marketing", label: "deposit", positive: "yes", drop: []string{"duration"}, split: fifth, metric: evaluate.AUC, wanted: 0.80, trees: 100},
		{name: "adult income", file: "tabular-adult-income", label: "income >50K", positive: "1", split: fifth, metric: evaluate.AUC, wanted: 0.93, trees: 100},
		{name: "telco churn", file: "tabular-telco-churn", label: "Churn", positive: "Yes", drop: []string{"customerID"}, split: fifth, metric: evaluate.AUC, wanted: 0.83, trees: 100},
		{name: "Higgs sample", file: higgs, label: "f0", positive: "1", split: spec.Split{Every: higgsEvery}, metric: evaluate.AUC, wanted: 0.825, trees: 100},
		{name: "Elec2, first 30 % to train", file: "tabular-electricity-drift", label: "class", positive: "1", split: spec.Split{By: "timestamp", Test: 0.7}, metric: evaluate.AUC, wanted: 0.75, trees: 100},
		{name: "bike sharing", file: "tabular-bike-sharing", label: "cnt", drop: []string{"instant", "dteday"}, split: fifth, metric: evaluate.RMSE, wanted: 40, trees: 300},
		{name: "wine quality", file: "tabular-wine-quality", label: "quality", split: fifth, metric: evaluate.RMSE, wanted: 0.61, trees: 200},
	}
}

// The Higgs sample comes as two files, of 7,000 rows and 500.
const (
	higgs      = "tabular-lightgbm-examples"
	higgsEvery = 15
)

func (s study) read() (*table, error) {
	if s.file != higgs {
		return read(s.file+"/data.csv.gz", ',', s.drop...)
	}
	fit, err := read(higgs+"/binary.train.gz", '\t')
	if err != nil {
		return nil, err
	}
	test, err := read(higgs+"/binary.test.gz", '\t')
	if err != nil {
		return nil, err
	}
	return interleave(fit, test, higgsEvery), nil
}

// held tells whether row i of n is for the test.
func (s study) held(i, n int) bool {
	if s.split.Every > 0 {
		return i%s.split.Every == 0
	}
	return i >= n-int(float64(s.split.Test)*float64(n)+0.5)
}

func main() {
	only := flag.String("only", "", "studies whose name contains this")
	watch := flag.Bool("watch", true, "measure the watch too, with bin/leat")
	flag.Parse()
	if err := run(context.Background(), *only, *watch); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, only string, watch bool) error {
	peer, err := duel.Start(ctx, script)
	if err != nil {
		return err
	}
	defer peer.Close()
	var figures, beside []result.Figure
	for _, s := range studies() {
		if !strings.Contains(s.name, only) {
			continue
		}
		t, err := s.read()
		if err != nil {
			return err
		}
		f, err := s.auto(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		figures = append(figures, f)
		more, err := s.beside(ctx, peer, t)
		if err != nil {
			return fmt.Errorf("%s beside LightGBM: %w", s.name, err)
		}
		beside = append(beside, more...)
	}
	if watch {
		more, err := watched(ctx)
		if err != nil {
			return err
		}
		beside = append(beside, more...)
	}
	return result.Keep(result.Entry{Bench: "quality", Figures: slices.Concat(figures, beside),
		Setup: "trainer auto as the demo runs it; gbdt and LightGBM with the same encoded rows, 31 leaves, rate 0.1"})
}

// auto runs the train stage as a pipeline does.
func (s study) auto(ctx context.Context, t *table) (result.Figure, error) {
	b := t.batch(t.cells)
	defer b.Release()
	c, err := train.Run(ctx, train.Input{Schema: b.Schema(), Batches: []frame.Batch{b}},
		spec.TrainStep{Model: "model", Label: s.label, Positive: s.positive, Split: s.split, Threshold: evaluate.F1, Seed: 1},
		train.Options{Trainer: auto.Trainer{Trees: gbdt.Trainer{}, Linear: linear.Trainer{}}})
	if err != nil {
		return result.Figure{}, err
	}
	f := result.Figure{Name: fmt.Sprintf("%s: %s by auto", s.name, s.metric), Value: c.Metrics[s.metric], Note: c.Artifact.Format}
	if s.metric == evaluate.RMSE {
		return f.AtMost(s.wanted), nil
	}
	return f.AtLeast(s.wanted), nil
}
