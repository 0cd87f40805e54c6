package sentence

import (
	"encoding/binary"
	"encoding/json"
	"math"

	"github.com/leat-ai/leat/base/fault"
)

// weights are the tensors of a safetensors file: a length, a JSON header that
// says where each tensor lies, and numbers. Nothing in it is executed.
type weights struct {
	data    []byte
	tensors map[string]tensor
}

type tensor struct {
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// maxHeader bounds the header: a tensor takes some 120 bytes of it.
const maxHeader = 8 << 20

func readWeights(file []byte) (*weights, error) {
	if len(file) < 8 {
		return nil, badWeights("is too short")
	}
	length := binary.LittleEndian.Uint64(file)
	if length > maxHeader || length > uint64(len(file)-8) {
		return nil, badWeights("has a header of %d bytes", length)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(file[8:8+length], &raw); err != nil {
		return nil, badWeights("has a header that is no JSON object")
	}
	w := &weights{data: file[8+length:], tensors: make(map[string]tensor, len(raw))}
	for name, text := range raw {
		if name == "__metadata__" {
			continue
		}
		var t tensor
		if err := json.Unmarshal(text, &t); err != nil {
			return nil, badWeights("has a tensor %.100q that is not described", name)
		}
		if err := w.check(name, t); err != nil {
			return nil, err
		}
		w.tensors[name] = t
	}
	return w, nil
}

// check holds a tensor's place against its shape and the file.
func (w *weights) check(name string, t tensor) error {
	size, known := map[string]int64{"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}[t.Type]
	if !known {
		return badWeights("has a tensor %.100q of the type %.20q", name, t.Type)
	}
	for _, d := range t.Shape {
		if d < 0 || d > 0 && size > int64(len(w.data))/int64(d) {
			return badWeights("has a tensor %.100q that is larger than the file", name)
		}
		size *= int64(d)
	}
	begin, end := t.Offsets[0], t.Offsets[1]
	if begin < 0 || end < begin || end > int64(len(w.data)) || end-begin != size {
		return badWeights("has a tensor %.100q that does not lie where its shape says", name)
	}
	return nil
}

// floats returns the numbers of a tensor of exactly this shape.
func (w *weights) floats(name string, shape ...int) ([]float32, error) {
	t, ok := w.tensors[name]
	if !ok {
		return nil, badWeights("lacks the tensor %q", name)
	}
	n := 1
	same := len(t.Shape) == len(shape)
	for i, d := range shape {
		n *= d
		same = same && t.Shape[i] == d
	}
	if !same {
		return nil, badWeights("has a tensor %q of shape %v, and the configuration asks for %v", name, t.Shape, shape)
	}
	b, out := w.data[t.Offsets[0]:t.Offsets[1]], make([]float32, n)
	switch t.Type {
	case "F32":
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case "BF16":
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
	case "F16":
		for i := range out {
			out[i] = half(binary.LittleEndian.Uint16(b[2*i:]))
		}
	default:
		return nil, badWeights("has a tensor %q of the type %s, which are no weights", name, t.Type)
	}
	for _, x := range out {
		if x-x != 0 { // neither NaN nor infinite
			return nil, badWeights("has a tensor %q with numbers that are not finite", name)
		}
	}
	return out, nil
}

// half widens a number of 16 bits.
func half(h uint16) float32 {
	sign, exponent, fraction := float32(1), int(h>>10&31), int(h&1023)
	if h>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * float32(math.Ldexp(float64(fraction), -24))
	case 31:
		if fraction != 0 {
			return float32(math.NaN())
		}
		return sign * float32(math.Inf(1))
	}
	return sign * float32(math.Ldexp(float64(1024+fraction), exponent-25))
}

func badWeights(format string, args ...any) error {
	return fault.New(fault.Corrupt, "the file of weights "+format, args...)
}
