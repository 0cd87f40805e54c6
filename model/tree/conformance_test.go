package tree_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/tree"
)

// forest has splits of every kind: numbers and sets, missing values going
// either way, sets smaller and larger than what they leave out.
func forest(t *testing.T, task model.Task) *tree.Ensemble {
	t.Helper()
	d := tree.Definition{
		Task: task, Link: tree.Identity, Base: []float64{0.25},
		Encoder: &encode.Encoder{Columns: []encode.Column{
			{Name: "x", Type: frame.Double, Kind: encode.Numeric},
			{Name: "n", Type: frame.Int, Kind: encode.Numeric},
			{Name: "on", Type: frame.Bool, Kind: encode.Numeric},
			{Name: "kind", Type: frame.String, Kind: encode.Category},
		}},
	}
	for i := range 70 {
		d.Encoder.Columns[3].Categories = append(d.Encoder.Columns[3].Categories, fmt.Sprintf("k%d", i))
	}
	outputs := 1
	switch task {
	case model.Binary:
		d.Link, d.Classes = tree.Sigmoid, []string{"no", "yes"}
	case model.Multiclass:
		outputs = 3
		d.Link, d.Classes, d.Base = tree.Softmax, []string{"a", "b", "c"}, []float64{0.25, 0, -0.25}
	}
	for i := range 24 {
		v := float64(i)
		d.Trees = append(d.Trees, tree.Tree{
			Output: i % outputs,
			Splits: []tree.Split{
				{Column: 0, Threshold: math.Sin(v), Left: 1, Right: 2, MissingLeft: i%2 == 0},
				{Column: 1 + i%2, Threshold: math.Mod(v, 3) - 0.5, Left: ^0, Right: 3, MissingLeft: i%3 == 0},
				{Column: 3, Set: []uint64{0x9249249249249249 << (i % 5), 0x15}, Left: ^1, Right: ^2, MissingLeft: i%5 == 0},
				{Column: 3, Set: []uint64{^uint64(1 << i)}, Left: ^3, Right: ^4, MissingLeft: i%4 == 0},
			},
			Leaves: []float64{math.Cos(v), 0.3, -0.2, math.Sin(2 * v), 0.1},
		})
	}
	e, err := tree.New(d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformance(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		t.Run(string(task), func(t *testing.T) { modeltest.Run(t, forest(t, task)) })
	}
}

// TestONNXRuntimeGivesTheSameAnswers; it adds up in single precision.
func TestONNXRuntimeGivesTheSameAnswers(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		t.Run(string(task), func(t *testing.T) { onnxtest.Equal(t, forest(t, task), 2e-6) })
	}
}
