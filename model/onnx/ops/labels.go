package ops

import (
	"fmt"
	"math"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// textOf shows a key in a message.
func textOf(k any) string { return fmt.Sprint(k) }

// buildLabelEncoder replaces keys by values, of any two types.
func buildLabelEncoder(n *node) (kernel, error) {
	if n.version < 2 {
		return encodeClasses(n)
	}
	keys, err := n.column("keys_")
	if err != nil {
		return nil, err
	}
	to, err := n.column("values_")
	if err != nil {
		return nil, err
	}
	if keys == nil || to == nil || keys.Len() != to.Len() {
		return nil, invalid("as many values as keys are wanted")
	}
	otherwise, err := n.otherwise(to)
	if err != nil {
		return nil, err
	}
	return lookUp(keys, to, otherwise, n.version >= 4)
}

// column reads keys or values from whichever attribute has them.
func (n *node) column(prefix string) (*Tensor, error) {
	if t, err := n.tensor(prefix + "tensor"); t != nil || err != nil {
		return t, err
	}
	if v := n.floats(prefix + "floats"); len(v) > 0 {
		return &Tensor{Type: proto.Float, Dims: []int{len(v)}, F: v}, nil
	}
	return classLabels(n, prefix+"int64s", prefix+"strings"), nil
}

// otherwise returns the value of keys that are not there.
func (n *node) otherwise(to *Tensor) (*Tensor, error) {
	t, err := n.tensor("default_tensor")
	if err != nil {
		return nil, err
	}
	if t != nil {
		if t.Type != to.Type || t.Len() != 1 {
			return nil, invalid("the default is not one value of %s", to.Type)
		}
		return t, nil
	}
	t = &Tensor{Type: to.Type, Dims: []int{1}}
	switch kindOf(to.Type) {
	case floats:
		t.F = []float32{n.float("default_float", float32(math.Copysign(0, -1)))}
	case doubles:
		t.D = []float64{float64(n.float("default_float", float32(math.Copysign(0, -1))))}
	case integers:
		t.I = []int64{n.int("default_int64", -1)}
	case texts:
		t.S = []string{n.text("default_string", "_Unused")}
	default:
		return nil, unsupported("values of %s", to.Type)
	}
	return t, nil
}

// encodeClasses is the first version: text to its place and back.
func encodeClasses(n *node) (kernel, error) {
	words := n.texts("classes_strings")
	number, word := n.int("default_int64", -1), n.text("default_string", "_Unused")
	return between(indexOf(words), func(i int64) string {
		if i < 0 || i >= int64(len(words)) {
			return word
		}
		return words[i]
	}, func(at int) int64 { return int64(at) }, number), nil
}

// buildCategoryMapper turns text to integers and back.
func buildCategoryMapper(n *node) (kernel, error) {
	words, whole := n.texts("cats_strings"), n.ints("cats_int64s")
	if len(words) != len(whole) {
		return nil, invalid("%d texts for %d integers", len(words), len(whole))
	}
	number, word := n.int("default_int64", -1), n.text("default_string", "_Unused")
	back := indexOf(whole)
	return between(indexOf(words), func(i int64) string {
		if at, ok := back[i]; ok {
			return words[at]
		}
		return word
	}, func(at int) int64 { return whole[at] }, number), nil
}

// between maps text to integers, and integers to text.
func between(index map[string]int, text func(int64) string, number func(at int) int64, otherwise int64) kernel {
	return func(r *run, in, out []*Tensor) error {
		switch kindOf(in[0].Type) {
		case texts:
			if err := r.make(out[0], proto.Int64, in[0].Dims); err != nil {
				return err
			}
			for i, word := range in[0].S {
				if at, ok := index[word]; ok {
					out[0].I[i] = number(at)
				} else {
					out[0].I[i] = otherwise
				}
			}
			return nil
		case integers:
			if err := r.make(out[0], proto.String, in[0].Dims); err != nil {
				return err
			}
			for i, v := range in[0].I {
				out[0].S[i] = text(v)
			}
			return nil
		}
		return invalid("%s has no labels", in[0].Type)
	}
}

// lookUp builds a kernel for a type of keys. NaN is a key like others since
// version 4.
func lookUp(keys, to, otherwise *Tensor, nan bool) (kernel, error) {
	switch kindOf(keys.Type) {
	case floats:
		return lookUpIn(keys, floatIndex(keys.F, nan), to, otherwise)
	case doubles:
		return lookUpIn(keys, floatIndex(keys.D, nan), to, otherwise)
	case integers:
		return lookUpIn(keys, firstIndex(keys.I), to, otherwise)
	case texts:
		return lookUpIn(keys, firstIndex(keys.S), to, otherwise)
	case bools:
		return lookUpIn(keys, firstIndex(keys.B), to, otherwise)
	}
	return nil, unsupported("keys of %s", keys.Type)
}

// firstIndex returns where each key stands, the first of equals.
func firstIndex[K comparable](keys []K) func(K) (int, bool) {
	at := make(map[K]int, len(keys))
	for i, k := range keys {
		if _, twice := at[k]; !twice {
			at[k] = i
		}
	}
	return func(k K) (int, bool) {
		i, ok := at[k]
		return i, ok
	}
}

// floatIndex is firstIndex for numbers, of which NaN is one too.
func floatIndex[K float](keys []K, nan bool) func(K) (int, bool) {
	find, missing := firstIndex(keys), -1
	for i := len(keys) - 1; i >= 0; i-- {
		if nan && keys[i] != keys[i] {
			missing = i
		}
	}
	return func(k K) (int, bool) {
		if k != k {
			return missing, missing >= 0
		}
		return find(k)
	}
}

func lookUpIn[K element](keys *Tensor, find func(K) (int, bool), to, otherwise *Tensor) (kernel, error) {
	switch kindOf(to.Type) {
	case floats:
		return replace[K, float32](keys, find, to, otherwise), nil
	case doubles:
		return replace[K, float64](keys, find, to, otherwise), nil
	case integers:
		return replace[K, int64](keys, find, to, otherwise), nil
	case texts:
		return replace[K, string](keys, find, to, otherwise), nil
	}
	return nil, unsupported("values of %s", to.Type)
}

func replace[K, V element](keys *Tensor, find func(K) (int, bool), to, otherwise *Tensor) kernel {
	by, rest := *values[V](to), (*values[V](otherwise))[0]
	return func(r *run, in, out []*Tensor) error {
		if kindOf(in[0].Type) != kindOf(keys.Type) {
			return invalid("the keys are of %s, not %s", keys.Type, in[0].Type)
		}
		if err := r.make(out[0], to.Type, in[0].Dims); err != nil {
			return err
		}
		result := *values[V](out[0])
		for i, k := range *values[K](in[0]) {
			if at, ok := find(k); ok {
				result[i] = by[at]
			} else {
				result[i] = rest
			}
		}
		return nil
	}
}
