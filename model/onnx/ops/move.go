package ops

import (
	"slices"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// take makes an output of blocks of an input: block i of the output is block
// at[i] of the input, each of so many elements.
func (r *run) take(in, out *Tensor, dims []int, at []int, block int) error {
	if err := r.make(out, in.Type, dims); err != nil {
		return err
	}
	switch kindOf(in.Type) {
	case floats:
		blocks(out.F, in.F, at, block)
	case doubles:
		blocks(out.D, in.D, at, block)
	case integers:
		blocks(out.I, in.I, at, block)
	case texts:
		blocks(out.S, in.S, at, block)
	case bools:
		blocks(out.B, in.B, at, block)
	}
	return nil
}

func blocks[T any](out, in []T, at []int, block int) {
	if block == 1 {
		for i, from := range at {
			out[i] = in[from]
		}
		return
	}
	for i, from := range at {
		copy(out[i*block:(i+1)*block], in[from*block:(from+1)*block])
	}
}

// places returns room for n indices.
func (r *run) places(n int) ([]int, error) {
	if n > maxBytes/8 {
		return nil, tooLarge([]int{n})
	}
	if r.bytes += 8 * n; r.bytes > maxBytes {
		return nil, tooLarge([]int{n})
	}
	return grown(&r.indices, n), nil
}

// walk calls f with the offset of each index of a shape under strides.
func walk(dims, strides []int, f func(i, offset int)) {
	n := size(dims)
	at := make([]int, len(dims))
	offset := 0
	for i := range n {
		f(i, offset)
		for d := len(dims) - 1; d >= 0; d-- {
			at[d]++
			offset += strides[d]
			if at[d] < dims[d] {
				break
			}
			offset -= at[d] * strides[d]
			at[d] = 0
		}
	}
}

// strided makes an output whose elements lie at strides from a start in the
// input.
func (r *run) strided(in, out *Tensor, dims, strides []int, start int) error {
	n := multiplied(dims)
	if n < 0 {
		return tooLarge(dims)
	}
	at, err := r.places(n)
	if err != nil {
		return err
	}
	walk(dims, strides, func(i, offset int) { at[i] = start + offset })
	return r.take(in, out, dims, at, 1)
}

func buildIdentity(*node) (kernel, error) {
	return func(_ *run, in, out []*Tensor) error {
		out[0].alias(in[0], in[0].Dims)
		return nil
	}, nil
}

// buildDropout leaves everything as it is, as outside of training.
func buildDropout(n *node) (kernel, error) {
	if len(n.Inputs) > 2 && n.Inputs[2] != "" && (n.constants[2] == nil || !slices.Equal(n.constants[2].B, []bool{false})) {
		return nil, unsupported("a dropout in training")
	}
	return func(r *run, in, out []*Tensor) error {
		out[0].alias(in[0], in[0].Dims)
		if len(out) < 2 {
			return nil
		}
		if err := r.make(out[1], proto.Bool, in[0].Dims); err != nil {
			return err
		}
		for i := range out[1].B {
			out[1].B[i] = true
		}
		return nil
	}, nil
}

func buildTranspose(n *node) (kernel, error) {
	perm := n.ints("perm")
	return func(r *run, in, out []*Tensor) error {
		rank := len(in[0].Dims)
		if perm != nil && len(perm) != rank {
			return invalid("a permutation of %d for %d dimensions", len(perm), rank)
		}
		from := strides(in[0].Dims)
		dims, moved, seen := make([]int, rank), make([]int, rank), make([]bool, rank)
		for i := range rank {
			axis := rank - 1 - i
			if perm != nil {
				var err error
				if axis, err = axisOf(perm[i], rank); err != nil || seen[axis] {
					return invalid("%d is no permutation of %d dimensions", perm, rank)
				}
			}
			dims[i], moved[i], seen[axis] = in[0].Dims[axis], from[axis], true
		}
		return r.strided(in[0], out[0], dims, moved, 0)
	}, nil
}

// integersOf reads the integers of a small input, such as a shape.
func integersOf(t *Tensor) ([]int64, error) {
	if kindOf(t.Type) != integers {
		return nil, invalid("%s where integers are wanted", t.Type)
	}
	return t.I, nil
}

// setting reads integers that are an attribute in old versions and an input
// in new ones; nil where neither is there.
func (n *node) setting(name string, at int) func(in []*Tensor) ([]int64, error) {
	fixed := n.ints(name)
	return func(in []*Tensor) ([]int64, error) {
		if len(in) > at && in[at] != nil {
			return integersOf(in[at])
		}
		return fixed, nil
	}
}

func buildReshape(n *node) (kernel, error) {
	shape, keepZero := n.setting("shape", 1), n.int("allowzero", 0) != 0
	return func(_ *run, in, out []*Tensor) error {
		want, err := shape(in)
		if err != nil {
			return err
		}
		dims, open := make([]int, len(want)), -1
		for i, d := range want {
			switch {
			case d == 0 && !keepZero && i < len(in[0].Dims):
				dims[i] = in[0].Dims[i]
			case d == -1 && open < 0:
				open, dims[i] = i, 1
			case d < 0 || d > maxBytes || d == 0 && !keepZero:
				return invalid("a tensor cannot have the shape %d", want)
			default:
				dims[i] = int(d)
			}
		}
		have := in[0].Len()
		if rest := multiplied(dims); open >= 0 && rest > 0 {
			dims[open] = have / rest
		} else if open >= 0 {
			dims[open] = 0
		}
		if multiplied(dims) != have {
			return invalid("%d elements cannot have the shape %d", have, want)
		}
		out[0].alias(in[0], dims)
		return nil
	}, nil
}

func buildFlatten(n *node) (kernel, error) {
	axis := n.int("axis", 1)
	return func(_ *run, in, out []*Tensor) error {
		rank := len(in[0].Dims)
		at := int(axis)
		if axis < 0 {
			at += rank
		}
		if at < 0 || at > rank {
			return invalid("the axis %d is none of %d dimensions", axis, rank)
		}
		out[0].alias(in[0], []int{size(in[0].Dims[:at]), size(in[0].Dims[at:])})
		return nil
	}, nil
}

func buildSqueeze(n *node) (kernel, error) {
	setting := n.setting("axes", 1)
	return func(_ *run, in, out []*Tensor) error {
		axes, err := setting(in)
		if err != nil {
			return err
		}
		drop := make([]bool, len(in[0].Dims))
		for _, axis := range axes {
			at, err := axisOf(axis, len(drop))
			if err != nil {
				return err
			}
			if in[0].Dims[at] != 1 {
				return invalid("dimension %d is %d, not 1", at, in[0].Dims[at])
			}
			drop[at] = true
		}
		var dims []int
		for i, d := range in[0].Dims {
			if !drop[i] && (axes != nil || d != 1) {
				dims = append(dims, d)
			}
		}
		out[0].alias(in[0], dims)
		return nil
	}, nil
}

func buildUnsqueeze(n *node) (kernel, error) {
	setting := n.setting("axes", 1)
	return func(_ *run, in, out []*Tensor) error {
		axes, err := setting(in)
		if err != nil {
			return err
		}
		rank := len(in[0].Dims) + len(axes)
		if rank > 16 {
			return invalid("a tensor of %d dimensions", rank)
		}
		dims := make([]int, rank)
		for _, axis := range axes {
			at, err := axisOf(axis, rank)
			if err != nil || dims[at] == 1 {
				return invalid("the axes %d are not for %d dimensions", axes, rank)
			}
			dims[at] = 1
		}
		next := 0
		for i := range dims {
			if dims[i] == 0 {
				dims[i] = in[0].Dims[next]
				next++
			}
		}
		out[0].alias(in[0], dims)
		return nil
	}, nil
}

func buildConcat(n *node) (kernel, error) {
	axis := n.int("axis", 1)
	return func(r *run, in, out []*Tensor) error {
		dims, at, err := joined(in, axis)
		if err != nil {
			return err
		}
		if err := r.make(out[0], in[0].Type, dims); err != nil {
			return err
		}
		switch kindOf(in[0].Type) {
		case floats:
			concat[float32](in, out[0], at)
		case doubles:
			concat[float64](in, out[0], at)
		case integers:
			concat[int64](in, out[0], at)
		case texts:
			concat[string](in, out[0], at)
		case bools:
			concat[bool](in, out[0], at)
		}
		return nil
	}, nil
}

// joined returns the shape of tensors side by side along an axis.
func joined(in []*Tensor, axis int64) (dims []int, at int, err error) {
	if at, err = axisOf(axis, len(in[0].Dims)); err != nil {
		return nil, 0, err
	}
	dims = slices.Clone(in[0].Dims)
	dims[at] = 0
	for _, t := range in {
		if t == nil || t.Type != in[0].Type || len(t.Dims) != len(dims) {
			return nil, 0, invalid("tensors of different types or dimensions cannot be joined")
		}
		for i, d := range t.Dims {
			if i == at {
				dims[i] += d
			} else if d != dims[i] {
				return nil, 0, invalid("the shapes %d and %d cannot be joined along dimension %d", in[0].Dims, t.Dims, at)
			}
		}
	}
	return dims, at, nil
}

func concat[T element](in []*Tensor, out *Tensor, axis int) {
	to, width := *values[T](out), size(out.Dims[axis:])
	start := 0
	for _, t := range in {
		from, n := *values[T](t), size(t.Dims[axis:])
		if n == 1 {
			for i, v := range from {
				to[i*width+start] = v
			}
		} else if n > 0 {
			for i := 0; i*n < len(from); i++ {
				copy(to[i*width+start:], from[i*n:(i+1)*n])
			}
		}
		start += n
	}
}

func buildSplit(n *node) (kernel, error) {
	setting, axis, parts := n.setting("split", 1), n.int("axis", 0), n.int("num_outputs", 0)
	return func(r *run, in, out []*Tensor) error {
		at, err := axisOf(axis, len(in[0].Dims))
		if err != nil {
			return err
		}
		lengths, err := setting(in)
		if err != nil {
			return err
		}
		whole := in[0].Dims[at]
		if lengths == nil {
			if lengths, err = evenly(whole, len(out), parts > 0); err != nil {
				return err
			}
		}
		if len(lengths) != len(out) {
			return invalid("%d lengths for %d parts", len(lengths), len(out))
		}
		start := int64(0)
		for i, length := range lengths {
			if length < 0 || start+length > int64(whole) {
				return invalid("a dimension of %d cannot be split into %d", whole, lengths)
			}
			dims := slices.Clone(in[0].Dims)
			dims[at] = int(length)
			steps := strides(in[0].Dims)
			if err := r.strided(in[0], out[i], dims, steps, int(start)*steps[at]); err != nil {
				return err
			}
			start += length
		}
		if start != int64(whole) {
			return invalid("a dimension of %d cannot be split into %d", whole, lengths)
		}
		return nil
	}, nil
}

// evenly splits a dimension; the last part may be shorter where the version
// allows it.
func evenly(whole, parts int, uneven bool) ([]int64, error) {
	if whole%parts != 0 && !uneven {
		return nil, invalid("a dimension of %d cannot be split into %d equal parts", whole, parts)
	}
	length := (whole + parts - 1) / parts
	lengths := make([]int64, parts)
	for i := range lengths {
		lengths[i] = int64(min(length, whole))
		whole -= int(lengths[i])
	}
	return lengths, nil
}

func buildSlice(n *node) (kernel, error) {
	starts, ends, axes, steps := n.setting("starts", 1), n.setting("ends", 2), n.setting("axes", 3), n.setting("steps", 4)
	return func(r *run, in, out []*Tensor) error {
		var bounds [4][]int64
		for i, setting := range []func([]*Tensor) ([]int64, error){starts, ends, axes, steps} {
			var err error
			if bounds[i], err = setting(in); err != nil {
				return err
			}
		}
		dims, moves := slices.Clone(in[0].Dims), strides(in[0].Dims)
		from, seen := 0, make([]bool, len(dims))
		if len(bounds[0]) != len(bounds[1]) {
			return invalid("%d starts and %d ends of a slice", len(bounds[0]), len(bounds[1]))
		}
		for i := range bounds[0] {
			axis, step := int64(i), int64(1)
			if i < len(bounds[2]) {
				axis = bounds[2][i]
			}
			if i < len(bounds[3]) {
				step = bounds[3][i]
			}
			at, err := axisOf(axis, len(dims))
			if err != nil || seen[at] || step == 0 {
				return invalid("a slice along axis %d by steps of %d", axis, step)
			}
			seen[at] = true
			start, length := cut(bounds[0][i], bounds[1][i], step, int64(dims[at]))
			dims[at] = int(length)
			from += int(start) * moves[at]
			moves[at] *= int(step)
		}
		return r.strided(in[0], out[0], dims, moves, from)
	}, nil
}

// cut resolves the bounds of a slice of a dimension.
func cut(start, end, step, dim int64) (from, length int64) {
	if start < 0 {
		start += dim
	}
	if end < 0 && end > -1<<62 {
		end += dim
	}
	if step > 0 {
		start, end = min(max(start, 0), dim), min(max(end, 0), dim)
		if end > start {
			length = (end-start-1)/step + 1
		}
	} else {
		start, end = min(max(start, 0), dim-1), min(max(end, -1), dim-1)
		if start > end && dim > 0 {
			length = (start-end-1)/-max(step, -dim) + 1
		}
	}
	if length == 0 {
		return 0, 0
	}
	return start, length
}

func buildExpand(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		want, err := integersOf(in[1])
		if err != nil {
			return err
		}
		shape := make([]int, len(want))
		for i, d := range want {
			if d < 0 || d > maxBytes {
				return invalid("a tensor cannot have the shape %d", want)
			}
			shape[i] = int(d)
		}
		p, err := stretch(in[0].Dims, shape)
		if err != nil {
			return err
		}
		return r.strided(in[0], out[0], p.dims, p.a, 0)
	}, nil
}

func buildTile(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		times, err := integersOf(in[1])
		if err != nil {
			return err
		}
		if len(times) != len(in[0].Dims) {
			return invalid("%d repeats for %d dimensions", len(times), len(in[0].Dims))
		}
		// A dimension d that is repeated m times is two, m×d, of which the
		// first does not move through the input.
		dims, wide, moves := []int{}, []int{}, []int{}
		for i, d := range in[0].Dims {
			if times[i] < 0 || times[i] > maxBytes {
				return invalid("%d repeats", times[i])
			}
			dims = append(dims, int(times[i])*d)
			wide = append(wide, int(times[i]), d)
			moves = append(moves, 0, strides(in[0].Dims)[i])
		}
		n := multiplied(wide)
		if n < 0 {
			return tooLarge(dims)
		}
		at, err := r.places(n)
		if err != nil {
			return err
		}
		walk(wide, moves, func(i, offset int) { at[i] = offset })
		return r.take(in[0], out[0], dims, at, 1)
	}, nil
}

func buildShape(n *node) (kernel, error) {
	first, last, bounded := n.int("start", 0), n.int("end", 0), n.has("end")
	return func(r *run, in, out []*Tensor) error {
		rank := int64(len(in[0].Dims))
		from, to := first, rank
		if from < 0 {
			from += rank
		}
		if bounded {
			if to = last; to < 0 {
				to += rank
			}
		}
		from, to = min(max(from, 0), rank), min(max(to, 0), rank)
		dims := in[0].Dims[from:max(from, to)]
		if err := r.make(out[0], proto.Int64, []int{len(dims)}); err != nil {
			return err
		}
		for i, d := range dims {
			out[0].I[i] = int64(d)
		}
		return nil
	}, nil
}

func buildSize(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		if err := r.make(out[0], proto.Int64, nil); err != nil {
			return err
		}
		out[0].I[0] = int64(in[0].Len())
		return nil
	}, nil
}
