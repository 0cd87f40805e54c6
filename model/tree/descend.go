package tree

import (
	"math"
)

// This engine scores a few rows, one after another. It walks down lanes trees
// at once, so that the loads of one hide behind those of the others, and
// always as many steps as the deepest of them needs: a leaf leads to itself.

// lanes is the number of trees that are walked down together.
const lanes = 8

// node is a split or a leaf. value[input] <= at leads to the node next, any
// other value to the one behind it. A leaf looks at value[0], which is -Inf
// and so always leads to next, the leaf itself; at is then its value.
type node struct {
	at    float64
	input uint32
	next  uint32
}

// view is a number of a row as nodes compare it: what a split does with missing
// values is settled here, once for all splits that share it. The views of
// sets, 0 for left and 1 for right, are settled by setColumn.
type view struct {
	column      int
	missingLeft bool
	at          int // where its value goes
}

// descent is lanes trees, or fewer at the end of the ensemble.
type descent struct {
	roots   [lanes]uint32
	outputs [lanes]int32
	count   int
	steps   int // of the deepest
}

func (c *compiled) descend(d *Definition, q *questions) {
	c.values = 1 // the constant
	c.nodes = make([]node, 0, 2*len(c.splits)+len(d.Trees))
	c.descents = make([]descent, 0, (len(d.Trees)+lanes-1)/lanes)
	sets := make(map[int]*setColumn)
	for i := range c.sets {
		s := &c.sets[i]
		sets[s.column], s.view = s, c.values
		c.values += len(s.questions)
	}
	c.tabulate()
	numbers := make(map[view]uint32)
	input := func(s *Split) uint32 {
		if s.Set != nil {
			set := sets[s.Column]
			return uint32(set.view + q.of(s) - set.first)
		}
		v := view{column: s.Column, missingLeft: s.MissingLeft}
		if _, known := numbers[v]; !known {
			numbers[v] = uint32(c.values)
			c.views = append(c.views, view{column: s.Column, missingLeft: s.MissingLeft, at: c.values})
			c.values++
		}
		return numbers[v]
	}
	places := make([]splitPlace, c.mostSplits)
	for t := range d.Trees {
		if t%lanes == 0 {
			c.descents = append(c.descents, descent{})
		}
		last := &c.descents[len(c.descents)-1]
		last.roots[last.count] = uint32(len(c.nodes))
		last.outputs[last.count] = int32(d.Trees[t].Output)
		last.count++
		last.steps = max(last.steps, c.layOut(&d.Trees[t], places, input))
	}
	for i := range c.descents { // the lanes that are left over walk the first tree
		for k := c.descents[i].count; k < lanes; k++ {
			c.descents[i].roots[k] = c.descents[i].roots[0]
		}
	}
}

// splitPlace is where a split has its node, and how deep.
type splitPlace struct{ at, depth int32 }

// layOut appends the nodes of a tree, children side by side behind their
// parent, and returns its depth.
// places has room for the splits.
func (c *compiled) layOut(t *Tree, places []splitPlace, input func(*Split) uint32) (depth int) {
	root := len(c.nodes)
	put := func(child, at, level int) {
		if child >= 0 {
			places[child] = splitPlace{int32(at), int32(level)}
			return
		}
		depth = max(depth, level)
		c.nodes[at] = node{at: t.Leaves[^child], next: uint32(at)}
	}
	c.nodes = append(c.nodes, node{})
	if len(t.Splits) == 0 {
		put(^0, root, 0)
		return 0
	}
	put(0, root, 0)
	for i := range t.Splits {
		s, p := &t.Splits[i], places[i]
		next := len(c.nodes)
		c.nodes = append(c.nodes, node{}, node{})
		at := s.Threshold
		if s.Set != nil {
			at = 0.5
		}
		c.nodes[p.at] = node{at: at, input: input(s), next: uint32(next)}
		put(s.Left, next, int(p.depth)+1)
		put(s.Right, next+1, int(p.depth)+1)
	}
	return depth
}

// tableValues bounds the tables of all set columns together, 8 MiB.
const tableValues = 1 << 20

// tabulate works the views of set columns out for every bucket, so that a row
// needs one copy for each of its columns. Columns beyond the bound, and in
// small ensembles beyond what they are worth, go without.
func (c *compiled) tabulate() {
	room := min(tableValues, 1<<13+8*len(c.splits))
	for i := range c.sets {
		s := &c.sets[i]
		n := len(s.questions)
		size := (s.categories + 2) * n
		if size > room {
			continue
		}
		room -= size
		s.table = make([]float64, 0, size)
		for code := range s.categories + 1 {
			s.table = s.appendViews(s.table, float64(code))
		}
		s.table = s.appendViews(s.table, math.NaN())
	}
}

// appendViews appends 0 for every question that x answers by left, and 1 for
// right.
func (s *setColumn) appendViews(to []float64, x float64) []float64 {
	for i := range s.questions {
		right := 1.0
		if s.questions[i].left(x) {
			right = 0
		}
		to = append(to, right)
	}
	return to
}

// look fills values with what the nodes compare of one row.
func (c *compiled) look(values []float64, columns [][]float64, row int) {
	values[0] = math.Inf(-1)
	for i := range c.sets {
		s := &c.sets[i]
		x, n := columns[s.column][row], len(s.questions)
		if s.table == nil {
			s.appendViews(values[s.view:s.view], x)
			continue
		}
		copy(values[s.view:], s.table[s.bucket(x)*n:][:n])
	}
	for i := range c.views {
		v := &c.views[i]
		x := columns[v.column][row]
		if v.missingLeft && x != x {
			x = math.Inf(-1)
		}
		values[v.at] = x
	}
}

// sumRow computes the sums of one row. values has room for c.values.
func (c *compiled) sumRow(values []float64, columns, sums [][]float64, row int) {
	c.look(values, columns, row)
	switch {
	case len(sums) > 1:
		c.sumOutputs(values, sums, row)
	case c.single:
		sums[0][row] = float64(sumOne[float32](c, values))
	default:
		sums[0][row] = sumOne[float64](c, values)
	}
}

// sumOne returns the sum of an ensemble that has only one, kept in a register.
func sumOne[F number](c *compiled, values []float64) F {
	sum, nodes := F(c.start[0]), c.nodes
	for i := range c.descents {
		d := &c.descents[i]
		leaves := c.walk(d, values)
		for _, leaf := range leaves[:d.count] {
			sum += F(nodes[leaf].at)
		}
	}
	return sum
}

func (c *compiled) sumOutputs(values []float64, sums [][]float64, row int) {
	for k := range sums {
		sums[k][row] = c.start[k]
	}
	for i := range c.descents {
		d := &c.descents[i]
		leaves := c.walk(d, values)
		for k, leaf := range leaves[:d.count] {
			sum := &sums[d.outputs[k]][row]
			*sum = c.round(*sum + c.nodes[leaf].at)
		}
	}
}

// walk returns the nodes of the leaves that a row reaches in the trees of d.
func (c *compiled) walk(d *descent, values []float64) [lanes]uint32 {
	nodes, r := c.nodes, &d.roots
	a0, a1, a2, a3, a4, a5, a6, a7 := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	for n := d.steps; n > 0; n-- {
		var i0, i1, i2, i3, i4, i5, i6, i7 uint32
		a0, i0 = step(nodes, values, a0)
		a1, i1 = step(nodes, values, a1)
		a2, i2 = step(nodes, values, a2)
		a3, i3 = step(nodes, values, a3)
		a4, i4 = step(nodes, values, a4)
		a5, i5 = step(nodes, values, a5)
		a6, i6 = step(nodes, values, a6)
		a7, i7 = step(nodes, values, a7)
		if i0|i1|i2|i3|i4|i5|i6|i7 == 0 { // all were leaves
			break
		}
	}
	return [lanes]uint32{a0, a1, a2, a3, a4, a5, a6, a7}
}

// step goes from a node to its child, without a branch: NaN and what is above
// the threshold go to the second. It tells what the node looked at, which is 0
// for a leaf.
func step(nodes []node, values []float64, at uint32) (child, input uint32) {
	n := &nodes[at]
	second := uint32(1)
	if values[n.input] <= n.at {
		second = 0
	}
	return n.next + second, n.input
}
