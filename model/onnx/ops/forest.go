package ops

import (
	"math"
	"slices"
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
)

// question is a node. Its branches are nodes, or leaves where they are below
// 0: ^leaf.
type question struct {
	feature    int
	mode       mode
	value      float64
	members    []float64 // of member
	yes, no    int
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
	leaves    []int32 // where the weights of a leaf begin, and one more
	weights   []weight
	roots     []int // as branches
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
	single := n.floats(name)
	v = make([]float64, len(single))
	for i, x := range single {
		v[i] = float64(x)
	}
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

// place names a node within an ensemble.
type place struct{ tree, node int64 }

// readForest reads the attributes of TreeEnsembleClassifier and -Regressor,
// whose leaves' weights are in attributes that begin with prefix.
func readForest(n *node, prefix string) (*forest, error) {
	trees, ids, features := n.ints("nodes_treeids"), n.ints("nodes_nodeids"), n.ints("nodes_featureids")
	yes, no, tracks := n.ints("nodes_truenodeids"), n.ints("nodes_falsenodeids"), n.ints("nodes_missing_value_tracks_true")
	modes := n.texts("nodes_modes")
	values, double, err := n.numbers("nodes_values")
	if err != nil {
		return nil, err
	}
	count := len(ids)
	for _, length := range []int{len(trees), len(features), len(yes), len(no), len(modes), len(values)} {
		if length != count {
			return nil, invalid("%d nodes have %d of a setting", count, length)
		}
	}
	if len(tracks) != 0 && len(tracks) != count {
		return nil, invalid("%d nodes have %d ways of missing values", count, len(tracks))
	}
	f := &forest{single: !double, aggregate: n.text("aggregate_function", "SUM")}
	if f.base, _, err = n.numbers("base_values"); err != nil {
		return nil, err
	}
	at, err := f.place(trees, ids, modes)
	if err != nil {
		return nil, err
	}
	next := 0
	for i := range count {
		if modes[i] == "LEAF" {
			continue
		}
		q := &f.questions[next]
		next++
		*q = question{feature: int(features[i]), value: values[i], missingYes: len(tracks) > 0 && tracks[i] != 0}
		var ok bool
		if q.mode, ok = map[string]mode{
			"BRANCH_LEQ": leq, "BRANCH_LT": lt, "BRANCH_GTE": gte, "BRANCH_GT": gt, "BRANCH_EQ": eq, "BRANCH_NEQ": neq,
		}[modes[i]]; !ok {
			return nil, invalid("%.40q is not a mode (node %d of tree %d)", modes[i], ids[i], trees[i])
		}
		if features[i] < 0 || features[i] >= maxFeatures || values[i] != values[i] {
			return nil, invalid("feature %d is compared with %v (node %d of tree %d)", features[i], values[i], ids[i], trees[i])
		}
		var known [2]bool
		q.yes, known[0] = at[place{trees[i], yes[i]}]
		q.no, known[1] = at[place{trees[i], no[i]}]
		if !known[0] || !known[1] {
			return nil, invalid("node %d of tree %d branches to %d and %d, which are not both there", ids[i], trees[i], yes[i], no[i])
		}
	}
	return f, f.readWeights(n, prefix, at)
}

// place numbers questions and leaves, and finds the root of each tree: the
// first of its nodes.
func (f *forest) place(trees, ids []int64, modes []string) (map[place]int, error) {
	at := make(map[place]int, len(ids))
	questions, leaves := 0, 0
	seen := map[int64]bool{}
	for i := range ids {
		p := place{trees[i], ids[i]}
		if _, twice := at[p]; twice {
			return nil, invalid("node %d of tree %d is defined twice", ids[i], trees[i])
		}
		if modes[i] == "LEAF" {
			at[p] = ^leaves
			leaves++
		} else {
			at[p] = questions
			questions++
		}
		if !seen[trees[i]] {
			seen[trees[i]] = true
			f.roots = append(f.roots, at[p])
		}
	}
	f.questions = make([]question, questions)
	f.leaves = make([]int32, leaves+1)
	return at, nil
}

// readWeights gives the leaves their weights.
func (f *forest) readWeights(n *node, prefix string, at map[place]int) error {
	trees, ids, outputs := n.ints(prefix+"treeids"), n.ints(prefix+"nodeids"), n.ints(prefix+"ids")
	values, _, err := n.numbers(prefix + "weights")
	if err != nil {
		return err
	}
	if len(trees) != len(ids) || len(trees) != len(outputs) || len(trees) != len(values) {
		return invalid("%d weights of %d leaves for %d outputs", len(values), len(ids), len(outputs))
	}
	leaves := make([]int, len(ids))
	for i := range ids {
		leaf, ok := at[place{trees[i], ids[i]}]
		if !ok || leaf >= 0 {
			return invalid("node %d of tree %d has a weight and is no leaf", ids[i], trees[i])
		}
		if outputs[i] < 0 || outputs[i] > math.MaxInt32 {
			return invalid("node %d of tree %d has a weight for output %d", ids[i], trees[i], outputs[i])
		}
		leaves[i] = ^leaf
		f.leaves[^leaf+1]++
	}
	for i := 1; i < len(f.leaves); i++ {
		f.leaves[i] += f.leaves[i-1]
	}
	f.weights = make([]weight, len(ids))
	next := slices.Clone(f.leaves)
	for i, leaf := range leaves {
		f.weights[next[leaf]] = weight{int32(outputs[i]), values[i]}
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
	features, yes, no := n.ints("nodes_featureids"), n.ints("nodes_truenodeids"), n.ints("nodes_falsenodeids")
	yesLeaf, noLeaf, tracks := n.ints("nodes_trueleafs"), n.ints("nodes_falseleafs"), n.ints("nodes_missing_value_tracks_true")
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
	sets, err := readMembers(n)
	if err != nil {
		return nil, err
	}
	f.questions = make([]question, len(values))
	for i := range values {
		q := &f.questions[i]
		*q = question{feature: int(features[i]), value: values[i], mode: mode(modes.I[i]), missingYes: len(tracks) > 0 && tracks[i] != 0}
		if q.mode == member {
			if len(sets) == 0 {
				return nil, invalid("node %d asks for members of a set that is not there", i)
			}
			q.members, sets = sets[0], sets[1:]
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
	for _, root := range n.ints("tree_roots") {
		if root < 0 || root >= int64(len(values)) {
			return nil, invalid("node %d is a root and is not there", root)
		}
		f.roots = append(f.roots, int(root))
	}
	return f, nil
}

func (f *forest) branch(to, leaf int64) (int, error) {
	if leaf != 0 {
		if to < 0 || to >= int64(len(f.leaves)-1) {
			return 0, invalid("leaf %d is not there", to)
		}
		return ^int(to), nil
	}
	if to < 0 || to >= int64(len(f.questions)) {
		return 0, invalid("node %d is not there", to)
	}
	return int(to), nil
}

// readLeaves reads the leaves of TreeEnsemble: one weight each.
func (f *forest) readLeaves(n *node) error {
	outputs := n.ints("leaf_targetids")
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
		if outputs[i] < 0 || outputs[i] > math.MaxInt32 {
			return invalid("leaf %d is for output %d", i, outputs[i])
		}
		f.leaves[i+1] = int32(i + 1)
		f.weights[i] = weight{int32(outputs[i]), v}
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
