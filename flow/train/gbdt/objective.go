package gbdt

import (
	"math"

	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
)

// objective is the loss that boosting lowers: what the sums start with, its
// first and second derivatives by the sums, and its mean.
type objective struct {
	task    model.Task
	outputs int
	label   []float64 // all rows
	weight  []float64 // all rows, nil for 1
	fit     int       // rows that are fitted; the others are for validation
	threads int
}

// derivatives are those of every fitted row. A pair is kept in single precision, which halves the memory that
// passes through; sums of them are doubles.
type derivatives struct{ gradient, hessian []float32 }

func newObjective(d *train.Dataset, threads int) *objective {
	o := &objective{task: d.Task, outputs: 1, label: d.Label, weight: d.Weight, fit: d.Rows() - d.Valid, threads: threads}
	if d.Task == model.Multiclass {
		o.outputs = len(d.Classes)
	}
	return o
}

func (o *objective) weightOf(i int) float64 {
	if o.weight == nil {
		return 1
	}
	return o.weight[i]
}

// base returns the constant sums that fit best: the mean, or the log odds of
// the classes' shares.
func (o *objective) base() []float64 {
	const tiny = 1e-15
	shares, total := o.weightedLabels()
	if total <= 0 {
		return make([]float64, o.outputs)
	}
	for k := range shares {
		shares[k] /= total
		switch o.task {
		case model.Binary:
			p := min(max(shares[k], tiny), 1-tiny)
			shares[k] = math.Log(p / (1 - p))
		case model.Multiclass:
			shares[k] = math.Log(max(shares[k], tiny))
		}
	}
	return shares
}

// weightedLabels sums weight×label (by class for multi-class) and weight, by
// blocks.
func (o *objective) weightedLabels() (sums []float64, total float64) {
	parts := make([][]float64, blockCount(o.fit)) // the last of each is the weight
	blocks(o.threads, o.fit, func(b, from, to int) {
		part := make([]float64, o.outputs+1)
		for i := from; i < to; i++ {
			w := o.weightOf(i)
			part[o.outputs] += w
			if o.task == model.Multiclass {
				part[int(o.label[i])] += w
			} else {
				part[0] += w * o.label[i]
			}
		}
		parts[b] = part
	})
	sums = make([]float64, o.outputs)
	for _, part := range parts {
		for k := range sums {
			sums[k] += part[k]
		}
		total += part[o.outputs]
	}
	return sums, total
}

// derive computes the derivatives of every fitted row from its sums.
func (o *objective) derive(sums [][]float64, out []derivatives) {
	blocks(o.threads, o.fit, func(_, from, to int) {
		switch o.task {
		case model.Binary:
			o.deriveLogistic(sums[0], out[0], from, to)
		case model.Multiclass:
			o.deriveSoftmax(sums, out, from, to)
		default:
			o.deriveSquare(sums[0], out[0], from, to)
		}
	})
}

func (o *objective) deriveLogistic(sums []float64, out derivatives, from, to int) {
	label, gradient, hessian := o.label[from:to], out.gradient[from:to], out.hessian[from:to]
	for i, sum := range sums[from:to] {
		p := 1 / (1 + math.Exp(-sum))
		gradient[i] = float32(p - label[i])
		hessian[i] = float32(p * (1 - p))
	}
	o.scale(out, from, to)
}

func (o *objective) deriveSquare(sums []float64, out derivatives, from, to int) {
	label, gradient, hessian := o.label[from:to], out.gradient[from:to], out.hessian[from:to]
	for i, sum := range sums[from:to] {
		gradient[i] = float32(sum - label[i])
		hessian[i] = 1
	}
	o.scale(out, from, to)
}

// deriveSoftmax uses the upper bound K/(K-1)·p(1-p) of the curvature, with
// which one tree for each class makes a joint Newton step.
func (o *objective) deriveSoftmax(sums [][]float64, out []derivatives, from, to int) {
	factor := float64(o.outputs) / float64(o.outputs-1)
	p := make([]float64, o.outputs)
	for i := from; i < to; i++ {
		softmax(sums, i, p)
		for k := range p {
			y := 0.0
			if int(o.label[i]) == k {
				y = 1
			}
			out[k].gradient[i] = float32(p[k] - y)
			out[k].hessian[i] = float32(factor * p[k] * (1 - p[k]))
		}
	}
	for k := range out {
		o.scale(out[k], from, to)
	}
}

// scale multiplies derivatives by the rows' weights.
func (o *objective) scale(out derivatives, from, to int) {
	if o.weight == nil {
		return
	}
	for i := from; i < to; i++ {
		w := float32(o.weight[i])
		out.gradient[i] *= w
		out.hessian[i] *= w
	}
}

// softmax writes the probabilities of row i into p.
func softmax(sums [][]float64, i int, p []float64) {
	largest := math.Inf(-1)
	for k := range p {
		largest = max(largest, sums[k][i])
	}
	total := 0.0
	for k := range p {
		p[k] = math.Exp(sums[k][i] - largest)
		total += p[k]
	}
	for k := range p {
		p[k] /= total
	}
}

// loss returns the weighted mean loss of the validation rows: log loss, or
// the root of the mean square. Without such rows it is NaN.
func (o *objective) loss(sums [][]float64) float64 {
	n := len(o.label) - o.fit
	type part struct{ loss, weight float64 }
	parts := make([]part, blockCount(n))
	blocks(o.threads, n, func(b, from, to int) {
		p := make([]float64, o.outputs)
		for i := o.fit + from; i < o.fit+to; i++ {
			w := o.weightOf(i)
			parts[b].loss += w * o.rowLoss(sums, i, p)
			parts[b].weight += w
		}
	})
	var total part
	for _, p := range parts {
		total.loss += p.loss
		total.weight += p.weight
	}
	mean := total.loss / total.weight
	if o.task == model.Regression {
		return math.Sqrt(mean)
	}
	return mean
}

func (o *objective) rowLoss(sums [][]float64, i int, p []float64) float64 {
	switch o.task {
	case model.Binary:
		// log(1+exp(-z)), z the sum with the sign of the label, without overflow.
		z := sums[0][i]
		if o.label[i] == 0 {
			z = -z
		}
		return math.Log1p(math.Exp(-math.Abs(z))) + max(-z, 0)
	case model.Multiclass:
		softmax(sums, i, p)
		return -math.Log(max(p[int(o.label[i])], 1e-300))
	}
	d := sums[0][i] - o.label[i]
	return d * d
}
