package window

import (
	"math"

	"github.com/leat-ai/leat/spec"
)

// tile is the partial aggregates of the events of one stretch of time that are
// not kept singly any more.
type tile struct {
	partial
	index    int64
	extremes []best
	firsts   []best
	from     int64 // of a session: the times of its first and last event
	last     int64
}

const tileBytes = 300

func (t *tile) bytes() int64 {
	n := int64(tileBytes)
	for i := range t.tables {
		n += int64(len(t.tables[i].slots)) * slotBytes
	}
	for i := range t.sketches {
		n += int64(cap(t.sketches[i].buckets)) * bucketBytes
	}
	return n
}

// settle forgets what no read at or after a time can need: single events go
// over into tiles, and tiles that are out of all windows go away.
func (e *engine) settle(k *key, least int64) {
	p := e.plan
	if least <= k.least {
		return
	}
	k.least = least
	if k.at < least {
		e.seek(k, least)
	}
	cut := less(least, p.keep)
	if k.oldest < cut {
		n := 0
		for n < k.ring.n && k.ring.time(n, p.stride) < cut {
			e.fold(k, k.ring.row(n, p.stride))
			n++
		}
		e.shift(k, n)
		k.oldest = math.MaxInt64
		if k.ring.n > 0 {
			k.oldest = k.ring.time(0, p.stride)
		}
	}
	for i := range p.tilings {
		e.prune(k, i, least, cut)
	}
}

// shift drops the first n events of the ring, all of which are in the tiles by
// now.
func (e *engine) shift(k *key, n int) {
	for i := range n {
		k.ids.remove(k.ring.row(i, e.plan.stride)[wordID], e.seed)
	}
	k.ring.drop(n)
	k.hi -= n
	for i := range k.spans {
		x := &k.spans[i]
		if e.plan.spans[i].shape == session && x.some && x.lo < n {
			x.tile = 1
		}
		x.lo = max(0, x.lo-n)
	}
}

// fold sums an event up in the tiles that it belongs to.
func (e *engine) fold(k *key, row []uint64) {
	p := e.plan
	t := int64(row[wordTime])
	for i := range p.lasts {
		if d := &p.lasts[i]; d.of(row) {
			k.lasts[i] = best{t, row[wordCells+d.arg], true}
		}
	}
	for i := range p.tilings {
		d := &p.tilings[i]
		if d.session && row[wordFlags]>>d.filter&1 == 0 {
			continue
		}
		x := e.tileOf(k, i, d, t)
		e.apply(&d.layout, &x.partial, row, 1)
		for j := range d.layout.extremes {
			if s := &d.layout.extremes[j]; s.of(row) {
				if b := &x.extremes[j]; !b.ok || e.greater(s)(b.cell, row[wordCells+s.arg]) {
					*b = best{t, row[wordCells+s.arg], true}
				}
			}
		}
		for j := range d.layout.firsts {
			if s := &d.layout.firsts[j]; s.of(row) && !x.firsts[j].ok {
				x.firsts[j] = best{t, row[wordCells+s.arg], true}
			}
		}
	}
}

// tileOf is the tile that an event at a time belongs to, none being later. A
// session has one tile, which begins anew after a gap.
func (e *engine) tileOf(k *key, i int, d *tiling, t int64) *tile {
	tiles, index := k.tiles[i], int64(0)
	if !d.session {
		index = d.of(t)
	}
	n := len(tiles)
	if n > 0 && tiles[n-1].index == index && (!d.session || less(t, d.gap) < tiles[n-1].last) {
		x := &tiles[n-1]
		x.last = t
		return x
	}
	if d.session && n > 0 {
		e.grown -= tiles[0].bytes()
		tiles = tiles[:0]
	}
	e.grown += tileBytes
	l := &d.layout
	tiles = append(tiles, tile{partial: newPartial(l), index: index, from: t, last: t,
		extremes: make([]best, len(l.extremes)), firsts: make([]best, len(l.firsts))})
	k.tiles[i] = tiles
	return &tiles[len(tiles)-1]
}

// prune forgets tiles that are out of every window from a time on, and values
// that are.
func (e *engine) prune(k *key, i int, least, cut int64) {
	tiles := k.tiles[i]
	if len(tiles) == 0 {
		return
	}
	d := &e.plan.tilings[i]
	n := 0
	switch {
	case d.session && less(cut, d.gap) >= tiles[0].last:
		n = 1
	case !d.session && d.width > 0:
		n = tileAt(tiles, e.firstTile(i, least))
	}
	if n == 0 {
		return
	}
	for j := range tiles[:n] {
		e.grown -= tiles[j].bytes()
	}
	kept := copy(tiles, tiles[n:])
	clear(tiles[kept:])
	k.tiles[i] = tiles[:kept]
}

// firstTile is the first tile of a tiling that any span covers at a time.
func (e *engine) firstTile(i int, at int64) int64 {
	first := floor(at, e.plan.tilings[i].width)
	for j := range e.plan.spans {
		if s := &e.plan.spans[j]; s.tiling == i {
			first = min(first, s.tile(s.start(at)))
		}
	}
	return first
}

// gone tells whether nothing of a key matters any more at or after a time.
func (e *engine) gone(k *key, least int64) bool {
	if k.ring.n > 0 {
		return false
	}
	for i := range k.tiles {
		if len(k.tiles[i]) > 0 {
			return false
		}
	}
	for i := range e.plan.outputs {
		o := &e.plan.outputs[i]
		if o.program != nil || o.op != spec.OpLast {
			continue
		}
		s := &e.plan.spans[o.span]
		if b := k.lasts[o.other]; s.shape != session && b.ok && b.time >= s.start(least) {
			return false
		}
	}
	return true
}
