package ops

import (
	"cmp"
	"math"
	"slices"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// The plain form of the tree ensembles of all versions of ONNX-ML: nodes that
// ask a question of a feature, and leaves that give weights to outputs.

// mode is the question that a node asks.
type mode uint8

// The modes, with the numbers that TreeEnsemble has.
const (
	leq mode = iota
	lt
	gte
	gt
	eq
	neq
	member
	leafMode // asks nothing
)

// question is a node. Its branches are nodes, or leaves where they are below
// 0: ^leaf.
type question struct {
	value      float64
	feature    int32
	yes, no    int32
	set        int32 // of member, in forest.sets
	mode       mode
	missingYes bool
}

// weight is what a leaf gives to an output.
type weight struct {
	output int32
	value  float64
}

// forest is an ensemble.
type forest struct {
	questions []question
	sets      [][]float64 // that questions ask for
	leaves    []int32     // where the weights of a leaf begin, and one more
	weights   []weight
	roots     []int32 // as branches
	outputs   int
	base      []float64
	aggregate string // SUM, AVERAGE, MIN, MAX
	single    bool   // numbers are float32
}

func (f *forest) of(leaf int) []weight { return f.weights[f.leaves[leaf]:f.leaves[leaf+1]] }

// maxFeatures bounds the indices of features; whether the rows have so many is
// seen when they come.
const maxFeatures = 1 << 24

// numbers reads floats, or the doubles of an attribute that ends in
// _as_tensor, and tells which.
func (n *node) numbers(name string) (v []float64, double bool, err error) {
	t, err := n.tensor(name + "_as_tensor")
	if err != nil {
		return nil, false, err
	}
	if t != nil {
		v, double, err = numbersOf(t)
		return v, double, err
	}
	a := n.attribute(name, proto.ManyFloats)
	if a == nil {
		return nil, false, nil
	}
	v = make([]float64, 0, a.Count())
	a.EachFloat(func(x float32) { v = append(v, float64(x)) })
	return v, false, nil
}

func numbersOf(t *Tensor) (v []float64, double bool, err error) {
	switch kindOf(t.Type) {
	case doubles:
		return t.D, true, nil
	case floats:
		v = make([]float64, len(t.F))
		for i, x := range t.F {
			v[i] = float64(x)
		}
		return v, false, nil
	}
	return nil, false, invalid("a tensor of %s where floats are wanted", t.Type)
}

// listing is the nodes of TreeEnsembleClassifier and -Regressor, a list for
// each setting. A file has these as numbers of a byte or two, so they are kept
// as small as may be.
type listing struct {
	nodes    index
	features []int32
	yes, no  []int32 // ids
	tracks   []int32 // none, or one for each node
	modes    []mode
	values   []float64
	double   bool
}

func readListing(n *node) (*listing, error) {
	l := &listing{
		features: n.indices("nodes_featureids"), tracks: n.indices("nodes_missing_value_tracks_true"),
		yes: n.indices("nodes_truenodeids"), no: n.indices("nodes_falsenodeids"),
	}
	trees, ids := n.indices("nodes_treeids"), n.indices("nodes_nodeids")
	var err error
	if l.values, l.double, err = n.numbers("nodes_values"); err != nil {
		return nil, err
	}
	if l.modes, err = readModes(n); err != nil {
		return nil, err
	}
	if n.mistake != nil {
		return nil, n.mistake
	}
	count := len(ids)
	for _, length := range []int{len(trees), len(l.features), len(l.yes), len(l.no), len(l.modes), len(l.values)} {
		if length != count {
			return nil, invalid("%d nodes have %d of a setting", count, length)
		}
	}
	if len(l.tracks) != 0 && len(l.tracks) != count {
		return nil, invalid("%d nodes have %d ways of missing values", count, len(l.tracks))
	}
	l.nodes, err = newIndex(trees, ids)
	return l, err
}

func readModes(n *node) (modes []mode, err error) {
	a := n.attribute("nodes_modes", proto.ManyTexts)
	if a == nil {
		return nil, nil
	}
	modes = make([]mode, 0, a.Count())
	a.EachText(func(text []byte) {
		m, ok := modeOf(text)
		if !ok && err == nil {
			err = invalid("%.40q is not a mode (node %d)", text, len(modes))
		}
		modes = append(modes, m)
	})
	return modes, err
}

func modeOf(text []byte) (mode, bool) {
	switch string(text) {
	case "BRANCH_LEQ":
		return leq, true
	case "BRANCH_LT":
		return lt, true
	case "BRANCH_GTE":
		return gte, true
	case "BRANCH_GT":
		return gt, true
	case "BRANCH_EQ":
		return eq, true
	case "BRANCH_NEQ":
		return neq, true
	case "LEAF":
		return leafMode, true
	}
	return 0, false
}

// index finds nodes by their tree and their id in it.
type index struct {
	trees, ids []int32
	order      []int32 // of the nodes by tree and id; nil where they stand so, as in all that converters write
}

// newIndex says which node is defined twice.
func newIndex(trees, ids []int32) (index, error) {
	x := index{trees: trees, ids: ids}
	sorted := true
	for i := 1; i < len(ids) && sorted; i++ {
		sorted = x.compare(int32(i-1), trees[i], ids[i]) < 0
	}
	if sorted {
		return x, nil
	}
	x.order = make([]int32, len(ids))
	for i := range x.order {
		x.order[i] = int32(i)
	}
	slices.SortFunc(x.order, func(a, b int32) int { return x.compare(a, trees[b], ids[b]) })
	for i := 1; i < len(x.order); i++ {
		if at := x.order[i]; x.compare(x.order[i-1], trees[at], ids[at]) == 0 {
			return x, invalid("node %d of tree %d is defined twice", ids[at], trees[at])
		}
	}
	return x, nil
}

func (x *index) compare(node, tree, id int32) int {
	return cmp.Or(cmp.Compare(x.trees[node], tree), cmp.Compare(x.ids[node], id))
}

// find returns the place of a node in the file.
func (x *index) find(tree, id int32) (node int32, ok bool) {
	low, high := 0, len(x.ids)
	for low < high {
		middle := (low + high) / 2
		node = int32(middle)
		if x.order != nil {
			node = x.order[middle]
		}
		switch c := x.compare(node, tree, id); {
		case c == 0:
			return node, true
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false
}

// readForest reads the attributes of TreeEnsembleClassifier and -Regressor,
// whose leaves' weights are in attributes that begin with prefix.
func readForest(n *node, prefix string) (*forest, error) {
	l, err := readListing(n)
	if err != nil {
		return nil, err
	}
	f := &forest{single: !l.double, aggregate: n.text("aggregate_function", "SUM")}
	if f.base, _, err = n.numbers("base_values"); err != nil {
		return nil, err
	}
	at := f.place(l)
	for i, place := range at {
		if place < 0 {
			continue
		}
		tree, id := l.nodes.trees[i], l.nodes.ids[i]
		if l.features[i] < 0 || l.features[i] >= maxFeatures || l.values[i] != l.values[i] {
			return nil, invalid("feature %d is compared with %v (node %d of tree %d)", l.features[i], l.values[i], id, tree)
		}
		yes, known := l.nodes.find(tree, l.yes[i])
		no, both := l.nodes.find(tree, l.no[i])
		if !known || !both {
			return nil, invalid("node %d of tree %d branches to %d and %d, which are not both there", id, tree, l.yes[i], l.no[i])
		}
		f.questions[place] = question{
			feature: l.features[i], mode: l.modes[i], value: l.values[i], yes: at[yes], no: at[no],
			missingYes: len(l.tracks) > 0 && l.tracks[i] != 0,
		}
	}
	return f, f.readWeights(n, prefix, &l.nodes, at)
}

// place numbers questions and leaves, for each node where it is as a branch,
// and finds the root of each tree: the first of its nodes.
func (f *forest) place(l *listing) []int32 {
	at := make([]int32, len(l.modes))
	questions, leaves := int32(0), int32(0)
	seen := map[int32]bool{}
	for i, m := range l.modes {
		if m == leafMode {
			at[i] = ^leaves
			leaves++
		} else {
			at[i] = questions
			questions++
		}
		if tree := l.nodes.trees[i]; (i == 0 || tree != l.nodes.trees[i-1]) && !seen[tree] {
			seen[tree] = true
			f.roots = append(f.roots, at[i])
		}
	}
	f.questions = make([]question, questions)
	f.leaves = make([]int32, leaves+1)
	return at
}

// readWeights gives the leaves their weights.
func (f *forest) readWeights(n *node, prefix string, nodes *index, at []int32) error {
	trees, ids, outputs := n.indices(prefix+"treeids"), n.indices(prefix+"nodeids"), n.indices(prefix+"ids")
	values, _, err := n.numbers(prefix + "weights")
	if err != nil {
		return err
	}
	if n.mistake != nil {
		return n.mistake
	}
	if len(trees) != len(ids) || len(trees) != len(outputs) || len(trees) != len(values) {
		return invalid("%d weights of %d leaves for %d outputs", len(values), len(ids), len(outputs))
	}
	for i, id := range ids {
		node, ok := nodes.find(trees[i], id)
		if !ok || at[node] >= 0 {
			return invalid("node %d of tree %d has a weight and is no leaf", id, trees[i])
		}
		if outputs[i] < 0 {
			return invalid("node %d of tree %d has a weight for output %d", id, trees[i], outputs[i])
		}
		ids[i] = ^at[node] // it is the leaf from here on
		f.leaves[ids[i]+1]++
	}
	for i := 1; i < len(f.leaves); i++ {
		f.leaves[i] += f.leaves[i-1]
	}
	f.weights = make([]weight, len(ids))
	next := slices.Clone(f.leaves)
	for i, leaf := range ids {
		f.weights[next[leaf]] = weight{outputs[i], values[i]}
		next[leaf]++
	}
	return nil
}

// readEnsemble reads the attributes of TreeEnsemble.
func readEnsemble(n *node) (*forest, error) {
	f := &forest{outputs: int(n.int("n_targets", 1))}
	names := []string{"AVERAGE", "SUM", "MIN", "MAX"}
	which := n.int("aggregate_function", 1)
	if which < 0 || which >= int64(len(names)) {
		return nil, invalid("%d is not a way to aggregate", which)
	}
	f.aggregate = names[which]
	features, yes, no := n.indices("nodes_featureids"), n.indices("nodes_truenodeids"), n.indices("nodes_falsenodeids")
	yesLeaf, noLeaf, tracks := n.indices("nodes_trueleafs"), n.indices("nodes_falseleafs"), n.indices("nodes_missing_value_tracks_true")
	if n.mistake != nil {
		return nil, n.mistake
	}
	modes, err := n.tensor("nodes_modes")
	if err != nil {
		return nil, err
	}
	splits, err := n.tensor("nodes_splits")
	if err != nil {
		return nil, err
	}
	if modes == nil || splits == nil || kindOf(modes.Type) != integers {
		return nil, invalid("modes and splits are wanted")
	}
	values, double, err := numbersOf(splits)
	if err != nil {
		return nil, err
	}
	f.single = !double
	for _, length := range []int{len(features), len(yes), len(no), len(yesLeaf), len(noLeaf), len(values)} {
		if length != len(modes.I) {
			return nil, invalid("%d nodes have %d of a setting", len(modes.I), length)
		}
	}
	if len(tracks) != 0 && len(tracks) != len(values) {
		return nil, invalid("%d nodes have %d ways of missing values", len(values), len(tracks))
	}
	if err := f.readLeaves(n); err != nil {
		return nil, err
	}
	if f.sets, err = readMembers(n); err != nil {
		return nil, err
	}
	sets := 0
	f.questions = make([]question, len(values))
	for i := range values {
		q := &f.questions[i]
		*q = question{feature: features[i], value: values[i], mode: mode(modes.I[i]), missingYes: len(tracks) > 0 && tracks[i] != 0}
		if q.mode == member {
			if sets == len(f.sets) {
				return nil, invalid("node %d asks for members of a set that is not there", i)
			}
			q.set = int32(sets)
			sets++
		}
		if modes.I[i] < 0 || q.mode > member || features[i] < 0 || features[i] >= maxFeatures || q.mode != member && values[i] != values[i] {
			return nil, invalid("node %d compares feature %d with %v by mode %d", i, features[i], values[i], modes.I[i])
		}
		if q.yes, err = f.branch(yes[i], yesLeaf[i]); err != nil {
			return nil, err
		}
		if q.no, err = f.branch(no[i], noLeaf[i]); err != nil {
			return nil, err
		}
	}
	for _, root := range n.indices("tree_roots") {
		if root < 0 || int(root) >= len(values) {
			return nil, invalid("node %d is a root and is not there", root)
		}
		f.roots = append(f.roots, root)
	}
	return f, n.mistake
}

func (f *forest) branch(to, leaf int32) (int32, error) {
	if leaf != 0 {
		if to < 0 || int(to) >= len(f.leaves)-1 {
			return 0, invalid("leaf %d is not there", to)
		}
		return ^to, nil
	}
	if to < 0 || int(to) >= len(f.questions) {
		return 0, invalid("node %d is not there", to)
	}
	return to, nil
}

// readLeaves reads the leaves of TreeEnsemble: one weight each.
func (f *forest) readLeaves(n *node) error {
	outputs := n.indices("leaf_targetids")
	t, err := n.tensor("leaf_weights")
	if err != nil {
		return err
	}
	if t == nil || len(outputs) != t.Len() {
		return invalid("as many weights as leaves are wanted")
	}
	values, _, err := numbersOf(t)
	if err != nil {
		return err
	}
	f.leaves = make([]int32, len(values)+1)
	f.weights = make([]weight, len(values))
	for i, v := range values {
		if outputs[i] < 0 {
			return invalid("leaf %d is for output %d", i, outputs[i])
		}
		f.leaves[i+1] = int32(i + 1)
		f.weights[i] = weight{outputs[i], v}
	}
	return nil
}

// readMembers reads the sets of member nodes, in their order, each ended by
// NaN.
func readMembers(n *node) ([][]float64, error) {
	t, err := n.tensor("membership_values")
	if t == nil || err != nil {
		return nil, err
	}
	values, _, err := numbersOf(t)
	if err != nil {
		return nil, err
	}
	var sets [][]float64
	start := 0
	for i, v := range values {
		if v != v {
			sets = append(sets, values[start:i])
			start = i + 1
		}
	}
	if start < len(values) {
		sets = append(sets, values[start:])
	}
	return sets, nil
}

// check looks at what all forms have in common.
func (f *forest) check() error {
	if f.outputs <= 0 || f.outputs > 1<<16 {
		return invalid("%d outputs", f.outputs)
	}
	if len(f.base) > 1 && len(f.base) != f.outputs {
		return invalid("%d base values for %d outputs", len(f.base), f.outputs)
	}
	for _, w := range f.weights {
		if int(w.output) >= f.outputs {
			return invalid("a leaf is for output %d of %d", w.output, f.outputs)
		}
		if math.IsNaN(w.value) || math.IsInf(w.value, 0) {
			return invalid("the weight of a leaf is %v", w.value)
		}
	}
	for _, v := range f.base {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return invalid("a base value is %v", v)
		}
	}
	switch f.aggregate {
	case "SUM", "AVERAGE", "MIN", "MAX":
		return nil
	}
	return invalid("%.40q is not a way to aggregate", f.aggregate)
}
