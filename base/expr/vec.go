package expr

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"

	"github.com/leat-ai/leat/base/frame"
)

// vec is a run of values of one type: what kernels read and write. One of the
// four slices is used: i for int, timestamp and date. What stands at a NULL is
// arbitrary, so a kernel may compute on it but not follow it anywhere.
type vec struct {
	i     []int64
	f     []float64
	b     []bool
	s     []string
	valid []bool // false: NULL; arbitrary unless nulls
	nulls bool   // some value may be NULL
}

func ints(v *vec) []int64      { return v.i }
func doubles(v *vec) []float64 { return v.f }
func bools(v *vec) []bool      { return v.b }
func texts(v *vec) []string    { return v.s }

// newVec makes room for n values of a type.
func newVec(t frame.Type, n int) vec {
	v := vec{valid: make([]bool, n)}
	switch t {
	case frame.Double:
		v.f = make([]float64, n)
	case frame.Bool:
		v.b = make([]bool, n)
	case frame.String:
		v.s = make([]string, n)
	default:
		v.i = make([]int64, n)
	}
	return v
}

// null makes value i of n NULL.
func (v *vec) null(i, n int) {
	if !v.nulls {
		v.nulls = true
		fill(v.valid[:n], true)
	}
	v.valid[i] = false
}

func (v *vec) isNull(i int) bool { return v.nulls && !v.valid[i] }

// strict makes NULL every value that is NULL in one of the inputs, and tells
// whether there is any.
func (v *vec) strict(n int, in []*vec) bool {
	v.nulls = false
	for _, x := range in {
		switch {
		case !x.nulls:
		case !v.nulls:
			v.nulls = true
			copy(v.valid[:n], x.valid[:n])
		default:
			for i, ok := range x.valid[:n] {
				v.valid[i] = v.valid[i] && ok
			}
		}
	}
	return v.nulls
}

// set fills the first n values with one value.
func (v *vec) set(x Value, n int) {
	v.nulls = !x.Valid
	if v.nulls {
		fill(v.valid[:n], false)
	}
	switch x.Type {
	case frame.Double:
		fill(v.f[:n], x.F)
	case frame.Bool:
		fill(v.b[:n], x.B)
	case frame.String:
		fill(v.s[:n], x.S)
	default:
		fill(v.i[:n], x.I)
	}
}

// value reads value i as one of a type.
func (v *vec) value(i int, t frame.Type) Value {
	if v.isNull(i) {
		return Null(t)
	}
	x := Value{Type: t, Valid: true}
	switch t {
	case frame.Double:
		x.F = v.f[i]
	case frame.Bool:
		x.B = v.b[i]
	case frame.String:
		x.S = v.s[i]
	default:
		x.I = v.i[i]
	}
	return x
}

func fill[T any](s []T, x T) {
	for i := range s {
		s[i] = x
	}
}

// load points the vec at rows lo to lo+n of a column, or copies them where
// Arrow keeps them in another form. It reports whether the column is of the
// type.
func (v *vec) load(col arrow.Array, t frame.Type, lo, n int) bool {
	switch c := col.(type) {
	case *array.Float64:
		v.f = c.Float64Values()[lo : lo+n]
		v.loadValid(col, lo, n)
		v.dropNaN(n)
		return t == frame.Double
	case *array.Int64:
		v.i = c.Int64Values()[lo : lo+n]
		v.loadValid(col, lo, n)
		return t == frame.Int
	case *array.String:
		for i := range n {
			v.s[i] = c.Value(lo + i)
		}
		v.loadValid(col, lo, n)
		return t == frame.String
	case *array.Boolean:
		for i := range n {
			v.b[i] = c.Value(lo + i)
		}
		v.loadValid(col, lo, n)
		return t == frame.Bool
	case *array.Timestamp:
		for i, x := range c.TimestampValues()[lo : lo+n] {
			v.i[i] = int64(x)
		}
		v.loadValid(col, lo, n)
		return t == frame.Timestamp
	case *array.Date32:
		for i, x := range c.Date32Values()[lo : lo+n] {
			v.i[i] = int64(x)
		}
		v.loadValid(col, lo, n)
		return t == frame.Date
	}
	return false
}

func (v *vec) loadValid(col arrow.Array, lo, n int) {
	v.nulls = false
	if col.NullN() == 0 {
		return
	}
	bitmap, at := col.NullBitmapBytes(), col.Data().Offset()+lo
	for i := range n {
		v.valid[i] = bitutil.BitIsSet(bitmap, at+i)
	}
	v.nulls = true
}

func (v *vec) dropNaN(n int) {
	for i, x := range v.f[:n] {
		if x != x {
			v.null(i, n)
		}
	}
}
