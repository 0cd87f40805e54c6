package ops

import (
	"math"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// transform is what happens to the scores of a row last.
type transform uint8

const (
	noTransform transform = iota
	softmaxTransform
	logisticTransform
	softmaxZeroTransform
	probitTransform
)

func (n *node) transform() (transform, error) {
	name := n.text("post_transform", "NONE")
	t, ok := map[string]transform{
		"NONE": noTransform, "SOFTMAX": softmaxTransform, "LOGISTIC": logisticTransform,
		"SOFTMAX_ZERO": softmaxZeroTransform, "PROBIT": probitTransform,
	}[name]
	if !ok {
		return 0, invalid("%q is no transformation of scores", name)
	}
	return t, nil
}

// apply changes the scores of one row. A single score is left as it is, but
// for PROBIT: so ONNX Runtime has it.
func (t transform) apply(scores []float32) {
	if len(scores) == 1 && t != probitTransform {
		return
	}
	switch t {
	case logisticTransform:
		for i, v := range scores {
			scores[i] = logistic(v)
		}
	case softmaxTransform, softmaxZeroTransform:
		top, sum := float32(math.Inf(-1)), 0.0
		for _, v := range scores {
			top = max(top, v)
		}
		for i, v := range scores {
			if t == softmaxZeroTransform && v < 1e-7 && v > -1e-7 { // what is 0 stays 0
				scores[i] = v * float32(math.Exp(float64(-top)))
				continue
			}
			scores[i] = float32(math.Exp(float64(v - top)))
			sum += float64(scores[i])
		}
		if sum != 0 {
			for i := range scores {
				scores[i] = float32(float64(scores[i]) / sum)
			}
		}
	case probitTransform:
		for i, v := range scores {
			scores[i] = probit(v)
		}
	}
}

func logistic(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }

// probit is the approximation of the inverse of the normal distribution that
// runtimes of ONNX have in common.
func probit(v float32) float32 {
	x := float64(2*v - 1)
	sign := 1.0
	if x < 0 {
		sign = -1
	}
	logarithm := math.Log((1 - x) * (1 + x))
	half := 2/(math.Pi*0.147) + 0.5*logarithm
	return float32(1.41421356 * sign * math.Sqrt(math.Sqrt(half*half-logarithm/0.147)-half))
}

// classes are the labels of a classifier.
type classes struct {
	labels *Tensor
}

// make prepares the outputs of a classifier for so many rows.
func (c classes) make(r *run, out []*Tensor, rows, scores int) error {
	if err := r.make(out[0], c.labels.Type, []int{rows}); err != nil {
		return err
	}
	if len(out) > 1 {
		return r.make(out[1], proto.Float, []int{rows, scores})
	}
	return r.make(&r.aside, proto.Float, []int{rows, scores})
}

// scores is where the scores go that make prepared.
func (c classes) scores(r *run, out []*Tensor) *Tensor {
	if len(out) > 1 {
		return out[1]
	}
	return &r.aside
}

// label puts down that a row is of a class.
func (c classes) label(out *Tensor, row, class int) {
	if c.labels.Type == proto.String {
		out.S[row] = c.labels.S[class]
	} else {
		out.I[row] = c.labels.I[class]
	}
}

// top returns the class of the highest score, the first of equals.
func top(scores []float32) int {
	best := 0
	for k, v := range scores {
		if v > scores[best] {
			best = k
		}
	}
	return best
}
