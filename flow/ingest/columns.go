package ingest

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
)

// column gathers the values of one column. Unlike Arrow's builders it can
// drop its last values, which is what a row that turns out bad in its tenth
// cell asks of the first nine; unlike them it is read as an Arrow array
// without a copy.
type column struct {
	typ     frame.Type
	numbers []int64   // of int, timestamp, date; 0 and 1 of bool
	doubles []float64 // of double
	bytes   []byte    // of string
	ends    []int32   // of string: where each value ends
	valid   []bool
	nulls   int
}

func (c *column) missing() {
	switch c.typ {
	case frame.Double:
		c.doubles = append(c.doubles, 0)
	case frame.String:
		c.ends = append(c.ends, int32(len(c.bytes)))
	default:
		c.numbers = append(c.numbers, 0)
	}
	c.valid = append(c.valid, false)
	c.nulls++
}

func (c *column) number(v int64) {
	c.numbers = append(c.numbers, v)
	c.valid = append(c.valid, true)
}

func (c *column) double(v float64) {
	c.doubles = append(c.doubles, v)
	c.valid = append(c.valid, true)
}

func (c *column) text(v []byte) {
	c.bytes = append(c.bytes, v...)
	c.ends = append(c.ends, int32(len(c.bytes)))
	c.valid = append(c.valid, true)
}

// truncate keeps the first n values.
func (c *column) truncate(n int) {
	for i := n; i < len(c.valid); i++ {
		if !c.valid[i] {
			c.nulls--
		}
	}
	if len(c.valid) <= n {
		return
	}
	c.valid = c.valid[:n]
	switch c.typ {
	case frame.Double:
		c.doubles = c.doubles[:n]
	case frame.String:
		c.ends = c.ends[:n]
		c.bytes = c.bytes[:c.end(n)]
	default:
		c.numbers = c.numbers[:n]
	}
}

// end is where the first n texts end.
func (c *column) end(n int) int32 {
	if n == 0 {
		return 0
	}
	return c.ends[n-1]
}

// array returns the values as an Arrow array, which takes over the memory.
func (c *column) array() arrow.Array {
	var values *memory.Buffer
	buffers := []*memory.Buffer{c.validity()}
	switch c.typ {
	case frame.String:
		offsets := make([]int32, 1, len(c.ends)+1)
		offsets = append(offsets, c.ends...)
		buffers = append(buffers, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)))
		values = memory.NewBufferBytes(c.bytes)
	case frame.Double:
		values = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(c.doubles))
	case frame.Bool:
		bits := make([]byte, bitutil.BytesForBits(int64(len(c.numbers))))
		for i, v := range c.numbers {
			bitutil.SetBitTo(bits, i, v != 0)
		}
		values = memory.NewBufferBytes(bits)
	case frame.Date:
		days := make([]int32, len(c.numbers))
		for i, v := range c.numbers {
			days[i] = int32(v)
		}
		values = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(days))
	default:
		values = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.numbers))
	}
	data := array.NewData(c.typ.Arrow(), len(c.valid), append(buffers, values), nil, c.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func (c *column) validity() *memory.Buffer {
	if c.nulls == 0 {
		return nil
	}
	bits := make([]byte, bitutil.BytesForBits(int64(len(c.valid))))
	for i, ok := range c.valid {
		bitutil.SetBitTo(bits, i, ok)
	}
	return memory.NewBufferBytes(bits)
}

// rows gathers whole rows.
type rows struct {
	columns []column
	n       int
}

func newRows(columns []frame.Column, capacity int) *rows {
	r := &rows{columns: make([]column, len(columns))}
	for i, c := range columns {
		r.columns[i] = column{typ: c.Type, valid: make([]bool, 0, capacity)}
		switch c.Type {
		case frame.Double:
			r.columns[i].doubles = make([]float64, 0, capacity)
		case frame.String:
			r.columns[i].ends = make([]int32, 0, capacity)
		default:
			r.columns[i].numbers = make([]int64, 0, capacity)
		}
	}
	return r
}

// keep ends a row whose cells are all there.
func (r *rows) keep() { r.n++ }

// drop throws away the cells of a row that was begun.
func (r *rows) drop() {
	for i := range r.columns {
		r.columns[i].truncate(r.n)
	}
}

func (r *rows) batch(schema *arrow.Schema) frame.Batch {
	arrays := make([]arrow.Array, len(r.columns))
	for i := range r.columns {
		arrays[i] = r.columns[i].array()
		defer arrays[i].Release()
	}
	return array.NewRecordBatch(schema, arrays, int64(r.n))
}
