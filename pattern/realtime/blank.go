package realtime

import (
	"math"
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
)

// Blank is rows of a path that a translator fills column by column, for
// protocols that carry values and not JSON. Every value is to be set; then Rows
// makes a batch of them. A single row uses memory that another request had, as
// Read does. It is for one goroutine.
type Blank struct {
	layout  *Layout
	rows    int
	single  *single // nil: columns has everything
	columns []plainColumn
	words   [][]string // by column, of those that are text
	flags   [][]bool   // by column of a single row
}

// Blank returns n rows of a path to fill. Release it, or the Rows made of it.
func (s *Service) Blank(path *decide.Path, n int) *Blank { return s.layout(path).Blank(n) }

// Blank returns n rows to fill. Release it, or the Rows made of it.
func (l *Layout) Blank(n int) *Blank {
	b := &Blank{layout: l, rows: n}
	if n == 1 {
		b.single, _ = b.layout.singles.Get().(*single)
	}
	if b.single == nil {
		b.columns = make([]plainColumn, len(b.layout.inputs))
	}
	return b
}

// Doubles returns the values of a column of doubles, to set. NaN is NULL.
func (b *Blank) Doubles(column int) []float64 {
	if b.single != nil {
		return b.single.floats[column]
	}
	c := &b.columns[column]
	if c.floats == nil {
		c.floats = make([]float64, b.rows)
	}
	return c.floats
}

// Ints returns the values of a column of ints, of times in microseconds or of
// dates in days, to set.
func (b *Blank) Ints(column int) []int64 {
	if b.single != nil {
		return b.single.ints[column]
	}
	c := &b.columns[column]
	if c.ints == nil {
		c.ints = make([]int64, b.rows)
	}
	return c.ints
}

// Bools returns the values of a column of bools, to set.
func (b *Blank) Bools(column int) []bool {
	if b.single == nil {
		c := &b.columns[column]
		if c.bools == nil {
			c.bools = make([]bool, b.rows)
		}
		return c.bools
	}
	if b.flags == nil {
		b.flags = make([][]bool, len(b.layout.inputs))
	}
	if b.flags[column] == nil {
		b.flags[column] = make([]bool, 1)
	}
	return b.flags[column]
}

// Strings returns the values of a column of strings, to set; they are UTF-8.
func (b *Blank) Strings(column int) []string {
	if b.words == nil {
		b.words = make([][]string, len(b.layout.inputs))
	}
	if b.words[column] == nil {
		b.words[column] = make([]string, b.rows)
	}
	return b.words[column]
}

// Null says that a value is not known.
func (b *Blank) Null(column, row int) {
	b.general()
	c := &b.columns[column]
	if c.valid == nil {
		c.valid = make([]bool, b.rows)
		for i := range c.valid {
			c.valid[i] = true
		}
	}
	c.valid[row] = false
}

// general moves a single row, which cannot have a NULL, to memory of its own.
func (b *Blank) general() {
	if b.single == nil {
		return
	}
	b.columns = make([]plainColumn, len(b.layout.inputs))
	for i := range b.columns {
		c := &b.columns[i]
		c.floats = append(c.floats, b.single.floats[i]...)
		c.ints = append(c.ints, b.single.ints[i]...)
		if b.flags != nil {
			c.bools = b.flags[i]
		}
	}
	b.Release()
}

// Rows makes a batch of what was filled, which takes the Blank's place.
func (b *Blank) Rows() Rows {
	if b.single != nil && !b.holes() {
		return b.one()
	}
	b.general()
	p := plainReader{layout: b.layout, rows: b.rows, columns: b.columns}
	for i := range p.columns {
		b.complete(i, &p.columns[i])
	}
	return Rows{Batch: p.batch()}
}

// holes tells whether a single row has a number that is not known.
func (b *Blank) holes() bool {
	for _, f := range b.single.floats {
		if len(f) == 1 && math.IsNaN(f[0]) {
			return true
		}
	}
	return false
}

func (b *Blank) one() Rows {
	s := b.single
	for i, flag := range b.flags {
		if len(flag) == 1 {
			s.bools[i][0] = 0
			if flag[0] {
				s.bools[i][0] = 1
			}
		}
	}
	for _, i := range s.texts {
		s.arrays[i] = oneString([]byte(b.Strings(i)[0]))
	}
	b.single = nil
	return s.rows(b.layout)
}

// complete makes a column what plainColumn.data wants it to be.
func (b *Blank) complete(i int, c *plainColumn) {
	c.n = b.rows
	switch b.layout.inputs[i].Type {
	case frame.Double:
		for row, v := range b.Doubles(i) {
			if math.IsNaN(v) {
				b.Null(i, row)
			}
		}
	case frame.Bool:
		b.Bools(i)
	case frame.String:
		c.ends = make([]int32, 0, b.rows)
		for _, text := range b.Strings(i) {
			c.bytes = append(c.bytes, text...)
			c.ends = append(c.ends, int32(len(c.bytes)))
		}
	default:
		b.Ints(i)
	}
}

// Release gives back what was not made Rows of. It is safe to call twice.
func (b *Blank) Release() {
	if b.single != nil {
		b.layout.singles.Put(b.single)
		b.single = nil
	}
}

// ParseTime reads a time or a date as the JSON of rows has it, as what
// Blank.Ints wants of a column of a type.
func ParseTime(text string, t frame.Type) (int64, bool) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		if at, err = time.Parse(time.DateOnly, text); err != nil {
			return 0, false
		}
	}
	if t == frame.Date {
		return at.Unix() / 86400, true
	}
	return at.UnixMicro(), true
}
