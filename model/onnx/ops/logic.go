package ops

import (
	"math"

	"github.com/leat-ai/leat/model/onnx/proto"
)

func equal[T element](out []bool, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] == b[i*sb]
	}
}

func less[T number](out []bool, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] < b[i*sb]
	}
}

func lessOrEqual[T number](out []bool, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] <= b[i*sb]
	}
}

func both(out, a, b []bool, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] && b[i*sb]
	}
}

func either(out, a, b []bool, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] || b[i*sb]
	}
}

func one(out, a, b []bool, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] != b[i*sb]
	}
}

func buildEqual(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		a, b := in[0], in[1]
		if a.Type != b.Type {
			return invalid("%s and %s are not of one type", a.Type, b.Type)
		}
		switch kindOf(a.Type) {
		case floats:
			return pairwise(r, a, b, out[0], proto.Bool, equal[float32])
		case doubles:
			return pairwise(r, a, b, out[0], proto.Bool, equal[float64])
		case integers:
			return pairwise(r, a, b, out[0], proto.Bool, equal[int64])
		case texts:
			return pairwise(r, a, b, out[0], proto.Bool, equal[string])
		}
		return pairwise(r, a, b, out[0], proto.Bool, equal[bool])
	}, nil
}

// compare builds an order of numbers; turned swaps the sides.
func compare(f run2[float32, bool], d run2[float64, bool], i run2[int64, bool], turned bool) func(*node) (kernel, error) {
	return func(*node) (kernel, error) {
		return func(r *run, in, out []*Tensor) error {
			a, b := in[0], in[1]
			if turned {
				a, b = b, a
			}
			if a.Type != b.Type {
				return invalid("%s and %s are not of one type", a.Type, b.Type)
			}
			switch kindOf(a.Type) {
			case floats:
				return pairwise(r, a, b, out[0], proto.Bool, f)
			case doubles:
				return pairwise(r, a, b, out[0], proto.Bool, d)
			case integers:
				return pairwise(r, a, b, out[0], proto.Bool, i)
			}
			return invalid("%s has no order", a.Type)
		}, nil
	}
}

func logical(f run2[bool, bool]) func(*node) (kernel, error) {
	return func(*node) (kernel, error) {
		return func(r *run, in, out []*Tensor) error {
			if in[0].Type != proto.Bool || in[1].Type != proto.Bool {
				return invalid("%s and %s are not truths", in[0].Type, in[1].Type)
			}
			return pairwise(r, in[0], in[1], out[0], proto.Bool, f)
		}, nil
	}
}

func buildNot(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		if in[0].Type != proto.Bool {
			return invalid("%s is not a truth", in[0].Type)
		}
		if err := r.make(out[0], proto.Bool, in[0].Dims); err != nil {
			return err
		}
		for i, v := range in[0].B {
			out[0].B[i] = !v
		}
		return nil
	}, nil
}

// test builds an operator that asks something of each number.
func test(build func(*node) func(float64) bool) func(*node) (kernel, error) {
	return func(n *node) (kernel, error) {
		f := build(n)
		return func(r *run, in, out []*Tensor) error {
			if err := r.make(out[0], proto.Bool, in[0].Dims); err != nil {
				return err
			}
			switch kindOf(in[0].Type) {
			case floats:
				for i, v := range in[0].F {
					out[0].B[i] = f(float64(v))
				}
			case doubles:
				for i, v := range in[0].D {
					out[0].B[i] = f(v)
				}
			default:
				return invalid("the operator does not take %s", in[0].Type)
			}
			return nil
		}, nil
	}
}

func isNaN(*node) func(float64) bool { return math.IsNaN }

func isInf(n *node) func(float64) bool {
	up, down := n.int("detect_positive", 1) != 0, n.int("detect_negative", 1) != 0
	return func(x float64) bool { return up && math.IsInf(x, 1) || down && math.IsInf(x, -1) }
}

func buildWhere(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		if in[0].Type != proto.Bool || in[1].Type != in[2].Type {
			return invalid("%s chooses between %s and %s", in[0].Type, in[1].Type, in[2].Type)
		}
		switch kindOf(in[1].Type) {
		case floats:
			return choose[float32](r, in, out[0])
		case doubles:
			return choose[float64](r, in, out[0])
		case integers:
			return choose[int64](r, in, out[0])
		case texts:
			return choose[string](r, in, out[0])
		}
		return choose[bool](r, in, out[0])
	}, nil
}

// choose stretches both choices to the common shape, and then chooses.
func choose[T element](r *run, in []*Tensor, out *Tensor) error {
	all, err := stretch(in[1].Dims, in[2].Dims)
	if err != nil {
		return err
	}
	p, err := stretch(in[0].Dims, all.dims)
	if err != nil {
		return err
	}
	if err := r.make(out, in[1].Type, p.dims); err != nil {
		return err
	}
	truth, x, y, z := in[0].B, *values[T](in[1]), *values[T](in[2]), *values[T](out)
	one, err := stretch(in[1].Dims, p.dims)
	if err != nil {
		return err
	}
	two, err := stretch(in[2].Dims, p.dims)
	if err != nil {
		return err
	}
	other, err := scratch(r, &r.spare, in[2].Type, p.dims)
	if err != nil {
		return err
	}
	w := *values[T](other)
	one.each(func(o, i, _ int) { spread(z[o:o+one.length], x[i:], one.sa) })
	two.each(func(o, i, _ int) { spread(w[o:o+two.length], y[i:], two.sa) })
	p.each(func(o, i, _ int) {
		for k := range p.length {
			if !truth[i+k*p.sa] {
				z[o+k] = w[o+k]
			}
		}
	})
	return nil
}

func spread[T element](out, from []T, stride int) {
	for i := range out {
		out[i] = from[i*stride]
	}
}
