package ops

import (
	"github.com/leat-ai/leat/model/onnx/proto"
)

// weights are rows×columns coefficients, turned so that a row of the input
// meets them in order.
type weights struct {
	columns, scores int
	turned          []float32 // columns×scores
	intercepts      []float32 // one for each score, or none
}

func (n *node) weights(scores int) (weights, error) {
	w := weights{scores: scores, intercepts: n.floats("intercepts")}
	flat := n.floats("coefficients")
	if scores <= 0 || len(flat) == 0 || len(flat)%scores != 0 {
		return w, invalid("%d coefficients for %d scores", len(flat), scores)
	}
	if len(w.intercepts) != 0 && len(w.intercepts) != scores {
		return w, invalid("%d intercepts for %d scores", len(w.intercepts), scores)
	}
	w.columns = len(flat) / scores
	w.turned = make([]float32, len(flat))
	for k := range scores {
		for c := range w.columns {
			w.turned[c*scores+k] = flat[k*w.columns+c]
		}
	}
	return w, nil
}

// score computes the scores of one row.
func (w *weights) score(x, out []float32) {
	addRow(out, x, w.turned, true)
	for k, v := range w.intercepts {
		out[k] += v
	}
}

// rows reads the input of a model: rows of so many numbers.
func (r *run) rows(t *Tensor, columns int) ([]float32, int, error) {
	x, err := r.floatsOf(t)
	if err != nil {
		return nil, 0, err
	}
	rows := t.Rows()
	if len(t.Dims) == 1 {
		rows = 1
	}
	if columns == 0 || rows*columns != len(x) {
		return nil, 0, invalid("a model of %d columns cannot take a tensor of the shape %d", columns, t.Dims)
	}
	return x, rows, nil
}

func buildLinearRegressor(n *node) (kernel, error) {
	post, err := n.transform()
	if err != nil {
		return nil, err
	}
	w, err := n.weights(int(n.int("targets", 1)))
	if err != nil {
		return nil, err
	}
	return func(r *run, in, out []*Tensor) error {
		x, rows, err := r.rows(in[0], w.columns)
		if err != nil {
			return err
		}
		if err := r.make(out[0], proto.Float, []int{rows, w.scores}); err != nil {
			return err
		}
		if err := r.spend(rows, w.columns, w.scores); err != nil {
			return err
		}
		for row := range rows {
			scores := out[0].F[row*w.scores : (row+1)*w.scores]
			w.score(x[row*w.columns:(row+1)*w.columns], scores)
			post.apply(scores)
		}
		return nil
	}, nil
}

func buildLinearClassifier(n *node) (kernel, error) {
	post, err := n.transform()
	if err != nil {
		return nil, err
	}
	c := classes{classLabels(n, "classlabels_ints", "classlabels_strings")}
	if c.labels == nil {
		return nil, invalid("labels are wanted")
	}
	scores := len(n.floats("intercepts"))
	if scores == 0 {
		scores = c.labels.Len()
	}
	w, err := n.weights(scores)
	if err != nil {
		return nil, err
	}
	if w.scores != c.labels.Len() && (w.scores != 1 || c.labels.Len() != 2) {
		return nil, unsupported("%d scores for %d labels", w.scores, c.labels.Len())
	}
	return func(r *run, in, out []*Tensor) error {
		x, rows, err := r.rows(in[0], w.columns)
		if err != nil {
			return err
		}
		wide := c.labels.Len()
		if err := c.make(r, out, rows, wide); err != nil {
			return err
		}
		if err := r.spend(rows, w.columns, w.scores); err != nil {
			return err
		}
		all := c.scores(r, out).F
		for row := range rows {
			scores := all[row*wide : (row+1)*wide]
			w.score(x[row*w.columns:(row+1)*w.columns], scores[wide-w.scores:])
			if w.scores == 1 && wide == 2 {
				c.label(out[0], row, c.twoOf(scores, post))
				continue
			}
			c.label(out[0], row, top(scores))
			post.apply(scores)
		}
		return nil
	}, nil
}

// twoOf makes the scores of two classes of the one in scores[1], and returns
// the class.
func (c classes) twoOf(scores []float32, post transform) int {
	class := 0
	if scores[1] > 0 {
		class = 1
	}
	if post == logisticTransform {
		scores[1] = logistic(scores[1])
	}
	scores[0] = 1 - scores[1]
	return class
}
