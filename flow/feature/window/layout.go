package window

import (
	"math"
	"slices"
	"time"

	"github.com/leat-ai/leat/spec"
)

// shape is which events a span covers.
type shape uint8

const (
	rolling  shape = iota // the last so and so long, exactly
	hopping               // the same, beginning at a multiple of the slide
	tumbling              // since the last multiple of the length
	session               // since the last gap
	always                // all of them
)

// span is what one way to choose events by their time needs: the aggregates
// of the same window share it, and an event is added to it and taken from it
// once.
type span struct {
	shape  shape
	length int64 // of the window or the gap
	slide  int64 // of hopping
	filter int   // of sessions: the events that they are made of
	tiling int   // where its events are summed up that are too old to be kept singly; -1 for rolling
	layout layout
	tiled  [kinds][]int // where each slot is among those of the tiling, by kind
	idle   bool         // nothing is kept of it: the latest value is looked for
}

// layout is which partial aggregates are kept of a set of events.
type layout struct {
	counts   []slotDef
	sums     []slotDef
	squares  []slotDef
	tables   []slotDef
	sketches []slotDef
	extremes []slotDef
	firsts   []slotDef
}

// slotDef is one partial aggregate.
type slotDef struct {
	arg   int    // -1: the event itself
	need  uint64 // the flags of an event that counts
	least bool   // of extremes
}

func defOf(arg, filter int) slotDef {
	d := slotDef{arg: arg, need: 1 << filter}
	if arg >= 0 {
		d.need |= 1 << (32 + arg)
	}
	return d
}

// of tells whether an event counts.
func (d *slotDef) of(row []uint64) bool { return row[wordFlags]&d.need == d.need }

// tiling is a row of tiles of one width, each with the partial aggregates of
// its events. Spans share it.
type tiling struct {
	width  int64 // 0: one tile for ever
	layout layout
	// session: one tile, the session that the newest event of it belongs to.
	session bool
	gap     int64
	filter  int
}

// place finds or adds a partial aggregate.
func place(defs *[]slotDef, d slotDef) int {
	for i, have := range *defs {
		if have == d {
			return i
		}
	}
	*defs = append(*defs, d)
	return len(*defs) - 1
}

// span finds or adds the span of an aggregate.
func (c *compiler) span(a *spec.Aggregate, w time.Duration, where int) int {
	p := c.plan
	s := span{tiling: -1, filter: every}
	switch {
	case a.Tumbling != 0:
		s.shape, s.length = tumbling, micros(a.Tumbling.Std())
		s.slide = s.length
	case a.Session != 0:
		s.shape, s.length, s.filter = session, micros(a.Session.Std()), where
	case w != 0 && a.Slide != 0:
		s.shape, s.length, s.slide = hopping, micros(w), micros(a.Slide.Std())
	case w != 0:
		s.shape, s.length = rolling, micros(w)
	case p.view.TTL != 0:
		s.shape, s.length = rolling, micros(p.view.TTL.Std())
	default:
		s.shape = always
	}
	for i, have := range p.spans {
		if have.shape == s.shape && have.length == s.length && have.slide == s.slide && have.filter == s.filter {
			return i
		}
	}
	if s.shape != rolling {
		s.tiling = c.tiling(s)
	}
	s.idle = s.shape != session
	p.spans = append(p.spans, s)
	return len(p.spans) - 1
}

func (c *compiler) tiling(s span) int {
	p := c.plan
	t := tiling{width: s.slide, session: s.shape == session, filter: s.filter}
	if t.session {
		t.gap = s.length
	}
	for i, have := range p.tilings {
		if have.width == t.width && have.session == t.session && have.gap == t.gap && have.filter == t.filter {
			return i
		}
	}
	p.tilings = append(p.tilings, t)
	return len(p.tilings) - 1
}

// slots gives an output the partial aggregates that it is made of.
func (c *compiler) slots(o *output) {
	s := &c.plan.spans[o.span]
	l := &s.layout
	d := defOf(o.arg, o.filter)
	switch o.op {
	case spec.OpCount:
		o.count = place(&l.counts, d)
	case spec.OpSum, spec.OpAvg:
		o.count, o.sum = place(&l.counts, d), place(&l.sums, d)
	case spec.OpStddev:
		o.count, o.sum, o.squares = place(&l.counts, d), place(&l.sums, d), place(&l.squares, d)
	case spec.OpDistinct:
		o.other = place(&l.tables, d)
	case spec.OpQuantile:
		o.other = place(&l.sketches, d)
	case spec.OpMin, spec.OpMax:
		d.least = o.op == spec.OpMin
		o.other = place(&l.extremes, d)
	case spec.OpFirst:
		o.other = place(&l.firsts, d)
	case spec.OpLast:
		o.other = place(&c.plan.lasts, d)
		return
	}
	s.idle = false
	if s.tiling >= 0 {
		c.plan.tilings[s.tiling].layout.include(l)
	}
}

// include adds the slots of another layout that are missing.
func (l *layout) include(o *layout) {
	mine, theirs := l.kinds(), o.kinds()
	for k := range mine {
		for _, d := range *theirs[k] {
			place(mine[k], d)
		}
	}
}

// The sorts of partial aggregates, in the order of kinds.
const (
	kindCounts = iota
	kindSums
	kindSquares
	kindTables
	kindSketches
	kindExtremes
	kindFirsts
	kinds
)

// kinds are the lists of slots, one for each sort of partial aggregate.
func (l *layout) kinds() [kinds]*[]slotDef {
	return [...]*[]slotDef{&l.counts, &l.sums, &l.squares, &l.tables, &l.sketches, &l.extremes, &l.firsts}
}

// reach finds out how far back events matter, and how far single ones do.
func (c *compiler) reach() {
	p := c.plan
	for i := range p.spans {
		s := &p.spans[i]
		length := s.length
		switch s.shape {
		case hopping:
			length = saturated(length, s.slide)
		case session, always:
			length = forever
		case rolling:
			if !s.idle {
				p.keep = max(p.keep, length)
			}
		}
		p.horizon = max(p.horizon, length)
		if s.tiling < 0 {
			continue
		}
		mine, theirs := s.layout.kinds(), p.tilings[s.tiling].layout.kinds()
		for k := range mine {
			for _, d := range *mine[k] {
				s.tiled[k] = append(s.tiled[k], slices.Index(*theirs[k], d))
			}
		}
	}
}

// saturated is a + b, of which b is not negative, without running over.
func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// less is a - b, of which b is not negative, without running over.
func less(a, b int64) int64 {
	if a < math.MinInt64+b {
		return math.MinInt64
	}
	return a - b
}

// floor is the last multiple of a width that is not after t, as a number of
// widths.
func floor(t, width int64) int64 {
	q := t / width
	if t%width < 0 {
		q--
	}
	return q
}

// start is the first time of the span as of a time. Of a session it is the
// beginning of all times.
func (s *span) start(at int64) int64 {
	switch s.shape {
	case rolling:
		return less(at, s.length)
	case hopping:
		return multiple(floor(less(at, s.length), s.slide), s.slide)
	case tumbling:
		return multiple(floor(at, s.length), s.length)
	}
	return math.MinInt64
}

// tile is the first tile of the span as of a time.
func (s *span) tile(start int64) int64 {
	if s.slide == 0 {
		return math.MinInt64
	}
	return floor(start, s.slide)
}

// of is the tile that a time belongs to, and begin the first time of a tile.
func (t *tiling) of(at int64) int64 {
	if t.width == 0 {
		return 0
	}
	return floor(at, t.width)
}

func (t *tiling) begin(index int64) int64 {
	if t.width == 0 {
		return math.MinInt64
	}
	return multiple(index, t.width)
}

// single tells whether there is one tile at most.
func (t *tiling) single() bool { return t.width == 0 }

// multiple is n times a width, where that is a time.
func multiple(n, width int64) int64 {
	if n < math.MinInt64/width {
		return math.MinInt64
	}
	return n * width
}
