package gbdt

// stretchBytes is how much of the matrix a histogram is fed with before the
// next group's takes its turn: what the second-level cache keeps.
const stretchBytes = 1 << 18

// count makes the histogram of a leaf of t from its rows. When there are many,
// parts of them are counted side by side.
func (g *grower) count(t *grown, l *leaf) {
	l.hist = g.take(t)
	rows := l.end - l.begin
	parts := 1
	if rows*len(g.columns) >= parallelWork {
		parts = g.threads
	}
	for len(g.partials) < parts-1 {
		g.partials = append(g.partials, make(histogram, g.length))
	}
	touched := make([]uint64, parts)
	parallel(g.threads, parts, func(part int) {
		h := l.hist
		if part > 0 {
			h = g.partials[part-1]
			clear(h)
		}
		touched[part] = g.countRows(h, l.begin+rows*part/parts, l.begin+rows*(part+1)/parts)
	})
	for _, h := range g.partials[:parts-1] {
		l.hist.add(h)
	}
}

// countRows adds the rows at begin..end to h, a stretch at a time: its
// derivatives are gathered once and then read in a line for every group. What
// it returns means nothing, see gather.
func (g *grower) countRows(h histogram, begin, end int) (touched uint64) {
	stretch := max(stretchBytes/(8*len(g.matrix.groups)), 256)
	for ; begin < end; begin += stretch {
		rows := g.rows[begin:min(begin+stretch, end)]
		packed := g.ordered[begin:][:len(rows)]
		touched |= g.gather(rows, packed)
		for i := range g.matrix.groups {
			g.matrix.add(i, h[g.offsets[i]:][:g.matrix.groups[i].room()*histBins], rows, packed)
		}
	}
	return touched
}

// gather writes the derivatives of rows in their order, and touches the codes
// of each row: this short loop keeps far more reads under way than those
// that count, which then find all in the cache (half of their time was
// waiting). It returns something of what it read, or the compiler would see
// that nobody wants it.
func (g *grower) gather(rows []int32, packed []int64) (touched uint64) {
	words, n := g.matrix.words, len(g.matrix.groups)
	for i, row := range rows {
		packed[i] = g.packed[row]
		touched |= words[int(row)*n]
	}
	return touched
}

// partition moves the rows of a leaf that go left before those that go right,
// each in their order, and returns how many go left.
func (g *grower) partition(l *leaf, codes []uint8, goesLeft *[histBins]uint8) int {
	rows := g.rows[l.begin:l.end]
	lefts, rights := g.scratch[:len(rows)], g.scratch[len(g.rows):][:len(rows)]
	counts := make([]int, blockCount(len(rows)))
	threads := g.threads
	if len(rows) < 4*blockRows {
		threads = 1
	}
	blocks(threads, len(rows), func(b, from, to int) {
		counts[b] = partitionBlock(rows[from:to], codes, goesLeft, lefts[from:to], rights[from:to])
	})
	total := 0
	for _, n := range counts {
		total += n
	}
	left, right := 0, total
	starts := make([][2]int, len(counts))
	for b, n := range counts {
		starts[b] = [2]int{left, right}
		left += n
		right += min(blockRows, len(rows)-b*blockRows) - n
	}
	blocks(threads, len(rows), func(b, from, to int) {
		n := counts[b]
		copy(rows[starts[b][0]:], lefts[from:from+n])
		copy(rows[starts[b][1]:], rights[from:to-n])
	})
	return total
}

// partitionBlock writes every row to both sides and moves on only where it
// belongs, because a branch on it could not be predicted.
func partitionBlock(rows []int32, codes []uint8, goesLeft *[histBins]uint8, lefts, rights []int32) int {
	lefts, rights = lefts[:len(rows)], rights[:len(rows)]
	left := 0
	for i, row := range rows {
		lefts[left] = row
		rights[i-left] = row
		left += int(goesLeft[codes[row]])
	}
	return left
}

// fitValues sets the values of the leaves from the derivatives themselves,
// not their quantised forms, and adds them to the sums of the rows.
func (g *grower) fitValues(t *grown, d derivatives, sums []float64) {
	t.values = make([]float64, len(t.leaves))
	parallel(g.threads, len(t.leaves), func(i int) {
		l := t.leaves[i]
		rows := g.rows[l.begin:l.end]
		gradient, hessian := 0.0, 0.0
		for _, row := range rows {
			gradient += float64(d.gradient[row])
			hessian += float64(d.hessian[row])
		}
		value := leafValue(gradient, hessian, g.l1, l.l2)
		value = g.rate * min(max(value, l.low), l.high)
		t.values[i] = value
		for _, row := range rows {
			sums[row] += value
		}
	})
}

// addTo adds the tree's value to the sums of the rows from..to, or of those
// that skip does not name.
func (t *grown) addTo(sums []float64, columns []*column, from, to, threads int, skip func(row int) bool) {
	blocks(threads, to-from, func(_, first, last int) {
		for row := from + first; row < from+last; row++ {
			if skip != nil && skip(row) {
				continue
			}
			at := 0
			if len(t.splits) == 0 {
				at = -1
			}
			for at >= 0 {
				s := &t.splits[at]
				at = s.right
				if s.goesLeft[columns[s.column].codes[row]] == 1 {
					at = s.left
				}
			}
			sums[row] += t.values[^at]
		}
	})
}
