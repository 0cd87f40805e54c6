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
		sums, rows, err := g.score(r, in[0])
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
	single   bool // two classes, of which only one has weights
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
	outputs := map[int32]bool{}
	for _, w := range f.weights {
		outputs[w.output] = true
		c.positive = c.positive && w.value >= 0
	}
	c.single = f.outputs == 2 && len(outputs) == 1
	if f.outputs == 1 {
		return nil, unsupported("a classifier of one class")
	}
	if c.single { // whichever the class, its sum is that of the second
		for i := range f.weights {
			f.weights[i].output = 1
		}
	}
	if c.grove, err = plant(f); err != nil {
		return nil, err
	}
	return c.run, nil
}

func (c *treeClassifier) run(r *run, in, out []*Tensor) error {
	sums, rows, err := c.score(r, in[0])
	if err != nil {
		return err
	}
	wide := c.outputs
	if err := c.make(r, out, rows, wide); err != nil {
		return err
	}
	all, base := c.classes.scores(r, out).F, c.bases()
	if c.single && len(c.base) == 1 {
		base = []float64{0, c.base[0]}
	}
	for row := range rows {
		scores := all[row*wide : (row+1)*wide]
		for k := range scores {
			scores[k] = float32(c.round(sums[k][row] + base[k]))
		}
		if c.single {
			c.label(out[0], row, c.two(scores))
			continue
		}
		c.label(out[0], row, top(scores))
		c.post.apply(scores)
	}
	return nil
}

// two makes the scores of both classes of the sum of one, and returns the
// class.
func (c *treeClassifier) two(scores []float32) int {
	sum, class := scores[1], 0
	if c.positive {
		if sum > 0.5 {
			class = 1
		}
		scores[0] = 1 - sum
		c.post.apply(scores)
		return class
	}
	if sum > 0 {
		class = 1
	}
	scores[0] = -sum
	c.post.apply(scores)
	return class
}

// labelsOf returns the labels of a classifier's node, nil for other nodes: so
// that whoever serves a graph can name its classes.
func labelsOf(n *proto.Node) *Tensor {
	b := &node{Node: n}
	switch n.Op {
	case "TreeEnsembleClassifier", "ZipMap":
		return classLabels(b, "classlabels_int64s", "classlabels_strings")
	case "LinearClassifier", "SVMClassifier":
		return classLabels(b, "classlabels_ints", "classlabels_strings")
	}
	return nil
}
