package oip

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
)

const bytesType = "BYTES"

// datatypeOf is the protocol's name of a column type; times are text.
func datatypeOf(t frame.Type) string {
	switch t {
	case frame.Double:
		return "FP64"
	case frame.Int:
		return "INT64"
	case frame.Bool:
		return "BOOL"
	}
	return bytesType
}

// tensor is an input as it is sent.
type tensor struct {
	Name     string          `json:"name"`
	Shape    []int           `json:"shape"`
	Datatype string          `json:"datatype"`
	Data     json.RawMessage `json:"data"`
}

// output is a tensor of an answer: of a column, or of texts.
type output struct {
	Name     string
	Datatype string
	Shape    []int
	column   arrow.Array
	texts    []string
}

// MarshalJSON writes the tensor with its data.
func (o output) MarshalJSON() ([]byte, error) {
	data := []byte{'['}
	for i := range o.Shape[0] {
		if i > 0 {
			data = append(data, ',')
		}
		if o.column != nil {
			data = realtime.AppendValue(data, o.column, i)
		} else {
			data = strconv.AppendQuote(data, o.texts[i])
		}
	}
	return json.Marshal(tensor{Name: o.Name, Shape: o.Shape, Datatype: o.Datatype, Data: append(data, ']')})
}

// elements is the number of values of a shape, or an error that names the
// tensor.
func (t tensor) elements(maxRows int) (int, error) {
	if len(t.Shape) == 0 || len(t.Shape) > 2 {
		return 0, fault.New(fault.Invalid, "input %q: a shape of %d dimensions", t.Name, len(t.Shape)).
			Hint("give one dimension of rows, or rows and columns")
	}
	n := 1
	for _, d := range t.Shape {
		if d < 0 || d > 1<<24 {
			return 0, fault.New(fault.Invalid, "input %q: a dimension of %d", t.Name, d)
		}
		n *= d
	}
	if t.Shape[0] > maxRows {
		return 0, fault.New(fault.TooLarge, "input %q has %d rows; %d are the most in one request", t.Name, t.Shape[0], maxRows)
	}
	return n, nil
}

// batchOf makes rows of tensors: one for each input column, or a single matrix
// of all of them in their order.
func batchOf(tensors []tensor, inputs []model.Field, maxRows int) (frame.Batch, error) {
	if len(tensors) == 0 {
		return nil, fault.New(fault.Invalid, "the request has no inputs")
	}
	if len(tensors) == 1 && len(tensors[0].Shape) == 2 && tensors[0].Shape[1] == len(inputs) && len(inputs) > 1 {
		return matrix(tensors[0], inputs, maxRows)
	}
	rows := -1
	columns := make([]arrow.Array, len(inputs))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, in := range inputs {
		t, ok := named(tensors, in.Name)
		if !ok {
			return nil, fault.New(fault.Invalid, "there is no input %q", in.Name)
		}
		n, err := t.elements(maxRows)
		if err != nil {
			return nil, err
		}
		if n != t.Shape[0] {
			return nil, fault.New(fault.Invalid, "input %q is one column, and its shape is %v", t.Name, t.Shape).
				Hint("give %[1]d values as [%[1]d] or [%[1]d, 1]; only a single tensor may have all columns", t.Shape[0])
		}
		if rows >= 0 && n != rows {
			return nil, fault.New(fault.Invalid, "input %q has %d values, the others %d", t.Name, n, rows)
		}
		rows = n
		b := newColumn(in)
		if err := values(t, n, func(_ int, v jsontext.Token) error { return b.append(v) }); err != nil {
			b.builder.Release()
			return nil, err
		}
		columns[i] = b.builder.NewArray()
		b.builder.Release()
	}
	return array.NewRecordBatch(schemaOf(inputs), columns, int64(rows)), nil
}

func named(tensors []tensor, name string) (tensor, bool) {
	for _, t := range tensors {
		if t.Name == name {
			return t, true
		}
	}
	return tensor{}, false
}

func schemaOf(inputs []model.Field) *arrow.Schema {
	fields := make([]arrow.Field, len(inputs))
	for i, in := range inputs {
		fields[i] = arrow.Field{Name: in.Name, Type: in.Type.Arrow(), Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// matrix reads one tensor of rows and columns.
func matrix(t tensor, inputs []model.Field, maxRows int) (frame.Batch, error) {
	n, err := t.elements(maxRows)
	if err != nil {
		return nil, err
	}
	columns := make([]column, len(inputs))
	for i, in := range inputs {
		columns[i] = newColumn(in)
		defer columns[i].builder.Release()
	}
	err = values(t, n, func(i int, v jsontext.Token) error { return columns[i%len(inputs)].append(v) })
	if err != nil {
		return nil, err
	}
	arrays := make([]arrow.Array, len(inputs))
	for i := range columns {
		arrays[i] = columns[i].builder.NewArray()
		defer arrays[i].Release()
	}
	return array.NewRecordBatch(schemaOf(inputs), arrays, int64(t.Shape[0])), nil
}

// values calls f with the n values of a tensor in row-major order, whether
// they are written flat or nested.
func values(t tensor, n int, f func(i int, v jsontext.Token) error) error {
	if len(t.Data) == 0 {
		return fault.New(fault.Invalid, "input %q has no data", t.Name)
	}
	d := jsontext.NewDecoder(bytes.NewReader(t.Data))
	count, depth := 0, 0
	for {
		v, err := d.ReadToken()
		if err != nil {
			return fault.New(fault.Invalid, "the data of input %q is not understood", t.Name).Because(err)
		}
		switch v.Kind() {
		case '[':
			if depth++; depth > len(t.Shape) {
				return fault.New(fault.Invalid, "the data of input %q is nested deeper than its shape", t.Name)
			}
			continue
		case ']':
			if depth--; depth == 0 {
				return complete(t, count, n)
			}
			continue
		case '{', '}':
			return fault.New(fault.Invalid, "the data of input %q has an object", t.Name)
		}
		if count == n {
			return complete(t, count+1, n)
		}
		if err := f(count, v); err != nil {
			return err
		}
		count++
		if depth == 0 {
			return complete(t, count, n)
		}
	}
}

func complete(t tensor, count, n int) error {
	if count != n {
		return fault.New(fault.Invalid, "input %q has other than the %d values of its shape", t.Name, n)
	}
	return nil
}

// column builds one input column.
type column struct {
	name    string
	kind    frame.Type
	builder array.Builder
}

func newColumn(in model.Field) column {
	return column{in.Name, in.Type, array.NewBuilder(memory.DefaultAllocator, in.Type.Arrow())}
}

func (c column) append(v jsontext.Token) error {
	if v.Kind() == 'n' {
		c.builder.AppendNull()
		return nil
	}
	ok := false
	switch b := c.builder.(type) {
	case *array.Float64Builder:
		var f float64
		if f, ok = number(v); ok {
			b.Append(f)
		}
	case *array.Int64Builder:
		var n int64
		if n, ok = whole(v); ok {
			b.Append(n)
		}
	case *array.BooleanBuilder:
		if ok = v.Kind() == 't' || v.Kind() == 'f'; ok {
			b.Append(v.Bool())
		}
	case *array.StringBuilder:
		if ok = v.Kind() == '"'; ok {
			b.Append(v.String())
		}
	default:
		ok = c.appendTime(v)
	}
	if !ok {
		return fault.New(fault.Invalid, "input %q takes %s", c.name, datatypeOf(c.kind))
	}
	return nil
}

func (c column) appendTime(v jsontext.Token) bool {
	if v.Kind() != '"' {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, v.String())
	if err != nil {
		if at, err = time.Parse(time.DateOnly, v.String()); err != nil {
			return false
		}
	}
	switch b := c.builder.(type) {
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(at.UnixMicro()))
	case *array.Date32Builder:
		b.Append(arrow.Date32FromTime(at))
	}
	return true
}

// whole reads an int exactly; one that is written like 3.0 or 1e3 is one too,
// as far as a double has every whole number.
func whole(v jsontext.Token) (int64, bool) {
	if v.Kind() != '0' {
		return 0, false
	}
	if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
		return n, true
	}
	f, ok := number(v)
	return int64(f), ok && f == math.Trunc(f) && math.Abs(f) < 1<<53
}

func number(v jsontext.Token) (float64, bool) {
	if v.Kind() != '0' {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.String(), 64)
	return f, err == nil
}
