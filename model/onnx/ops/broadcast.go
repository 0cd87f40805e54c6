package ops

import (
	"github.com/leat-ai/leat/model/onnx/proto"
)

// broadcast is the plan of an operator that works element by element on two
// tensors whose shapes are stretched to a common one: the shape, and how far
// each input moves for a step in each dimension.
type broadcast struct {
	dims   []int // of the result
	a, b   []int // strides, 0 where a dimension is stretched
	inner  int   // how many dimensions one run of elements spans
	length int   // of a run
	sa, sb int   // strides within a run, 0 or 1
}

// stretch plans for two shapes.
func stretch(a, b []int) (broadcast, error) {
	rank := max(len(a), len(b))
	p := broadcast{dims: make([]int, rank), a: make([]int, rank), b: make([]int, rank)}
	na, nb := 1, 1
	for i := rank - 1; i >= 0; i-- {
		da, db := dimension(a, i-rank+len(a)), dimension(b, i-rank+len(b))
		if da != db && da != 1 && db != 1 {
			return p, invalid("the shapes %d and %d do not fit each other", a, b)
		}
		p.dims[i] = da
		if da == 1 {
			p.dims[i] = db
		}
		if da != 1 {
			p.a[i] = na
		}
		if db != 1 {
			p.b[i] = nb
		}
		na, nb = na*da, nb*db
	}
	p.run()
	return p, nil
}

func dimension(dims []int, i int) int {
	if i < 0 {
		return 1
	}
	return dims[i]
}

// run joins the last dimensions, as long as both inputs move through them
// evenly, to one run of elements.
func (p *broadcast) run() {
	p.length = 1
	for i := len(p.dims) - 1; i >= 0; i-- {
		d := p.dims[i]
		if d != 1 {
			sa, sb := min(p.a[i], 1), min(p.b[i], 1)
			if p.length == 1 {
				p.sa, p.sb = sa, sb
			} else if p.a[i] != p.sa*p.length || p.b[i] != p.sb*p.length {
				return
			}
			p.length *= d
		}
		p.inner++
	}
}

// each calls f for each run with the places where it begins.
func (p *broadcast) each(f func(out, a, b int)) {
	outer := len(p.dims) - p.inner
	n := size(p.dims[:outer])
	if n == 0 || p.length == 0 {
		return
	}
	at := make([]int, outer)
	ia, ib := 0, 0
	for i := range n {
		f(i*p.length, ia, ib)
		for d := outer - 1; d >= 0; d-- {
			at[d]++
			ia, ib = ia+p.a[d], ib+p.b[d]
			if at[d] < p.dims[d] {
				break
			}
			ia, ib = ia-at[d]*p.a[d], ib-at[d]*p.b[d]
			at[d] = 0
		}
	}
}

// pairwise computes f over runs of two tensors of one type.
func pairwise[T, R element](r *run, a, b, out *Tensor, typ proto.Type, f func(out []R, a, b []T, sa, sb int)) error {
	p, err := stretch(a.Dims, b.Dims)
	if err != nil {
		return err
	}
	if err := r.make(out, typ, p.dims); err != nil {
		return err
	}
	x, y, z := *values[T](a), *values[T](b), *values[R](out)
	p.each(func(o, i, j int) { f(z[o:o+p.length], x[i:], y[j:], p.sa, p.sb) })
	return nil
}

// strides returns how far elements of neighbouring indices lie apart.
func strides(dims []int) []int {
	s := make([]int, len(dims))
	n := 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i], n = n, n*dims[i]
	}
	return s
}
