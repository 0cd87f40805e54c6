package window

import (
	"math"
	"strings"
)

// engine is what the entities of a state share.
type engine struct {
	encoder encoder
	plan    *Plan
	dict    dict
	seed    uint64
	most    int                      // events of one entity
	grown   int64                    // bytes that were taken since somebody looked
	order   []func(a, b uint64) bool // of the cells of each argument
	back    []func(a, b uint64) bool // the same backwards
}

func newEngine(p *Plan, most int) *engine {
	e := &engine{plan: p, most: most, seed: p.seed, order: make([]func(a, b uint64) bool, len(p.args)), back: make([]func(a, b uint64) bool, len(p.args))}
	for i, a := range p.args {
		order := e.orderOf(a.kind)
		e.order[i] = order
		e.back[i] = func(a, b uint64) bool { return order(b, a) }
	}
	return e
}

// orderOf is the order of cells of a kind, that of SQL.
func (e *engine) orderOf(k cellKind) func(a, b uint64) bool {
	switch k {
	case cellDouble:
		return func(a, b uint64) bool { return math.Float64frombits(a) < math.Float64frombits(b) }
	case cellString:
		return func(a, b uint64) bool { return a != b && e.dict.text(a) < e.dict.text(b) }
	}
	return func(a, b uint64) bool { return int64(a) < int64(b) }
}

// best is one value of one event.
type best struct {
	time int64
	cell uint64
	ok   bool
}

// partial is the partial aggregates of a set of events, by the slots of a
// layout.
type partial struct {
	counts   []int64
	sums     []exact
	squares  []exact
	tables   []table
	sketches []sketch
}

// layoutSize is how many partial aggregates of each sort there are.
type layoutSize struct {
	counts, sums, squares, tables, sketches int
}

func (n *layoutSize) add(l *layout) {
	n.counts += len(l.counts)
	n.sums += len(l.sums)
	n.squares += len(l.squares)
	n.tables += len(l.tables)
	n.sketches += len(l.sketches)
}

func (n *layoutSize) partial() partial {
	return partial{
		counts:   make([]int64, n.counts),
		sums:     make([]exact, n.sums),
		squares:  make([]exact, n.squares),
		tables:   make([]table, n.tables),
		sketches: make([]sketch, n.sketches),
	}
}

func newPartial(l *layout) partial {
	var n layoutSize
	n.add(l)
	return n.partial()
}

func (p *partial) reset() {
	clear(p.counts)
	clear(p.sums)
	clear(p.squares)
	for i := range p.tables {
		p.tables[i].reset()
	}
	for i := range p.sketches {
		p.sketches[i].reset()
	}
}

// apply adds an event, or takes it away where sign is -1.
func (e *engine) apply(l *layout, p *partial, row []uint64, sign int64) {
	flags := row[wordFlags]
	for i := range l.counts {
		if need := l.counts[i].need; flags&need == need {
			p.counts[i] += sign
		}
	}
	for i := range l.sums {
		if d := &l.sums[i]; flags&d.need == d.need {
			p.sums[i].cell(e.plan.args[d.arg].kind, row[wordCells+d.arg], sign)
		}
	}
	for i := range l.squares {
		if d := &l.squares[i]; flags&d.need == d.need {
			p.squares[i].addSquare(math.Float64frombits(row[wordCells+d.arg]), float64(sign))
		}
	}
	for i := range l.tables {
		if d := &l.tables[i]; flags&d.need == d.need {
			e.grown += p.tables[i].add(row[wordCells+d.arg], sign, e.seed)
		}
	}
	for i := range l.sketches {
		if d := &l.sketches[i]; flags&d.need == d.need {
			e.grown += p.sketches[i].add(bucketOf(math.Float64frombits(row[wordCells+d.arg])), sign)
		}
	}
}

// cell adds the number of a cell, or takes it away.
func (e *exact) cell(k cellKind, cell uint64, sign int64) {
	switch v := int64(cell); {
	case k == cellDouble && sign > 0:
		e.add(math.Float64frombits(cell))
	case k == cellDouble:
		e.take(math.Float64frombits(cell))
	case v > -1<<53 && v < 1<<53:
		e.grow(float64(sign) * float64(v))
	default: // in two halves, each of which a double holds
		e.grow(float64(sign) * float64(v>>32<<32))
		e.grow(float64(sign) * float64(v&(1<<32-1)))
	}
}

// merge adds the events of a tile to those of a span, or takes them away.
func (e *engine) merge(s *span, p, tile *partial, sign int64) {
	for i, t := range s.tiled[kindCounts] {
		p.counts[i] += sign * tile.counts[t]
	}
	for i, t := range s.tiled[kindSums] {
		p.sums[i].merge(&tile.sums[t], float64(sign))
	}
	for i, t := range s.tiled[kindSquares] {
		p.squares[i].merge(&tile.squares[t], float64(sign))
	}
	for i, t := range s.tiled[kindTables] {
		e.grown += p.tables[i].merge(&tile.tables[t], sign, e.seed)
	}
	for i, t := range s.tiled[kindSketches] {
		e.grown += p.sketches[i].merge(&tile.sketches[t], sign)
	}
}

// dict numbers the strings that are kept. Numbers are reused once nothing
// refers to them any more.
type dict struct {
	texts   []string
	numbers map[string]uint64
	free    []uint64
	bytes   int64 // of the texts
	once    bool  // no string is looked up: each is given one number and dropped
}

// stringBytes is about what a string takes besides its text.
const stringBytes = 64

func (d *dict) number(text string) uint64 {
	if n, ok := d.numbers[text]; ok {
		return n
	}
	if d.numbers == nil {
		d.numbers = make(map[string]uint64)
	}
	text = strings.Clone(text) // not the batch it lies in
	n := uint64(len(d.texts))
	if last := len(d.free) - 1; last >= 0 {
		n, d.free = d.free[last], d.free[:last]
		d.texts[n] = text
	} else {
		d.texts = append(d.texts, text)
	}
	d.numbers[text] = n
	d.bytes += int64(len(text)) + stringBytes
	return n
}

// numberOf is number of a string among those of bytes that are read.
func (d *dict) numberOf(text string) uint64 {
	if d.once {
		d.texts = append(d.texts, text)
		return uint64(len(d.texts) - 1)
	}
	return d.number(text)
}

func (d *dict) text(number uint64) string { return d.texts[number] }

// keep forgets the strings that are not in use.
func (d *dict) keep(used []bool) {
	d.free = d.free[:0]
	for n, text := range d.texts {
		if used[n] {
			continue
		}
		if at, there := d.numbers[text]; there && at == uint64(n) {
			delete(d.numbers, text)
			d.bytes -= int64(len(text)) + stringBytes
		}
		d.texts[n] = ""
		d.free = append(d.free, uint64(n))
	}
}

func (d *dict) reset() {
	clear(d.numbers)
	clear(d.texts)
	d.texts, d.free, d.bytes = d.texts[:0], d.free[:0], 0
}
