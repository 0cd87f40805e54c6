package ops

import (
	"math"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// Tensor is an array of elements of one type, row-major. Exactly one of the
// slices has its elements, as many as Dims multiply to.
type Tensor struct {
	Type proto.Type
	Dims []int
	F    []float32
	D    []float64
	I    []int64 // integers of all widths
	S    []string
	B    []bool

	// Maps is set on the output of ZipMap: the keys of the maps, one for each
	// column of the tensor, whose rows are the maps' values.
	Maps *Tensor

	own struct { // memory that is used again; the slices above may lie elsewhere
		f []float32
		d []float64
		i []int64
		s []string
		b []bool
	}
}

// element is a type of elements in memory.
type element interface {
	float32 | float64 | int64 | string | bool
}

// number is an element that can be computed with.
type number interface{ float32 | float64 | int64 }

// float is a number with fractions.
type float interface{ float32 | float64 }

// values returns the slice of t that has elements of T.
func values[T element](t *Tensor) *[]T {
	switch any((*T)(nil)).(type) {
	case *float32:
		return any(&t.F).(*[]T)
	case *float64:
		return any(&t.D).(*[]T)
	case *int64:
		return any(&t.I).(*[]T)
	case *string:
		return any(&t.S).(*[]T)
	}
	return any(&t.B).(*[]T)
}

// kind is what a type is in memory.
type kind uint8

const (
	none kind = iota
	floats
	doubles
	integers
	texts
	bools
)

func kindOf(t proto.Type) kind {
	switch t {
	case proto.Float:
		return floats
	case proto.Double:
		return doubles
	case proto.Int64, proto.Int32, proto.Int16, proto.Int8, proto.Uint8, proto.Uint16, proto.Uint32:
		return integers
	case proto.String:
		return texts
	case proto.Bool:
		return bools
	}
	return none
}

// bytes returns how much memory an element takes.
func (k kind) bytes() int {
	switch k {
	case floats:
		return 4
	case doubles, integers:
		return 8
	case texts:
		return 16
	}
	return 1
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Rows returns the first dimension: 1 for a scalar.
func (t *Tensor) Rows() int {
	if len(t.Dims) == 0 {
		return 1
	}
	return t.Dims[0]
}

// Width returns how many elements a row has.
func (t *Tensor) Width() int { return size(t.Dims[min(1, len(t.Dims)):]) }

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// alias makes t a view of another's elements in a new shape.
func (t *Tensor) alias(of *Tensor, dims []int) {
	t.Type, t.Maps = of.Type, of.Maps
	t.Dims = append(t.Dims[:0], dims...)
	t.F, t.D, t.I, t.S, t.B = of.F, of.D, of.I, of.S, of.B
}

// clone returns a copy that shares nothing.
func (t *Tensor) clone() *Tensor {
	c := &Tensor{
		Type: t.Type, Dims: slices.Clone(t.Dims), F: slices.Clone(t.F), D: slices.Clone(t.D),
		I: slices.Clone(t.I), S: slices.Clone(t.S), B: slices.Clone(t.B),
	}
	if t.Maps != nil {
		c.Maps = t.Maps.clone()
	}
	return c
}

// Reshape gives t memory of its own for elements of a type, in a shape; what
// they are is left open. It is for whoever makes the inputs of a Program.
func (t *Tensor) Reshape(typ proto.Type, dims ...int) {
	t.Type, t.Maps = typ, nil
	t.Dims = append(t.Dims[:0], dims...)
	n := size(dims)
	t.F, t.D, t.I, t.S, t.B = nil, nil, nil, nil, nil
	switch kindOf(typ) {
	case floats:
		t.F = grown(&t.own.f, n)
	case doubles:
		t.D = grown(&t.own.d, n)
	case integers:
		t.I = grown(&t.own.i, n)
	case texts:
		t.S = grown(&t.own.s, n)
	case bools:
		t.B = grown(&t.own.b, n)
	}
}

func grown[T any](own *[]T, n int) []T {
	if cap(*own) < n {
		*own = make([]T, n)
	}
	return (*own)[:n]
}

// Constant reads a tensor of a file.
func Constant(c *proto.Tensor) (*Tensor, error) {
	t := &Tensor{Type: c.Type, Dims: make([]int, len(c.Dims))}
	for i, d := range c.Dims {
		t.Dims[i] = int(d)
	}
	switch kindOf(c.Type) {
	case floats:
		t.F = c.Floats()
	case doubles:
		t.D = c.Doubles()
	case integers:
		t.I = c.Ints()
	case texts:
		t.S = c.Texts()
	case bools:
		t.B = make([]bool, 0, c.Len())
		for _, v := range c.Ints() {
			t.B = append(t.B, v != 0)
		}
	default:
		return nil, fault.New(fault.Unsupported, "tensors of %s are not for Leat's own operators", c.Type)
	}
	return t, nil
}

// floatsOf reads any tensor of numbers or bools as float32.
func (r *run) floatsOf(t *Tensor) ([]float32, error) {
	if kindOf(t.Type) == floats {
		return t.F, nil
	}
	out, err := scratch(r, &r.spare, proto.Float, t.Dims)
	if err != nil {
		return nil, err
	}
	switch kindOf(t.Type) {
	case doubles:
		for i, v := range t.D {
			out.F[i] = float32(v)
		}
	case integers:
		for i, v := range t.I {
			out.F[i] = float32(v)
		}
	case bools:
		for i, v := range t.B {
			out.F[i] = 0
			if v {
				out.F[i] = 1
			}
		}
	default:
		return nil, fault.New(fault.Invalid, "a tensor of %s has no numbers", t.Type)
	}
	return out.F, nil
}

// axisOf makes an axis that may count from the end one that does not.
func axisOf(axis int64, rank int) (int, error) {
	if axis < 0 {
		axis += int64(rank)
	}
	if axis < 0 || axis >= int64(rank) {
		return 0, fault.New(fault.Invalid, "the axis %d is none of %d dimensions", axis, rank)
	}
	return int(axis), nil
}

// multiplied is size with a check: a shape that no memory holds is -1.
func multiplied(dims []int) int {
	n := 1
	for _, d := range dims {
		if d < 0 || (d > 0 && n > math.MaxInt32/d) {
			return -1
		}
		n *= d
	}
	return n
}
