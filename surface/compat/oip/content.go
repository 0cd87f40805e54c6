package oip

import (
	"bytes"
	"encoding/binary"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
)

func otherThan(n int) error {
	return fault.New(fault.Invalid, "it has other than the %d values of its shape", n)
}

// jsonContent is values as JSON, flat or nested as deep as the shape.
type jsonContent struct {
	data  jsontext.Value
	depth int
}

func (c jsonContent) holds(n int) error {
	switch {
	case len(c.data) == 0:
		return fault.New(fault.Invalid, "it has no data")
	case len(c.data) < 2*n-1: // a value and what follows it
		return otherThan(n)
	}
	return nil
}

func (jsonContent) doubles() func(int) float64 { return nil }

func (c jsonContent) each(n int, put func(int, compat.Value) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(c.data))
	count, depth := 0, 0
	for {
		t, err := d.ReadToken()
		if err != nil {
			return fault.New(fault.Invalid, "the data is not understood").Because(err)
		}
		switch t.Kind() {
		case '[':
			if depth++; depth > c.depth {
				return fault.New(fault.Invalid, "the data is nested deeper than the shape")
			}
			continue
		case ']':
			if depth--; depth == 0 {
				return exactly(count, n)
			}
			continue
		}
		v, ok := compat.Token(t)
		if !ok {
			return fault.New(fault.Invalid, "the data has an object")
		}
		if count == n {
			return otherThan(n)
		}
		if err := put(count, v); err != nil {
			return err
		}
		if count++; depth == 0 {
			return exactly(count, n)
		}
	}
}

func exactly(count, n int) error {
	if count != n {
		return otherThan(n)
	}
	return nil
}

// rawContent is values as bytes, little endian.
type rawContent struct {
	datatype datatype
	data     []byte
}

func (c rawContent) holds(n int) error {
	size := wires[c.datatype].size
	switch {
	case size > 0 && len(c.data) != n*size:
		return fault.New(fault.Invalid, "%d values of %s are %d bytes, and there are %d", n, c.datatype, n*size, len(c.data))
	case size == 0 && len(c.data)/4 < n: // each has at least its length
		return otherThan(n)
	}
	return nil
}

func (c rawContent) doubles() func(int) float64 {
	switch c.datatype {
	case fp64Type:
		return func(i int) float64 { return double(c.data[8*i:]) }
	case fp32Type:
		return func(i int) float64 { return single(c.data[4*i:]) }
	}
	return nil
}

func (c rawContent) each(n int, put func(int, compat.Value) error) error {
	w := wires[c.datatype]
	if w.size == 0 {
		return c.eachText(n, put)
	}
	for i := range n {
		if err := put(i, w.read(c.data[i*w.size:])); err != nil {
			return err
		}
	}
	return nil
}

// eachText reads values that each stand behind their length.
func (c rawContent) eachText(n int, put func(int, compat.Value) error) error {
	rest := c.data
	for i := range n {
		if len(rest) < 4 {
			return otherThan(n)
		}
		size := binary.LittleEndian.Uint32(rest)
		if rest = rest[4:]; uint64(size) > uint64(len(rest)) {
			return fault.New(fault.Invalid, "value %d is said to have %d bytes, and %d are left", i, size, len(rest))
		}
		if err := put(i, compat.Text(string(rest[:size]))); err != nil {
			return err
		}
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return otherThan(n)
	}
	return nil
}

// typedContent is values in the field of a message that is their datatype's.
type typedContent struct {
	datatype datatype
	contents *pb.InferTensorContents
}

func (c typedContent) holds(n int) error {
	if c.datatype == "FP16" || c.datatype == "BF16" {
		return fault.New(fault.Invalid, "%s has no field in contents", c.datatype).Hint("send it in raw_input_contents")
	}
	if c.size() != n {
		return fault.New(fault.Invalid, "it has %d values of %s in its contents, and %d in its shape", c.size(), c.datatype, n)
	}
	return nil
}

func (c typedContent) size() int {
	switch t := c.contents; c.datatype {
	case boolType:
		return len(t.GetBoolContents())
	case "INT8", "INT16", "INT32":
		return len(t.GetIntContents())
	case int64Type:
		return len(t.GetInt64Contents())
	case "UINT8", "UINT16", "UINT32":
		return len(t.GetUintContents())
	case "UINT64":
		return len(t.GetUint64Contents())
	case fp32Type:
		return len(t.GetFp32Contents())
	case fp64Type:
		return len(t.GetFp64Contents())
	}
	return len(c.contents.GetBytesContents())
}

func (c typedContent) doubles() func(int) float64 {
	switch c.datatype {
	case fp64Type:
		values := c.contents.GetFp64Contents()
		return func(i int) float64 { return values[i] }
	case fp32Type:
		values := c.contents.GetFp32Contents()
		return func(i int) float64 { return float64(values[i]) }
	}
	return nil
}

func (c typedContent) each(_ int, put func(int, compat.Value) error) error {
	switch t := c.contents; c.datatype {
	case boolType:
		return each(t.GetBoolContents(), compat.Bool, put)
	case "INT8", "INT16", "INT32":
		return each(t.GetIntContents(), func(v int32) compat.Value { return compat.Int(int64(v)) }, put)
	case int64Type:
		return each(t.GetInt64Contents(), compat.Int, put)
	case "UINT8", "UINT16", "UINT32":
		return each(t.GetUintContents(), func(v uint32) compat.Value { return compat.Int(int64(v)) }, put)
	case "UINT64":
		return each(t.GetUint64Contents(), compat.Uint, put)
	case fp32Type:
		return each(t.GetFp32Contents(), func(v float32) compat.Value { return compat.Float(float64(v)) }, put)
	case fp64Type:
		return each(t.GetFp64Contents(), compat.Float, put)
	}
	return each(c.contents.GetBytesContents(), func(v []byte) compat.Value { return compat.Text(string(v)) }, put)
}

func each[T any](values []T, value func(T) compat.Value, put func(int, compat.Value) error) error {
	for i, v := range values {
		if err := put(i, value(v)); err != nil {
			return err
		}
	}
	return nil
}
