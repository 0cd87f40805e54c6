package ops

import (
	"github.com/leat-ai/leat/model/onnx/proto"
)

// buildTreeRegressor builds the regressor of ONNX-ML 1 to 3.
func buildTreeRegressor(n *node) (kernel, error) {
	f, err := readForest(n, "target_")
	if err != nil {
		return nil, err
	}
	f.outputs = int(n.int("n_targets", 1))
	post, err := n.transform()
	if err != nil {
		return nil, err
	}
	return regression(f, post, true)
}

// buildTreeEnsemble builds the one operator for all trees of ONNX-ML 5.
func buildTreeEnsemble(n *node) (kernel, error) {
	f, err := readEnsemble(n)
	if err != nil {
		return nil, err
	}
	post := n.int("post_transform", 0)
	if post < 0 || post > int64(probitTransform) {
		return nil, invalid("%d is no transformation of scores", post)
	}
	return regression(f, transform(post), false)
}

// regression answers with the scores, as doubles where the trees are of
// doubles and the operator has it so.
func regression(f *forest, post transform, alwaysSingle bool) (kernel, error) {
	double := !f.single && !alwaysSingle
	g, err := plant(f)
	if err != nil {
		return nil, err
	}
	base := f.bases()
	return func(r *run, in, out []*Tensor) error {
		sums, _, rows, err := g.score(r, in[0])
		if err != nil {
			return err
		}
		typ := proto.Float
		if double {
			typ = proto.Double
		}
		if err := r.make(out[0], typ, []int{rows, g.outputs}); err != nil {
			return err
		}
		line := grown(&r.near, g.outputs)
		for row := range rows {
			for k := range line {
				v := g.round(sums[k][row] + base[k])
				line[k] = float32(v)
				if double {
					out[0].D[row*g.outputs+k] = v
				}
			}
			if double && post == noTransform {
				continue
			}
			post.apply(line)
			for k, v := range line {
				if double {
					out[0].D[row*g.outputs+k] = float64(v)
				} else {
					out[0].F[row*g.outputs+k] = v
				}
			}
		}
		return nil
	}, nil
}

// treeClassifier is the classifier of ONNX-ML 1 to 3.
type treeClassifier struct {
	classes
	*grove
	post     transform
	only     int  // of two classes the only one that has weights, or -1
	positive bool // all weights
}

func buildTreeClassifier(n *node) (kernel, error) {
	f, err := readForest(n, "class_")
	if err != nil {
		return nil, err
	}
	c := &treeClassifier{classes: classes{classLabels(n, "classlabels_int64s", "classlabels_strings")}, positive: true}
	if c.labels == nil {
		return nil, invalid("labels are wanted")
	}
	if c.post, err = n.transform(); err != nil {
		return nil, err
	}
	f.outputs = c.labels.Len()
	c.only = onlyClass(f)
	for _, w := range f.weights {
		c.positive = c.positive && w.value >= 0
	}
	if f.outputs == 1 || c.only >= 0 && len(f.base)+c.only > 1 {
		return nil, unsupported("a classifier of one class, or of two with base values that are not those of its weights")
	}
	if c.grove, err = plant(f); err != nil {
		return nil, err
	}
	return c.run, nil
}

// onlyClass returns the only one of two classes that has weights, -1 where
// there are more of either.
func onlyClass(f *forest) int {
	if f.outputs != 2 || len(f.weights) == 0 {
		return -1
	}
	first := f.weights[0].output
	for _, w := range f.weights {
		if w.output != first {
			return -1
		}
	}
	return int(first)
}

func (c *treeClassifier) run(r *run, in, out []*Tensor) error {
	sums, seen, rows, err := c.score(r, in[0])
	if err != nil {
		return err
	}
	wide := c.outputs
	if err := c.make(r, out, rows, wide); err != nil {
		return err
	}
	if len(c.base) > 0 {
		seen = nil
	}
	all, base := c.classes.scores(r, out).F, c.bases()
	for row := range rows {
		scores := all[row*wide : (row+1)*wide]
		for k := range scores {
			scores[k] = float32(c.round(sums[k][row] + base[k]))
		}
		switch c.only {
		case 0:
			c.label(out[0], row, c.two(scores, scores[0]))
		case 1:
			c.label(out[0], row, c.half(scores[1]))
			c.post.apply(scores)
		default:
			c.label(out[0], row, topSeen(scores, seen, row, rows))
			c.post.apply(scores)
		}
	}
	return nil
}

// topSeen is top among the classes that have a score.
func topSeen(scores []float32, seen []bool, row, rows int) int {
	if seen == nil {
		return top(scores)
	}
	best := -1
	for k, v := range scores {
		if seen[k*rows+row] && (best < 0 || v > scores[best]) {
			best = k
		}
	}
	return max(best, 0)
}

// half returns the class that the one sum of two classes means: the sum is a
// probability when no weight is below zero.
func (c *treeClassifier) half(sum float32) int {
	if c.positive && sum > 0.5 || !c.positive && sum > 0 {
		return 1
	}
	return 0
}

// two makes the scores of both classes of the one sum of the second, and
// returns the class.
func (c *treeClassifier) two(scores []float32, sum float32) int {
	scores[0], scores[1] = -sum, sum
	switch {
	case c.post == logisticTransform:
		scores[0], scores[1] = logistic(-sum), logistic(sum)
	case c.positive:
		scores[0] = 1 - sum
	}
	return c.half(sum)
}
