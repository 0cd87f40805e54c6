package window

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"
)

// The bytes of an entity are: a version, the layout of the plan, the time
// from which on they may be asked, the strings, the single events by columns,
// what the spans hold as of just after the newest event, the tiles, the latest
// values, and a checksum of all of it. Whole numbers are varints, a column of
// words is its least one and the others as their distances from it, in as many
// bytes as the greatest of them needs. Equal sets of events that were settled
// at the same time have equal bytes.
const version = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encoder appends to buf. Its other memory serves one key after the other.
type encoder struct {
	*engine
	buf     []byte
	places  []uint64 // of strings in the bytes, by their number
	marks   []uint32 // the round in which a string was last met
	round   uint32
	words   []uint64
	longest int // bytes of a key so far
}

// encode appends the bytes of a key to buf. The key moves to the time just
// after its newest event, from which the next read goes on.
func (e *engine) encode(buf []byte, k *key) []byte {
	at := max(k.least, saturated(k.newest, 1))
	e.seek(k, at)
	w := &e.encoder
	w.engine = e
	from := len(buf)
	w.buf = slices.Grow(buf, min(w.longest, 64<<10))
	w.buf = append(w.buf, version)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, e.plan.layout)
	w.int(k.least)
	w.int(k.newest)
	w.int(at)
	w.strings(k)
	w.ring(k)
	for i := range k.spans {
		w.extent(k, &e.plan.spans[i], &k.spans[i])
	}
	for i := range k.tiles {
		w.tiles(&e.plan.tilings[i], k.tiles[i])
	}
	for i := range k.lasts {
		w.best(e.plan.lasts[i].arg, k.lasts[i])
	}
	buf = binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(w.buf[from:], castagnoli))
	w.buf, w.longest = nil, max(w.longest*7/8, len(buf)-from)
	return buf
}

func (w *encoder) int(v int64)   { w.buf = binary.AppendVarint(w.buf, v) }
func (w *encoder) uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }

// mark notes the strings that a key refers to.
func (e *engine) mark(k *key, used []bool) {
	e.eachString(k, false, func(number uint64) { used[number] = true })
}

// eachString calls f with the strings of a key, some of them several times; if
// it is to be stored, not with those that only memory holds.
func (e *engine) eachString(k *key, stored bool, f func(number uint64)) {
	p := e.plan
	for a := range p.args {
		if p.args[a].kind != cellString {
			continue
		}
		for i := range k.ring.n {
			if row := k.ring.row(i, p.stride); row[wordFlags]>>(32+a)&1 != 0 {
				f(row[wordCells+a])
			}
		}
	}
	text := func(d *slotDef) bool { return p.args[d.arg].kind == cellString }
	tables := func(l *layout, x *partial) {
		for i := range l.tables {
			if !text(&l.tables[i]) {
				continue
			}
			for _, s := range x.tables[i].slots {
				if s.count != 0 {
					f(s.cell)
				}
			}
		}
	}
	bests := func(defs []slotDef, all []best) {
		for i := range defs {
			if all[i].ok && text(&defs[i]) {
				f(all[i].cell)
			}
		}
	}
	for i := range k.spans {
		s, x := &p.spans[i], &k.spans[i]
		if stored && s.shape == session {
			continue
		}
		tables(&s.layout, &x.partial)
		for j := range x.wedges {
			if !stored && text(&s.layout.extremes[j]) {
				for _, peak := range x.wedges[j].peaks[x.wedges[j].head:] {
					f(peak.cell)
				}
			}
		}
	}
	for i := range k.tiles {
		l := &p.tilings[i].layout
		for j := range k.tiles[i] {
			t := &k.tiles[i][j]
			tables(l, &t.partial)
			bests(l.extremes, t.extremes)
			bests(l.firsts, t.firsts)
		}
	}
	bests(p.lasts, k.lasts)
}

// strings writes the strings of a key in their order, and numbers them by it.
func (w *encoder) strings(k *key) {
	if !w.plan.texts {
		return
	}
	if n := len(w.dict.texts); len(w.marks) < n {
		w.marks, w.places, w.round = make([]uint32, 2*n), make([]uint64, 2*n), 0
	}
	if w.round++; w.round == 0 {
		clear(w.marks)
		w.round = 1
	}
	all := w.words[:0]
	w.eachString(k, true, func(number uint64) {
		if w.marks[number] != w.round {
			w.marks[number] = w.round
			all = append(all, number)
		}
	})
	slices.SortFunc(all, func(a, b uint64) int { return cmp.Compare(w.dict.text(a), w.dict.text(b)) })
	w.uint(uint64(len(all)))
	for i, number := range all {
		w.places[number] = uint64(i)
		w.uint(uint64(len(w.dict.text(number))))
	}
	for _, number := range all {
		w.buf = append(w.buf, w.dict.text(number)...)
	}
	w.words = all
}

// number writes the cell of an argument: those of numbers in full.
func (w *encoder) number(arg int, cell uint64) {
	if w.plan.args[arg].kind == cellString {
		w.uint(w.places[cell])
		return
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, cell)
}

func (w *encoder) ring(k *key) {
	p, n := w.plan, k.ring.n
	w.uint(uint64(n))
	if n == 0 {
		return
	}
	if cap(w.words) < n {
		w.words = make([]uint64, n+n/2)
	}
	words := w.words[:n]
	column := func(word int) []uint64 {
		at := k.ring.head*p.stride + word
		for i := range words {
			words[i] = k.ring.words[at]
			at += p.stride
		}
		return words
	}
	w.times(column(wordTime))
	w.packed(column(wordFlags))
	w.packed(column(wordID))
	for a := range p.args {
		column(wordCells + a)
		if p.args[a].kind == cellString {
			for i := range words {
				if k.ring.row(i, p.stride)[wordFlags]>>(32+a)&1 != 0 {
					words[i] = w.places[words[i]]
				}
			}
		}
		w.packed(words)
	}
}

// timeUnits are what times are often whole multiples of, in microseconds.
var timeUnits = [...]uint64{1, 1_000, 1_000_000, 60_000_000, dayMicros}

// times writes times in order: the first of them, the unit of the others, and
// their distances from the first.
func (w *encoder) times(times []uint64) {
	first, unit := times[0], len(timeUnits)-1
	w.int(int64(first))
	for i, t := range times {
		times[i] = t - first
		for times[i]%timeUnits[unit] != 0 {
			unit--
		}
	}
	for i := range times {
		times[i] /= timeUnits[unit]
	}
	w.buf = append(w.buf, byte(unit))
	w.packed(times)
}

// packed writes words: the least of them, and the distances from it.
func (w *encoder) packed(words []uint64) {
	least, most := slices.Min(words), slices.Max(words)
	width := (bits.Len64(most-least) + 7) / 8
	w.buf = append(w.buf, byte(width))
	w.uint(least)
	if width == 0 {
		return
	}
	// Each word is written in full, and what is too much of it is written over
	// by the next.
	at, size := len(w.buf), len(words)*width
	w.buf = slices.Grow(w.buf, size+8)[:at+size+8]
	for _, x := range words {
		binary.LittleEndian.PutUint64(w.buf[at:], x-least)
		at += width
	}
	w.buf = w.buf[:at]
}

// extent writes what a span holds. Sessions are made anew from what is there,
// and so are the extremes of spans with tiles.
func (w *encoder) extent(k *key, s *span, x *extent) {
	if s.idle || s.shape == session {
		return
	}
	w.partial(&s.layout, &x.partial)
	if s.tiling >= 0 {
		return
	}
	w.fresh(k, s, x)
	for i := range x.wedges {
		peaks := x.wedges[i].peaks[x.wedges[i].head:]
		w.uint(uint64(len(peaks)))
		at := 0
		for _, peak := range peaks {
			next := w.indexOf(k, peak, &s.layout.extremes[i])
			w.uint(uint64(next - at))
			at = next
		}
	}
}

// indexOf is the event that a peak is of.
func (w *encoder) indexOf(k *key, p peak, d *slotDef) int {
	i := k.ring.before(p.time, w.plan.stride)
	for ; i < k.ring.n-1; i++ {
		if row := k.ring.row(i, w.plan.stride); d.of(row) && row[wordCells+d.arg] == p.cell {
			break
		}
	}
	return i
}

func (w *encoder) partial(l *layout, x *partial) {
	for _, n := range x.counts {
		w.int(n)
	}
	for i := range x.sums {
		w.exact(&x.sums[i])
	}
	for i := range x.squares {
		w.exact(&x.squares[i])
	}
	for i := range x.tables {
		w.table(l.tables[i].arg, &x.tables[i])
	}
	for i := range x.sketches {
		w.uint(uint64(len(x.sketches[i].buckets)))
		at := int64(0)
		for _, b := range x.sketches[i].buckets {
			w.int(int64(b.index) - at)
			w.int(b.count)
			at = int64(b.index)
		}
	}
}

// exact writes a sum: how many parts it has, and whether there is more.
func (w *encoder) exact(e *exact) {
	e.canonical()
	head := uint64(e.n) << 1
	excess := e.more != nil && (e.more.wide.Sign() != 0 || e.more.pos != 0 || e.more.neg != 0)
	if excess {
		head |= 1
	}
	w.uint(head)
	for _, x := range e.parts() {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(x))
	}
	if excess {
		w.int(e.more.pos)
		w.int(e.more.neg)
		w.int(int64(e.more.wide.Sign()))
		wide := e.more.wide.Bytes()
		w.uint(uint64(len(wide)))
		w.buf = append(w.buf, wide...)
	}
}

func (w *encoder) table(arg int, t *table) {
	w.uint(uint64(t.n))
	if cap(w.words) < t.n {
		w.words = make([]uint64, 0, 2*t.n)
	}
	cells := w.words[:0]
	for _, s := range t.slots {
		if s.count != 0 {
			cells = append(cells, s.cell)
		}
	}
	text := w.plan.args[arg].kind == cellString
	if text {
		slices.SortFunc(cells, func(a, b uint64) int { return cmp.Compare(w.places[a], w.places[b]) })
	} else {
		slices.Sort(cells)
	}
	at := uint64(0)
	for _, cell := range cells {
		code := cell
		if text {
			code = w.places[cell]
		}
		w.uint(code - at)
		w.int(t.slots[t.find(cell, w.seed)].count)
		at = code
	}
}

func (w *encoder) tiles(d *tiling, tiles []tile) {
	w.uint(uint64(len(tiles)))
	at := int64(0)
	for i := range tiles {
		t := &tiles[i]
		w.int(t.index - at)
		at = t.index
		if d.session {
			w.int(t.from)
			w.int(t.last)
		}
		w.partial(&d.layout, &t.partial)
		for j := range t.extremes {
			w.best(d.layout.extremes[j].arg, t.extremes[j])
		}
		for j := range t.firsts {
			w.best(d.layout.firsts[j].arg, t.firsts[j])
		}
	}
}

func (w *encoder) best(arg int, b best) {
	if !b.ok {
		w.buf = append(w.buf, 0)
		return
	}
	w.buf = append(w.buf, 1)
	w.int(b.time)
	w.number(arg, b.cell)
}
