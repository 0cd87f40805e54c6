package ops

import (
	"math"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// The operators of ONNX-ML that prepare numbers for a model.

// perColumn returns the value of a setting for a column: settings are one for
// all columns, or one for each.
func perColumn(setting []float32, column int) float32 {
	if len(setting) == 1 {
		return setting[0]
	}
	return setting[column]
}

// lastDim is the number of columns of a tensor of rows.
func lastDim(dims []int) int {
	if len(dims) == 0 {
		return 1
	}
	return dims[len(dims)-1]
}

func buildScaler(n *node) (kernel, error) {
	offset, scale := n.floats("offset"), n.floats("scale")
	if len(offset) == 0 || len(scale) == 0 || len(offset) != len(scale) {
		return nil, invalid("%d offsets and %d scales", len(offset), len(scale))
	}
	return func(r *run, in, out []*Tensor) error {
		x, err := r.floatsOf(in[0])
		if err != nil {
			return err
		}
		width := lastDim(in[0].Dims)
		if len(offset) != 1 && len(offset) != width {
			return invalid("%d offsets for %d columns", len(offset), width)
		}
		if err := r.make(out[0], proto.Float, in[0].Dims); err != nil {
			return err
		}
		to := out[0].F
		for at := 0; at < len(x); at += width {
			for c := range width {
				to[at+c] = (x[at+c] - perColumn(offset, c)) * perColumn(scale, c)
			}
		}
		return nil
	}, nil
}

func buildImputer(n *node) (kernel, error) {
	whole, single := n.ints("imputed_value_int64s"), n.floats("imputed_value_floats")
	replacedWhole, replaced := n.int("replaced_value_int64", 0), n.float("replaced_value_float", 0)
	if len(whole) == 0 == (len(single) == 0) {
		return nil, invalid("values to put in are wanted, of one type")
	}
	return func(r *run, in, out []*Tensor) error {
		switch k := kindOf(in[0].Type); {
		case k == integers && len(whole) > 0:
			return impute(r, in[0], out[0], whole, func(v int64) bool { return v == replacedWhole })
		case k == floats && len(single) > 0:
			return impute(r, in[0], out[0], single, func(v float32) bool { return v == replaced || v != v && replaced != replaced })
		}
		return unsupported("the imputed values are of another type than %s", in[0].Type)
	}, nil
}

func impute[T number](r *run, in, out *Tensor, by []T, missing func(T) bool) error {
	width := lastDim(in.Dims)
	if len(by) != 1 && len(by) != width {
		return invalid("%d values for %d columns", len(by), width)
	}
	if err := r.make(out, in.Type, in.Dims); err != nil {
		return err
	}
	from, to := *values[T](in), *values[T](out)
	for i, v := range from {
		if missing(v) {
			v = by[0]
			if len(by) > 1 {
				v = by[i%width]
			}
		}
		to[i] = v
	}
	return nil
}

func buildNormalizer(n *node) (kernel, error) {
	norm := n.text("norm", "MAX")
	if norm != "MAX" && norm != "L1" && norm != "L2" {
		return nil, invalid("%q is not a norm", norm)
	}
	return func(r *run, in, out []*Tensor) error {
		x, err := r.floatsOf(in[0])
		if err != nil {
			return err
		}
		if err := r.make(out[0], proto.Float, in[0].Dims); err != nil {
			return err
		}
		width := lastDim(in[0].Dims)
		for at := 0; at < len(x); at += width {
			normalize(x[at:at+width], out[0].F[at:at+width], norm)
		}
		return nil
	}, nil
}

// normalize leaves a row as it is that has no length.
func normalize(from, to []float32, norm string) {
	length := float32(0)
	switch norm {
	case "MAX":
		length = float32(math.Inf(-1))
		for _, v := range from {
			length = max(length, v)
		}
	case "L1":
		for _, v := range from {
			length += float32(math.Abs(float64(v)))
		}
	case "L2":
		for _, v := range from {
			length += v * v
		}
		length = float32(math.Sqrt(float64(length)))
	}
	for i, v := range from {
		if length != 0 {
			v /= length
		}
		to[i] = v
	}
}

func buildOneHotEncoder(n *node) (kernel, error) {
	words, whole, zeros := n.texts("cats_strings"), n.ints("cats_int64s"), n.int("zeros", 1) != 0
	if len(words) == 0 == (len(whole) == 0) {
		return nil, invalid("categories are wanted, of one type")
	}
	byWord, byWhole := indexOf(words), indexOf(whole)
	count := max(len(words), len(whole))
	return func(r *run, in, out []*Tensor) error {
		dims := append(append([]int{}, in[0].Dims...), count)
		if err := r.make(out[0], proto.Float, dims); err != nil {
			return err
		}
		clear(out[0].F)
		if kindOf(in[0].Type) == texts {
			if words == nil {
				return invalid("the categories are not of the type %s", in[0].Type)
			}
			return hot(in[0].S, byWord, out[0].F, count, zeros)
		}
		if whole == nil {
			return invalid("the categories are not of the type %s", in[0].Type)
		}
		keys, err := r.wholes(in[0])
		if err != nil {
			return err
		}
		return hot(keys, byWhole, out[0].F, count, zeros)
	}, nil
}

// indexOf returns where each key stands, the last of equals.
func indexOf[K comparable](keys []K) map[K]int {
	at := make(map[K]int, len(keys))
	for i, k := range keys {
		at[k] = i
	}
	return at
}

func hot[K comparable](keys []K, index map[K]int, to []float32, count int, zeros bool) error {
	for i, k := range keys {
		at, ok := index[k]
		if ok {
			to[i*count+at] = 1
		} else if !zeros {
			return invalid("%.40q is not among the categories", textOf(k))
		}
	}
	return nil
}

// buildFeatureVectorizer joins columns of numbers of any type.
func buildFeatureVectorizer(n *node) (kernel, error) {
	widths := n.ints("inputdimensions")
	return func(r *run, in, out []*Tensor) error {
		if len(widths) != len(in) {
			return invalid("%d widths for %d inputs", len(widths), len(in))
		}
		total := 0
		for i, w := range widths {
			if in[i] == nil || w < 0 || in[i].Rows() != in[0].Rows() || len(in[i].Dims) == 0 {
				return invalid("input %d does not fit the others", i)
			}
			total += in[i].Width()
		}
		if err := r.make(out[0], proto.Float, []int{in[0].Rows(), total}); err != nil {
			return err
		}
		start := 0
		for _, t := range in {
			x, err := r.floatsOf(t)
			if err != nil {
				return err
			}
			w := t.Width()
			for row := range t.Rows() {
				copy(out[0].F[row*total+start:], x[row*w:(row+1)*w])
			}
			start += w
		}
		return nil
	}, nil
}

// buildZipMap names the columns of its input; they become maps only when
// somebody asks for them.
func buildZipMap(n *node) (kernel, error) {
	keys := classLabels(n, "classlabels_int64s", "classlabels_strings")
	if keys == nil {
		return nil, invalid("labels are wanted")
	}
	return func(_ *run, in, out []*Tensor) error {
		dims := in[0].Dims
		if len(dims) == 1 {
			dims = []int{1, dims[0]}
		}
		if len(dims) != 2 || dims[1] != keys.Len() {
			return invalid("%d keys for a tensor of the shape %d", keys.Len(), in[0].Dims)
		}
		out[0].alias(in[0], dims)
		out[0].Maps = keys
		return nil
	}, nil
}

// classLabels reads labels of either type, nil when there are none.
func classLabels(n *node, whole, words string) *Tensor {
	if v := n.ints(whole); len(v) > 0 {
		return &Tensor{Type: proto.Int64, Dims: []int{len(v)}, I: v}
	}
	if v := n.texts(words); len(v) > 0 {
		return &Tensor{Type: proto.String, Dims: []int{len(v)}, S: v}
	}
	return nil
}
