// Package linear trains linear models: logistic regression, its multinomial
// form, and ridge regression.
//
// It is one of the trainers of the train stage; package model/linear is the
// runtime of what it makes. Numbers are standardised, a missing number is its
// column's mean plus a weight of its own, categories have one weight each. The
// objective is the sum of the rows' weighted losses plus l2/2 times the
// squared weights, the bias left out. With few weights it is minimised by
// Newton's method with a Cholesky factorisation, otherwise by L-BFGS. Rows
// are summed in a fixed number of parts, so that the result does not depend
// on how many goroutines did it.
package linear

import (
	"context"
	"math"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/linear"
)

// L2 is the one parameter: the strength of the penalty, over 0; 1 when absent.
const L2 = "l2"

// Trainer meets train.Trainer.
type Trainer struct{}

// Train fits the rows of d that are not for validation.
//
// A monotone constraint of a number is kept by leaving the number out of the
// fit once its weight would have the wrong sign.
func (Trainer) Train(ctx context.Context, d *train.Dataset, p train.Params) (*train.Artifact, error) {
	l2, err := settings(p)
	if err != nil {
		return nil, err
	}
	if err := check(d, p.Monotone); err != nil {
		return nil, err
	}
	prob := newProblem(d, l2, p)
	weights, err := prob.fitMonotone(ctx, d.Encoder, p.Monotone)
	if err != nil {
		return nil, err
	}
	m, err := linear.New(prob.spec(d, weights))
	if err != nil {
		return nil, err
	}
	files, err := m.Files()
	if err != nil {
		return nil, err
	}
	return &train.Artifact{
		Format: linear.FormatName,
		Files:  files,
		Model:  m,
		Params: map[string]float64{L2: l2},
		Notes:  prob.notes,
	}, nil
}

func settings(p train.Params) (l2 float64, err error) {
	l2 = 1
	for name, v := range p.Values {
		if name != L2 {
			return 0, fault.New(fault.Invalid, "the linear trainer has no parameter %q", name).Hint("it has %s", L2)
		}
		l2 = v
	}
	if !(l2 >= 1e-9 && l2 <= 1e12) {
		return 0, fault.New(fault.Invalid, "%s is %v, not between 1e-9 and 1e12", L2, l2)
	}
	return l2, nil
}

func check(d *train.Dataset, monotone map[string]int) error {
	if d.Rows()-d.Valid < 1 {
		return fault.New(fault.Invalid, "there are no rows to train on")
	}
	if len(d.Columns) != len(d.Encoder.Columns) {
		return fault.New(fault.Internal, "%d columns for %d recipes", len(d.Columns), len(d.Encoder.Columns))
	}
	for _, y := range d.Label {
		if y-y != 0 {
			return fault.New(fault.Invalid, "the label %v is not a number", y)
		}
	}
	for name := range monotone {
		i := slices.IndexFunc(d.Encoder.Columns, func(c encode.Column) bool { return c.Name == name })
		if i < 0 || d.Encoder.Columns[i].Kind != encode.Numeric {
			return fault.New(fault.Invalid, "the monotone constraint names %q, which is no number among the inputs", name)
		}
	}
	return nil
}

// fitMonotone fits until no constrained weight has the wrong sign.
func (p *problem) fitMonotone(ctx context.Context, e *encode.Encoder, monotone map[string]int) ([]float64, error) {
	for {
		weights, err := p.fit(ctx)
		if err != nil {
			return nil, err
		}
		again := false
		for i := range p.blocks {
			b := &p.blocks[i]
			sign := monotone[e.Columns[i].Name]
			if sign == 0 || b.held {
				continue
			}
			for k := range p.scores {
				if float64(sign)*weights[k*p.width+b.offset] < 0 {
					b.held, again = true, true
				}
			}
		}
		if !again {
			return weights, nil
		}
	}
}

// fit chooses the method by the size of the Hessian.
func (p *problem) fit(ctx context.Context) ([]float64, error) {
	if p.scores == 1 && p.width <= maxNewton {
		return p.newton(ctx)
	}
	return p.lbfgs(ctx)
}

// spec writes the weights beside the columns that they belong to.
func (p *problem) spec(d *train.Dataset, weights []float64) *linear.Spec {
	vector := func(at int) []float64 {
		v := make([]float64, p.scores)
		for k := range v {
			v[k] = weights[k*p.width+at]
		}
		return v
	}
	s := &linear.Spec{
		Version: 1, Task: d.Task, Classes: d.Classes, Encoder: d.Encoder,
		Bias: vector(p.width - 1), Importance: p.importance(weights),
	}
	for i := range p.blocks {
		b := &p.blocks[i]
		term := linear.Term{Missing: make([]float64, p.scores)}
		if b.category {
			for code := range b.codes {
				term.Weights = append(term.Weights, vector(b.offset+code))
			}
		} else {
			term.Mean, term.Scale, term.Weight = b.mean, b.scale, vector(b.offset)
		}
		if b.missing >= 0 {
			term.Missing = vector(b.missing)
		}
		s.Terms = append(s.Terms, term)
	}
	return s
}

// importance is the standard deviation of what each column adds to the score
// over the training rows, averaged over the scores.
func (p *problem) importance(weights []float64) []float64 {
	n := len(p.blocks)
	sum, square := make([]float64, n*p.scores), make([]float64, n*p.scores)
	p.eachRow(0, p.rows, func(_ int, at []int32, z []float64) {
		for k := range p.scores {
			for i := range at {
				v := weights[k*p.width+int(at[i])] * z[i]
				sum[k*n+i] += v
				square[k*n+i] += v * v
			}
		}
	})
	out := make([]float64, n)
	rows := float64(p.rows)
	for i := range out {
		for k := range p.scores {
			mean := sum[k*n+i] / rows
			out[i] += math.Sqrt(max(0, square[k*n+i]/rows-mean*mean)) / float64(p.scores)
		}
	}
	return out
}

func scoresOf(d *train.Dataset) int {
	if d.Task == model.Multiclass {
		return len(d.Classes)
	}
	return 1
}
