package window

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// feed is a batch of events with all expressions evaluated, as columns of what
// rows of a ring are made of.
type feed struct {
	rows  int
	keys  []arrow.Array
	times []int64
	none  []bool // the event has no time
	flags []uint64
	cells [][]uint64      // by argument
	texts []*array.String // by argument, of strings
	row   []uint64        // the one that was asked for last
	owned []arrow.Array
}

// read evaluates a batch, which must live as long as the feed is used.
func (f *feed) read(p *Plan, batch frame.Batch) error {
	columns, err := p.pick(batch)
	if err != nil {
		return err
	}
	f.release()
	f.rows = int(batch.NumRows())
	f.keys = columns[:len(p.keys)]
	f.time(columns[len(p.keys)])
	f.flags = resized(f.flags, f.rows)
	if f.cells == nil {
		f.cells, f.texts = make([][]uint64, len(p.args)), make([]*array.String, len(p.args))
		f.row = make([]uint64, p.stride)
	}
	for i := range p.filters {
		if err := f.filter(p, i, columns); err != nil {
			return err
		}
	}
	for i := range p.args {
		if err := f.arg(p, i, columns); err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) release() {
	for _, a := range f.owned {
		a.Release()
	}
	f.owned = f.owned[:0]
}

func resized(words []uint64, n int) []uint64 {
	if cap(words) < n {
		return make([]uint64, n)
	}
	words = words[:n]
	clear(words)
	return words
}

// pick finds the columns of Reads in a batch: at their own places, which is
// where they mostly are, or by name.
func (p *Plan) pick(batch frame.Batch) ([]arrow.Array, error) {
	columns := make([]arrow.Array, len(p.reads))
	for i, c := range p.reads {
		at := i
		if i >= int(batch.NumCols()) || batch.ColumnName(i) != c.Name {
			at = frame.Index(batch.Schema(), c.Name)
		}
		if at < 0 {
			return nil, fault.New(fault.Invalid, "the events have no column %q, which feature view %q reads", c.Name, p.view.Name)
		}
		columns[i] = batch.Column(at)
		if t, err := frame.TypeOf(columns[i].DataType()); err != nil || t != c.Type {
			return nil, fault.New(fault.Invalid, "the column %q of the events is of type %s, and feature view %q reads it as %s",
				c.Name, columns[i].DataType(), p.view.Name, c.Type)
		}
	}
	return columns, nil
}

const dayMicros = 86_400_000_000

func (f *feed) time(col arrow.Array) {
	if cap(f.times) < f.rows {
		f.times, f.none = make([]int64, f.rows), make([]bool, f.rows)
	}
	f.times, f.none = f.times[:f.rows], f.none[:f.rows]
	switch c := col.(type) {
	case *array.Timestamp:
		for i, v := range c.TimestampValues() {
			f.times[i] = int64(v)
		}
	case *array.Date32:
		for i, v := range c.Date32Values() {
			f.times[i] = int64(v) * dayMicros
		}
	}
	for i := range f.none {
		f.none[i] = col.IsNull(i)
	}
}

func (f *feed) filter(p *Plan, at int, columns []arrow.Array) error {
	if p.filters[at].program == nil {
		for i := range f.flags {
			f.flags[i] |= 1 << at
		}
		return nil
	}
	values, err := p.filters[at].program.EvalColumns(columns, f.rows)
	if err != nil {
		return fault.Wrap(err, fault.KindOf(err), "filter %s of feature view %q", p.filters[at].source, p.view.Name)
	}
	defer values.Release()
	passes := values.(*array.Boolean)
	for i := range f.flags {
		if passes.IsValid(i) && passes.Value(i) {
			f.flags[i] |= 1 << at
		}
	}
	return nil
}

func (f *feed) arg(p *Plan, at int, columns []arrow.Array) error {
	a := &p.args[at]
	var values arrow.Array
	if a.column >= 0 {
		values = columns[a.column]
	} else {
		var err error
		if values, err = a.program.EvalColumns(columns, f.rows); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "%s of feature view %q", a.source, p.view.Name)
		}
		f.owned = append(f.owned, values)
	}
	f.cells[at] = resized(f.cells[at], f.rows)
	cells := f.cells[at]
	switch v := values.(type) {
	case *array.String:
		f.texts[at] = v
	case *array.Float64:
		for i, x := range v.Float64Values() {
			cells[i] = math.Float64bits(x + 0) // a negative zero becomes zero
		}
	case *array.Int64:
		for i, x := range v.Int64Values() {
			cells[i] = number(x, a.kind)
		}
	case *array.Timestamp:
		for i, x := range v.TimestampValues() {
			cells[i] = uint64(x)
		}
	case *array.Date32:
		for i, x := range v.Date32Values() {
			cells[i] = uint64(int64(x))
		}
	case *array.Boolean:
		for i := range cells {
			if v.Value(i) {
				cells[i] = number(1, a.kind)
			}
		}
	}
	double := a.typ == frame.Double
	for i := range cells {
		if values.IsValid(i) && !(double && math.IsNaN(math.Float64frombits(cells[i]))) {
			f.flags[i] |= 1 << (32 + at)
		} else {
			cells[i] = 0
		}
	}
	return nil
}

// number is a whole number as a cell of a kind.
func number(x int64, k cellKind) uint64 {
	if k == cellDouble {
		return math.Float64bits(float64(x))
	}
	return uint64(x)
}

// event is the i-th row as a ring holds it.
func (f *feed) event(e *engine, i int, id uint64) []uint64 {
	row := f.row
	row[wordTime], row[wordFlags], row[wordID] = uint64(f.times[i]), f.flags[i], id
	for a := range f.cells {
		row[wordCells+a] = f.cells[a][i]
		if t := f.texts[a]; t != nil && f.flags[i]>>(32+a)&1 != 0 {
			row[wordCells+a] = e.dict.number(t.Value(i))
		}
	}
	return row
}

// idOf is the number of an event id; 0 of none.
func idOf(ids []string, i int) uint64 {
	if ids == nil || ids[i] == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(ids[i]))
	return max(1, binary.LittleEndian.Uint64(sum[:]))
}
