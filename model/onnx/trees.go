package onnx

import (
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/encode"
)

// Tree is a decision tree whose leaf value is added to one score.
type Tree struct {
	Output int    // the score
	Nodes  []Node // Nodes[0] is the root
}

// Node is a leaf with a Value, or a question about one column of the encoder:
// a number goes left when it is at most Threshold; a category when Left holds
// for its code; a missing value when MissingLeft.
type Node struct {
	Leaf        bool
	Value       float64 // of a leaf
	Column      int
	Threshold   float64
	InSet       func(code int) bool // of a category: whether a code goes left; called for the unseen code too
	MissingLeft bool
	Left, Right int // positions in Nodes
}

// Trees adds an ensemble and returns its sums, rows × len(base). base is what
// each sum starts with.
//
// A category is compared with one code after another, because ONNX trees know
// no sets (of this version): whichever side of the set is smaller becomes a
// chain of BRANCH_EQ nodes that share their target.
func (g *Graph) Trees(trees []Tree, base []float64) (Value, error) {
	a := newArrays()
	for i := range trees {
		if err := a.tree(int64(i), &trees[i], g.encoder); err != nil {
			return "", err
		}
	}
	if len(trees) == 0 { // runtimes refuse an empty ensemble
		a.leaf(0, 0, 0, 0)
	}
	sums := g.MLOp("TreeEnsembleRegressor", append(a.attributes(),
		Int("n_targets", int64(len(base))), Doubles("base_values_as_tensor", base),
		Text("aggregate_function", "SUM"), Text("post_transform", "NONE")), g.encoded())
	return g.Cast(sums), nil
}

// encoded returns all columns as the encoder makes them, rows × columns.
func (g *Graph) encoded() Value {
	columns := make([]Value, len(g.encoder.Columns))
	for i, c := range g.encoder.Columns {
		columns[i] = g.inputs[i]
		if c.Kind == encode.Category {
			columns[i] = g.number(i)
		}
	}
	return g.Concat(columns...)
}

// number turns a category column into its code as a double, NaN for missing.
func (g *Graph) number(column int) Value {
	keys, missing := g.keys(column)
	codes := make([]float32, len(keys)) // exact: there are at most 65,536
	for i := range codes {
		codes[i] = float32(i)
	}
	if missing {
		codes[len(codes)-1] = float32(math.NaN())
	}
	unseen := float32(len(g.encoder.Columns[column].Categories))
	return g.Cast(g.MLOp("LabelEncoder", []Attribute{
		Strings("keys_strings", keys), Floats("values_floats", codes), Float("default_float", unseen),
	}, g.inputs[column]))
}

// arrays are the parallel attributes of TreeEnsembleRegressor.
type arrays struct {
	trees, nodes, features, whenTrue, whenFalse, missing []int64
	modes                                                []string
	values                                               []float64
	leafTrees, leafNodes, leafTargets                    []int64
	leafWeights                                          []float64
}

func newArrays() *arrays { return &arrays{} }

func (a *arrays) attributes() []Attribute {
	return []Attribute{
		Ints("nodes_treeids", a.trees), Ints("nodes_nodeids", a.nodes), Ints("nodes_featureids", a.features),
		Strings("nodes_modes", a.modes), Doubles("nodes_values_as_tensor", a.values),
		Ints("nodes_truenodeids", a.whenTrue), Ints("nodes_falsenodeids", a.whenFalse),
		Ints("nodes_missing_value_tracks_true", a.missing),
		Ints("target_treeids", a.leafTrees), Ints("target_nodeids", a.leafNodes), Ints("target_ids", a.leafTargets),
		Doubles("target_weights_as_tensor", a.leafWeights),
	}
}

func (a *arrays) node(tree, id, feature int64, mode string, value float64, whenTrue, whenFalse int64, missingTrue bool) {
	a.trees, a.nodes, a.features = append(a.trees, tree), append(a.nodes, id), append(a.features, feature)
	a.modes, a.values = append(a.modes, mode), append(a.values, value)
	a.whenTrue, a.whenFalse = append(a.whenTrue, whenTrue), append(a.whenFalse, whenFalse)
	tracks := int64(0)
	if missingTrue {
		tracks = 1
	}
	a.missing = append(a.missing, tracks)
}

func (a *arrays) leaf(tree, id int64, target int, value float64) {
	a.node(tree, id, 0, "LEAF", 0, 0, 0, false)
	a.leafTrees, a.leafNodes = append(a.leafTrees, tree), append(a.leafNodes, id)
	a.leafTargets, a.leafWeights = append(a.leafTargets, int64(target)), append(a.leafWeights, value)
}

// tree adds one tree. Node ids are first the positions in t.Nodes; the further
// links of chains take ids behind them.
func (a *arrays) tree(id int64, t *Tree, e *encode.Encoder) error {
	next := int64(len(t.Nodes))
	for i := range t.Nodes {
		n := &t.Nodes[i]
		switch {
		case n.Leaf:
			a.leaf(id, int64(i), t.Output, n.Value)
			continue
		case n.Column < 0 || n.Column >= len(e.Columns), n.Left <= i || n.Right <= i,
			n.Left >= len(t.Nodes) || n.Right >= len(t.Nodes):
			return fault.New(fault.Internal, "node %d of tree %d points outside", i, id)
		case n.InSet == nil:
			a.node(id, int64(i), int64(n.Column), "BRANCH_LEQ", n.Threshold, int64(n.Left), int64(n.Right), n.MissingLeft)
		default:
			next = a.chain(id, int64(i), next, n, len(e.Columns[n.Column].Categories))
		}
	}
	return nil
}

// chain adds the nodes of a category's question, of which the first has the
// id first and the others those from next on; it returns the next free id.
// Codes run from 0 to unseen.
func (a *arrays) chain(tree, first, next int64, n *Node, unseen int) int64 {
	var left, right []int
	for code := range unseen + 1 {
		if n.InSet(code) {
			left = append(left, code)
		} else {
			right = append(right, code)
		}
	}
	codes, equal, other, missing := left, n.Left, n.Right, n.MissingLeft
	if len(right) < len(left) {
		codes, equal, other, missing = right, n.Right, n.Left, !n.MissingLeft
	}
	if len(codes) == 0 {
		codes = []int{-1} // no code is: only a missing value can go this way
	}
	id := first
	for i, code := range codes {
		otherwise := int64(other)
		if i < len(codes)-1 {
			otherwise = next
			next++
		}
		a.node(tree, id, int64(n.Column), "BRANCH_EQ", float64(code), int64(equal), otherwise, missing)
		id = otherwise
	}
	return next
}
