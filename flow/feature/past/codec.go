package past

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// A row is written as bytes: one bit for each column that has a value, then
// the values one after the other. Numbers and times take eight bytes, dates
// four, a bool one, a text its length and itself. It is read by us alone and
// never outlives the join.

// rowWriter appends rows of some columns of a batch.
type rowWriter struct {
	types  []frame.Type
	arrays []arrow.Array
	words  [][]int64 // of columns of eight bytes, nil of others
}

func newRowWriter(columns []frame.Column) *rowWriter {
	w := &rowWriter{types: make([]frame.Type, len(columns)), words: make([][]int64, len(columns))}
	for i, c := range columns {
		w.types[i] = c.Type
	}
	return w
}

// use takes the columns that the next rows come from.
func (w *rowWriter) use(arrays []arrow.Array) {
	w.arrays = arrays
	for i, a := range arrays {
		switch a := a.(type) {
		case *array.Int64:
			w.words[i] = a.Int64Values()
		case *array.Float64:
			w.words[i] = arrow.Int64Traits.CastFromBytes(arrow.Float64Traits.CastToBytes(a.Float64Values()))
		case *array.Timestamp:
			w.words[i] = arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues()))
		}
	}
}

func (w *rowWriter) append(dst []byte, row int) []byte {
	head := len(dst)
	for range (len(w.arrays) + 7) / 8 {
		dst = append(dst, 0)
	}
	for i, a := range w.arrays {
		if a.IsNull(row) {
			continue
		}
		dst[head+i/8] |= 1 << (i % 8)
		if words := w.words[i]; words != nil {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(words[row]))
			continue
		}
		switch a := a.(type) {
		case *array.String:
			text := a.Value(row)
			dst = binary.AppendUvarint(dst, uint64(len(text)))
			dst = append(dst, text...)
		case *array.Date32:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(a.Value(row)))
		case *array.Boolean:
			bit := byte(0)
			if a.Value(row) {
				bit = 1
			}
			dst = append(dst, bit)
		}
	}
	return dst
}

// rowReader makes columns of rows.
type rowReader struct {
	columns []frame.Column
	schema  *arrow.Schema
	built   []builder
	rows    int
}

// builder is a column that grows. Arrow's own take several times as long.
type builder struct {
	valid   []byte
	nulls   int
	fixed   []byte
	offsets []int32
	text    []byte
}

func newRowReader(columns []frame.Column) *rowReader {
	return &rowReader{columns: columns, schema: frame.SchemaOf(columns), built: make([]builder, len(columns))}
}

// errTorn answers a row that ends too early: the file was changed.
var errTorn = fault.New(fault.Corrupt, "a file of the join is not what was written to it")

// add appends a row; nil is one of NULLs.
func (r *rowReader) add(row []byte) error {
	bits := (len(r.columns) + 7) / 8
	if row != nil && len(row) < bits {
		return errTorn
	}
	var head []byte
	if row != nil {
		head, row = row[:bits], row[bits:]
	}
	for i := range r.columns {
		b := &r.built[i]
		if r.rows%8 == 0 {
			b.valid = append(b.valid, 0)
		}
		has := head != nil && head[i/8]&(1<<(i%8)) != 0
		if has {
			bitutil.SetBit(b.valid, r.rows)
		} else {
			b.nulls++
		}
		var ok bool
		if row, ok = b.value(r.columns[i].Type, row, has, r.rows); !ok {
			return errTorn
		}
	}
	r.rows++
	return nil
}

var zeros [8]byte

// value takes one value off a row; without one it appends what lies under a
// NULL. False means that the row is too short.
func (b *builder) value(t frame.Type, row []byte, has bool, at int) ([]byte, bool) {
	switch t {
	case frame.String:
		if len(b.offsets) == 0 {
			b.offsets = append(b.offsets, 0)
		}
		if has {
			n, used := binary.Uvarint(row)
			if used <= 0 || n > uint64(len(row)-used) {
				return nil, false
			}
			b.text = append(b.text, row[used:used+int(n)]...)
			row = row[used+int(n):]
		}
		b.offsets = append(b.offsets, int32(min(len(b.text), math.MaxInt32)))
		return row, true
	case frame.Bool:
		if at%8 == 0 {
			b.fixed = append(b.fixed, 0)
		}
		if has {
			if len(row) == 0 {
				return nil, false
			}
			bitutil.SetBitTo(b.fixed, at, row[0] == 1)
			row = row[1:]
		}
		return row, true
	}
	width := 8
	if t == frame.Date {
		width = 4
	}
	if !has {
		b.fixed = append(b.fixed, zeros[:width]...)
		return row, true
	}
	if len(row) < width {
		return nil, false
	}
	b.fixed = append(b.fixed, row[:width]...)
	return row[width:], true
}

// take makes a batch of the rows so far, and begins anew. The caller releases
// it.
func (r *rowReader) take() (frame.Batch, error) {
	arrays := make([]arrow.Array, len(r.columns))
	defer func() {
		for _, a := range arrays {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i, c := range r.columns {
		b := &r.built[i]
		if len(b.text) > math.MaxInt32 {
			return nil, fault.New(fault.TooLarge, "the texts of one batch of features are longer than 2 GiB")
		}
		buffers := []*memory.Buffer{memory.NewBufferBytes(b.valid), memory.NewBufferBytes(b.fixed)}
		if c.Type == frame.String {
			if len(b.offsets) == 0 {
				b.offsets = append(b.offsets, 0)
			}
			buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(b.offsets))
			buffers = append(buffers, memory.NewBufferBytes(b.text))
		}
		data := array.NewData(c.Type.Arrow(), r.rows, buffers, nil, b.nulls, 0)
		arrays[i] = array.MakeFromData(data)
		data.Release()
	}
	batch := array.NewRecordBatch(r.schema, arrays, int64(r.rows))
	for i := range r.built { // the next batch is about as large
		b := &r.built[i]
		*b = builder{valid: make([]byte, 0, len(b.valid)), fixed: make([]byte, 0, len(b.fixed)),
			offsets: make([]int32, 0, len(b.offsets)), text: make([]byte, 0, len(b.text))}
	}
	r.rows = 0
	return batch, nil
}

// choose picks the columns of a batch by name, and holds them to their types.
func choose(batch frame.Batch, columns []frame.Column) ([]arrow.Array, error) {
	arrays := make([]arrow.Array, len(columns))
	for i, c := range columns {
		at := frame.Index(batch.Schema(), c.Name)
		if at < 0 {
			return nil, fault.New(fault.Invalid, "column %q is missing", c.Name)
		}
		arrays[i] = batch.Column(at)
		if t, err := frame.TypeOf(arrays[i].DataType()); err != nil || t != c.Type {
			return nil, fault.New(fault.Invalid, "column %q is of type %s, not %s", c.Name, arrays[i].DataType(), c.Type).
				Hint("cast it to the type that it has elsewhere")
		}
	}
	return arrays, nil
}
