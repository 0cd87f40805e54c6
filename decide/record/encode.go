package record

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// An entry is written as one payload, which needs no other to be read:
//
//	version, at, latency, cost, model version, eight texts, rows
//	ids; keys or none; errors or none
//	inputs, features, output: each none, or names and types, then columns;
//	features that are the inputs as they came are a mark and nothing more
//
// Numbers are little-endian; texts have their length before them. A column is
// a byte that says whether it has NULLs, a bit for each row if so, and its
// values.
const (
	payloadVersion = 2
	oldestVersion  = 1 // that is read; it had no mark for features that are the inputs
)

// How a batch of a payload begins.
const (
	batchNone byte = iota
	batchHere
	batchInputs // the inputs again
)

// Codes of the column types.
const (
	codeString byte = iota + 1
	codeInt
	codeDouble
	codeBool
	codeTimestamp
	codeDate
)

// typeOf returns the type of a code, or "" for none.
func typeOf(code byte) frame.Type {
	switch code {
	case codeString:
		return frame.String
	case codeInt:
		return frame.Int
	case codeDouble:
		return frame.Double
	case codeBool:
		return frame.Bool
	case codeTimestamp:
		return frame.Timestamp
	case codeDate:
		return frame.Date
	}
	return ""
}

// encoder writes payloads. It remembers how the schemas that it saw last are
// written, because a path hands in the same ones again and again.
type encoder struct {
	schemas sync.Map // *arrow.Schema → []byte
	known   sync.Mutex
	count   int
}

const maxSchemas = 1024

// append appends the payload of an entry.
func (c *encoder) append(dst []byte, e *Entry) ([]byte, error) {
	n := len(e.IDs)
	if e.Keys != nil && len(e.Keys) != n || e.Errors != nil && len(e.Errors) != n {
		return dst, fault.New(fault.Internal, "a record of %d decisions has %d keys and %d errors", n, len(e.Keys), len(e.Errors))
	}
	dst = append(dst, payloadVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.At.UnixMicro()))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Latency.Microseconds()))
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.Cost))
	dst = binary.AppendUvarint(dst, uint64(max(e.Version, 0)))
	for _, text := range [...]string{e.Pattern, e.Endpoint, e.Release, e.Variant, e.Model, e.Caller, e.Run} {
		dst = appendText(dst, text)
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = appendTexts(dst, e.IDs)
	dst = appendOptional(dst, e.Keys)
	dst = appendErrors(dst, e.Errors)
	return c.appendBatches(dst, e, n)
}

func (c *encoder) appendBatches(dst []byte, e *Entry, n int) (_ []byte, err error) {
	if dst, err = c.appendBatch(dst, e.Inputs, n); err != nil {
		return dst, err
	}
	if e.Features != nil && e.Features == e.Inputs {
		dst = append(dst, batchInputs)
	} else if dst, err = c.appendBatch(dst, e.Features, n); err != nil {
		return dst, err
	}
	return c.appendBatch(dst, e.Output, n)
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendTexts(dst []byte, texts []string) []byte {
	for _, t := range texts {
		dst = appendText(dst, t)
	}
	return dst
}

func appendOptional(dst []byte, texts []string) []byte {
	if texts == nil {
		return append(dst, 0)
	}
	return appendTexts(append(dst, 1), texts)
}

func appendErrors(dst []byte, errs []error) []byte {
	if errs == nil {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	for _, err := range errs {
		if err == nil {
			dst = append(dst, 0)
		} else {
			dst = appendText(dst, err.Error())
		}
	}
	return dst
}

func (c *encoder) appendBatch(dst []byte, b frame.Batch, n int) ([]byte, error) {
	if b == nil {
		return append(dst, batchNone), nil
	}
	if int(b.NumRows()) != n {
		return dst, fault.New(fault.Internal, "a record of %d decisions has %d rows", n, b.NumRows())
	}
	head, err := c.schema(b.Schema())
	if err != nil {
		return dst, err
	}
	dst = append(dst, head...)
	for _, col := range b.Columns() {
		dst = appendColumn(dst, col)
	}
	return dst, nil
}

// schema returns how a schema is written.
func (c *encoder) schema(s *arrow.Schema) ([]byte, error) {
	if head, ok := c.schemas.Load(s); ok {
		return head.([]byte), nil
	}
	head := binary.AppendUvarint([]byte{batchHere}, uint64(s.NumFields()))
	for _, f := range s.Fields() {
		code, err := codeOf(f)
		if err != nil {
			return nil, err
		}
		head = appendText(append(head, code), f.Name)
	}
	c.known.Lock()
	defer c.known.Unlock()
	if c.count++; c.count > maxSchemas { // many short-lived schemas: begin anew
		c.schemas.Clear()
		c.count = 1
	}
	c.schemas.Store(s, head)
	return head, nil
}

func codeOf(f arrow.Field) (byte, error) {
	t, err := frame.TypeOf(f.Type)
	if err != nil {
		return 0, fault.Wrap(err, fault.Internal, "column %q of a record", f.Name)
	}
	for code := codeString; code <= codeDate; code++ {
		if typeOf(code) == t {
			return code, nil
		}
	}
	return 0, fault.New(fault.Internal, "column %q of a record has the type %s", f.Name, t)
}

func appendColumn(dst []byte, col arrow.Array) []byte {
	dst = appendNulls(dst, col)
	switch c := col.(type) {
	case *array.Float64:
		for _, v := range c.Float64Values() {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
		}
	case *array.Int64:
		for _, v := range c.Int64Values() {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
	case *array.Timestamp:
		for _, v := range c.TimestampValues() {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
	case *array.Date32:
		for _, v := range c.Date32Values() {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		}
	case *array.Boolean:
		for i := range c.Len() {
			dst = appendBool(dst, c.Value(i))
		}
	case *array.String:
		for i := range c.Len() {
			dst = appendText(dst, c.Value(i))
		}
	}
	return dst
}

func appendNulls(dst []byte, col arrow.Array) []byte {
	if col.NullN() == 0 {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	start := len(dst)
	dst = append(dst, make([]byte, (col.Len()+7)/8)...)
	for i := range col.Len() {
		if col.IsNull(i) {
			dst[start+i/8] |= 1 << (i % 8)
		}
	}
	return dst
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
