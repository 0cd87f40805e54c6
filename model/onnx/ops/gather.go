package ops

import (
	"math"
	"slices"

	"github.com/leat-ai/leat/model/onnx/proto"
)

func buildGather(n *node) (kernel, error) {
	axis := n.int("axis", 0)
	return func(r *run, in, out []*Tensor) error {
		at, err := axisOf(axis, len(in[0].Dims))
		if err != nil {
			return err
		}
		which, err := integersOf(in[1])
		if err != nil {
			return err
		}
		d := in[0].Dims
		dims := slices.Concat(d[:at], in[1].Dims, d[at+1:])
		outer, n, block := size(d[:at]), d[at], size(d[at+1:])
		if multiplied(dims) < 0 {
			return tooLarge(dims)
		}
		places, err := r.places(outer * len(which))
		if err != nil {
			return err
		}
		for j, index := range which {
			if index < 0 {
				index += int64(n)
			}
			if index < 0 || index >= int64(n) {
				return invalid("the index %d is none of %d", which[j], n)
			}
			for i := range outer {
				places[i*len(which)+j] = i*n + int(index)
			}
		}
		return r.take(in[0], out[0], dims, places, block)
	}, nil
}

func buildGatherElements(n *node) (kernel, error) {
	axis := n.int("axis", 0)
	return func(r *run, in, out []*Tensor) error {
		at, err := axisOf(axis, len(in[0].Dims))
		if err != nil {
			return err
		}
		which, err := integersOf(in[1])
		if err != nil {
			return err
		}
		if len(in[1].Dims) != len(in[0].Dims) {
			return invalid("indices of %d dimensions for %d", len(in[1].Dims), len(in[0].Dims))
		}
		moves := strides(in[0].Dims)
		step, n := moves[at], int64(in[0].Dims[at])
		for i, d := range in[1].Dims {
			if i != at && d > in[0].Dims[i] {
				return invalid("indices of the shape %d for a tensor of %d", in[1].Dims, in[0].Dims)
			}
		}
		moves[at] = 0
		places, err := r.places(len(which))
		if err != nil {
			return err
		}
		bad := false
		walk(in[1].Dims, moves, func(i, offset int) {
			index := which[i]
			if index < 0 {
				index += n
			}
			if index < 0 || index >= n {
				bad, index = true, 0
			}
			places[i] = offset + int(index)*step
		})
		if bad {
			return invalid("an index is none of %d", n)
		}
		return r.take(in[0], out[0], in[1].Dims, places, 1)
	}, nil
}

func buildCompress(n *node) (kernel, error) {
	axis, along := n.int("axis", 0), n.has("axis")
	return func(r *run, in, out []*Tensor) error {
		if in[1].Type != proto.Bool {
			return invalid("%s is not a truth", in[1].Type)
		}
		shape, at := []int{in[0].Len()}, 0
		if along {
			var err error
			shape = in[0].Dims
			if at, err = axisOf(axis, len(shape)); err != nil {
				return err
			}
		}
		if len(in[1].B) > shape[at] {
			return invalid("%d truths for %d", len(in[1].B), shape[at])
		}
		var kept []int
		for i, v := range in[1].B {
			if v {
				kept = append(kept, i)
			}
		}
		outer, block := size(shape[:at]), size(shape[at+1:])
		places, err := r.places(outer * len(kept))
		if err != nil {
			return err
		}
		for i := range outer {
			for j, index := range kept {
				places[i*len(kept)+j] = i*shape[at] + index
			}
		}
		dims := slices.Clone(shape)
		dims[at] = len(kept)
		return r.take(in[0], out[0], dims, places, block)
	}, nil
}

// buildArrayFeatureExtractor chooses along the last dimension.
func buildArrayFeatureExtractor(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		which, err := integersOf(in[1])
		if err != nil {
			return err
		}
		dims := slices.Clone(in[0].Dims)
		if len(dims) == 0 {
			dims = []int{1}
		}
		last := len(dims) - 1
		n := dims[last]
		outer := size(dims[:last])
		dims[last] = len(which)
		if len(dims) == 1 { // ONNX Runtime answers a row
			dims = []int{1, len(which)}
		}
		places, err := r.places(outer * len(which))
		if err != nil {
			return err
		}
		for j, index := range which {
			if index < 0 || index >= int64(n) {
				return invalid("the index %d is none of %d", index, n)
			}
			for i := range outer {
				places[i*len(which)+j] = i*n + int(index)
			}
		}
		return r.take(in[0], out[0], dims, places, 1)
	}, nil
}

func buildNonZero(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		numbers, err := r.floatsOf(in[0])
		if err != nil {
			return err
		}
		found := 0
		for i, v := range numbers {
			if v != 0 || kindOf(in[0].Type) == doubles && in[0].D[i] != 0 {
				found++
			}
		}
		rank := len(in[0].Dims)
		if err := r.make(out[0], proto.Int64, []int{rank, found}); err != nil {
			return err
		}
		at := 0
		for i, v := range numbers {
			if v == 0 && !(kindOf(in[0].Type) == doubles && in[0].D[i] != 0) {
				continue
			}
			rest := i
			for d := rank - 1; d >= 0; d-- {
				out[0].I[d*found+at] = int64(rest % in[0].Dims[d])
				rest /= in[0].Dims[d]
			}
			at++
		}
		return nil
	}, nil
}

func buildConstant(n *node) (kernel, error) {
	t, err := n.tensor("value")
	if err != nil {
		return nil, err
	}
	switch {
	case t != nil:
	case n.has("value_float"):
		t = &Tensor{Type: proto.Float, F: []float32{n.float("value_float", 0)}}
	case n.has("value_floats"):
		t = &Tensor{Type: proto.Float, F: n.floats("value_floats")}
		t.Dims = []int{len(t.F)}
	case n.has("value_int"):
		t = &Tensor{Type: proto.Int64, I: []int64{n.int("value_int", 0)}}
	case n.has("value_ints"):
		t = &Tensor{Type: proto.Int64, I: n.ints("value_ints")}
		t.Dims = []int{len(t.I)}
	case n.has("value_string"):
		t = &Tensor{Type: proto.String, S: []string{n.text("value_string", "")}}
	case n.has("value_strings"):
		t = &Tensor{Type: proto.String, S: n.texts("value_strings")}
		t.Dims = []int{len(t.S)}
	default:
		return nil, unsupported("a constant of another form")
	}
	return func(_ *run, _, out []*Tensor) error {
		out[0].alias(t, t.Dims)
		return nil
	}, nil
}

func buildConstantOfShape(n *node) (kernel, error) {
	value, err := n.tensor("value")
	if err != nil {
		return nil, err
	}
	if value == nil {
		value = &Tensor{Type: proto.Float, F: []float32{0}}
	}
	if value.Len() != 1 {
		return nil, invalid("a tensor of %d elements to repeat", value.Len())
	}
	return func(r *run, in, out []*Tensor) error {
		want, err := integersOf(in[0])
		if err != nil {
			return err
		}
		dims := make([]int, len(want))
		for i, d := range want {
			if d < 0 || d > maxBytes {
				return invalid("a tensor cannot have the shape %d", want)
			}
			dims[i] = int(d)
		}
		return r.strided(value, out[0], dims, make([]int, len(dims)), 0)
	}, nil
}

func buildRange(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		for _, t := range in {
			if t.Type != in[0].Type || t.Len() != 1 {
				return invalid("the bounds of a range are not numbers of one type")
			}
		}
		switch kindOf(in[0].Type) {
		case floats:
			return sequence[float32](r, in, out[0])
		case doubles:
			return sequence[float64](r, in, out[0])
		case integers:
			return sequence[int64](r, in, out[0])
		}
		return invalid("a range of %s", in[0].Type)
	}, nil
}

func sequence[T number](r *run, in []*Tensor, out *Tensor) error {
	start, limit, step := (*values[T](in[0]))[0], (*values[T](in[1]))[0], (*values[T](in[2]))[0]
	n := math.Ceil((float64(limit) - float64(start)) / float64(step))
	if n != n || n > maxBytes {
		return invalid("a range from %v to %v by %v", start, limit, step)
	}
	if err := r.make(out, in[0].Type, []int{int(max(n, 0))}); err != nil {
		return err
	}
	to := *values[T](out)
	for i := range to {
		to[i] = start + T(i)*step
	}
	return nil
}

func buildOneHot(n *node) (kernel, error) {
	axis := n.int("axis", -1)
	return func(r *run, in, out []*Tensor) error {
		which, err := r.wholes(in[0])
		if err != nil {
			return err
		}
		depths, err := r.wholesInto(in[1], &r.more)
		if err != nil {
			return err
		}
		if len(depths) != 1 || depths[0] <= 0 || depths[0] > maxBytes || in[2].Len() != 2 {
			return invalid("a depth and two values are wanted")
		}
		depth := int(depths[0])
		rank := len(in[0].Dims) + 1
		at, err := axisOf(axis, rank)
		if err != nil {
			return err
		}
		dims := slices.Concat(in[0].Dims[:at], []int{depth}, in[0].Dims[at:])
		total := multiplied(dims)
		if total < 0 {
			return tooLarge(dims)
		}
		places, err := r.places(total)
		if err != nil {
			return err
		}
		clear(places)
		inner := size(in[0].Dims[at:])
		for i, index := range which {
			if index < 0 {
				index += int64(depth)
			}
			if index >= 0 && index < int64(depth) {
				places[(i/inner*depth+int(index))*inner+i%inner] = 1
			}
		}
		return r.take(in[2], out[0], dims, places, 1)
	}, nil
}

// wholes reads numbers of any type as integers.
func (r *run) wholes(t *Tensor) ([]int64, error) { return r.wholesInto(t, &r.space) }

func (r *run) wholesInto(t *Tensor, space *[]int64) ([]int64, error) {
	if kindOf(t.Type) == integers {
		return t.I, nil
	}
	numbers, err := r.floatsOf(t)
	if err != nil {
		return nil, err
	}
	out := grown(space, len(numbers))
	for i, v := range numbers {
		out[i] = int64(v)
	}
	return out, nil
}
