package gbdt

// count makes the histogram of a leaf of t from its rows. Groups of columns,
// and parts of the rows when there are many, are counted side by side.
func (g *grower) count(t *grown, l *leaf) {
	l.hist = g.take(t)
	rows := g.rows[l.begin:l.end]
	threads, parts := g.threads, 1
	if len(rows)*len(g.columns) < parallelWork {
		threads = 1
	} else if threads > 1 {
		parts = max(1, 4*threads/len(g.groups))
	}
	packed := g.gather(rows, threads)
	for len(g.partials) < parts-1 {
		g.partials = append(g.partials, make(histogram, g.length))
	}
	part := (len(rows) + parts - 1) / parts
	parallel(threads, parts*len(g.groups), func(task int) {
		i, p := task%len(g.groups), task/len(g.groups)
		h := l.hist
		if p > 0 {
			h = g.partials[p-1]
			clear(g.ofGroup(h, i))
		}
		from, to := min(p*part, len(rows)), min((p+1)*part, len(rows))
		g.groups[i].add(g.ofGroup(h, i), rows[from:to], packed[from:to])
	})
	for _, h := range g.partials[:parts-1] {
		l.hist.add(h)
	}
}

// ofGroup returns the part of a histogram that belongs to group i.
func (g *grower) ofGroup(h histogram, i int) histogram {
	return h[g.offsets[i]:][:g.groups[i].room()*histBins]
}

// gather returns the packed derivatives of rows in their order, so that the
// histograms read them in a line.
func (g *grower) gather(rows []int32, threads int) []int64 {
	ordered := g.ordered[:len(rows)]
	blocks(threads, len(rows), func(_, from, to int) {
		out := ordered[from:to]
		for i, row := range rows[from:to] {
			out[i] = g.packed[row]
		}
	})
	return ordered
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
