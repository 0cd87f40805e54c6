package ops

import (
	"math"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// grove is a forest in the engine that all trees have.
//
// The plain case is that every leaf of a tree gives one weight to the one
// output that the tree is for: then the engine adds them up. Otherwise (the
// leaves of a forest of many classes give a weight to each, or the least of
// all trees is wanted) the engine finds the leaves, and they are added here.
//
// Each output has two sums, of the first half of the trees and of the second,
// which are added last. So ONNX Runtime does on two cores (on four it takes
// quarters): float32 rounds otherwise when it adds in another order, and where
// large leaves cancel each other this shows in the fifth digit.
type grove struct {
	*forest
	columns []columnOf
	width   int              // so many features are there at least
	sums    *tree.Ensemble   // the plain case
	grown   []bool           // in which outputs have trees; otherwise
	finders []*tree.Ensemble // each tells the leaves of some trees, as numbers
}

// columnOf is how a column of the engine is made of a feature: as it is, or as
// the place of its value among those that questions ask for.
type columnOf struct {
	feature int
	codes   map[float64]int // nil: as it is
}

// plant compiles a forest.
func plant(f *forest) (*grove, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	for _, w := range f.weights {
		f.single = f.single && float64(float32(w.value)) == w.value
	}
	for _, v := range f.base {
		f.single = f.single && float64(float32(v)) == v
	}
	b := &gardener{forest: f, numbers: map[int]int{}, codes: map[int]int{}, left: 4*len(f.questions) + 1024}
	encoder := b.columnize()
	g := &grove{forest: f, columns: b.columns, width: b.width}
	trees := make([]tree.Tree, len(f.roots))
	for i, root := range f.roots {
		var err error
		if trees[i], err = b.grow(root); err != nil {
			return nil, err
		}
	}
	f.questions = nil // the engine has them
	if f.plain(trees) {
		return g, g.add(trees, encoder)
	}
	return g, g.find(trees, encoder)
}

// plain tells whether each tree is for one output, and sets that output and
// the leaves' weights if so. Before, the leaves are the numbers of leaves.
func (f *forest) plain(trees []tree.Tree) bool {
	if f.aggregate != "SUM" && f.aggregate != "AVERAGE" || 2*f.outputs > tree.MaxOutputs {
		return false
	}
	outputs := make([]int, len(trees))
	for i := range trees {
		outputs[i] = -1
		for _, leaf := range trees[i].Leaves {
			weights := f.of(int(leaf))
			if len(weights) != 1 || outputs[i] >= 0 && int(weights[0].output) != outputs[i] {
				return false
			}
			outputs[i] = int(weights[0].output)
		}
	}
	for i := range trees {
		trees[i].Output = outputs[i]
		for k, leaf := range trees[i].Leaves {
			trees[i].Leaves[k] = f.of(int(leaf))[0].value
		}
	}
	return true
}

// bases returns what each output starts with.
func (f *forest) bases() []float64 {
	base := make([]float64, f.outputs)
	for k := range base {
		switch len(f.base) {
		case 0:
		case 1:
			base[k] = f.base[0]
		default:
			base[k] = f.base[k]
		}
	}
	return base
}

func (g *grove) add(trees []tree.Tree, encoder *encode.Encoder) (err error) {
	g.grown = make([]bool, g.outputs)
	for i := range trees {
		g.grown[trees[i].Output] = true
		if i >= g.half() {
			trees[i].Output += g.outputs
		}
	}
	g.sums, err = tree.New(tree.Definition{
		Task: model.Custom, Encoder: encoder, Link: tree.Identity, Base: make([]float64, 2*g.outputs),
		Trees: trees, Single: g.single,
	})
	return err
}

// half is how many trees are in the first half.
func (f *forest) half() int { return (len(f.roots) + 1) / 2 }

// findable is how many trees one engine finds the leaves of.
const findable = 1 << 10

func (g *grove) find(trees []tree.Tree, encoder *encode.Encoder) error {
	for part := range slices.Chunk(trees, findable) {
		for i := range part {
			part[i].Output = i
		}
		e, err := tree.New(tree.Definition{
			Task: model.Custom, Encoder: encoder, Link: tree.Identity, Base: make([]float64, len(part)), Trees: part,
		})
		if err != nil {
			return err
		}
		g.finders = append(g.finders, e)
	}
	return nil
}

// score returns the aggregate of each output without base values, for each
// row. seen[output×rows+row] tells that a leaf had a weight for the output; it
// is nil where there is one for all.
func (g *grove) score(r *run, in *Tensor) (sums [][]float64, seen []bool, rows int, err error) {
	columns, rows, err := g.encode(r, in)
	if err != nil {
		return nil, nil, 0, err
	}
	if g.sums != nil {
		if sums, err = g.sums.Score(r.ctx, columns); err != nil {
			return nil, nil, 0, err
		}
		return g.join(sums), g.treeless(rows), rows, nil
	}
	flat := make([]float64, rows*2*g.outputs)
	sums = make([][]float64, 2*g.outputs)
	for k := range sums {
		sums[k] = flat[k*rows : (k+1)*rows]
	}
	seen = make([]bool, rows*g.outputs)
	tree := 0
	for _, e := range g.finders {
		leaves, err := e.Score(r.ctx, columns)
		if err != nil {
			return nil, nil, 0, err
		}
		for _, found := range leaves {
			half := sums
			if tree++; tree > g.half() && (g.aggregate == "SUM" || g.aggregate == "AVERAGE") {
				half = sums[g.outputs:]
			}
			g.gather(found, half, seen, rows)
		}
	}
	return g.join(sums), seen, rows, nil
}

// join adds the two halves of each sum, and takes the average if it is wanted.
func (g *grove) join(sums [][]float64) [][]float64 {
	for k := range g.outputs {
		for row, v := range sums[g.outputs+k] {
			v = g.round(sums[k][row] + v)
			if g.aggregate == "AVERAGE" {
				v = g.round(v / float64(len(g.roots)))
			}
			sums[k][row] = v
		}
	}
	return sums[:g.outputs]
}

// treeless is seen in the plain case: nil, unless an output has no tree.
func (g *grove) treeless(rows int) []bool {
	if !slices.Contains(g.grown, false) {
		return nil
	}
	seen := make([]bool, 0, rows*g.outputs)
	for _, has := range g.grown {
		seen = append(seen, slices.Repeat([]bool{has}, rows)...)
	}
	return seen
}

func (g *grove) round(v float64) float64 {
	if g.single {
		return float64(float32(v))
	}
	return v
}

// gather takes the leaves of one tree into account.
func (g *grove) gather(found []float64, sums [][]float64, seen []bool, rows int) {
	for row, leaf := range found {
		for _, w := range g.of(int(leaf)) {
			sum, first := &sums[w.output][row], &seen[int(w.output)*rows+row]
			switch {
			case g.aggregate == "SUM" || g.aggregate == "AVERAGE":
				*sum = g.round(*sum + w.value)
			case !*first, g.aggregate == "MIN" && w.value < *sum, g.aggregate == "MAX" && w.value > *sum:
				*sum = w.value
			}
			*first = true
		}
	}
}

// encode fills the engine's columns.
func (g *grove) encode(r *run, in *Tensor) ([][]float64, int, error) {
	rows, width := in.Rows(), in.Width()
	if len(in.Dims) == 1 {
		rows, width = 1, in.Dims[0]
	}
	if width < g.width || len(in.Dims) == 0 {
		return nil, 0, invalid("the trees look at %d columns, of which a tensor of the shape %d has not all", g.width, in.Dims)
	}
	if err := r.spend(rows, len(g.columns)+g.outputs); err != nil {
		return nil, 0, err
	}
	flat := grown(&r.matrix, rows*len(g.columns))
	columns := make([][]float64, len(g.columns))
	for c := range columns {
		columns[c] = flat[c*rows : (c+1)*rows]
	}
	switch kindOf(in.Type) {
	case floats:
		fill(g.columns, columns, in.F, width)
	case doubles:
		fill(g.columns, columns, in.D, width)
	case integers:
		x, err := r.floatsOf(in)
		if err != nil {
			return nil, 0, err
		}
		fill(g.columns, columns, x, width)
	default:
		return nil, 0, invalid("trees look at numbers, not %s", in.Type)
	}
	return columns, rows, nil
}

func fill[T float](how []columnOf, columns [][]float64, x []T, width int) {
	for c := range columns {
		to, at := columns[c], how[c].feature
		for row := range to {
			to[row] = float64(x[at])
			at += width
		}
		if how[c].codes != nil {
			how[c].code(to)
		}
	}
}

// code turns values into codes; NaN stays.
func (c *columnOf) code(x []float64) {
	for i, v := range x {
		if v != v {
			continue
		}
		code, ok := c.codes[v]
		if !ok {
			code = len(c.codes)
		}
		x[i] = float64(code)
	}
}

// gardener turns the questions of a forest into splits.
type gardener struct {
	*forest
	columns []columnOf
	numbers map[int]int // by feature, its column as a number
	codes   map[int]int // and as a code
	width   int
	left    int // how many more nodes there may be: shared ones are copied

	splits  []tree.Split // of the tree that grows
	ends    []float64    // its leaves
	waiting []branch
}

// columnize makes the columns of the engine: those that are asked for, and
// at least one.
func (b *gardener) columnize() *encode.Encoder {
	e := &encode.Encoder{}
	for i := range b.questions {
		q := &b.questions[i]
		feature := int(q.feature)
		b.width = max(b.width, feature+1)
		if q.mode != eq && q.mode != neq && q.mode != member {
			b.number(e, feature)
			continue
		}
		at, ok := b.codes[feature]
		if !ok {
			at = len(b.columns)
			b.codes[feature] = at
			b.columns = append(b.columns, columnOf{feature: feature, codes: map[float64]int{}})
			e.Columns = append(e.Columns, encode.Column{Name: strconv.Itoa(feature), Type: frame.Double, Kind: encode.Value})
		}
		for _, v := range b.asked(q) {
			if _, known := b.columns[at].codes[v]; !known && !math.IsInf(v, 0) {
				b.columns[at].codes[v] = len(b.columns[at].codes)
				e.Columns[at].Values = append(e.Columns[at].Values, v)
			}
		}
	}
	if len(b.columns) == 0 {
		b.number(e, 0)
		b.width = 1
	}
	return e
}

func (b *gardener) number(e *encode.Encoder, feature int) {
	if _, ok := b.numbers[feature]; ok {
		return
	}
	b.numbers[feature] = len(b.columns)
	b.columns = append(b.columns, columnOf{feature: feature})
	e.Columns = append(e.Columns, encode.Column{Name: strconv.Itoa(feature), Type: frame.Double, Kind: encode.Numeric})
}

// branch is a way that the growing of a tree has yet to go.
type branch struct {
	to     int32
	parent int
	right  bool
}

// grow makes a tree of what hangs at a root. Its leaves are their numbers.
func (b *gardener) grow(root int32) (tree.Tree, error) {
	b.splits, b.ends, b.waiting = b.splits[:0], b.ends[:0], append(b.waiting[:0], branch{to: root, parent: -1})
	for len(b.waiting) > 0 {
		at := b.waiting[len(b.waiting)-1]
		b.waiting = b.waiting[:len(b.waiting)-1]
		child := len(b.splits)
		if at.to < 0 {
			child = ^len(b.ends)
			b.ends = append(b.ends, float64(^at.to))
		} else {
			s, left, right, err := b.split(at.to)
			if err != nil {
				return tree.Tree{}, err
			}
			b.splits = append(b.splits, s)
			b.waiting = append(b.waiting, branch{right, child, true}, branch{left, child, false})
		}
		switch {
		case at.parent < 0:
		case at.right:
			b.splits[at.parent].Right = child
		default:
			b.splits[at.parent].Left = child
		}
	}
	return tree.Tree{Splits: slices.Clone(b.splits), Leaves: slices.Clone(b.ends)}, nil
}

// split says a question in the words of the engine, with the branches to the
// left and to the right.
func (b *gardener) split(at int32) (s tree.Split, left, right int32, err error) {
	if b.left--; b.left < 0 {
		return s, 0, 0, invalid("the trees have a cycle, or share so many nodes that they cannot be taken apart")
	}
	q := b.questions[at]
	left, right = q.yes, q.no
	s = tree.Split{MissingLeft: q.missingYes}
	switch q.mode {
	case eq, neq, member:
		if err := b.set(&s, &q); err != nil {
			return s, 0, 0, err
		}
		left, right = q.yes, q.no
		if q.mode == neq { // no value at all is not equal either
			left, right, s.MissingLeft = right, left, false
		}
		return s, left, right, nil
	case gte, gt:
		left, right, s.MissingLeft = right, left, !q.missingYes
	}
	s.Column, s.Threshold = b.numbers[int(q.feature)], q.value
	if q.mode == lt || q.mode == gte {
		below, ok := tree.Below(q.value)
		if !ok {
			below = math.Inf(-1) // no row of a number is told apart by this
			if q.mode == lt {
				left = right
			} else {
				left, right = q.yes, q.yes
			}
		}
		s.Threshold = below
	}
	return s, left, right, nil
}

// asked are the values that a question about values asks for.
func (f *forest) asked(q *question) []float64 {
	if q.mode == member {
		return f.sets[q.set]
	}
	return []float64{q.value}
}

// set makes a set of the values that a question asks for. A chain of nodes
// that ask one after the other whether the value is one of several, and share
// the branch if so, is one question.
func (b *gardener) set(s *tree.Split, q *question) error {
	s.Column = b.codes[int(q.feature)]
	codes := b.columns[s.Column].codes
	s.Set = make([]uint64, (len(codes)+63)/64)
	put := func(v float64) {
		if code, ok := codes[v]; ok {
			s.Set[code/64] |= 1 << (code % 64)
		}
	}
	for _, v := range b.asked(q) {
		put(v)
	}
	for q.mode == eq && q.no >= 0 {
		next := &b.questions[q.no]
		if next.mode != eq || next.feature != q.feature || next.yes != q.yes {
			break
		}
		if b.left--; b.left < 0 {
			return invalid("the trees have a cycle")
		}
		put(next.value)
		s.MissingLeft = s.MissingLeft || next.missingYes
		q.no = next.no
	}
	return nil
}
