package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/flow/train/gbdt"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

//go:embed peer.py
var script string

// closeAUC is the difference of AUC that is wanted between the two at most.
const closeAUC = 0.002

// Settings of both.
const (
	leaves = 31
	rate   = 0.1
)

// beside trains gbdt and LightGBM on the same numbers and compares them on
// the rows held out.
func (s study) beside(ctx context.Context, peer *duel.Peer, t *table) ([]result.Figure, error) {
	d, test, truth, err := s.encoded(ctx, t)
	if err != nil {
		return nil, err
	}
	a, err := gbdt.Trainer{}.Train(ctx, d, train.Params{Seed: 1, Values: map[string]float64{
		"trees": float64(s.trees), "num_leaves": leaves, "learning_rate": rate,
	}})
	if err != nil {
		return nil, err
	}
	scores, err := a.Model.(*tree.Ensemble).Score(ctx, test)
	if err != nil {
		return nil, err
	}
	theirs, version, err := s.ask(peer, d, test, truth)
	if err != nil {
		return nil, err
	}
	ours, other := s.measure(d, truth, scores[0]), s.measure(d, truth, theirs)
	f := result.Figure{Name: fmt.Sprintf("%s: %s, %d trees", s.name, s.metric, s.trees), Value: ours, Peer: other, Note: "LightGBM " + version}
	if s.metric != evaluate.AUC {
		return []result.Figure{f}, nil
	}
	return []result.Figure{f, result.Figure{Name: "  less than LightGBM's by", Value: other - ours}.AtMost(closeAUC)}, nil
}

func (s study) measure(d *train.Dataset, truth, scores []float64) float64 {
	p := &evaluate.Predictions{Task: d.Task, Classes: d.Classes, Label: truth, Scores: [][]float64{scores}, Threshold: 0.5}
	return p.Metrics()[s.metric]
}

// encoded applies the recipe that the train stage would: fitted on the rows to
// train on, applied to all.
func (s study) encoded(ctx context.Context, t *table) (d *train.Dataset, test [][]float64, truth []float64, err error) {
	at := slices.IndexFunc(t.columns, func(c frame.Column) bool { return c.Name == s.label })
	var fit, held [][]string
	d = &train.Dataset{Task: model.Regression}
	if s.positive != "" {
		d.Task, d.Classes = model.Binary, []string{"other", s.positive}
	}
	for i, row := range t.cells {
		y := s.number(row[at])
		if s.held(i, len(t.cells)) {
			held, truth = append(held, row), append(truth, y)
		} else {
			fit, d.Label = append(fit, row), append(d.Label, y)
		}
	}
	rows, unseen := t.without(at, s.split.By, fit), t.without(at, s.split.By, held)
	defer rows.Release()
	defer unseen.Release()
	if d.Encoder, _, err = encode.Fit(ctx, rows.Schema(), []frame.Batch{rows}, encode.Options{}); err != nil {
		return nil, nil, nil, err
	}
	d.Columns, test = d.Encoder.Matrix(len(fit)), d.Encoder.Matrix(len(held))
	if err = d.Encoder.Encode(rows, d.Columns); err == nil {
		err = d.Encoder.Encode(unseen, test)
	}
	return d, test, truth, err
}

func (s study) number(cell string) float64 {
	if s.positive != "" {
		if cell == s.positive {
			return 1
		}
		return 0
	}
	v, _ := strconv.ParseFloat(cell, 64)
	return v
}

// without returns rows without the label and the column that the split is by.
func (t *table) without(label int, by string, rows [][]string) frame.Batch {
	part := &table{}
	var keep []int
	for i, c := range t.columns {
		if i != label && c.Name != by {
			keep, part.columns = append(keep, i), append(part.columns, c)
		}
	}
	picked := make([][]string, len(rows))
	for r, row := range rows {
		for _, i := range keep {
			picked[r] = append(picked[r], row[i])
		}
	}
	return part.batch(picked)
}

// ask hands the same numbers to the peer.
func (s study) ask(peer *duel.Peer, d *train.Dataset, test [][]float64, truth []float64) ([]float64, string, error) {
	folder, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(folder)
	var columns, label bytes.Buffer
	categorical := []int{}
	for i, c := range d.Encoder.Columns {
		if c.Kind == encode.Category {
			categorical = append(categorical, i)
		}
		write(&columns, d.Columns[i], test[i])
	}
	write(&label, d.Label, truth)
	for name, b := range map[string][]byte{"columns": columns.Bytes(), "label": label.Bytes()} {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			return nil, "", err
		}
	}
	objective := "binary"
	if d.Task == model.Regression {
		objective = "regression"
	}
	question, err := json.Marshal(map[string]any{
		"folder": folder, "columns": len(d.Columns), "fit": len(d.Label), "categorical": categorical,
		"objective": objective, "trees": s.trees, "leaves": leaves, "rate": rate,
	})
	if err != nil {
		return nil, "", err
	}
	var answer struct {
		Scores  []float64
		Version string
	}
	if err := peer.Ask(string(question), &answer); err != nil {
		return nil, "", err
	}
	if len(answer.Scores) != len(truth) {
		return nil, "", fmt.Errorf("the peer scored %d rows of %d", len(answer.Scores), len(truth))
	}
	return answer.Scores, answer.Version, nil
}

// write appends the bytes of numbers; a buffer takes all that it is given.
func write(b *bytes.Buffer, parts ...[]float64) {
	for _, part := range parts {
		for _, v := range part {
			b.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
		}
	}
}
