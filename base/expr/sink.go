package expr

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// sink gathers the chunks of a result into the buffers of an Arrow array. At a
// NULL the buffers hold zeros, so that equal results have equal bytes.
type sink struct {
	typ     frame.Type
	rows    int
	valid   []byte // bitmap; nil until the first NULL
	nulls   int
	fixed   []byte // values of a fixed width, or offsets of strings
	strings []byte
}

func newSink(t frame.Type, rows int) *sink {
	s := &sink{typ: t, rows: rows}
	switch t {
	case frame.Bool:
		s.fixed = make([]byte, bitutil.BytesForBits(int64(rows)))
	case frame.String:
		s.fixed = make([]byte, 4*(rows+1))
	case frame.Date:
		s.fixed = make([]byte, 4*rows)
	default:
		s.fixed = make([]byte, 8*rows)
	}
	return s
}

// append writes the first n values of v at row lo.
func (s *sink) append(v *vec, lo, n int) error {
	if v.nulls {
		s.markNulls(v, lo, n)
	}
	switch s.typ {
	case frame.Double:
		copy(arrow.Float64Traits.CastFromBytes(s.fixed)[lo:], v.f[:n])
	case frame.Bool:
		for i, b := range v.b[:n] {
			if b && !v.isNull(i) {
				bitutil.SetBit(s.fixed, lo+i)
			}
		}
		return nil
	case frame.String:
		return s.appendStrings(v, lo, n)
	case frame.Date:
		out := arrow.Int32Traits.CastFromBytes(s.fixed)[lo:]
		for i, x := range v.i[:n] {
			out[i] = int32(x)
		}
	default:
		copy(arrow.Int64Traits.CastFromBytes(s.fixed)[lo:], v.i[:n])
	}
	if v.nulls {
		s.zeroNulls(v, lo, n)
	}
	return nil
}

func (s *sink) markNulls(v *vec, lo, n int) {
	for i, ok := range v.valid[:n] {
		if ok {
			continue
		}
		if s.valid == nil {
			s.valid = make([]byte, bitutil.BytesForBits(int64(s.rows)))
			bitutil.SetBitsTo(s.valid, 0, int64(s.rows), true)
		}
		bitutil.ClearBit(s.valid, lo+i)
		s.nulls++
	}
}

func (s *sink) zeroNulls(v *vec, lo, n int) {
	width := 8
	if s.typ == frame.Date {
		width = 4
	}
	for i, ok := range v.valid[:n] {
		if !ok {
			clear(s.fixed[(lo+i)*width : (lo+i+1)*width])
		}
	}
}

func (s *sink) appendStrings(v *vec, lo, n int) error {
	offsets := arrow.Int32Traits.CastFromBytes(s.fixed)[lo+1:]
	for i, x := range v.s[:n] {
		if !v.isNull(i) {
			if len(s.strings)+len(x) > math.MaxInt32 {
				return fault.New(fault.TooLarge, "the strings of one batch are longer than 2 GiB together").
					Hint("evaluate fewer rows at a time")
			}
			s.strings = append(s.strings, x...)
		}
		offsets[i] = int32(len(s.strings))
	}
	return nil
}

func (s *sink) array() arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(s.fixed)}
	if s.valid != nil {
		buffers[0] = memory.NewBufferBytes(s.valid)
	}
	if s.typ == frame.String {
		buffers = append(buffers, memory.NewBufferBytes(s.strings))
	}
	data := array.NewData(s.typ.Arrow(), s.rows, buffers, nil, s.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
