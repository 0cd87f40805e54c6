package tree

import (
	"math/bits"
)

// This engine scores 64 rows at a time. A word has one bit for each row: the
// answer to a question is a word, and so is the set of rows that reach a
// node. Two operations then take all rows of a node to its children, however
// they part, and nothing is ever mispredicted.

const (
	// blockRows is the number of rows of a block, one for each bit of a word.
	blockRows = 64
	// maxPlanes is the number of bits of a leaf's index that a block carries.
	// Trees with more leaves add leaf by leaf instead.
	maxPlanes = 8
	// A block is faster than descending row by row from leastSlice rows on, or
	// more when trees are large: a block goes through all splits, one more row
	// for every splitsPerRow, a row only along its path. From mostSlice rows on
	// it is faster always.
	leastSlice   = 9
	splitsPerRow = 128
	mostSlice    = 48
)

type slicedTree struct {
	first, count int // into splits
	leaf         int // of the first leaf, into leaves
	output       int
}

// slicedSplit parts the rows of a node. left and right are positions in the
// words of the tree's nodes: splits first, then leaves.
type slicedSplit struct{ question, left, right uint32 }

// smallNodes is the number of nodes of the largest tree whose leaves fit into
// the planes, rounded up.
const smallNodes = 2 << maxPlanes

func (c *compiled) slice(d *Definition, q *questions) {
	leaves, splits := 0, 0
	for t := range d.Trees {
		splits += len(d.Trees[t].Splits)
	}
	c.sliced, c.splits = make([]slicedTree, 0, len(d.Trees)), make([]slicedSplit, 0, splits)
	for t := range d.Trees {
		tree := &d.Trees[t]
		n := len(tree.Splits)
		c.sliced = append(c.sliced, slicedTree{first: len(c.splits), count: n, leaf: leaves, output: tree.Output})
		leaves += len(tree.Leaves)
		c.mostSplits = max(c.mostSplits, n)
		place := func(child int) uint32 {
			if child < 0 {
				return uint32(n + ^child)
			}
			return uint32(child)
		}
		for i := range tree.Splits {
			s := &tree.Splits[i]
			c.splits = append(c.splits, slicedSplit{uint32(q.of(s)), place(s.Left), place(s.Right)})
		}
	}
	c.sliceFrom = min(leastSlice+splits/splitsPerRow/max(1, len(d.Trees)), mostSlice)
	switch {
	case d.linear():
		c.linear = d.allLinear(leaves)
	case c.single:
		c.singles = allLeaves[float32](d, leaves)
	default:
		c.leaves = allLeaves[float64](d, leaves)
	}
}

// number is what sums are kept as.
type number interface{ float32 | float64 }

// allLeaves returns the leaves of all trees, n of them, with room behind.
func allLeaves[F number](d *Definition, n int) []F {
	all := make([]F, 0, n+1<<maxPlanes)
	for t := range d.Trees {
		for _, v := range d.Trees[t].Leaves {
			all = append(all, F(v))
		}
	}
	return all[:n+1<<maxPlanes]
}

// block is the memory of the engine.
type block struct {
	answers []uint64 // by question: the rows that go left
	gaps    []uint64 // by gap between thresholds: its rows; all 0 between columns
	buckets []uint64 // by category: its rows; all 0 between questions
	reached []uint64 // by node of the present tree: its rows
	rows    int      // in the block

	// The sums of the block by output, as float32 when the ensemble is single.
	sums    [][blockRows]float64
	singles [][blockRows]float32
}

func (b *block) room(c *compiled) {
	if b.answers == nil {
		b.answers = make([]uint64, max(c.questions, 1))
		b.gaps = make([]uint64, c.gaps)
		b.buckets = make([]uint64, c.members)
		b.reached = make([]uint64, max(2*c.mostSplits+1, smallNodes))
		if c.single {
			b.singles = make([][blockRows]float32, c.outputs)
		} else {
			b.sums = make([][blockRows]float64, c.outputs)
		}
	}
}

// sumBlock computes the sums of at most blockRows rows, from..to.
func (c *compiled) sumBlock(b *block, columns, sums [][]float64, from, to int) {
	b.room(c)
	b.rows = to - from
	for i := range c.numbers {
		n := &c.numbers[i]
		n.answer(b.answers, b.gaps, columns[n.column][from:to])
	}
	for i := range c.sets {
		s := &c.sets[i]
		s.answer(b.answers, b.buckets, columns[s.column][from:to])
	}
	if c.single {
		addTrees(c, b, b.singles, c.singles, sums, from, to)
	} else {
		addTrees(c, b, b.sums, c.leaves, sums, from, to)
	}
}

// addTrees sums the leaves that the rows of the block reach in all trees, and
// puts the sums where they belong.
func addTrees[F number](c *compiled, b *block, inner [][blockRows]F, leaves []F, sums [][]float64, from, to int) {
	for k := range inner {
		start := F(c.start[k])
		for i := range inner[k][:to-from] { // in the others anything may stand
			inner[k][i] = start
		}
	}
	all := ^uint64(0) >> (blockRows - (to - from))
	for t := range c.sliced {
		addTree(c, b, &inner[c.sliced[t].output], leaves, &c.sliced[t], all)
	}
	for k := range sums {
		for i := range sums[k][from:to] {
			sums[k][from+i] = float64(inner[k][i])
		}
	}
}

// answer sorts rows into the gaps between thresholds; a row goes left at all
// thresholds from its gap on. gaps is all 0, here and at the end.
func (n *numberColumn) answer(answers, gaps []uint64, x []float64) {
	var at [blockRows]uint32
	n.cuts.Gaps(at[:], x)
	missing := uint64(0)
	for row, v := range x {
		missing |= isNaN(v) & (1 << (row & 63)) // and its gap is the first
		gaps[at[row&63]] |= 1 << (row & 63)
	}
	right, left, count := n.first[0], n.first[1], n.cuts.Count()
	rows := uint64(0)
	switch {
	case right < 0:
		answers := answers[left:][:count]
		for i := range answers {
			rows |= gaps[i]
			answers[i], gaps[i] = rows, 0
		}
	case left < 0:
		answers := answers[right:][:count]
		for i := range answers {
			rows |= gaps[i]
			answers[i], gaps[i] = rows&^missing, 0
		}
	default:
		rights, lefts := answers[right:][:count], answers[left:][:count]
		for i := range rights {
			rows |= gaps[i]
			rights[i], lefts[i], gaps[i] = rows&^missing, rows, 0
		}
	}
	gaps[count] = 0
}

// answer sorts rows into buckets by category, and gathers for each question
// those of its members.
func (s *setColumn) answer(answers, buckets []uint64, x []float64) {
	for row, v := range x {
		buckets[s.bucket(v)] |= 1 << row
	}
	for i := range s.questions {
		answers[s.first+i] = s.questions[i].rows(buckets, x)
	}
	for _, v := range x {
		buckets[s.bucket(v)] = 0
	}
}

// rows returns the rows that go left, and any that do not exist.
func (q *setQuestion) rows(buckets []uint64, x []float64) uint64 {
	rows := uint64(0)
	if q.rowByRow {
		for row, v := range x {
			if q.left(v) {
				rows |= 1 << row
			}
		}
		return rows
	}
	for _, m := range q.members {
		rows |= buckets[m]
	}
	if q.complement {
		return ^rows
	}
	return rows
}

// bucket returns the bucket of a value: its code, that of all unseen codes,
// or behind it that of missing values.
func (s *setColumn) bucket(v float64) int {
	switch {
	case v >= 0 && v < float64(s.categories):
		return int(v)
	case v != v:
		return s.categories + 1
	}
	return s.categories
}

// addTree adds the leaves that rows reach in one tree to their sums.
func addTree[F number](c *compiled, b *block, sums *[blockRows]F, leaves []F, t *slicedTree, all uint64) {
	if t.count >= 1<<maxPlanes {
		addLargeTree(c, b, sums, leaves, t, all)
		return
	}
	reached, answers := (*[smallNodes]uint64)(b.reached), b.answers
	reached[0] = all
	for i, s := range c.splits[t.first:][:t.count] {
		rows := reached[uint(i)%smallNodes]
		left := rows & answers[s.question]
		reached[s.left%smallNodes] = left
		reached[s.right%smallNodes] = rows ^ left
	}
	addPlanes(sums, b.rows, (*[1 << maxPlanes]F)(leaves[t.leaf:]), planes(reached[t.count:2*t.count+1]))
}

// addLargeTree adds leaf by leaf: most leaves have no row of the block.
func addLargeTree[F number](c *compiled, b *block, sums *[blockRows]F, leaves []F, t *slicedTree, all uint64) {
	reached := b.reached[:2*t.count+1]
	reached[0] = all
	for i, s := range c.splits[t.first:][:t.count] {
		left := reached[i] & b.answers[s.question]
		reached[s.right] = reached[i] ^ left
		reached[s.left] = left
	}
	for i, rows := range reached[t.count:] {
		for ; rows != 0; rows &= rows - 1 {
			sums[bits.TrailingZeros64(rows)] += leaves[t.leaf+i]
		}
	}
}

// planes turns the rows of each leaf into the bits of each row's leaf: plane p
// holds, for every row, bit p of the index of its leaf. It destroys leaves.
func planes(leaves []uint64) (p [maxPlanes]uint64) {
	for bit := 0; len(leaves) > 1 && bit < maxPlanes; bit++ {
		odd, pairs := uint64(0), 0
		for from := leaves; len(from) > 0; pairs++ {
			rows := from[0]
			if len(from) == 1 {
				from = nil
			} else {
				odd |= from[1]
				rows |= from[1]
				from = from[2:]
			}
			leaves[pairs] = rows
		}
		p[bit] = odd
		leaves = leaves[:pairs]
	}
	return p
}

// addPlanes adds to the sum of every row the leaf that the planes name for it.
func addPlanes[F number](sums *[blockRows]F, rows int, leaves *[1 << maxPlanes]F, p [maxPlanes]uint64) {
	for group := 0; group < rows; group += 8 {
		// The byte of each plane that belongs to these eight rows; transposed,
		// byte i is the leaf of row i.
		w := p[0]>>group&0xff | p[1]>>group&0xff<<8 | p[2]>>group&0xff<<16 | p[3]>>group&0xff<<24 |
			p[4]>>group&0xff<<32 | p[5]>>group&0xff<<40 | p[6]>>group&0xff<<48 | p[7]>>group<<56
		w = transpose(w)
		s := (*[8]F)(sums[group:])
		s[0] += leaves[w&0xff]
		s[1] += leaves[w>>8&0xff]
		s[2] += leaves[w>>16&0xff]
		s[3] += leaves[w>>24&0xff]
		s[4] += leaves[w>>32&0xff]
		s[5] += leaves[w>>40&0xff]
		s[6] += leaves[w>>48&0xff]
		s[7] += leaves[w>>56]
	}
}

// transpose flips the 8×8 matrix of bits whose rows are the bytes of w.
func transpose(w uint64) uint64 {
	t := (w ^ w>>7) & 0x00aa00aa00aa00aa
	w ^= t ^ t<<7
	t = (w ^ w>>14) & 0x0000cccc0000cccc
	w ^= t ^ t<<14
	t = (w ^ w>>28) & 0x00000000f0f0f0f0
	return w ^ t ^ t<<28
}
