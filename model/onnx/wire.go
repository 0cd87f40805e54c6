package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto3, by message. Only what Leat writes is here.
const (
	modelIRVersion, modelProducer, modelVersion, modelDoc, modelGraph, modelOpset, modelMeta = 1, 2, 5, 6, 7, 8, 14

	opsetDomain, opsetVersion = 1, 2

	entryKey, entryValue = 1, 2

	graphNode, graphName, graphInitializer, graphInput, graphOutput = 1, 2, 5, 11, 12

	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttribute, nodeDomain = 1, 2, 3, 4, 5, 7

	attrName, attrFloat, attrInt, attrString, attrTensor, attrFloats, attrInts, attrStrings, attrType = 1, 2, 3, 4, 5, 7, 8, 9, 20

	tensorDims, tensorType, tensorStrings, tensorName, tensorRaw = 1, 2, 6, 8, 9

	infoName, infoType = 1, 2

	typeTensor          = 1
	shapedElem, shaped  = 1, 2
	shapeDim            = 1
	dimValue, dimSymbol = 1, 2
)

// Element types of tensors.
const (
	elemFloat  = 1
	elemInt64  = 7
	elemString = 8
	elemDouble = 11
)

// Types of attributes.
const (
	typeFloat, typeInt, typeString, typeOfTensor, typeFloats, typeInts, typeStrings = 1, 2, 3, 4, 6, 7, 8
)

// message is a protobuf message under construction.
type message []byte

func (m *message) integer(field protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v))
}

func (m *message) text(field protowire.Number, v string) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendString(*m, v)
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, v)
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendTag(*m, field, protowire.Fixed32Type)
	*m = protowire.AppendFixed32(*m, math.Float32bits(v))
}

func (m *message) integers(field protowire.Number, values []int64) {
	var packed []byte
	for _, v := range values {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	m.bytes(field, packed)
}

func (m *message) floats(field protowire.Number, values []float32) {
	packed := make([]byte, 0, 4*len(values))
	for _, v := range values {
		packed = protowire.AppendFixed32(packed, math.Float32bits(v))
	}
	m.bytes(field, packed)
}

func doublesTensor(name string, dims []int64, values []float64) []byte {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return tensor(name, elemDouble, dims, raw)
}

func integersTensor(name string, dims, values []int64) []byte {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return tensor(name, elemInt64, dims, raw)
}

func tensor(name string, elem int64, dims []int64, raw []byte) []byte {
	var t message
	t.integers(tensorDims, dims)
	t.integer(tensorType, elem)
	t.text(tensorName, name)
	t.bytes(tensorRaw, raw)
	return t
}

func stringsTensor(name string, values []string) []byte {
	var t message
	t.integers(tensorDims, []int64{int64(len(values))})
	t.integer(tensorType, elemString)
	for _, v := range values {
		t.text(tensorStrings, v)
	}
	t.text(tensorName, name)
	return t
}

// valueInfo describes an input or output of one column: rows × 1.
func valueInfo(name string, elem int64) []byte {
	var rows, one, shape, tensorOf, kind, info message
	rows.text(dimSymbol, "rows")
	one.integer(dimValue, 1)
	shape.bytes(shapeDim, rows)
	shape.bytes(shapeDim, one)
	tensorOf.integer(shapedElem, elem)
	tensorOf.bytes(shaped, shape)
	kind.bytes(typeTensor, tensorOf)
	info.text(infoName, name)
	info.bytes(infoType, kind)
	return info
}
