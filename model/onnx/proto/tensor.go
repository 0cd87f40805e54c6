package proto

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leat-ai/leat/base/fault"
)

// tensor checks a tensor: that its elements are there, as many as its shape
// says, and that they lie in the file.
func (r *reader) tensor(body []byte) (Tensor, error) {
	t := Tensor{body: body}
	held := contents{}
	err := fields(body, func(x field) error {
		switch x.number {
		case tensorName:
			return r.text(&t.Name, x)
		case tensorType:
			t.Type = Type(x.value)
		case tensorDims:
			n, err := repeated(x, 0)
			if err == nil && len(t.Dims)+n > maxDims {
				return invalid("more than %d dimensions", maxDims)
			}
			if err == nil {
				err = r.take(8 * n)
			}
			if err != nil {
				return err
			}
			return t.addDims(x)
		case tensorSegment:
			return fault.New(fault.Unsupported, "the tensor lies in segments")
		case tensorExternal:
			return external(body)
		case tensorLocation:
			if x.value != 0 {
				return external(body)
			}
		}
		return held.add(x)
	})
	if err != nil {
		return t, err
	}
	return t, held.fit(&t)
}

func (t *Tensor) addDims(x field) error {
	add := func(v uint64) error {
		if int64(v) < 0 {
			return invalid("the dimension %d is negative", int64(v))
		}
		t.Dims = append(t.Dims, int64(v))
		return nil
	}
	if x.kind != protowire.BytesType {
		return add(x.value)
	}
	for rest := x.bytes; len(rest) > 0; {
		v, n := protowire.ConsumeVarint(rest)
		if err := add(v); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// external refuses a tensor with data outside the file, and says where it was
// to be read from.
func external(tensor []byte) error {
	place := ""
	each(tensor, tensorExternal, func(x field) {
		key, value := "", ""
		each(x.bytes, entryKey, func(x field) { key = string(x.bytes[:min(len(x.bytes), 256)]) })
		each(x.bytes, entryValue, func(x field) { value = string(x.bytes[:min(len(x.bytes), 256)]) })
		if key == "location" {
			place = value
		}
	})
	what := fault.New(fault.Unsupported, "the tensor's data lies outside the file")
	if place != "" {
		what = fault.New(fault.Unsupported, "the tensor's data lies outside the file, in %q", place)
	}
	return what.Hint("save the model with its data inside: onnx.save_model(onnx.load(path), path, save_as_external_data=False)")
}

// contents counts the elements of a tensor by where they lie.
type contents struct {
	raw, hasRaw                            int
	floats, int32s, texts, int64s, doubles int
	uint64s                                int
}

func (c *contents) add(x field) (err error) {
	n := 0
	switch x.number {
	case tensorRaw:
		if c.hasRaw++; c.hasRaw > 1 || x.kind != protowire.BytesType {
			return invalid("the raw data is not one field of bytes")
		}
		c.raw = len(x.bytes)
	case tensorTexts:
		c.texts++
		return wants(x, protowire.BytesType)
	case tensorFloats:
		n, err = repeated(x, 4)
		c.floats += n
	case tensorDoubles:
		n, err = repeated(x, 8)
		c.doubles += n
	case tensorInt32s:
		n, err = repeated(x, 0)
		c.int32s += n
	case tensorInt64s:
		n, err = repeated(x, 0)
		c.int64s += n
	case tensorUint64s:
		n, err = repeated(x, 0)
		c.uint64s += n
	}
	return err
}

// fit compares what is there with what the shape says.
func (c *contents) fit(t *Tensor) error {
	want := 1
	for _, d := range t.Dims {
		if d > math.MaxInt32 || (d > 0 && want > math.MaxInt32/int(d)) {
			return invalid("a tensor of the shape %d cannot lie in a file", t.Dims)
		}
		want *= int(d)
	}
	size, have := t.Type.size(), 0
	switch {
	case c.hasRaw > 0 && size > 0:
		if c.raw != want*size {
			return invalid("%d bytes are not the %d elements of %s that the shape %d says", c.raw, want, t.Type, t.Dims)
		}
		return nil
	case c.hasRaw > 0:
		if t.Type == String {
			return invalid("text lies in raw data")
		}
		return nil // a type that nothing of Leat reads
	case t.Type == Float:
		have = c.floats
	case t.Type == Double:
		have = c.doubles
	case t.Type == String:
		have = c.texts
	case t.Type == Int64:
		have = c.int64s
	case t.Type == Uint32, t.Type == Uint64:
		have = c.uint64s
	case size > 0:
		have = c.int32s
	default:
		return nil
	}
	if have != want {
		return invalid("%d elements are not the %d of %s that the shape %d says", have, want, t.Type, t.Dims)
	}
	return nil
}
