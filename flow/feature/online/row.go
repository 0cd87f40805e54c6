package online

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Cell is one value.
type Cell struct {
	Bits uint64 // of a double; an int, a timestamp in microseconds, a date in days, a bool as 0 or 1
	Text []byte // of a string; not to be changed
	OK   bool   // false: NULL
}

// Double is the value of a double.
func (c *Cell) Double() float64 { return math.Float64frombits(c.Bits) }

// Int is the value of an int, a timestamp or a date.
func (c *Cell) Int() int64 { return int64(c.Bits) }

// Bool is the value of a bool.
func (c *Cell) Bool() bool { return c.Bits != 0 }

// cellOf is a value of an array.
func cellOf(a arrow.Array, row int) Cell {
	if a.IsNull(row) {
		return Cell{}
	}
	switch a := a.(type) {
	case *array.Float64:
		return Cell{Bits: math.Float64bits(a.Value(row)), OK: true}
	case *array.Int64:
		return Cell{Bits: uint64(a.Value(row)), OK: true}
	case *array.Timestamp:
		return Cell{Bits: uint64(a.Value(row)), OK: true}
	case *array.Date32:
		return Cell{Bits: uint64(int64(a.Value(row))), OK: true}
	case *array.Boolean:
		if a.Value(row) {
			return Cell{Bits: 1, OK: true}
		}
		return Cell{OK: true}
	case *array.String:
		return Cell{Text: []byte(a.Value(row)), OK: true}
	}
	return Cell{}
}

// addTo adds the value to a column of its type.
func (c *Cell) addTo(cells *frame.Cells) error {
	if !c.OK {
		cells.Null()
		return nil
	}
	switch cells.Type() {
	case frame.Double:
		cells.Double(c.Double())
	case frame.Bool:
		cells.Bool(c.Bool())
	case frame.String:
		if !cells.Text(c.Text) {
			return fault.New(fault.TooLarge, "the texts of one feature are longer than 2 GiB").Hint("ask for fewer entities at a time")
		}
	default:
		cells.Int(c.Int())
	}
	return nil
}

// A row in the store is one byte of its form, a bit for each value that is not
// NULL, eight bytes for each value, and the texts. The eight bytes of a text
// are where it begins behind them and how long it is. So any value is read
// without those before it.

const rowForm = 1

type layout struct {
	types []frame.Type
	fixed int // bytes before the texts
}

func newLayout(features []frame.Column) layout {
	l := layout{fixed: 1 + (len(features)+7)/8 + 8*len(features)}
	for _, f := range features {
		l.types = append(l.types, f.Type)
	}
	return l
}

// append writes a row of a batch that has the features in their order.
func (l *layout) append(b []byte, batch frame.Batch, row int) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, l.fixed)...)
	b[start] = rowForm
	words := start + l.fixed - 8*len(l.types)
	for i, t := range l.types {
		c := cellOf(batch.Column(i), row)
		if !c.OK {
			continue
		}
		b[start+1+i/8] |= 1 << (i % 8)
		if t == frame.String {
			c.Bits = uint64(len(b)-start-l.fixed)<<32 | uint64(len(c.Text))
			b = append(b, c.Text...)
		}
		binary.LittleEndian.PutUint64(b[words+8*i:], c.Bits)
		if len(b)-start > math.MaxInt32 {
			return b, fault.New(fault.TooLarge, "the features of one entity are longer than 2 GiB")
		}
	}
	return b, nil
}

// cells reads the values at some positions, all when at is nil, into cells.
func (l *layout) cells(stored []byte, at []int, cells []Cell) error {
	if len(stored) < l.fixed || stored[0] != rowForm {
		return damaged()
	}
	texts := stored[l.fixed:]
	words := stored[l.fixed-8*len(l.types) : l.fixed]
	for k := range cells {
		i := k
		if at != nil {
			i = at[k]
		}
		if stored[1+i/8]&(1<<(i%8)) == 0 {
			cells[k] = Cell{}
			continue
		}
		bits := binary.LittleEndian.Uint64(words[8*i:])
		if l.types[i] != frame.String {
			cells[k] = Cell{Bits: bits, OK: true}
			continue
		}
		from, n := bits>>32, bits&math.MaxUint32
		if from+n > uint64(len(texts)) {
			return damaged()
		}
		cells[k] = Cell{Text: texts[from : from+n : from+n], OK: true}
	}
	return nil
}

// damaged is a row that no View wrote.
func damaged() error {
	return fault.New(fault.Corrupt, "features in the online store are not what was stored").
		Hint("materialise the view again, in full")
}
