package onnxtest

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// File is a small graph, to be written as an ONNX file.
type File struct {
	Opset, MLOpset int64 // 0: 18 and 3
	Inputs         []Values
	Constants      []Values
	Nodes          []Node
	Outputs        []string
}

// Node is one use of an operator.
type Node struct {
	Op, Domain      string
	Inputs, Outputs []string
	Attributes      []onnx.Attribute
}

// Values is a tensor with a name: one of the slices has its elements, and the
// type follows from it. An input is only declared: its first dimension may be
// any.
type Values struct {
	Name    string
	Dims    []int64
	Floats  []float32
	Doubles []float64
	Ints    []int64
	Int32s  []int32
	Texts   []string
	Bools   []bool
	Bytes   []byte // uint8, of constants only
}

// Type tells what the elements are.
func (v *Values) Type() proto.Type {
	switch {
	case v.Floats != nil:
		return proto.Float
	case v.Doubles != nil:
		return proto.Double
	case v.Ints != nil:
		return proto.Int64
	case v.Int32s != nil:
		return proto.Int32
	case v.Texts != nil:
		return proto.String
	case v.Bytes != nil:
		return proto.Uint8
	}
	return proto.Bool
}

type message []byte

func (m *message) integer(field protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v))
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, v)
}

func (m *message) text(field protowire.Number, v string) { m.bytes(field, []byte(v)) }

// Bytes returns the file.
func (f *File) Bytes() []byte {
	var graph, m message
	for _, n := range f.Nodes {
		graph.bytes(1, n.bytes())
	}
	graph.text(2, "test")
	for _, c := range f.Constants {
		graph.bytes(5, c.Tensor())
	}
	for _, in := range f.Inputs {
		graph.bytes(11, in.declaration())
	}
	for _, name := range f.Outputs {
		var v message
		v.text(1, name)
		graph.bytes(12, v)
	}
	m.integer(1, 8)
	m.bytes(7, graph)
	for _, set := range []struct {
		domain             string
		version, otherwise int64
	}{{"", f.Opset, 18}, {"ai.onnx.ml", f.MLOpset, 3}} {
		if set.version == 0 {
			set.version = set.otherwise
		}
		var o message
		o.text(1, set.domain)
		o.integer(2, set.version)
		m.bytes(8, o)
	}
	return m
}

func (n *Node) bytes() []byte {
	var m message
	for _, in := range n.Inputs {
		m.text(1, in)
	}
	for _, out := range n.Outputs {
		m.text(2, out)
	}
	m.text(3, n.Op)
	m.text(4, n.Op)
	for _, a := range n.Attributes {
		m.bytes(5, a)
	}
	m.text(7, n.Domain)
	return m
}

// declaration is a ValueInfoProto.
func (v *Values) declaration() []byte {
	var shape, tensor, typ, info message
	for i, d := range v.Dims {
		var dim message
		if i == 0 {
			dim.text(2, "N")
		} else {
			dim.integer(1, d)
		}
		shape.bytes(1, dim)
	}
	tensor.integer(1, int64(v.Type()))
	tensor.bytes(2, shape)
	typ.bytes(1, tensor)
	info.text(1, v.Name)
	info.bytes(2, typ)
	return info
}

// Tensor is a TensorProto.
func (v *Values) Tensor() []byte {
	var m message
	for _, d := range v.Dims {
		m.integer(1, d)
	}
	m.integer(2, int64(v.Type()))
	for _, s := range v.Texts {
		m.text(6, s)
	}
	m.text(8, v.Name)
	if v.Texts == nil {
		m.bytes(9, v.raw())
	}
	return m
}

func (v *Values) raw() []byte {
	raw := append([]byte(nil), v.Bytes...)
	for _, x := range v.Floats {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	for _, x := range v.Doubles {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
	}
	for _, x := range v.Ints {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	for _, x := range v.Int32s {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(x))
	}
	for _, x := range v.Bools {
		b := byte(0)
		if x {
			b = 1
		}
		raw = append(raw, b)
	}
	return raw
}

// TensorAttribute is an attribute that is a tensor.
func TensorAttribute(name string, v Values) onnx.Attribute {
	var m message
	m.text(1, name)
	m.bytes(5, v.Tensor())
	m.integer(20, 4)
	return onnx.Attribute(m)
}
