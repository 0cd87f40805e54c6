package gbdt

import (
	"cmp"
	"math"
	"slices"
)

// split is a question that a leaf could be split by, and what that gains.
type split struct {
	gain        float64 // 0: there is none
	column      int     // index into the grower's columns
	bin         int     // numeric: the last bin that goes left
	set         bitset  // categorical: the bins that go left
	missingLeft bool
	left        int64   // packed sums of the rows that go left
	l2          float64 // penalty for the values of the children
}

// bitset is a set of bins.
type bitset [histBins / 64]uint64

func (b *bitset) add(bin int)      { b[bin/64] |= 1 << (bin % 64) }
func (b *bitset) has(bin int) bool { return b[bin/64]>>(bin%64)&1 == 1 }

// search looks for the best split of one leaf. It is a value of what all
// columns share, so that columns can be searched side by side.
type search struct {
	*settings
	packing
	total             int64 // packed
	gradient, hessian float64
	low, high         float64 // bounds of the leaf's value
	constrained       bool
	perHessian        float64 // rows for each unit of hessian
	least             float64 // hessian that each side needs
	floor             float64 // what both sides together must reach
}

func newSearch(s *settings, p packing, l *leaf) *search {
	f := &search{settings: s, packing: p, total: l.sum, low: l.low, high: l.high, constrained: s.monotone != nil}
	f.gradient, f.hessian = p.unpack(l.sum)
	f.perHessian = float64(l.end-l.begin) / f.hessian
	f.least = max(s.minHessian, (float64(s.minData)-0.5)/f.perHessian)
	f.floor = f.score(f.gradient, f.hessian, s.l2) + s.minGain
	return f
}

// best returns the best split of one column, whose histogram is h.
func (f *search) best(c *column, h []int64) split {
	if c.categorical {
		if c.bins <= f.maxCatToOneHot {
			return f.oneAgainstRest(c, h)
		}
		return f.bySets(c, h)
	}
	best := split{}
	if !c.hasMissing() || h[c.bins-1] == 0 {
		f.scan(c, h, 0, c.values-1, &best)
		_, left := f.unpack(best.left)
		best.missingLeft = 2*left >= f.hessian // the way that most rows go
		return best
	}
	last := c.values // with missing values on the right, all others may go left
	if c.infinite {
		last-- // +Inf is above every threshold
	}
	f.scan(c, h, 0, last, &best)
	before := best.gain
	f.scan(c, h, h[c.bins-1], c.values-1, &best)
	best.missingLeft = best.gain > before
	return best
}

// scan tries the thresholds after bins 0..last-1, with start on the left
// already, and keeps the best in best.
func (f *search) scan(c *column, h []int64, start int64, last int, best *split) {
	left := start
	limit := f.floor + best.gain
	for bin, v := range h[:last] {
		if v == 0 {
			continue // the same rows as after the bin before
		}
		left += v
		gl, hl := f.unpack(left)
		if hl < f.least {
			continue
		}
		gr, hr := f.gradient-gl, f.hessian-hl
		if hr < f.least {
			return
		}
		var score float64
		if f.constrained {
			score = f.constrainedScore(gl, hl, gr, hr, f.l2, c.monotone)
		} else {
			score = f.score(gl, hl, f.l2) + f.score(gr, hr, f.l2)
		}
		if score > limit {
			limit = score
			best.gain, best.bin, best.left, best.l2 = score-f.floor, bin, left, f.l2
		}
	}
}

// score is twice what the best value of a leaf takes off the loss.
func (f *search) score(gradient, hessian, l2 float64) float64 {
	g := gradient
	if f.l1 > 0 {
		g = shrink(gradient, f.l1)
	}
	if d := hessian + l2; d > 0 {
		return g * g / d
	}
	return 0
}

// constrainedScore is the score of two leaves whose values stay within the
// bounds of their parent and in the order that the column asks for.
func (f *search) constrainedScore(gl, hl, gr, hr, l2 float64, monotone int8) float64 {
	left, right := f.value(gl, hl, l2), f.value(gr, hr, l2)
	if monotone > 0 && left > right || monotone < 0 && left < right {
		return math.Inf(-1)
	}
	return scoreAt(shrink(gl, f.l1), hl+l2, left) + scoreAt(shrink(gr, f.l1), hr+l2, right)
}

func scoreAt(gradient, curvature, value float64) float64 {
	return -(2*gradient + curvature*value) * value
}

// value is the best value of a leaf within the bounds.
func (f *search) value(gradient, hessian, l2 float64) float64 {
	return min(max(leafValue(gradient, hessian, f.l1, l2), f.low), f.high)
}

func leafValue(gradient, hessian, l1, l2 float64) float64 {
	if d := hessian + l2; d > 0 {
		return -shrink(gradient, l1) / d
	}
	return 0
}

// shrink takes by off the size of v.
func shrink(v, by float64) float64 {
	return math.Copysign(max(math.Abs(v)-by, 0), v)
}

// categories returns the bins that a set may hold: all but the one for rare
// and unseen categories, which must go right as the unseen do when scoring.
func (c *column) categories(yield func(bin int) bool) {
	for bin := range c.bins {
		if bin != c.rest() && !yield(bin) {
			return
		}
	}
}

// oneAgainstRest tries every category alone on the left.
func (f *search) oneAgainstRest(c *column, h []int64) split {
	best := split{}
	for bin := range c.categories {
		gl, hl := f.unpack(h[bin])
		gr, hr := f.gradient-gl, f.hessian-hl
		if hl < f.least || hr < f.least {
			continue
		}
		if gain := f.both(gl, hl, gr, hr, f.l2) - f.floor; gain > best.gain {
			best = split{gain: gain, left: h[bin], l2: f.l2}
			best.set.add(bin)
		}
	}
	best.missingLeft = c.hasMissing() && best.set.has(c.bins-1)
	return best
}

func (f *search) both(gl, hl, gr, hr, l2 float64) float64 {
	if f.constrained {
		return f.constrainedScore(gl, hl, gr, hr, l2, 0)
	}
	return f.score(gl, hl, l2) + f.score(gr, hr, l2)
}

// bySets orders the categories by the value a leaf of each would have. Among
// all subsets, the best is then a prefix of this order (Fisher, 1958); it is
// tried from both ends, with guards against sets that fit noise.
func (f *search) bySets(c *column, h []int64) split {
	type entry struct {
		bin int
		key float64
	}
	var room [histBins]entry
	order := room[:0]
	for bin := range c.categories {
		g, hess := f.unpack(h[bin])
		if hess*f.perHessian+0.5 >= max(f.catSmooth, 1) {
			order = append(order, entry{bin, g / (hess + f.catSmooth)})
		}
	}
	slices.SortStableFunc(order, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	most := min(f.maxCatThreshold, (len(order)+1)/2)
	best, bestCount, bestFromEnd := split{}, 0, false
	for _, fromEnd := range [2]bool{false, true} {
		at := func(i int) int {
			if fromEnd {
				return order[len(order)-1-i].bin
			}
			return order[i].bin
		}
		if count := f.prefixes(h, at, most, &best); count > 0 {
			bestCount, bestFromEnd = count, fromEnd
		}
	}
	for i := range bestCount {
		e := order[i]
		if bestFromEnd {
			e = order[len(order)-1-i]
		}
		best.set.add(e.bin)
	}
	best.missingLeft = c.hasMissing() && best.set.has(c.bins-1)
	return best
}

// prefixes tries the first 1..most bins that at names as the left side. When
// one of them beats best it is kept there, without its set, and its length is
// returned.
func (f *search) prefixes(h []int64, at func(i int) int, most int, best *split) (count int) {
	l2 := f.l2 + f.catL2
	perGroup := float64(f.minDataPerGroup) - 0.5
	var left int64
	group := 0.0 // rows since the set was last tried
	for i := range most {
		v := h[at(i)]
		left += v
		_, hv := f.unpack(v)
		group += hv * f.perHessian
		gl, hl := f.unpack(left)
		gr, hr := f.gradient-gl, f.hessian-hl
		if hr < f.least || hr*f.perHessian < perGroup {
			break
		}
		if hl < f.least || group < perGroup {
			continue
		}
		group = 0
		if gain := f.both(gl, hl, gr, hr, l2) - f.floor; gain > best.gain {
			*best = split{gain: gain, left: left, l2: l2}
			count = i + 1
		}
	}
	return count
}
