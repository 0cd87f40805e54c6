package oip

import (
	"encoding/binary"
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
)

// datatype is the type of a tensor's values, by the protocol's name.
type datatype string

const (
	boolType  datatype = "BOOL"
	int64Type datatype = "INT64"
	fp32Type  datatype = "FP32"
	fp64Type  datatype = "FP64"
	bytesType datatype = "BYTES"
)

// wire is how the values of a datatype travel.
type wire struct {
	size   int // bytes of a value; 0: a length of four bytes and as many bytes
	read   func(b []byte) compat.Value
	config pb.DataType // its name in a model's configuration
}

var wires = map[datatype]wire{
	boolType:  {1, func(b []byte) compat.Value { return compat.Bool(b[0] != 0) }, pb.DataType_TYPE_BOOL},
	"UINT8":   {1, func(b []byte) compat.Value { return compat.Int(int64(b[0])) }, pb.DataType_TYPE_UINT8},
	"UINT16":  {2, func(b []byte) compat.Value { return compat.Int(int64(binary.LittleEndian.Uint16(b))) }, pb.DataType_TYPE_UINT16},
	"UINT32":  {4, func(b []byte) compat.Value { return compat.Int(int64(binary.LittleEndian.Uint32(b))) }, pb.DataType_TYPE_UINT32},
	"UINT64":  {8, func(b []byte) compat.Value { return compat.Uint(binary.LittleEndian.Uint64(b)) }, pb.DataType_TYPE_UINT64},
	"INT8":    {1, func(b []byte) compat.Value { return compat.Int(int64(int8(b[0]))) }, pb.DataType_TYPE_INT8},
	"INT16":   {2, func(b []byte) compat.Value { return compat.Int(int64(int16(binary.LittleEndian.Uint16(b)))) }, pb.DataType_TYPE_INT16},
	"INT32":   {4, func(b []byte) compat.Value { return compat.Int(int64(int32(binary.LittleEndian.Uint32(b)))) }, pb.DataType_TYPE_INT32},
	int64Type: {8, func(b []byte) compat.Value { return compat.Int(int64(binary.LittleEndian.Uint64(b))) }, pb.DataType_TYPE_INT64},
	"FP16":    {2, func(b []byte) compat.Value { return compat.Float(half(binary.LittleEndian.Uint16(b))) }, pb.DataType_TYPE_FP16},
	"BF16":    {2, func(b []byte) compat.Value { return compat.Float(brain(binary.LittleEndian.Uint16(b))) }, pb.DataType_TYPE_BF16},
	fp32Type:  {4, func(b []byte) compat.Value { return compat.Float(single(b)) }, pb.DataType_TYPE_FP32},
	fp64Type:  {8, func(b []byte) compat.Value { return compat.Float(double(b)) }, pb.DataType_TYPE_FP64},
	bytesType: {0, func(b []byte) compat.Value { return compat.Text(string(b)) }, pb.DataType_TYPE_STRING},
}

func single(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }

func double(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// brain is a bfloat16: the upper half of a float32.
func brain(bits uint16) float64 { return float64(math.Float32frombits(uint32(bits) << 16)) }

// half is an IEEE 754 binary16.
func half(bits uint16) float64 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	v := 0.0
	switch exponent {
	case 0:
		v = math.Ldexp(fraction, -24)
	case 0x1f:
		if v = math.Inf(1); fraction != 0 {
			return math.NaN()
		}
	default:
		v = math.Ldexp(fraction+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		return -v
	}
	return v
}

// datatypeOf is the datatype of a column; times are text.
func datatypeOf(t frame.Type) datatype {
	switch t {
	case frame.Double:
		return fp64Type
	case frame.Int:
		return int64Type
	case frame.Bool:
		return boolType
	}
	return bytesType
}

// known is an error for a datatype that is none. A tensor of JSON may leave it
// out, because its values show what they are.
func (d datatype) known() error {
	if _, ok := wires[d]; !ok {
		return fault.New(fault.Invalid, "there is no datatype %.40q", string(d)).
			Hint("they are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 and BYTES")
	}
	return nil
}
