package ops

import (
	"slices"

	"github.com/leat-ai/leat/model/onnx/proto"
)

func buildMatMul(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		p, err := planMatMul(in[0].Dims, in[1].Dims)
		if err != nil {
			return err
		}
		if in[0].Type != in[1].Type {
			return invalid("%s and %s are not of one type", in[0].Type, in[1].Type)
		}
		if err := r.make(out[0], in[0].Type, p.dims); err != nil {
			return err
		}
		if err := r.spend(size(p.batch.dims), p.m, p.k, p.n); err != nil {
			return err
		}
		switch kindOf(in[0].Type) {
		case floats:
			multiply(in[0].F, in[1].F, out[0].F, p)
		case doubles:
			multiply(in[0].D, in[1].D, out[0].D, p)
		case integers:
			multiply(in[0].I, in[1].I, out[0].I, p)
			wrap(out[0])
		default:
			return invalid("a product of %s", in[0].Type)
		}
		return nil
	}, nil
}

// product is the plan of a product of matrices m×k and k×n, one for each
// element of a batch.
type product struct {
	dims    []int
	m, k, n int
	batch   broadcast
}

func planMatMul(a, b []int) (product, error) {
	var p product
	if len(a) == 0 || len(b) == 0 {
		return p, invalid("a product of scalars")
	}
	row, column := len(a) == 1, len(b) == 1
	if row {
		a = []int{1, a[0]}
	}
	if column {
		b = []int{b[0], 1}
	}
	p.m, p.k, p.n = a[len(a)-2], a[len(a)-1], b[len(b)-1]
	if b[len(b)-2] != p.k {
		return p, invalid("matrices of the shapes %d and %d do not fit each other", a, b)
	}
	var err error
	if p.batch, err = stretch(a[:len(a)-2], b[:len(b)-2]); err != nil {
		return p, err
	}
	p.dims = slices.Clone(p.batch.dims)
	if !row {
		p.dims = append(p.dims, p.m)
	}
	if !column {
		p.dims = append(p.dims, p.n)
	}
	return p, nil
}

func multiply[T number](a, b, out []T, p product) {
	p.batch.each(func(o, i, j int) {
		for at := range p.batch.length {
			x := a[(i+at*p.batch.sa)*p.m*p.k:]
			y := b[(j+at*p.batch.sb)*p.k*p.n:]
			z := out[(o+at)*p.m*p.n:]
			for row := range p.m {
				addRow(z[row*p.n:(row+1)*p.n], x[row*p.k:(row+1)*p.k], y, true)
			}
		}
	})
}

// addRow adds the product of a row and a matrix of as many rows to out, or
// replaces it. The sum of an element is taken in the order of the row, so that
// it does not depend on how many rows there are.
func addRow[T number](out, row, matrix []T, replace bool) {
	if replace {
		clear(out)
	}
	n := len(out)
	if n == 1 { // a dot product
		sum := out[0]
		for k, x := range row {
			sum += x * matrix[k]
		}
		out[0] = sum
		return
	}
	for k, x := range row {
		line := matrix[k*n : k*n+n]
		for i := range out {
			out[i] += x * line[i]
		}
	}
}

func buildGemm(n *node) (kernel, error) {
	alpha, beta := n.float("alpha", 1), n.float("beta", 1)
	turnA, turnB := n.int("transA", 0) != 0, n.int("transB", 0) != 0
	return func(r *run, in, out []*Tensor) error {
		if in[0].Type != in[1].Type || len(in[0].Dims) != 2 || len(in[1].Dims) != 2 {
			return invalid("two matrices of one type are wanted, not %s%d and %s%d", in[0].Type, in[0].Dims, in[1].Type, in[1].Dims)
		}
		a, b := in[0], in[1]
		var err error
		if turnA {
			if a, err = r.turned(a, &r.turns[0]); err != nil {
				return err
			}
		}
		if turnB {
			if b, err = r.turned(b, &r.turns[1]); err != nil {
				return err
			}
		}
		p, err := planMatMul(a.Dims, b.Dims)
		if err != nil {
			return err
		}
		if err := r.make(out[0], a.Type, p.dims); err != nil {
			return err
		}
		if err := r.spend(p.m, p.k, p.n); err != nil {
			return err
		}
		var bias *Tensor
		if len(in) > 2 {
			bias = in[2]
		}
		if bias != nil && bias.Type != a.Type {
			return invalid("%s and %s are not of one type", a.Type, bias.Type)
		}
		switch kindOf(a.Type) {
		case floats:
			return gemm(a.F, b.F, bias, out[0], p, alpha, beta)
		case doubles:
			return gemm(a.D, b.D, bias, out[0], p, float64(alpha), float64(beta))
		case integers:
			return gemm(a.I, b.I, bias, out[0], p, int64(alpha), int64(beta))
		}
		return invalid("a product of %s", a.Type)
	}, nil
}

func gemm[T number](a, b []T, bias, out *Tensor, p product, alpha, beta T) error {
	to := *values[T](out)
	multiply(a, b, to, p)
	if alpha != 1 {
		for i := range to {
			to[i] *= alpha
		}
	}
	if bias == nil {
		return nil
	}
	fit, err := stretch(out.Dims, bias.Dims)
	if err != nil || multiplied(fit.dims) != len(to) {
		return invalid("a bias of the shape %d for %d", bias.Dims, out.Dims)
	}
	from := *values[T](bias)
	fit.each(func(o, _, j int) {
		for k := range fit.length {
			to[o+k] += beta * from[j+k*fit.sb]
		}
	})
	return nil
}

// turned returns a matrix with rows and columns exchanged.
func (r *run) turned(t, into *Tensor) (*Tensor, error) {
	return into, r.strided(t, into, []int{t.Dims[1], t.Dims[0]}, []int{1, t.Dims[1]}, 0)
}

// cast converts a tensor to another type.
func (r *run) cast(in, out *Tensor, to proto.Type) error {
	if in.Type == to {
		out.alias(in, in.Dims)
		return nil
	}
	if err := r.make(out, to, in.Dims); err != nil {
		return err
	}
	switch kindOf(in.Type) {
	case floats:
		return convert(in.F, out, floatText[float32])
	case doubles:
		return convert(in.D, out, floatText[float64])
	case integers:
		return convertInts(in.I, out)
	case texts:
		return parse(in.S, out)
	case bools:
		return convertBools(in.B, out)
	}
	return unsupported("a cast from %s", in.Type)
}

func buildCast(n *node) (kernel, error) {
	to := proto.Type(n.int("to", 0))
	if a := n.attribute("to", proto.OneInt); a == nil || kindOf(to) == none {
		return nil, unsupported("a cast to %s", to)
	}
	return func(r *run, in, out []*Tensor) error { return r.cast(in[0], out[0], to) }, nil
}
