package ops_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// stump is a tree of one question and two leaves.
func stump() *forest {
	return &forest{
		trees: []int64{0, 0, 0}, nodes: []int64{0, 1, 2}, features: []int64{1, 0, 0}, modes: []string{"BRANCH_LEQ", "LEAF", "LEAF"},
		values: []float64{0.5, 0, 0}, yes: []int64{1, 0, 0}, no: []int64{2, 0, 0}, tracks: []int64{0, 0, 0},
		leafTrees: []int64{0, 0}, leafNodes: []int64{1, 2}, leafIDs: []int64{0, 0}, weights: []float64{1, 2},
	}
}

func compile(file []byte) (*ops.Program, error) {
	m, err := proto.Read(file)
	if err != nil {
		return nil, err
	}
	return ops.Compile(context.Background(), m)
}

func TestTreesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*forest)
		says   string
	}{
		"a cycle of one": {func(f *forest) { f.no[0] = 0 }, "cycle"},
		"a cycle of two": {func(f *forest) { f.modes[1], f.yes[1], f.no[1] = "BRANCH_LT", 0, 2 }, ""},
		"a chain in a circle": {func(f *forest) {
			f.modes = []string{"BRANCH_EQ", "BRANCH_EQ", "LEAF"}
			f.features, f.yes, f.no = []int64{0, 0, 0}, []int64{2, 2, 0}, []int64{1, 0, 0}
		}, ""},
		"nowhere":          {func(f *forest) { f.yes[0] = 7 }, "node 0 of tree 0 branches to 7"},
		"twice":            {func(f *forest) { f.nodes[2] = 1 }, "defined twice"},
		"a NaN":            {func(f *forest) { f.values[0] = math.NaN() }, "NaN"},
		"a feature below":  {func(f *forest) { f.features[0] = -1 }, "feature -1"},
		"a feature beyond": {func(f *forest) { f.features[0] = 1 << 40 }, "nodes_featureids has the index 1099511627776"},
		"another mode":     {func(f *forest) { f.modes[0] = "BRANCH_MAYBE" }, "BRANCH_MAYBE"},
		"weight of a node": {func(f *forest) { f.leafNodes[0] = 0 }, "is no leaf"},
		"another output":   {func(f *forest) { f.leafIDs[0] = 3 }, "output 3 of 1"},
		"an infinite leaf": {func(f *forest) { f.weights[0] = math.Inf(1) }, "weight of a leaf is +Inf"},
		"too few modes":    {func(f *forest) { f.modes = f.modes[:2] }, "3 nodes have 2"},
		"too few weights":  {func(f *forest) { f.weights = f.weights[:1] }, "1 weights"},
	} {
		t.Run(name, func(t *testing.T) {
			f := stump()
			c.change(f)
			b := newTable()
			b.ml("TreeEnsembleRegressor", append(f.attributes("target_", false), onnx.Int("n_targets", 1)), b.floats(1, 2))
			_, err := compile(b.cases[0].File)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "node 0 (TreeEnsembleRegressor") {
				t.Errorf("%s: %v", fault.KindOf(err), err)
			}
		})
	}
}

// TestSharedTreesDoNotExplode gives a ladder in which each node leads to the
// next by both branches: a tree of two to the thirtieth leaves.
func TestSharedTreesDoNotExplode(t *testing.T) {
	f := &forest{}
	for i := range int64(31) {
		f.trees, f.nodes, f.features = append(f.trees, 0), append(f.nodes, i), append(f.features, 0)
		f.values, f.tracks = append(f.values, float64(i)), append(f.tracks, 0)
		mode, next := "BRANCH_LEQ", i+1
		if i == 30 {
			mode, next = "LEAF", 0
		}
		f.modes, f.yes, f.no = append(f.modes, mode), append(f.yes, next), append(f.no, next)
	}
	f.leafTrees, f.leafNodes, f.leafIDs, f.weights = []int64{0}, []int64{30}, []int64{0}, []float64{1}
	b := newTable()
	b.ml("TreeEnsembleRegressor", append(f.attributes("target_", false), onnx.Int("n_targets", 1)), b.floats(1, 2))
	if _, err := compile(b.cases[0].File); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "share") {
		t.Errorf("%v", err)
	}
}

func TestOperatorsThatAreNotThere(t *testing.T) {
	f := onnxtest.File{Inputs: []onnxtest.Values{{Name: "x", Dims: []int64{0, 2}, Floats: []float32{}}}, Outputs: []string{"x20"}}
	last := "x"
	for i := range 21 {
		next := fmt.Sprint("x", i)
		f.Nodes = append(f.Nodes, onnxtest.Node{Op: fmt.Sprint("Conv", i), Inputs: []string{last}, Outputs: []string{next}})
		last = next
	}
	_, err := compile(f.Bytes())
	if !fault.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "Conv0, Conv1, ") || !strings.Contains(err.Error(), "9 more") {
		t.Errorf("%v", err)
	}
}
