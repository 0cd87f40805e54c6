package window

import (
	"math"
	"slices"
)

// key is what is known of one entity: its single events, its tiles, and for
// each span the partial aggregates as of a time, at. Asking for another time
// moves them: events go in and out of the spans one by one, forwards and
// backwards alike, because every partial aggregate can be taken back exactly.
type key struct {
	name   []byte
	ring   ring
	ids    ids
	tiles  [][]tile // by tiling, each in the order of time
	lasts  []best   // the latest values of events that are not in the ring any more
	newest int64    // the time of the newest event
	oldest int64    // no event of the ring is before it
	least  int64    // the time from which on it may be asked: what only earlier ones need is forgotten
	at     int64
	hi     int // events of the ring before at
	spans  []extent
	bytes  int64
	place  int  // in the list of the state
	dirty  int  // its place among those that changed, counted from 1; 0 if it did not
	given  bool // somebody outside has its bytes
}

// extent is a span of a key as of its time.
type extent struct {
	partial
	lo     int     // the first event of the ring that is in it
	due    int64   // no event of the ring that is in it is before it
	tile   int64   // the first tile that is; of a session 1 where its tile is
	wedges []wedge // of the extremes
	stale  bool    // the wedges, or the session, are to be made anew
	some   bool    // of a session: there is one
	last   int64   // of a session: the time of its last event
}

// never is before all times.
const never = math.MinInt64

func (e *engine) newKey() *key {
	p := e.plan
	k := &key{newest: never, oldest: never, least: never, at: never, tiles: make([][]tile, len(p.tilings)), lasts: make([]best, len(p.lasts)), spans: make([]extent, len(p.spans))}
	for i := range p.spans {
		l := &p.spans[i].layout
		k.spans[i] = extent{wedges: make([]wedge, len(l.extremes)), tile: never, due: never}
		if p.spans[i].shape == session {
			k.spans[i].tile = 0
		}
		e.grown += int64(8*len(l.counts) + 48*(len(l.sums)+len(l.squares)) + 32*(len(l.tables)+len(l.sketches)+len(l.extremes)) + 200)
	}
	e.lay(k)
	e.grown += 200
	return k
}

// lay gives the spans of a key their partial aggregates, those of one sort side
// by side, so that an event touches few lines of memory.
func (e *engine) lay(k *key) {
	var n layoutSize
	for i := range e.plan.spans {
		n.add(&e.plan.spans[i].layout)
	}
	all := n.partial()
	for i := range k.spans {
		l := &e.plan.spans[i].layout
		x := &k.spans[i].partial
		x.counts, all.counts = cut(all.counts, len(l.counts))
		x.sums, all.sums = cut(all.sums, len(l.sums))
		x.squares, all.squares = cut(all.squares, len(l.squares))
		x.tables, all.tables = cut(all.tables, len(l.tables))
		x.sketches, all.sketches = cut(all.sketches, len(l.sketches))
	}
}

// cut takes the first n of a list.
func cut[T any](all []T, n int) (first, rest []T) { return all[:n:n], all[n:] }

// clear makes a key as new, and keeps its memory.
func (k *key) clear(p *Plan) {
	k.ring.head, k.ring.n = 0, 0
	k.ids.seen.reset()
	k.ids.on = false
	for i := range k.tiles {
		k.tiles[i] = k.tiles[i][:0]
	}
	clear(k.lasts)
	k.newest, k.oldest, k.least, k.at, k.hi = never, never, never, never, 0
	for i := range k.spans {
		x := &k.spans[i]
		x.reset()
		x.lo, x.due, x.tile, x.stale, x.some, x.last = 0, never, never, false, false, 0
		if p.spans[i].shape == session {
			x.tile = 0
		}
	}
}

// reset makes an extent one of no events.
func (x *extent) reset() {
	x.partial.reset()
	for i := range x.wedges {
		x.wedges[i].reset()
	}
}

// add puts an event where it belongs and tells whether it is new.
func (e *engine) add(k *key, row []uint64) bool {
	t, stride := int64(row[wordTime]), e.plan.stride
	if k.ids.has(row[wordID], &k.ring, stride, e.seed) {
		return false
	}
	k.newest, k.oldest = max(k.newest, t), min(k.oldest, t)
	at := k.ring.n
	for at > 0 && e.precedes(row, k.ring.row(at-1, stride)) {
		at--
		if k.ring.n-at == 32 { // far from the end: do not walk there
			at = e.position(k, row, at)
			break
		}
	}
	e.grown += k.ring.insert(at, row)
	e.grown += k.ids.add(row[wordID], &k.ring, stride, e.seed)
	if t < k.at {
		e.insert(k, row, t)
		k.hi++
	}
	return true
}

// position finds the place of a row among the first n events.
func (e *engine) position(k *key, row []uint64, n int) int {
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if e.precedes(row, k.ring.row(mid, e.plan.stride)) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// precedes is the order of events: by time, and within a time by their values,
// so that it is the same however they came.
func (e *engine) precedes(a, b []uint64) bool {
	if a[wordTime] != b[wordTime] {
		return int64(a[wordTime]) < int64(b[wordTime])
	}
	if a[wordFlags] != b[wordFlags] {
		return a[wordFlags] < b[wordFlags]
	}
	for i := range e.plan.args {
		if x, y := a[wordCells+i], b[wordCells+i]; x != y {
			return e.order[i](x, y)
		}
	}
	return false
}

// insert adds an event before the time of the spans to those that cover it.
func (e *engine) insert(k *key, row []uint64, t int64) {
	for i := range k.spans {
		s, x := &e.plan.spans[i], &k.spans[i]
		switch {
		case s.idle:
		case s.shape == session:
			x.stale = true
		case t < s.start(k.at):
			x.lo++
		default:
			x.due = min(x.due, t)
			e.apply(&s.layout, &x.partial, row, 1)
			e.peaks(s, x, row, t)
		}
	}
}

// peaks notes an event for the extremes of a span.
func (e *engine) peaks(s *span, x *extent, row []uint64, t int64) {
	if x.stale {
		return
	}
	for i := range s.layout.extremes {
		if d := &s.layout.extremes[i]; d.of(row) {
			e.grown += x.wedges[i].insert(t, row[wordCells+d.arg], e.greater(d))
		}
	}
}

// greater is the order whose greatest value an extreme is.
func (e *engine) greater(d *slotDef) func(a, b uint64) bool {
	if d.least {
		return e.back[d.arg]
	}
	return e.order[d.arg]
}

// seek moves all spans to a time.
func (e *engine) seek(k *key, at int64) {
	if at == k.at {
		return
	}
	hi := k.hi
	stride := e.plan.stride
	switch {
	case at < k.at:
		hi = k.ring.before(at, stride)
	default:
		for hi < k.ring.n && k.ring.time(hi, stride) < at {
			hi++
		}
	}
	for i := range k.spans {
		s, x := &e.plan.spans[i], &k.spans[i]
		switch {
		case s.idle:
		case s.shape == session && at < k.at:
			x.stale = true
		case s.shape == session:
			e.continueSession(k, s, x, hi)
		case at < k.at:
			e.backward(k, s, x, at, hi)
		default:
			e.forward(k, s, x, at, hi)
		}
	}
	k.at, k.hi = at, hi
}

// forward moves a span to a later time, before which hi events are.
func (e *engine) forward(k *key, s *span, x *extent, at int64, hi int) {
	stride, start := e.plan.stride, s.start(at)
	first := s.tile(start)
	if x.due < start {
		e.leave(k, s, x, start, first)
	}
	if s.tiling >= 0 && first != x.tile {
		e.tilesBetween(k, s, x, x.tile, first, -1)
	}
	x.tile = first
	for i := range x.wedges {
		x.wedges[i].expire(start)
	}
	i := k.hi
	for ; x.lo == i && i < hi && k.ring.time(i, stride) < start; i++ {
		x.lo++
	}
	for ; i < hi; i++ {
		row := k.ring.row(i, stride)
		t := int64(row[wordTime])
		x.due = min(x.due, t)
		e.apply(&s.layout, &x.partial, row, 1)
		e.peaks(s, x, row, t)
	}
}

// leave takes away the events that are before the start of a span. first is
// its first tile from now on.
func (e *engine) leave(k *key, s *span, x *extent, start, first int64) {
	stride := e.plan.stride
	if k.hi > x.lo && k.ring.time(k.hi-1, stride) < start && (s.tiling < 0 || e.tilesEnd(k, s) < first) {
		x.reset() // nothing of it stays
		x.lo, x.tile, x.stale = k.hi, first, false
	}
	x.due = math.MaxInt64
	for ; x.lo < k.hi; x.lo++ {
		row := k.ring.row(x.lo, stride)
		if t := int64(row[wordTime]); t >= start {
			x.due = t
			return
		}
		e.apply(&s.layout, &x.partial, row, -1)
	}
}

// backward moves a span to an earlier time, before which hi events are.
func (e *engine) backward(k *key, s *span, x *extent, at int64, hi int) {
	stride, start := e.plan.stride, s.start(at)
	first := s.tile(start)
	for i := max(hi, x.lo); i < k.hi; i++ {
		e.apply(&s.layout, &x.partial, k.ring.row(i, stride), -1)
	}
	before := min(x.lo, hi)
	x.lo, x.due = before, start
	for x.lo > 0 && k.ring.time(x.lo-1, stride) >= start {
		x.lo--
		e.apply(&s.layout, &x.partial, k.ring.row(x.lo, stride), 1)
	}
	if s.tiling >= 0 && first != x.tile {
		e.tilesBetween(k, s, x, first, x.tile, 1)
	}
	last := x.tile
	x.tile = first
	for i := range x.wedges {
		e.peaksBack(k, s, x, i, at, before, hi)
	}
	if s.tiling >= 0 && len(x.wedges) > 0 && !x.stale {
		tiles := k.tiles[s.tiling]
		for i := tileAt(tiles, first); i < len(tiles) && tiles[i].index < last; i++ {
			e.tilePeaks(s, x, &tiles[i])
		}
	}
}

// peaksBack moves an extreme to an earlier time. What was less than an event
// that is not there any more has come after the last peak that is; what is
// there again comes before the event that was the first one.
func (e *engine) peaksBack(k *key, s *span, x *extent, i int, at int64, before, hi int) {
	w, d := &x.wedges[i], &s.layout.extremes[i]
	from := x.lo
	if last, some := w.retreat(at); some {
		from = max(from, k.ring.before(last, e.plan.stride))
	} else if s.tiling >= 0 {
		x.stale = true // it may be in a tile
	}
	note := func(row []uint64) {
		if d.of(row) {
			e.grown += w.insert(int64(row[wordTime]), row[wordCells+d.arg], e.greater(d))
		}
	}
	for j := from; j < hi; j++ {
		note(k.ring.row(j, e.plan.stride))
	}
	for j := min(before, from) - 1; j >= x.lo; j-- {
		note(k.ring.row(j, e.plan.stride))
	}
}

// tilesEnd is the last tile of a span that has a tiling.
func (e *engine) tilesEnd(k *key, s *span) int64 {
	tiles := k.tiles[s.tiling]
	if len(tiles) == 0 {
		return never
	}
	return tiles[len(tiles)-1].index
}

// tilesBetween adds the tiles from one to before another, or takes them away.
func (e *engine) tilesBetween(k *key, s *span, x *extent, from, to, sign int64) {
	tiles := k.tiles[s.tiling]
	for i := tileAt(tiles, from); i < len(tiles) && tiles[i].index < to; i++ {
		e.merge(s, &x.partial, &tiles[i].partial, sign)
	}
}

// fresh makes anew what could not be kept up to date.
func (e *engine) fresh(k *key, s *span, x *extent) {
	if !x.stale {
		return
	}
	x.stale = false
	if s.shape == session {
		e.findSession(k, s, x)
		return
	}
	for i := range x.wedges {
		x.wedges[i].reset()
	}
	if s.tiling >= 0 {
		tiles := k.tiles[s.tiling]
		for i := tileAt(tiles, x.tile); i < len(tiles); i++ {
			e.tilePeaks(s, x, &tiles[i])
		}
	}
	for i := x.lo; i < k.hi; i++ {
		row := k.ring.row(i, e.plan.stride)
		e.peaks(s, x, row, int64(row[wordTime]))
	}
}

// tilePeaks notes the extremes of a tile as those of one event at its
// beginning: all of its events leave the span with it.
func (e *engine) tilePeaks(s *span, x *extent, t *tile) {
	begin := e.plan.tilings[s.tiling].begin(t.index)
	for i, at := range s.tiled[kindExtremes] {
		if b := t.extremes[at]; b.ok {
			e.grown += x.wedges[i].insert(begin, b.cell, e.greater(&s.layout.extremes[i]))
		}
	}
}

// tileAt is the place of the first tile that is not before an index.
func tileAt(tiles []tile, index int64) int {
	i, _ := slices.BinarySearchFunc(tiles, index, func(t tile, index int64) int {
		switch {
		case t.index < index:
			return -1
		case t.index > index:
			return 1
		}
		return 0
	})
	return i
}
