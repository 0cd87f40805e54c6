package ops

import (
	"math"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// reduction folds the elements that become one. It starts from the first
// value or from begin, adds in double, and ends with finish.
type reduction struct {
	begin  float64
	add    func(sum, x float64) float64
	finish func(sum float64, n int) float64
}

func plus(sum, x float64) float64 { return sum + x }

func square(sum, x float64) float64 { return sum + x*x }

func reduceSum() reduction { return reduction{add: plus} }

func reduceMean() reduction {
	return reduction{add: plus, finish: func(sum float64, n int) float64 { return sum / float64(n) }}
}

func reduceL1() reduction {
	return reduction{add: func(sum, x float64) float64 { return sum + math.Abs(x) }}
}

func reduceL2() reduction {
	return reduction{add: square, finish: func(sum float64, _ int) float64 { return math.Sqrt(sum) }}
}

func reduceSumSquare() reduction { return reduction{add: square} }

func reduceProd() reduction {
	return reduction{begin: 1, add: func(sum, x float64) float64 { return sum * x }}
}

func reduceMax() reduction {
	return reduction{begin: math.Inf(-1), add: func(sum, x float64) float64 { return max(sum, x) }}
}

func reduceMin() reduction {
	return reduction{begin: math.Inf(1), add: func(sum, x float64) float64 { return min(sum, x) }}
}

func reduceLogSum() reduction {
	return reduction{add: plus, finish: func(sum float64, _ int) float64 { return math.Log(sum) }}
}

// reduceLogSumExp sums around the largest, so that nothing overflows: reduce
// takes it off before and adds it again.
func reduceLogSumExp() reduction {
	return reduction{
		add:    func(sum, x float64) float64 { return sum + math.Exp(x) },
		finish: func(sum float64, _ int) float64 { return math.Log(sum) },
	}
}

// reduce builds an operator over axes that are an attribute, and an input
// since a version.
func reduce(of func() reduction, exponential bool) func(*node) (kernel, error) {
	return func(n *node) (kernel, error) {
		axes, keep, noop := n.setting("axes", 1), n.int("keepdims", 1) != 0, n.int("noop_with_empty_axes", 0) != 0
		how := of()
		return func(r *run, in, out []*Tensor) error {
			along, err := axes(in)
			if err != nil {
				return err
			}
			p, err := planReduce(in[0].Dims, along, keep, len(along) == 0 && !noop)
			if err != nil {
				return err
			}
			return r.reduce(in[0], out[0], p, how, exponential)
		}, nil
	}
}

// folding is the plan of a reduction: the result's shape, and the dimensions
// and strides of what stays and of what goes.
type folding struct {
	dims                  []int
	kept, keptMoves       []int
	reduced, reducedMoves []int
}

func planReduce(dims []int, axes []int64, keep, all bool) (folding, error) {
	var p folding
	goes := make([]bool, len(dims))
	for _, axis := range axes {
		at, err := axisOf(axis, len(dims))
		if err != nil {
			return p, err
		}
		goes[at] = true
	}
	moves := strides(dims)
	for i, d := range dims {
		if !all && !goes[i] {
			p.dims = append(p.dims, d)
			p.kept, p.keptMoves = append(p.kept, d), append(p.keptMoves, moves[i])
			continue
		}
		if keep {
			p.dims = append(p.dims, 1)
		}
		p.reduced, p.reducedMoves = append(p.reduced, d), append(p.reducedMoves, moves[i])
	}
	return p, nil
}

func (r *run) reduce(in, out *Tensor, p folding, how reduction, exponential bool) error {
	if err := r.make(out, in.Type, p.dims); err != nil {
		return err
	}
	switch kindOf(in.Type) {
	case floats:
		return fold[float32](r, in, out, p, how, exponential)
	case doubles:
		return fold[float64](r, in, out, p, how, exponential)
	case integers:
		return fold[int64](r, in, out, p, how, exponential)
	}
	if kindOf(in.Type) == bools && math.IsInf(how.begin, 0) {
		return foldBools(r, in, out, p, how.begin < 0)
	}
	return invalid("%s cannot be reduced", in.Type)
}

// foldBools tells whether any of the truths holds, which is their maximum, or
// all do, which is their minimum.
func foldBools(r *run, in, out *Tensor, p folding, most bool) error {
	if err := r.spend(size(p.reduced), size(p.kept)); err != nil {
		return err
	}
	walk(p.kept, p.keptMoves, func(i, start int) {
		out.B[i] = !most
		walk(p.reduced, p.reducedMoves, func(_, offset int) {
			if in.B[start+offset] == most {
				out.B[i] = most
			}
		})
	})
	return nil
}

func fold[T number](r *run, in, out *Tensor, p folding, how reduction, exponential bool) error {
	n := size(p.reduced)
	if err := r.spend(n, size(p.kept)); err != nil {
		return err
	}
	offsets, err := r.places(n)
	if err != nil {
		return err
	}
	walk(p.reduced, p.reducedMoves, func(i, offset int) { offsets[i] = offset })
	from, to := *values[T](in), *values[T](out)
	walk(p.kept, p.keptMoves, func(i, start int) {
		sum, shift := how.begin, 0.0
		if exponential {
			if shift = largest(from, start, offsets); math.IsInf(shift, 0) {
				shift = 0
			}
		}
		for _, offset := range offsets {
			sum = how.add(sum, float64(from[start+offset])-shift)
		}
		if how.finish != nil {
			sum = how.finish(sum, n)
		}
		to[i] = T(sum + shift)
	})
	return nil
}

func largest[T number](from []T, start int, offsets []int) float64 {
	top := math.Inf(-1)
	for _, offset := range offsets {
		top = max(top, float64(from[start+offset]))
	}
	return top
}

// lines is a tensor seen along one axis: outer×inner lines of n elements that
// lie inner apart.
type lines struct{ outer, n, inner int }

func linesOf(dims []int, axis int) lines {
	return lines{size(dims[:axis]), dims[axis], size(dims[axis+1:])}
}

// each calls f with the first element of each line, in order.
func (l lines) each(f func(line, first int)) {
	for o := range l.outer {
		for i := range l.inner {
			f(o*l.inner+i, o*l.n*l.inner+i)
		}
	}
}

func buildArg(smallest bool) func(*node) (kernel, error) {
	return func(n *node) (kernel, error) {
		axis, keep, last := n.int("axis", 0), n.int("keepdims", 1) != 0, n.int("select_last_index", 0) != 0
		return func(r *run, in, out []*Tensor) error {
			at, err := axisOf(axis, len(in[0].Dims))
			if err != nil {
				return err
			}
			var dims []int
			dims = append(dims, in[0].Dims[:at]...)
			if keep {
				dims = append(dims, 1)
			}
			dims = append(dims, in[0].Dims[at+1:]...)
			if in[0].Dims[at] == 0 {
				return invalid("nothing to choose from")
			}
			if err := r.make(out[0], proto.Int64, dims); err != nil {
				return err
			}
			l := linesOf(in[0].Dims, at)
			switch kindOf(in[0].Type) {
			case floats:
				best(in[0].F, out[0].I, l, smallest, last)
			case doubles:
				best(in[0].D, out[0].I, l, smallest, last)
			case integers:
				best(in[0].I, out[0].I, l, smallest, last)
			default:
				return invalid("%s has no order", in[0].Type)
			}
			return nil
		}, nil
	}
}

func best[T number](from []T, to []int64, l lines, smallest, last bool) {
	l.each(func(line, first int) {
		at, top := 0, from[first]
		for k := 1; k < l.n; k++ {
			v := from[first+k*l.inner]
			if v == top && last || !smallest && v > top || smallest && v < top {
				at, top = k, v
			}
		}
		to[line] = int64(at)
	})
}

func buildTopK(n *node) (kernel, error) {
	counts, axis := n.setting("k", 1), n.int("axis", -1)
	if n.version < 10 {
		k := n.int("k", 0)
		n.mistake = nil
		counts = func([]*Tensor) ([]int64, error) { return []int64{k}, nil }
	}
	smallest := n.int("largest", 1) == 0
	return func(r *run, in, out []*Tensor) error {
		at, err := axisOf(axis, len(in[0].Dims))
		if err != nil {
			return err
		}
		k, err := counts(in)
		if err != nil {
			return err
		}
		if len(k) != 1 || k[0] < 0 || k[0] > int64(in[0].Dims[at]) {
			return invalid("the best %d of %d", k, in[0].Dims[at])
		}
		dims := append([]int(nil), in[0].Dims...)
		dims[at] = int(k[0])
		l := linesOf(in[0].Dims, at)
		index := &r.spare
		if len(out) > 1 {
			index = out[1]
		}
		if err := r.make(index, proto.Int64, dims); err != nil {
			return err
		}
		if err := r.make(out[0], in[0].Type, dims); err != nil {
			return err
		}
		if err := r.spend(l.outer*l.inner, l.n, 8); err != nil {
			return err
		}
		switch kindOf(in[0].Type) {
		case floats:
			topK(in[0].F, out[0].F, index.I, l, int(k[0]), smallest)
		case doubles:
			topK(in[0].D, out[0].D, index.I, l, int(k[0]), smallest)
		case integers:
			topK(in[0].I, out[0].I, index.I, l, int(k[0]), smallest)
		default:
			return invalid("%s has no order", in[0].Type)
		}
		return nil
	}, nil
}

// topK keeps a heap of the best of each line, the worst on top, and then sorts
// it; of equals the first stands first.
func topK[T number](from, to []T, index []int64, l lines, k int, smallest bool) {
	heap := make([]int, 0, k)
	l.each(func(_, first int) {
		worse := func(a, b int) bool { // a is to stand behind b
			x, y := from[first+a*l.inner], from[first+b*l.inner]
			if x == y {
				return a > b
			}
			return x < y != smallest
		}
		heap = heap[:0]
		for i := range l.n {
			if len(heap) < k {
				heap = append(heap, i)
				rise(heap, worse)
			} else if k > 0 && worse(heap[0], i) {
				heap[0] = i
				sink(heap, worse)
			}
		}
		start := first/(l.n*l.inner)*k*l.inner + first%l.inner
		for j := len(heap) - 1; j >= 0; j-- {
			to[start+j*l.inner], index[start+j*l.inner] = from[first+heap[0]*l.inner], int64(heap[0])
			heap[0] = heap[j]
			heap = heap[:j]
			sink(heap, worse)
		}
	})
}

func rise(heap []int, worse func(a, b int) bool) {
	for i := len(heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !worse(heap[i], heap[up]) {
			return
		}
		heap[i], heap[up] = heap[up], heap[i]
		i = up
	}
}

func sink(heap []int, worse func(a, b int) bool) {
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(heap) {
			return
		}
		if down+1 < len(heap) && worse(heap[down+1], heap[down]) {
			down++
		}
		if !worse(heap[down], heap[i]) {
			return
		}
		heap[i], heap[down] = heap[down], heap[i]
		i = down
	}
}

// buildSoftmax works along an axis; before version 13 along all dimensions
// from the axis on.
func buildSoftmax(logarithm bool) func(*node) (kernel, error) {
	return func(n *node) (kernel, error) {
		otherwise := int64(-1)
		if n.version < 13 {
			otherwise = 1
		}
		axis := n.int("axis", otherwise)
		return func(r *run, in, out []*Tensor) error {
			at, err := axisOf(axis, len(in[0].Dims))
			if err != nil {
				return err
			}
			l := linesOf(in[0].Dims, at)
			if n.version < 13 {
				l = lines{l.outer, l.n * l.inner, 1}
			}
			if err := r.make(out[0], in[0].Type, in[0].Dims); err != nil {
				return err
			}
			switch kindOf(in[0].Type) {
			case floats:
				softmax(in[0].F, out[0].F, l, logarithm)
			case doubles:
				softmax(in[0].D, out[0].D, l, logarithm)
			default:
				return invalid("a softmax of %s", in[0].Type)
			}
			return nil
		}, nil
	}
}

func softmax[T float](from, to []T, l lines, logarithm bool) {
	l.each(func(_, first int) {
		top, sum := math.Inf(-1), 0.0
		for k := range l.n {
			top = max(top, float64(from[first+k*l.inner]))
		}
		for k := range l.n {
			sum += math.Exp(float64(from[first+k*l.inner]) - top)
		}
		for k := range l.n {
			x := float64(from[first+k*l.inner]) - top
			if logarithm {
				to[first+k*l.inner] = T(x - math.Log(sum))
			} else {
				to[first+k*l.inner] = T(math.Exp(x) / sum)
			}
		}
	})
}

func buildCumSum(n *node) (kernel, error) {
	without, backwards := n.int("exclusive", 0) != 0, n.int("reverse", 0) != 0
	return func(r *run, in, out []*Tensor) error {
		axis, err := integersOf(in[1])
		if err != nil {
			return err
		}
		if len(axis) != 1 {
			return invalid("one axis is wanted")
		}
		at, err := axisOf(axis[0], len(in[0].Dims))
		if err != nil {
			return err
		}
		if err := r.make(out[0], in[0].Type, in[0].Dims); err != nil {
			return err
		}
		l := linesOf(in[0].Dims, at)
		switch kindOf(in[0].Type) {
		case floats:
			cumulate(in[0].F, out[0].F, l, without, backwards)
		case doubles:
			cumulate(in[0].D, out[0].D, l, without, backwards)
		case integers:
			cumulate(in[0].I, out[0].I, l, without, backwards)
		default:
			return invalid("a sum of %s", in[0].Type)
		}
		return nil
	}, nil
}

func cumulate[T number](from, to []T, l lines, without, backwards bool) {
	l.each(func(_, first int) {
		var sum T
		for k := range l.n {
			at := first + k*l.inner
			if backwards {
				at = first + (l.n-1-k)*l.inner
			}
			if without {
				to[at] = sum
			}
			sum += from[at]
			if !without {
				to[at] = sum
			}
		}
	})
}
