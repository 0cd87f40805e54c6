package proto

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Attribute is a constant setting of a node. Its value is read from the file
// when it is asked for; asking for another type than it has gives nothing.
type Attribute struct {
	Name string
	Type AttributeType
	body []byte // the message
}

// AttributeType is the type of an attribute, with ONNX's own numbers.
type AttributeType int32

// The types that operators of Leat know.
const (
	OneFloat   AttributeType = 1
	OneInt     AttributeType = 2
	OneText    AttributeType = 3
	OneTensor  AttributeType = 4
	OneGraph   AttributeType = 5
	ManyFloats AttributeType = 6
	ManyInts   AttributeType = 7
	ManyTexts  AttributeType = 8
)

// Float returns the value of a float.
func (a *Attribute) Float() float32 {
	var v float32
	each(a.body, attrFloat, func(x field) { v = math.Float32frombits(uint32(x.value)) })
	return v
}

// Int returns the value of an integer.
func (a *Attribute) Int() int64 {
	var v int64
	each(a.body, attrInt, func(x field) { v = int64(x.value) })
	return v
}

// Text returns the value of a string.
func (a *Attribute) Text() string {
	v := ""
	each(a.body, attrText, func(x field) { v = string(x.bytes) })
	return v
}

// Floats returns the values of many floats.
func (a *Attribute) Floats() []float32 {
	values := make([]float32, 0, length(a.body, attrFloats, 4))
	numbers(a.body, attrFloats, 4, func(v uint64) { values = append(values, math.Float32frombits(uint32(v))) })
	return values
}

// Ints returns the values of many integers.
func (a *Attribute) Ints() []int64 {
	values := make([]int64, 0, length(a.body, attrInts, 0))
	numbers(a.body, attrInts, 0, func(v uint64) { values = append(values, int64(v)) })
	return values
}

// Indices returns the values of many integers that are small, or the first that
// is not within 32 bits.
func (a *Attribute) Indices() (values []int32, wrong int64, ok bool) {
	values, ok = make([]int32, 0, length(a.body, attrInts, 0)), true
	numbers(a.body, attrInts, 0, func(v uint64) {
		if ok && int64(v) != int64(int32(v)) {
			wrong, ok = int64(v), false
		}
		values = append(values, int32(v))
	})
	return values, wrong, ok
}

// EachText calls f with the values of many strings, which are those of the
// file: f does not keep them.
func (a *Attribute) EachText(f func(text []byte)) {
	each(a.body, attrTexts, func(x field) { f(x.bytes) })
}

// EachFloat calls f with the values of many floats.
func (a *Attribute) EachFloat(f func(v float32)) {
	numbers(a.body, attrFloats, 4, func(v uint64) { f(math.Float32frombits(uint32(v))) })
}

// Count returns how many values an attribute of many has.
func (a *Attribute) Count() int {
	switch a.Type {
	case ManyFloats:
		return length(a.body, attrFloats, 4)
	case ManyInts:
		return length(a.body, attrInts, 0)
	case ManyTexts:
		n := 0
		each(a.body, attrTexts, func(field) { n++ })
		return n
	}
	return 1
}

// Texts returns the values of many strings.
func (a *Attribute) Texts() []string { return texts(a.body, attrTexts) }

// Tensor returns the value of a tensor.
func (a *Attribute) Tensor() Tensor {
	var t Tensor
	each(a.body, attrTensor, func(x field) { t = tensorOf(x.bytes) })
	return t
}

// length counts the values of a repeated field of a sound message.
func length(message []byte, number protowire.Number, width int) int {
	n := 0
	each(message, number, func(x field) {
		more, _ := count(x, width)
		n += more
	})
	return n
}

func texts(message []byte, number protowire.Number) []string {
	n := 0
	each(message, number, func(field) { n++ })
	values := make([]string, 0, n)
	each(message, number, func(x field) { values = append(values, string(x.bytes)) })
	return values
}

// Tensor is a constant array. Its elements are read from the file when they
// are asked for.
type Tensor struct {
	Name string
	Type Type
	Dims []int64
	body []byte // the message
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Dims {
		n *= int(d)
	}
	return n
}

// tensorOf reads the head of a sound tensor.
func tensorOf(body []byte) Tensor {
	t := Tensor{body: body}
	each(body, tensorName, func(x field) { t.Name = string(x.bytes) })
	each(body, tensorType, func(x field) { t.Type = Type(x.value) })
	numbers(body, tensorDims, 0, func(v uint64) { t.Dims = append(t.Dims, int64(v)) })
	return t
}

// raw returns the packed elements, nil when they lie in typed fields.
func (t *Tensor) raw() []byte {
	var raw []byte
	each(t.body, tensorRaw, func(x field) { raw = x.bytes })
	return raw
}

// Floats returns the elements of a tensor of Float, in row-major order.
func (t *Tensor) Floats() []float32 {
	values := make([]float32, 0, t.Len())
	if raw := t.raw(); raw != nil {
		for ; len(raw) >= 4; raw = raw[4:] {
			values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
		return values
	}
	numbers(t.body, tensorFloats, 4, func(v uint64) { values = append(values, math.Float32frombits(uint32(v))) })
	return values
}

// Doubles returns the elements of a tensor of Double.
func (t *Tensor) Doubles() []float64 {
	values := make([]float64, 0, t.Len())
	if raw := t.raw(); raw != nil {
		for ; len(raw) >= 8; raw = raw[8:] {
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
		return values
	}
	numbers(t.body, tensorDoubles, 8, func(v uint64) { values = append(values, math.Float64frombits(v)) })
	return values
}

// Ints returns the elements of a tensor of integers or bools.
func (t *Tensor) Ints() []int64 {
	values := make([]int64, 0, t.Len())
	if raw := t.raw(); raw != nil {
		size := t.Type.size()
		for ; size > 0 && len(raw) >= size; raw = raw[size:] {
			values = append(values, t.Type.integer(raw))
		}
		return values
	}
	number := protowire.Number(tensorInt32s)
	switch t.Type {
	case Int64:
		number = tensorInt64s
	case Uint32, Uint64:
		number = tensorUint64s
	}
	numbers(t.body, number, 0, func(v uint64) { values = append(values, int64(v)) })
	return values
}

// integer reads one element of raw data.
func (t Type) integer(raw []byte) int64 {
	switch t {
	case Int8:
		return int64(int8(raw[0]))
	case Uint8, Bool:
		return int64(raw[0])
	case Int16:
		return int64(int16(binary.LittleEndian.Uint16(raw)))
	case Uint16:
		return int64(binary.LittleEndian.Uint16(raw))
	case Int32:
		return int64(int32(binary.LittleEndian.Uint32(raw)))
	case Uint32:
		return int64(binary.LittleEndian.Uint32(raw))
	case Int64, Uint64:
		return int64(binary.LittleEndian.Uint64(raw))
	}
	return 0
}

// Texts returns the elements of a tensor of String.
func (t *Tensor) Texts() []string { return texts(t.body, tensorTexts) }
