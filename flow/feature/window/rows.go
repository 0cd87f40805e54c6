package window

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Rows gathers values row by row, one for each output of a plan, and gives
// them as columns. It is for one goroutine.
type Rows struct {
	plan    *Plan
	columns []column // of the aggregates, in the order of the outputs
	rows    int
}

// column is the values of one aggregate so far.
type column struct {
	output int
	typ    frame.Type
	words  []uint64 // of all types but strings
	ends   []int32
	text   []byte
	null   []bool
}

// NewRows makes Rows of a plan with room for some rows.
func (p *Plan) NewRows(capacity int) *Rows {
	r := &Rows{plan: p}
	for i, o := range p.outputs {
		if o.program == nil {
			r.columns = append(r.columns, column{output: i, typ: o.typ})
		}
	}
	for i := range r.columns {
		r.columns[i].grow(capacity)
	}
	return r
}

func (c *column) grow(capacity int) {
	c.null = make([]bool, 0, capacity)
	if c.typ == frame.String {
		c.ends = make([]int32, 0, capacity)
		return
	}
	c.words = make([]uint64, 0, capacity)
}

// reserve makes room for some rows before the first one.
func (r *Rows) reserve(rows int) {
	for i := range r.columns {
		if cap(r.columns[i].null) < rows {
			r.columns[i].grow(rows)
		}
	}
}

// drop forgets all rows.
func (r *Rows) drop() {
	for i := range r.columns {
		c := &r.columns[i]
		c.words, c.ends, c.text, c.null = c.words[:0], c.ends[:0], c.text[:0], c.null[:0]
	}
	r.rows = 0
}

// Len is how many rows there are.
func (r *Rows) Len() int { return r.rows }

// None appends the values of an entity without events.
func (r *Rows) None() {
	for i := range r.columns {
		c := &r.columns[i]
		switch r.plan.outputs[c.output].op {
		case spec.OpCount, spec.OpDistinct:
			c.word(0)
		default:
			c.missing()
		}
	}
	r.rows++
}

// Null appends a row without values.
func (r *Rows) Null() {
	for i := range r.columns {
		r.columns[i].missing()
	}
	r.rows++
}

func (c *column) word(w uint64) {
	c.words = append(c.words, w)
	c.null = append(c.null, false)
}

func (c *column) int(v int64) { c.word(uint64(v)) }

// double appends a number; NaN is none.
func (c *column) double(v float64) {
	if math.IsNaN(v) {
		c.missing()
		return
	}
	c.word(math.Float64bits(v))
}

func (c *column) missing() {
	c.null = append(c.null, true)
	if c.typ == frame.String {
		c.ends = append(c.ends, int32(len(c.text)))
		return
	}
	c.words = append(c.words, 0)
}

// cell appends the value of a cell.
func (c *column) cell(e *engine, cell uint64) {
	if c.typ != frame.String {
		c.word(cell)
		return
	}
	c.text = append(c.text, e.dict.text(cell)...)
	c.ends = append(c.ends, int32(len(c.text)))
	c.null = append(c.null, false)
}

// Take gives the columns of the rows, one for each output, and begins anew.
// The caller releases them.
func (r *Rows) Take() ([]arrow.Array, error) {
	rows := r.rows
	aggregates := make([]arrow.Array, len(r.columns))
	for i := range r.columns {
		aggregates[i] = r.columns[i].array()
		r.columns[i].text = nil
		r.columns[i].grow(rows)
	}
	r.rows = 0
	out := make([]arrow.Array, len(r.plan.outputs))
	next := 0
	for i := range r.plan.outputs {
		o := &r.plan.outputs[i]
		if o.program == nil {
			out[i] = aggregates[next]
			next++
			continue
		}
		values, err := o.program.EvalColumns(aggregates, rows)
		if err != nil {
			for _, a := range append(aggregates[next:], out[:i]...) {
				a.Release()
			}
			return nil, fault.Wrap(err, fault.KindOf(err), "feature %q", o.name)
		}
		out[i] = values
	}
	return out, nil
}

func (c *column) array() arrow.Array {
	rows := len(c.null)
	var valid *memory.Buffer
	nulls := 0
	for _, null := range c.null {
		if null {
			nulls++
		}
	}
	if nulls > 0 {
		bits := make([]byte, bitutil.BytesForBits(int64(rows)))
		for i, null := range c.null {
			if !null {
				bitutil.SetBit(bits, i)
			}
		}
		valid = memory.NewBufferBytes(bits)
	}
	data := array.NewData(c.typ.Arrow(), rows, append([]*memory.Buffer{valid}, c.buffers()...), nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func (c *column) buffers() []*memory.Buffer {
	switch c.typ {
	case frame.String:
		ends := append([]int32{0}, c.ends...)
		return []*memory.Buffer{memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(ends)), memory.NewBufferBytes(c.text)}
	case frame.Bool:
		bits := make([]byte, bitutil.BytesForBits(int64(len(c.words))))
		for i, w := range c.words {
			if w != 0 {
				bitutil.SetBit(bits, i)
			}
		}
		return []*memory.Buffer{memory.NewBufferBytes(bits)}
	case frame.Date:
		days := make([]int32, len(c.words))
		for i, w := range c.words {
			days[i] = int32(w)
		}
		return []*memory.Buffer{memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(days))}
	}
	return []*memory.Buffer{memory.NewBufferBytes(arrow.Uint64Traits.CastToBytes(c.words))}
}

// read appends the values of an entity as of a time.
func (e *engine) read(k *key, at int64, r *Rows) {
	e.seek(k, at)
	for i := range e.plan.spans {
		if k.spans[i].stale {
			e.fresh(k, &e.plan.spans[i], &k.spans[i])
		}
	}
	for i := range r.columns {
		c := &r.columns[i]
		e.output(k, &e.plan.outputs[c.output], c)
	}
	r.rows++
}

// output appends the value of one aggregate.
func (e *engine) output(k *key, o *output, c *column) {
	s, x := &e.plan.spans[o.span], &k.spans[o.span]
	absent := s.shape == session && !s.present(x, k.at)
	switch {
	case absent && (o.op == spec.OpCount || o.op == spec.OpDistinct):
		c.word(0)
		return
	case absent:
		c.missing()
		return
	}
	switch o.op {
	case spec.OpCount:
		c.int(x.counts[o.count])
	case spec.OpDistinct:
		c.int(int64(x.tables[o.other].n))
	case spec.OpQuantile:
		if v, ok := x.sketches[o.other].quantile(o.q); ok {
			c.double(v)
		} else {
			c.missing()
		}
	case spec.OpMin, spec.OpMax:
		cell, ok := x.wedges[o.other].top()
		c.maybe(e, cell, ok)
	case spec.OpFirst:
		cell, ok := e.first(k, s, x, o.other)
		c.maybe(e, cell, ok)
	case spec.OpLast:
		cell, ok := e.last(k, s, x, o.other)
		c.maybe(e, cell, ok)
	default:
		e.sum(o, x, c)
	}
}

func (c *column) maybe(e *engine, cell uint64, ok bool) {
	if ok {
		c.cell(e, cell)
	} else {
		c.missing()
	}
}

// sum appends a sum, a mean or a deviation.
func (e *engine) sum(o *output, x *extent, c *column) {
	n, sum := x.counts[o.count], &x.sums[o.sum]
	switch {
	case n <= 0:
		c.missing()
	case o.op == spec.OpAvg:
		c.double(sum.value() / float64(n))
	case o.op == spec.OpStddev:
		c.double(deviation(n, sum, &x.squares[o.squares]))
	case o.typ == frame.Int:
		if v, ok := sum.integer(); ok {
			c.int(v)
		} else {
			c.missing()
		}
	default:
		c.double(sum.value())
	}
}

// first is the value of the earliest event of a span that has one.
func (e *engine) first(k *key, s *span, x *extent, slot int) (cell uint64, ok bool) {
	if s.tiling >= 0 {
		tiles := k.tiles[s.tiling]
		at := s.tiled[kindFirsts][slot]
		from := tileAt(tiles, x.tile)
		if s.shape == session {
			from = len(tiles) - int(x.tile)
		}
		for i := from; i < len(tiles); i++ {
			if b := tiles[i].firsts[at]; b.ok {
				return b.cell, true
			}
		}
	}
	d := &s.layout.firsts[slot]
	for i := x.lo; i < k.hi; i++ {
		if row := k.ring.row(i, e.plan.stride); d.of(row) {
			return row[wordCells+d.arg], true
		}
	}
	return 0, false
}

// last is the value of the latest event of a span that has one.
func (e *engine) last(k *key, s *span, x *extent, slot int) (cell uint64, ok bool) {
	d := &e.plan.lasts[slot]
	start, from := s.start(k.at), 0
	if s.shape == session {
		from = x.lo
	}
	for i := k.hi - 1; i >= from; i-- {
		row := k.ring.row(i, e.plan.stride)
		if int64(row[wordTime]) < start {
			return 0, false
		}
		if d.of(row) {
			return row[wordCells+d.arg], true
		}
	}
	b := k.lasts[slot]
	if s.shape == session {
		if x.tile == 0 {
			return 0, false
		}
		start = k.tiles[s.tiling][0].from
	}
	return b.cell, b.ok && b.time >= start
}
