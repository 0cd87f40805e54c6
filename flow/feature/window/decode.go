package window

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/leat-ai/leat/base/fault"
)

// decoder reads what encoder writes. After the first mistake it reads zeros.
type decoder struct {
	*engine
	data    []byte
	numbers []uint64 // of strings: there by here
	broken  string
}

// decode reads a key, which is new or cleared. It takes no more memory than
// some times the bytes and what the bound of events allows, whatever they say.
func (e *engine) decode(data []byte, k *key) error {
	p := e.plan
	if len(data) < 9 || crc32.Checksum(data[:len(data)-4], castagnoli) != binary.LittleEndian.Uint32(data[len(data)-4:]) {
		return fault.New(fault.Corrupt, "the windows of an entity of feature view %q are not what was stored", p.view.Name)
	}
	if v := data[0]; v != version || binary.LittleEndian.Uint32(data[1:]) != p.layout {
		return fault.New(fault.Corrupt, "the windows of an entity of feature view %q are those of another definition", p.view.Name).
			Hint("materialise the view again")
	}
	r := &decoder{engine: e, data: data[5 : len(data)-4]}
	k.least = r.int()
	k.newest = r.int()
	k.at = r.int()
	r.strings()
	r.ring(k)
	k.hi = k.ring.before(k.at, p.stride)
	for i := range k.spans {
		r.extent(k, &p.spans[i], &k.spans[i])
	}
	for i := range k.tiles {
		r.tiles(k, i)
	}
	for i := range k.lasts {
		k.lasts[i] = r.best(p.lasts[i].arg)
	}
	if r.broken == "" && len(r.data) > 0 {
		r.broken = "bytes are left over"
	}
	if r.broken != "" {
		return fault.New(fault.Corrupt, "the windows of an entity of feature view %q cannot be read: %s", p.view.Name, r.broken)
	}
	return nil
}

func (r *decoder) fail(what string) {
	if r.broken == "" {
		r.broken = what
	}
	r.data = nil
}

func (r *decoder) int() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail("a number is cut off")
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *decoder) uint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail("a number is cut off")
		return 0
	}
	r.data = r.data[n:]
	return v
}

// size reads how many things follow, each of at least some bytes.
func (r *decoder) size(each int) int {
	n := r.uint()
	if n > uint64(len(r.data)/each) {
		r.fail("there are more things than bytes")
		return 0
	}
	return int(n)
}

func (r *decoder) bytes(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.fail("it is cut off")
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *decoder) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *decoder) word() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *decoder) strings() {
	if !r.plan.texts {
		return
	}
	n := r.size(1)
	r.numbers = make([]uint64, n)
	total := uint64(0)
	for i := range r.numbers {
		size := r.uint()
		if size > uint64(len(r.data)) {
			r.fail("a string is cut off")
			return
		}
		r.numbers[i] = size
		total += size
	}
	if total > uint64(len(r.data)) {
		r.fail("a string is cut off")
		return
	}
	all := string(r.bytes(int(total)))
	for i, size := range r.numbers {
		r.numbers[i] = r.dict.numberOf(all[:size])
		all = all[size:]
	}
}

// string is the number of a string that stands in the bytes by its place.
func (r *decoder) string(place uint64) uint64 {
	if place >= uint64(len(r.numbers)) {
		r.fail("a string is missing")
		return 0
	}
	return r.numbers[place]
}

func (r *decoder) cell(arg int) uint64 {
	if r.plan.args[arg].kind == cellString {
		return r.string(r.uint())
	}
	return r.checked(arg, r.word())
}

// checked refuses doubles that no event has.
func (r *decoder) checked(arg int, cell uint64) uint64 {
	if r.plan.args[arg].kind == cellDouble && math.IsNaN(math.Float64frombits(cell)) {
		r.fail("a value is not a number")
		return 0
	}
	return cell
}

func (r *decoder) ring(k *key) {
	p := r.plan
	n := r.uint()
	if n > uint64(r.most) {
		r.fail("there are too many events")
	}
	if n == 0 || r.broken != "" {
		return
	}
	size := int(n) * p.stride
	if cap(k.ring.words) < size {
		r.grown += int64(size-len(k.ring.words)) * 8
		k.ring.words = make([]uint64, size)
	} else {
		k.ring.words = k.ring.words[:cap(k.ring.words)]
	}
	k.ring.head, k.ring.n = 0, int(n)
	if k.ring.packed == nil {
		k.ring.packed = &packed{args: p.args}
	}
	r.columns(k.ring.packed, k.ring.n)
	if r.broken != "" {
		k.ring.packed = nil
		return
	}
	if r.dict.once {
		return // few of the events will be looked at
	}
	last := int64(math.MinInt64)
	for i := range k.ring.n {
		row := k.ring.row(i, p.stride)
		t := int64(row[wordTime])
		if t < last {
			r.fail("events are not in order")
		}
		last = t
	}
	k.ring.packed = nil
	for i := range k.ring.n {
		r.grown += k.ids.add(k.ring.row(i, p.stride)[wordID], &k.ring, p.stride, r.seed)
		if !k.ids.on {
			break // too few for a set
		}
	}
}

// columns finds the columns of n events.
func (r *decoder) columns(to *packed, n int) {
	to.first = uint64(r.int())
	unit := int(r.byte())
	if unit >= len(timeUnits) {
		r.fail("times have no unit")
		unit = 0
	}
	to.unit, to.numbers = timeUnits[unit], r.numbers
	to.columns = to.columns[:0]
	for range r.plan.stride {
		c := packedColumn{width: int(r.byte()), least: r.uint()}
		if c.width > 8 {
			r.fail("words are too wide")
			c.width = 0
		}
		c.data = r.bytes(n * c.width)
		to.columns = append(to.columns, c)
	}
	if cap(to.open) < n {
		to.open = make([]bool, n)
	}
	to.open = to.open[:n]
	clear(to.open)
}

// packed is the events of a ring as they lie in the bytes. An event is opened
// when it is first looked at: a read looks at few of them.
type packed struct {
	args    []arg
	columns []packedColumn // by word
	first   uint64
	unit    uint64
	numbers []uint64 // of strings: there by here
	open    []bool   // by event
}

type packedColumn struct {
	data  []byte
	width int // bytes of a word
	least uint64
}

func (c *packedColumn) at(i int) uint64 {
	x := uint64(0)
	switch b := c.data[i*c.width : (i+1)*c.width]; c.width {
	case 8:
		x = binary.LittleEndian.Uint64(b)
	case 4:
		x = uint64(binary.LittleEndian.Uint32(b))
	case 1:
		x = uint64(b[0])
	default:
		for j := c.width - 1; j >= 0; j-- {
			x = x<<8 | uint64(b[j])
		}
	}
	return c.least + x
}

func (p *packed) time(i int) int64 { return int64(p.first + p.columns[wordTime].at(i)*p.unit) }

// unpack fills the row of an event. A value that no event has is taken as
// none.
func (p *packed) unpack(i int, row []uint64) {
	p.open[i] = true
	for word := range row {
		row[word] = p.columns[word].at(i)
	}
	row[wordTime] = uint64(p.time(i))
	for a := range p.args {
		cell, flag := &row[wordCells+a], uint64(1)<<(32+a)
		if row[wordFlags]&flag == 0 {
			continue
		}
		switch p.args[a].kind {
		case cellDouble:
			if math.IsNaN(math.Float64frombits(*cell)) {
				row[wordFlags] &^= flag
			}
		case cellString:
			if *cell >= uint64(len(p.numbers)) {
				row[wordFlags] &^= flag
				continue
			}
			*cell = p.numbers[*cell]
		}
	}
}

func (r *decoder) extent(k *key, s *span, x *extent) {
	switch {
	case s.idle:
		return
	case s.shape == session:
		x.stale = true
		return
	}
	start := s.start(k.at)
	x.lo, x.tile = min(k.hi, k.ring.before(start, r.plan.stride)), s.tile(start)
	r.partial(&s.layout, &x.partial)
	if s.tiling >= 0 {
		x.stale = len(x.wedges) > 0
		return
	}
	for i := range x.wedges {
		r.wedge(k, &s.layout.extremes[i], x, i)
	}
}

func (r *decoder) wedge(k *key, d *slotDef, x *extent, i int) {
	w := &x.wedges[i]
	w.due = never
	at := uint64(0)
	for range r.size(1) {
		at += r.uint()
		if at < uint64(x.lo) || at >= uint64(k.hi) || !d.of(k.ring.row(int(at), r.plan.stride)) {
			r.fail("an extreme is no event of the window")
			return
		}
		row := k.ring.row(int(at), r.plan.stride)
		w.peaks = append(w.peaks, peak{int64(row[wordTime]), row[wordCells+d.arg]})
	}
}

func (r *decoder) partial(l *layout, x *partial) {
	for i := range x.counts {
		x.counts[i] = r.int()
	}
	for i := range x.sums {
		r.exact(&x.sums[i])
	}
	for i := range x.squares {
		r.exact(&x.squares[i])
	}
	for i := range x.tables {
		r.table(l.tables[i].arg, &x.tables[i])
	}
	for i := range x.sketches {
		at := int64(0)
		for range r.size(2) {
			at += r.int()
			n := r.int()
			if at > lastBucket || at < -lastBucket || n <= 0 || n > math.MaxInt32 {
				r.fail("a bucket is out of range")
				return
			}
			r.grown += x.sketches[i].add(int32(at), n)
		}
	}
}

func (r *decoder) exact(e *exact) {
	head := r.uint()
	n := int(head >> 1)
	if head>>1 > uint64(len(r.data)/8) {
		r.fail("a sum is cut off")
		return
	}
	below := 0.0
	for range n {
		x := math.Float64frombits(r.word())
		a := math.Abs(x)
		// What is below a part is at most half of its last bit.
		if !(a < 0x1p1023) || x == 0 || below > (math.Nextafter(a, math.Inf(1))-a)/2 {
			r.fail("a sum is not one")
			return
		}
		e.put(x)
		below = a
	}
	if head&1 == 0 {
		return
	}
	m := e.excess()
	m.pos, m.neg = r.int(), r.int()
	sign := r.int()
	size := r.size(1)
	if size > 2*wideScale/8+16 {
		r.fail("a sum is too wide")
		return
	}
	m.wide.SetBytes(r.bytes(size))
	if sign < 0 {
		m.wide.Neg(&m.wide)
	}
	e.settle()
}

func (r *decoder) table(arg int, t *table) {
	text := r.plan.args[arg].kind == cellString
	at := uint64(0)
	for range r.size(2) {
		at += r.uint()
		cell, n := at, r.int()
		if text {
			cell = r.string(at)
		}
		if n <= 0 {
			r.fail("a value is counted less than once")
			return
		}
		if r.dict.once {
			t.append(cell, n)
		} else {
			r.grown += t.add(cell, n, r.seed)
		}
	}
}

func (r *decoder) tiles(k *key, at int) {
	d := &r.plan.tilings[at]
	n := r.size(1)
	if d.single() && n > 1 {
		r.fail("there is more than one tile")
		return
	}
	index := int64(0)
	for i := range n {
		before := index
		index += r.int()
		if r.broken != "" || i > 0 && index <= before || d.single() && index != 0 {
			r.fail("tiles are not in order")
			return
		}
		t := tile{partial: newPartial(&d.layout), index: index,
			extremes: make([]best, len(d.layout.extremes)), firsts: make([]best, len(d.layout.firsts))}
		if d.session {
			t.from, t.last = r.int(), r.int()
		}
		r.partial(&d.layout, &t.partial)
		for j := range t.extremes {
			t.extremes[j] = r.best(d.layout.extremes[j].arg)
		}
		for j := range t.firsts {
			t.firsts[j] = r.best(d.layout.firsts[j].arg)
		}
		k.tiles[at] = append(k.tiles[at], t)
		r.grown += tileBytes
	}
}

func (r *decoder) best(arg int) best {
	switch r.byte() {
	case 0:
		return best{}
	case 1:
		return best{time: r.int(), cell: r.cell(arg), ok: true}
	}
	r.fail("a value is neither there nor not")
	return best{}
}
