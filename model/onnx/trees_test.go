package onnx_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
)

// forest is the plainest model of trees there can be: it descends node by
// node, as the words of onnx.Node say.
type forest struct {
	encoder *encode.Encoder
	output  *encode.Output
	task    model.Task
	classes []string
	base    []float64
	trees   []onnx.Tree
}

func (f *forest) Signature() model.Signature {
	return model.Signature{Task: f.task, Inputs: f.encoder.Fields(), Outputs: f.output.Fields(), Classes: f.classes}
}

func (f *forest) Predict(_ context.Context, in frame.Batch) (frame.Batch, error) {
	rows := int(in.NumRows())
	columns := f.encoder.Matrix(rows)
	if err := f.encoder.Encode(in, columns); err != nil {
		return nil, err
	}
	scores := make([][]float64, len(f.base))
	for k := range scores {
		scores[k] = make([]float64, rows)
	}
	for row := range rows {
		for k := range scores {
			scores[k][row] = f.base[k]
		}
		for _, t := range f.trees {
			scores[t.Output][row] += descend(t, columns, row)
		}
		link(f.task, scores, row)
	}
	return f.output.Batch(scores), nil
}

func descend(t onnx.Tree, columns [][]float64, row int) float64 {
	n := t.Nodes[0]
	for !n.Leaf {
		x := columns[n.Column][row]
		left := x <= n.Threshold
		if n.InSet != nil {
			left = !math.IsNaN(x) && n.InSet(int(x))
		}
		if math.IsNaN(x) {
			left = n.MissingLeft
		}
		if left {
			n = t.Nodes[n.Left]
		} else {
			n = t.Nodes[n.Right]
		}
	}
	return n.Value
}

func link(task model.Task, scores [][]float64, row int) {
	sum := 0.0
	for _, s := range scores {
		switch task {
		case model.Binary:
			s[row] = 1 / (1 + math.Exp(-s[row]))
		case model.Multiclass:
			s[row] = math.Exp(s[row])
		}
		sum += s[row]
	}
	for _, s := range scores {
		if task == model.Multiclass {
			s[row] /= sum
		}
	}
}

func (f *forest) ONNX() ([]byte, error) {
	g := onnx.New(f.encoder, f.task, f.classes)
	sums, err := g.Trees(f.trees, f.base)
	if err != nil {
		return nil, err
	}
	return g.Finish(sums, 0.5)
}

// grow makes a random tree of a depth over every kind of column.
func grow(r *rand.Rand, e *encode.Encoder, t *onnx.Tree, depth int) int {
	at := len(t.Nodes)
	t.Nodes = append(t.Nodes, onnx.Node{})
	if depth == 0 || (depth < 4 && r.IntN(6) == 0) {
		t.Nodes[at] = onnx.Node{Leaf: true, Value: r.NormFloat64() / 4}
		return at
	}
	n := onnx.Node{Column: r.IntN(len(e.Columns)), MissingLeft: r.IntN(2) == 0}
	if c := e.Columns[n.Column]; c.Kind == encode.Category {
		in := make([]bool, len(c.Categories)+1)
		for code := range in {
			in[code] = r.IntN(3) == 0 != n.MissingLeft
		}
		n.InSet = func(code int) bool { return in[code] }
	} else {
		n.Threshold = r.NormFloat64() * math.Pow(10, float64(r.IntN(4)-1))
	}
	n.Left = grow(r, e, t, depth-1)
	n.Right = grow(r, e, t, depth-1)
	t.Nodes[at] = n
	return at
}

func newForest(seed uint64, task model.Task, trees int, classes ...string) *forest {
	var categories []string
	for i := range 70 {
		categories = append(categories, fmt.Sprint("c", i))
	}
	f := &forest{
		encoder: &encode.Encoder{Columns: []encode.Column{
			{Name: "score", Type: frame.Double, Kind: encode.Numeric}, // the name of an output too
			{Name: "a column: with <signs>", Type: frame.Int, Kind: encode.Numeric},
			{Name: "small", Type: frame.String, Kind: encode.Category, Categories: []string{"x", "y"}},
			{Name: "large", Type: frame.String, Kind: encode.Category, Categories: categories},
			{Name: "leat:Concat", Type: frame.Bool, Kind: encode.Numeric},
		}},
		output: encode.NewOutput(task, classes), task: task, classes: classes,
	}
	r := rand.New(rand.NewPCG(seed, 9))
	for range f.output.Scores() {
		f.base = append(f.base, r.NormFloat64()/3)
	}
	for i := range trees {
		t := onnx.Tree{Output: i % len(f.base)}
		grow(r, f.encoder, &t, r.IntN(6))
		f.trees = append(f.trees, t)
	}
	return f
}

func TestTreesGiveTheSameAnswers(t *testing.T) {
	for name, f := range map[string]*forest{
		"binary":     newForest(1, model.Binary, 40, "no", "yes"),
		"multiclass": newForest(2, model.Multiclass, 60, "a", "b", "c"),
		"regression": newForest(3, model.Regression, 40),
		"one tree":   newForest(4, model.Regression, 1),
		"no trees":   newForest(5, model.Binary, 0, "no", "yes"),
	} {
		t.Run(name, func(t *testing.T) { onnxtest.Equal(t, renamed{f}, 2e-6) })
	}
}

// renamed shows the outputs under the names that they have in the file, where
// the input "score" has taken one.
type renamed struct{ *forest }

func (r renamed) Signature() model.Signature {
	s := r.forest.Signature()
	for i := range s.Outputs {
		if s.Outputs[i].Name == model.ScoreColumn {
			s.Outputs = append([]model.Field(nil), s.Outputs...)
			s.Outputs[i].Name += "_out"
		}
	}
	return s
}
