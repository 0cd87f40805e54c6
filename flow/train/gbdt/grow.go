package gbdt

import (
	"context"
	"math"

	"github.com/leat-ai/leat/base/fault"
)

// poolBytes bounds the histograms that are kept while a tree grows. Leaves
// beyond it are counted again when they are split.
const poolBytes = 1 << 30

// parallelWork is the number of histogram updates from which a second
// goroutine pays.
const parallelWork = 1 << 17

// grower grows the trees of one training, one at a time.
type grower struct {
	*settings
	columns []*column
	matrix  matrix
	offsets []int // of each group in a histogram
	length  int   // of a histogram

	rows     []int32 // of the present tree, those of a leaf together, in order
	scratch  []int32 // two halves for partition
	packed   []int64 // derivatives of all rows
	ordered  []int64 // those of a leaf's rows, in their order
	allowed  []bool  // columns that the present tree may ask about
	packing  packing
	free     []histogram
	pool     int         // histograms that may still be made
	partials []histogram // of the parts of a leaf's rows but the first
}

// leaf is a leaf of the tree that grows.
type leaf struct {
	begin, end int // its rows
	sum        int64
	depth      int
	low, high  float64 // bounds of its value, from monotone columns
	l2         float64
	hist       histogram // nil when it is not to be split, or was taken away
	best       split
	node       int // the grown split that it hangs below, -1 for the root
	right      bool
}

// grown is a finished tree in bins.
type grown struct {
	splits []grownSplit
	leaves []*leaf
	values []float64
}

type grownSplit struct {
	split
	left, right int             // as in tree.Split
	goesLeft    [histBins]uint8 // by bin, 1 or 0
}

func newGrower(s *settings, columns []*column, fit int) *grower {
	g := &grower{
		settings: s, columns: columns, matrix: pack(columns, fit, s.threads),
		rows: make([]int32, fit), scratch: make([]int32, 2*fit),
		packed: make([]int64, fit), ordered: make([]int64, fit), allowed: make([]bool, len(columns)),
	}
	for i := range g.matrix.groups {
		g.offsets = append(g.offsets, g.length)
		g.length += g.matrix.groups[i].room() * histBins
	}
	g.pool = max(poolBytes/(8*max(g.length, 1)), 4)
	return g
}

// grow grows one tree on the first n of g.rows.
func (g *grower) grow(ctx context.Context, n int) (*grown, error) {
	root := &leaf{end: n, sum: g.sumOf(n), low: math.Inf(-1), high: math.Inf(1), l2: g.l2, node: -1}
	t := &grown{leaves: []*leaf{root}}
	if g.splittable(root) {
		g.count(t, root)
		g.search(root)
	}
	for len(t.leaves) < g.leaves {
		if err := ctx.Err(); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "training ended before its last tree")
		}
		at := -1
		for i, l := range t.leaves {
			if l.best.gain > 0 && (at < 0 || l.best.gain > t.leaves[at].best.gain) {
				at = i
			}
		}
		if at < 0 {
			break
		}
		g.split(t, at)
	}
	for _, l := range t.leaves {
		g.release(l)
	}
	return t, nil
}

// splittable tells whether a leaf is worth searching.
func (g *grower) splittable(l *leaf) bool {
	return l.end-l.begin >= 2*g.minData && l.end-l.begin >= 2 &&
		(g.maxDepth == 0 || l.depth < g.maxDepth) && len(g.columns) > 0
}

// split splits a leaf of t by its best split. The left child takes its place,
// the right one comes last.
func (g *grower) split(t *grown, at int) {
	parent := t.leaves[at]
	node := grownSplit{split: parent.best, left: ^at, right: ^len(t.leaves)}
	c := g.columns[node.column]
	node.table(c)
	index := len(t.splits)
	t.splits = append(t.splits, node)
	if parent.node >= 0 {
		if parent.right {
			t.splits[parent.node].right = index
		} else {
			t.splits[parent.node].left = index
		}
	}
	middle := parent.begin + g.partition(parent, c.codes, &t.splits[index].goesLeft)
	left, right := *parent, *parent
	left.hist, right.hist = nil, nil
	left.end, right.begin = middle, middle
	left.sum, right.sum = node.split.left, parent.sum-node.split.left
	for _, child := range []*leaf{&left, &right} {
		child.depth, child.l2, child.node, child.best = parent.depth+1, node.l2, index, split{}
	}
	left.right, right.right = false, true
	g.bound(c, parent, &left, &right)
	t.leaves[at] = &left
	t.leaves = append(t.leaves, &right)
	if len(t.leaves) < g.leaves {
		g.countChildren(t, parent, &left, &right)
	}
	g.release(parent)
}

// table resolves the split to the way of each bin.
func (s *grownSplit) table(c *column) {
	missing := int(c.missingBin())
	for bin := range max(c.bins, missing+1) {
		left := bin <= s.bin
		switch {
		case bin == missing:
			left = s.missingLeft
		case c.categorical:
			left = s.set.has(bin)
		}
		if left {
			s.goesLeft[bin] = 1
		}
	}
}

// bound gives the children of a monotone split the bounds that keep whatever
// grows below them in order.
func (g *grower) bound(c *column, parent, left, right *leaf) {
	if g.monotone == nil || c.monotone == 0 {
		return
	}
	value := func(l *leaf) float64 {
		gradient, hessian := g.packing.unpack(l.sum)
		return min(max(leafValue(gradient, hessian, g.l1, l.l2), parent.low), parent.high)
	}
	middle := (value(left) + value(right)) / 2
	if c.monotone > 0 {
		left.high, right.low = middle, middle
	} else {
		left.low, right.high = middle, middle
	}
}

// countChildren makes the histograms of two new leaves, the smaller from its
// rows and the larger as what remains of the parent's, and searches them.
func (g *grower) countChildren(t *grown, parent, left, right *leaf) {
	small, large := left, right
	if left.end-left.begin > right.end-right.begin {
		small, large = right, left
	}
	if parent.hist != nil && g.splittable(large) { // and then perhaps small
		g.count(t, small)
		large.hist, parent.hist = parent.hist, nil
		large.hist.subtract(small.hist)
	}
	for _, l := range [2]*leaf{small, large} {
		if !g.splittable(l) {
			g.release(l)
			continue
		}
		if l.hist == nil {
			g.count(t, l)
		}
		g.search(l)
	}
}

// search finds the best split of a leaf over the allowed columns.
func (g *grower) search(l *leaf) {
	f := newSearch(g.settings, g.packing, l)
	found := make([]split, len(g.columns))
	threads := g.threads
	if g.length < 1<<14 {
		threads = 1
	}
	parallel(threads, len(g.matrix.groups), func(i int) {
		for k := range g.matrix.groups[i].width {
			at := g.matrix.groups[i].first + k
			if g.allowed[at] {
				c := g.columns[at]
				found[at] = f.best(c, l.hist[g.offsets[i]+k*histBins:][:c.bins])
			}
		}
	})
	for i := range found {
		if found[i].gain > l.best.gain {
			l.best = found[i]
			l.best.column = i
		}
	}
}

// sumOf adds up the derivatives of the first n rows.
func (g *grower) sumOf(n int) int64 {
	sums := make([]int64, blockCount(n))
	blocks(g.threads, n, func(b, from, to int) {
		for _, row := range g.rows[from:to] {
			sums[b] += g.packed[row]
		}
	})
	total := int64(0)
	for _, s := range sums {
		total += s
	}
	return total
}

// take returns a zeroed histogram. When the pool is empty it takes that of the
// leaf of t that promises least, which is counted again should it be split.
func (g *grower) take(t *grown) histogram {
	if len(g.free) == 0 && g.pool > 0 {
		g.pool--
		return make(histogram, g.length)
	}
	if len(g.free) == 0 {
		var least *leaf
		for _, l := range t.leaves {
			if l.hist != nil && (least == nil || l.best.gain < least.best.gain) {
				least = l
			}
		}
		g.release(least)
	}
	h := g.free[len(g.free)-1]
	g.free = g.free[:len(g.free)-1]
	clear(h)
	return h
}

func (g *grower) release(l *leaf) {
	if l.hist != nil {
		g.free = append(g.free, l.hist)
		l.hist = nil
	}
}
