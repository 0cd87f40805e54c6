// Package linear is the runtime of linear models: logistic, softmax and ridge
// regression over standardised numbers, indicators of missing values and
// categories.
//
// It stands below the contract package model, beside the other runtimes.
// Format loads an artifact; New makes a model from the Spec that a trainer
// fitted, and Files writes it as an artifact. A model is one JSON file that
// people can read: every weight stands beside the column and the category
// that it belongs to.
package linear

import (
	"context"
	"math"
	"sync"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// FormatName is the name of the format, as stored with a version.
const FormatName = "linear"

// Spec is a fitted model. Score k of a row is Bias[k] plus one term of each
// column; the scores become probabilities by the logistic function (binary),
// softmax (multiclass), or are the answer (regression).
type Spec struct {
	Version int             `json:"version"` // 1
	Task    model.Task      `json:"task"`
	Classes []string        `json:"classes,omitempty"`
	Encoder *encode.Encoder `json:"encoder"`
	Bias    []float64       `json:"bias"`  // one for each score
	Terms   []Term          `json:"terms"` // one for each of Encoder.Columns
	// Importance is how much each column moves the scores over the training
	// rows, not negative, in any unit.
	Importance []float64 `json:"importance"`
}

// Term is what one column adds to each score.
//
// Of a number x it is Weight[k] * z, where z = (x - Mean) / Scale, kept within
// ±MaxZ so that no input can make the score infinite. Of a category code c it
// is Weights[c][k], the last row being that of unseen text. Of a missing or
// infinite value it is Missing[k].
type Term struct {
	Mean    float64     `json:"mean,omitempty"`
	Scale   float64     `json:"scale,omitempty"`
	Weight  []float64   `json:"weight,omitempty"`
	Weights [][]float64 `json:"weights,omitempty"`
	Missing []float64   `json:"missing"`
}

// MaxZ bounds standardised numbers. A trainer applies it too.
const MaxZ = 1e6

// Standardise returns the z of a Term for a number that is not missing.
func Standardise(x, mean, scale float64) float64 {
	return max(-MaxZ, min(MaxZ, (x-mean)/scale))
}

// Model is a loaded linear model. It meets model.Model, model.Explainer and
// model.ONNXExporter.
type Model struct {
	spec      *Spec
	signature model.Signature
	output    *encode.Output
	scratch   sync.Pool // *[]float64: encoded columns of one chunk
}

// New makes a model from a spec that it checks and then owns.
func New(spec *Spec) (*Model, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	output := encode.NewOutput(spec.Task, spec.Classes)
	return &Model{
		spec:   spec,
		output: output,
		signature: model.Signature{
			Task:    spec.Task,
			Inputs:  spec.Encoder.Fields(),
			Outputs: output.Fields(),
			Classes: spec.Classes,
		},
		scratch: sync.Pool{New: func() any { return new([]float64) }},
	}, nil
}

// Signature says what the model reads and writes.
func (m *Model) Signature() model.Signature { return m.signature }

// chunkRows bounds the memory of one Predict and how late it sees that its
// context ended.
const chunkRows = 4096

// Predict scores the rows of a batch.
func (m *Model) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := m.spec.Encoder.Check(in.Schema()); err != nil {
		return nil, err
	}
	rows := int(in.NumRows())
	flat := make([]float64, rows*m.output.Scores())
	scores := make([][]float64, m.output.Scores())
	for k := range scores {
		scores[k] = flat[k*rows : (k+1)*rows : (k+1)*rows]
	}
	for from := 0; from < rows; from += chunkRows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := m.predictChunk(in, from, min(from+chunkRows, rows), scores); err != nil {
			return nil, err
		}
	}
	return m.output.Batch(scores), nil
}

func (m *Model) predictChunk(in frame.Batch, from, to int, scores [][]float64) error {
	if from != 0 || to != int(in.NumRows()) {
		in = in.NewSlice(int64(from), int64(to))
		defer in.Release()
	}
	buf := m.scratch.Get().(*[]float64)
	defer m.scratch.Put(buf)
	columns := m.matrix(buf, to-from)
	if err := m.spec.Encoder.Encode(in, columns); err != nil {
		return err
	}
	part := make([][]float64, len(scores))
	for k := range scores {
		part[k] = scores[k][from:to]
	}
	m.spec.score(columns, part)
	return nil
}

func (m *Model) matrix(buf *[]float64, rows int) [][]float64 {
	n := len(m.spec.Encoder.Columns)
	if cap(*buf) < n*rows {
		*buf = make([]float64, n*rows)
	}
	columns := make([][]float64, n)
	for i := range columns {
		columns[i] = (*buf)[i*rows : (i+1)*rows]
	}
	return columns
}

// score adds up the terms column by column. Each row's sum is taken in the
// same order whatever the batch, so that its answer is the same bit for bit.
func (s *Spec) score(columns, scores [][]float64) {
	for k, out := range scores {
		for row := range out {
			out[row] = s.Bias[k]
		}
		for i := range s.Terms {
			s.Terms[i].add(k, columns[i], out)
		}
	}
	s.link(scores)
}

func (t *Term) add(k int, column, out []float64) {
	missing := t.Missing[k]
	if t.Weights != nil {
		for row, code := range column {
			if code != code {
				out[row] += missing
			} else {
				out[row] += t.Weights[int(code)][k]
			}
		}
		return
	}
	weight := t.Weight[k]
	for row, x := range column {
		if IsMissing(x) {
			out[row] += missing
		} else {
			out[row] += weight * Standardise(x, t.Mean, t.Scale)
		}
	}
}

// IsMissing tells whether an encoded number is treated as missing: NaN and
// the infinities, of which nothing can be said on a straight line.
func IsMissing(x float64) bool { return x-x != 0 }

func (s *Spec) link(scores [][]float64) {
	switch s.Task {
	case model.Binary:
		for row, x := range scores[0] {
			scores[0][row] = 1 / (1 + math.Exp(-x))
		}
	case model.Multiclass:
		for row := range scores[0] {
			softmax(scores, row)
		}
	}
}

func softmax(scores [][]float64, row int) {
	top, sum := math.Inf(-1), 0.0
	for _, s := range scores {
		top = max(top, s[row])
	}
	for _, s := range scores {
		s[row] = math.Exp(s[row] - top)
		sum += s[row]
	}
	for _, s := range scores {
		s[row] /= sum
	}
}

// Importance returns how much each input mattered in training.
func (m *Model) Importance() map[string]float64 {
	total := 0.0
	for _, v := range m.spec.Importance {
		total += v
	}
	weights := make(map[string]float64, len(m.spec.Importance))
	for i, v := range m.spec.Importance {
		if total > 0 {
			v /= total
		} else {
			v = 1 / float64(len(m.spec.Importance))
		}
		weights[m.spec.Encoder.Columns[i].Name] = v
	}
	return weights
}
