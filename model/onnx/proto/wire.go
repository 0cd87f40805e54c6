package proto

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leat-ai/leat/base/fault"
)

// Field numbers of onnx.proto, by message.
const (
	modelIRVersion, modelProducer, modelProducerVersion, modelVersion  = 1, 2, 3, 5
	modelGraph, modelOpset, modelMeta, modelTraining, modelFunction    = 7, 8, 14, 20, 25
	opsetDomain, opsetVersion                                          = 1, 2
	entryKey, entryValue                                               = 1, 2
	graphNode, graphName, graphInitializer                             = 1, 2, 5
	graphInput, graphOutput, graphSparse                               = 11, 12, 15
	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttribute, nodeDomain = 1, 2, 3, 4, 5, 7
	attrName, attrFloat, attrInt, attrText, attrTensor, attrGraph      = 1, 2, 3, 4, 5, 6
	attrFloats, attrInts, attrTexts, attrTensors, attrGraphs           = 7, 8, 9, 10, 11
	attrType, attrReference, attrSparse, attrSparses                   = 20, 21, 22, 23
	tensorDims, tensorType, tensorFloats, tensorInt32s, tensorTexts    = 1, 2, 4, 5, 6
	tensorInt64s, tensorName, tensorRaw, tensorDoubles, tensorUint64s  = 7, 8, 9, 10, 11
	tensorSegment, tensorExternal, tensorLocation                      = 3, 13, 14
	sparseValues, sparseIndices                                        = 1, 2
	valueName, valueType                                               = 1, 2
	typeTensor, typeSequence, typeMap                                  = 1, 4, 5
	shapedElem, shaped                                                 = 1, 2
	shapeDim, dimValue                                                 = 1, 1
	functionName, functionNode, functionDomain, functionAttribute      = 1, 7, 10, 11
	trainingInitialization, trainingAlgorithm                          = 1, 2
)

// field is one field of a message: bytes for what has a length, otherwise a
// number.
type field struct {
	number protowire.Number
	kind   protowire.Type
	bytes  []byte
	value  uint64
}

// fields calls f for the fields of a message in their order.
func fields(message []byte, f func(field) error) error {
	for len(message) > 0 {
		x, n := next(message)
		if n < 0 {
			return fault.Wrap(protowire.ParseError(n), fault.Invalid, "the file is no protobuf message, or breaks off")
		}
		if err := f(x); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

// next reads one field and returns how long it is; negative is an error.
func next(message []byte) (field, int) {
	number, kind, tag := protowire.ConsumeTag(message)
	if tag < 0 {
		return field{}, tag
	}
	x := field{number: number, kind: kind}
	rest, n := message[tag:], 0
	switch kind {
	case protowire.VarintType:
		x.value, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(rest)
		x.value = uint64(v)
	case protowire.Fixed64Type:
		x.value, n = protowire.ConsumeFixed64(rest)
	case protowire.BytesType:
		x.bytes, n = protowire.ConsumeBytes(rest)
	default: // groups: ONNX has none, and skipping them recurses
		return x, -1
	}
	if n < 0 {
		return x, n
	}
	return x, tag + n
}

// each calls f for every occurrence of a field of a sound message.
func each(message []byte, number protowire.Number, f func(field)) {
	for len(message) > 0 {
		x, n := next(message)
		if n < 0 {
			return
		}
		if x.number == number {
			f(x)
		}
		message = message[n:]
	}
}

// count returns how many numbers a repeated field holds, packed and not. It
// is an error when a pack breaks off within one.
func count(x field, width int) (int, error) {
	if x.kind != protowire.BytesType {
		return 1, nil
	}
	if width > 0 {
		if len(x.bytes)%width != 0 {
			return 0, fault.New(fault.Invalid, "%d bytes are no numbers of %d bytes each", len(x.bytes), width)
		}
		return len(x.bytes) / width, nil
	}
	n := 0
	for rest := x.bytes; len(rest) > 0; n++ {
		_, size := protowire.ConsumeVarint(rest)
		if size < 0 {
			return 0, fault.New(fault.Invalid, "a packed number breaks off")
		}
		rest = rest[size:]
	}
	return n, nil
}

// numbers appends the bits of a repeated field's values, packed and not.
func numbers(message []byte, number protowire.Number, width int, add func(uint64)) {
	each(message, number, func(x field) {
		if x.kind != protowire.BytesType {
			add(x.value)
			return
		}
		for rest := x.bytes; len(rest) > 0; {
			var v uint64
			var n int
			switch width {
			case 4:
				var v32 uint32
				v32, n = protowire.ConsumeFixed32(rest)
				v = uint64(v32)
			case 8:
				v, n = protowire.ConsumeFixed64(rest)
			default:
				v, n = protowire.ConsumeVarint(rest)
			}
			if n < 0 {
				return
			}
			add(v)
			rest = rest[n:]
		}
	})
}
