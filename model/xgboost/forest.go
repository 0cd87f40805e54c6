package xgboost

import (
	"math"
	"slices"

	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// forest holds the trees of a model. While the file is read, the columns of
// splits are features, and the sets of categorical splits lie apart: which
// column they belong to, and which codes there are, is known at the end only.
type forest struct {
	splits [][]tree.Split // of each tree
	leaves [][][]float64  // of each tree, by target
	nodes  [][]int32      // of each tree and leaf, its number in the file
	sets   []set
	gain   []float64 // of each feature

	total int // splits
	raw   rawTree
}

// set is the codes that a categorical split sends to the right in XGBoost, and
// to the left here, where its children are exchanged.
type set struct {
	tree, split int
	codes       []int32
}

// mostCode is above what XGBoost takes for a category.
const mostCode = 1 << 24

// mostSplits bounds the splits of a model, as package tree does.
const mostSplits = 1 << 24

// read reads a tree, which is open already, and builds it.
func (f *forest) read(d *document) error {
	if len(f.splits) >= tree.MaxTrees {
		return d.invalid("there are more than %d trees", tree.MaxTrees)
	}
	r := &f.raw
	r.reset()
	if err := d.members(func(name string) error { return r.member(d, name) }); err != nil {
		return err
	}
	if err := r.check(d); err != nil {
		return err
	}
	return f.build(d, r)
}

// build turns the arrays of a tree into splits and leaves.
func (f *forest) build(d *document, r *rawTree) error {
	splits, err := r.walk(d)
	if err != nil {
		return err
	}
	if f.total += splits; f.total > mostSplits {
		return d.invalid("the trees have more than %d splits", mostSplits)
	}
	t := len(f.splits)
	f.splits = append(f.splits, make([]tree.Split, 0, splits))
	for _, node := range r.queue {
		if r.left[node] < 0 {
			continue
		}
		s, err := r.split(d, node)
		if err != nil {
			return err
		}
		f.splits[t] = append(f.splits[t], s)
		f.gained(s.Column, r.gain, node)
	}
	leaves, nodes, err := r.leaves(d, len(r.queue)-splits)
	if err != nil {
		return err
	}
	f.leaves, f.nodes = append(f.leaves, leaves), append(f.nodes, nodes)
	return f.categorical(d, r, t)
}

// gained adds up what the splits of a feature gained.
func (f *forest) gained(feature int, gain []float32, node int32) {
	if len(gain) == 0 {
		return
	}
	for len(f.gain) <= feature {
		f.gain = append(f.gain, 0)
	}
	if v := float64(gain[node]); v > 0 && !math.IsInf(v, 0) {
		f.gain[feature] += v
	}
}

// categorical collects the sets of a tree.
func (f *forest) categorical(d *document, r *rawTree, t int) error {
	if len(r.categorical) == 0 {
		return nil
	}
	for i, node := range r.codeNodes {
		from, count := int(r.codeFrom[i]), int(r.codeCount[i])
		switch {
		case node < 0 || int(node) >= r.size:
			return d.invalid("categories belong to node %d, which does not exist", node)
		case from < 0 || count < 0 || from > len(r.codes) || count > len(r.codes)-from:
			return d.invalid("node %d claims categories that are not there", node)
		}
		at := r.place[node]
		if at < 0 { // a leaf, or a node that was pruned
			continue
		}
		if f.splits[t][at].Set == nil {
			return d.invalid("node %d has categories, and is no categorical split", node)
		}
		r.place[node] = unreached // a second time is of no use
		codes := r.codes[from : from+count]
		for _, code := range codes {
			if code < 0 || code >= mostCode {
				return d.invalid("node %d has the category %d", node, code)
			}
		}
		f.sets = append(f.sets, set{tree: t, split: int(at), codes: slices.Clone(codes)})
	}
	return nil
}

// rawTree is a tree as the file has it: arrays by node. Its memory serves all
// trees one after another.
type rawTree struct {
	left, right, parents, feature, goesLeft, categorical []int32
	condition, gain, hessian, weights, leafWeights       []float32

	codes, codeNodes, codeFrom, codeCount []int32 // of categorical splits

	size, targets int

	queue []int32 // the nodes that the root leads to, parents first
	place []int32 // of each node: its split, its leaf as ^leaf, or unreached
}

const unreached = math.MinInt32

func (r *rawTree) reset() {
	for _, ints := range []*[]int32{
		&r.left, &r.right, &r.parents, &r.feature, &r.goesLeft, &r.categorical,
		&r.codes, &r.codeNodes, &r.codeFrom, &r.codeCount, &r.queue, &r.place,
	} {
		*ints = (*ints)[:0]
	}
	for _, floats := range []*[]float32{&r.condition, &r.gain, &r.hessian, &r.weights, &r.leafWeights} {
		*floats = (*floats)[:0]
	}
	r.size, r.targets = 0, 1
}

func (r *rawTree) member(d *document, name string) (err error) {
	if name == "tree_param" {
		return d.object(func(name string) error { return r.param(d, name) })
	}
	if ints := r.ints(name); ints != nil {
		*ints, err = d.ints(*ints)
		return err
	}
	if floats := r.floats(name); floats != nil {
		*floats, err = d.floats(*floats)
		return err
	}
	return d.skip()
}

func (r *rawTree) param(d *document, name string) (err error) {
	switch name {
	case "num_nodes":
		r.size, err = d.count(math.MaxInt32)
	case "size_leaf_vector":
		r.targets, err = d.count(tree.MaxOutputs)
		r.targets = max(r.targets, 1) // 1.x writes 0 for 1
	default:
		return d.skip()
	}
	return err
}

func (r *rawTree) ints(name string) *[]int32 {
	switch name {
	case "left_children":
		return &r.left
	case "right_children":
		return &r.right
	case "parents":
		return &r.parents
	case "split_indices":
		return &r.feature
	case "default_left":
		return &r.goesLeft
	case "split_type":
		return &r.categorical
	case "categories":
		return &r.codes
	case "categories_nodes":
		return &r.codeNodes
	case "categories_segments":
		return &r.codeFrom
	case "categories_sizes":
		return &r.codeCount
	}
	return nil
}

func (r *rawTree) floats(name string) *[]float32 {
	switch name {
	case "split_conditions":
		return &r.condition
	case "loss_changes":
		return &r.gain
	case "sum_hessian":
		return &r.hessian
	case "base_weights":
		return &r.weights
	case "leaf_weights":
		return &r.leafWeights
	}
	return nil
}

// check compares the lengths of the arrays with the number of nodes. XGBoost
// asks for all of them, used or not.
func (r *rawTree) check(d *document) error {
	if r.size < 1 {
		return d.invalid("a tree has no nodes")
	}
	if r.size > math.MaxInt32/r.targets {
		return d.invalid("a tree claims %d nodes", r.size)
	}
	scalar := r.size
	if r.targets > 1 { // of trees whose leaves are vectors, these are not written
		scalar = len(r.gain)
	}
	for _, part := range []struct {
		name      string
		got, want int
	}{
		{"left_children", len(r.left), r.size},
		{"right_children", len(r.right), r.size},
		{"parents", len(r.parents), r.size},
		{"split_indices", len(r.feature), r.size},
		{"default_left", len(r.goesLeft), r.size},
		{"split_conditions", len(r.condition), r.size},
		{"base_weights", len(r.weights), r.size * r.targets},
		{"loss_changes", len(r.gain), scalar},
		{"sum_hessian", len(r.hessian), scalar},
		{"split_type", len(r.categorical), max(min(1, len(r.categorical))*r.size, 0)},
		{"categories_segments", len(r.codeFrom), len(r.codeNodes)},
		{"categories_sizes", len(r.codeCount), len(r.codeNodes)},
	} {
		if part.got != part.want {
			return d.invalid("%q has %d entries where the tree needs %d", part.name, part.got, part.want)
		}
	}
	return nil
}

// walk finds the nodes that the root leads to, each on one way only, and
// numbers splits and leaves. It returns how many are splits.
func (r *rawTree) walk(d *document) (splits int, err error) {
	r.place = slices.Grow(r.place, r.size)[:r.size]
	for i := range r.place {
		r.place[i] = unreached
	}
	r.queue = append(slices.Grow(r.queue, r.size), 0)
	leaves := 0
	r.place[0] = 0
	for i := 0; i < len(r.queue); i++ {
		node := r.queue[i]
		if r.left[node] == -1 {
			r.place[node] = int32(^leaves)
			leaves++
			continue
		}
		r.place[node] = int32(splits)
		splits++
		for _, child := range [2]int32{r.left[node], r.right[node]} {
			if child < 0 || int(child) >= r.size {
				return 0, d.invalid("node %d has the child %d, which does not exist", node, child)
			}
			if r.place[child] != unreached {
				return 0, d.invalid("node %d has the child %d, which has a parent already", node, child)
			}
			r.place[child] = 0
			r.queue = append(r.queue, child)
		}
	}
	return splits, nil
}

// split makes the split of a node. That of categories has an empty set, which
// categorical replaces.
func (r *rawTree) split(d *document, node int32) (tree.Split, error) {
	s := tree.Split{
		Column:      int(r.feature[node]),
		Left:        int(r.place[r.left[node]]),
		Right:       int(r.place[r.right[node]]),
		MissingLeft: r.goesLeft[node] != 0,
	}
	if s.Column < 0 || s.Column >= encode.MaxColumns {
		return s, d.invalid("node %d asks for the feature %d, which does not exist", node, s.Column)
	}
	if len(r.categorical) > 0 && r.categorical[node] != 0 {
		if r.categorical[node] != 1 {
			return s, d.invalid("node %d has the unknown split type %d", node, r.categorical[node])
		}
		s.Left, s.Right, s.MissingLeft, s.Set = s.Right, s.Left, !s.MissingLeft, []uint64{}
		return s, nil
	}
	t := r.condition[node]
	if t != t {
		return s, d.invalid("the threshold of node %d is not a number", node)
	}
	var ok bool
	if s.Threshold, ok = tree.BelowSingle(t); !ok {
		return s, d.invalid("the threshold of node %d is %v, which nothing is below", node, t)
	}
	return s, nil
}

// leaves returns the values of the n leaves by target, and their nodes.
func (r *rawTree) leaves(d *document, n int) (values [][]float64, nodes []int32, err error) {
	values, nodes = make([][]float64, r.targets), make([]int32, 0, n)
	for k := range values {
		values[k] = make([]float64, 0, n)
	}
	for _, node := range r.queue {
		if r.left[node] >= 0 {
			continue
		}
		nodes = append(nodes, node)
		vector, err := r.leaf(d, node)
		if err != nil {
			return nil, nil, err
		}
		for k, v := range vector {
			if v-v != 0 {
				return nil, nil, d.invalid("the leaf %d is %v, not a finite number", node, v)
			}
			values[k] = append(values[k], float64(v))
		}
	}
	return values, nodes, nil
}

// leaf returns the value of a leaf for each target. Vectors lie in an array
// of leaves since 3.2, whose index is where the right child would be, and in
// that of all nodes before.
func (r *rawTree) leaf(d *document, node int32) ([]float32, error) {
	from, of := int(node)*r.targets, r.weights
	switch {
	case r.targets == 1:
		from, of = int(node), r.condition
	case len(r.leafWeights) > 0:
		from, of = int(r.right[node])*r.targets, r.leafWeights
	}
	if from < 0 || from > len(of)-r.targets {
		return nil, d.invalid("the leaf %d has no value", node)
	}
	return of[from : from+r.targets], nil
}
