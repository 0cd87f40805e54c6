package oip

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
)

// wanted is an output that a request asks for.
type wanted struct {
	name   string
	binary bool
}

// output is a tensor of an answer: of a column, or of texts.
type output struct {
	name     string
	datatype datatype
	rows     int
	binary   bool
	column   arrow.Array // nil: texts
	texts    []string
}

// decisionID is the name of an output that is given when it is asked for.
const decisionID = "decision_id"

// outputsOf makes tensors of an answer: those that are asked for in that
// order, or all of the model's. The protocol has no error of a single row, so
// one failed row fails the request.
func outputsOf(a *decide.Answer, want []wanted, binary bool) ([]output, error) {
	if err := compat.RowError(a); err != nil {
		return nil, err
	}
	fields := a.Rows.Schema().Fields()
	if len(want) == 0 {
		outputs := make([]output, len(fields))
		for i := range fields {
			outputs[i] = columnOf(a, fields[i], i, binary)
		}
		return outputs, nil
	}
	outputs := make([]output, 0, len(want))
	for _, w := range want {
		i := slices.IndexFunc(fields, func(f arrow.Field) bool { return f.Name == w.name })
		switch {
		case i >= 0:
			outputs = append(outputs, columnOf(a, fields[i], i, w.binary))
		case w.name == decisionID:
			outputs = append(outputs, output{name: decisionID, datatype: bytesType, rows: len(a.IDs), binary: w.binary, texts: a.IDs})
		default:
			return nil, unknownOutput(fields, w.name)
		}
	}
	return outputs, nil
}

func columnOf(a *decide.Answer, f arrow.Field, i int, binary bool) output {
	t, _ := frame.TypeOf(f.Type) // a path's outputs have only the six types
	return output{name: f.Name, datatype: datatypeOf(t), rows: len(a.IDs), binary: binary, column: a.Rows.Column(i)}
}

func unknownOutput(fields []arrow.Field, name string) error {
	names := []string{decisionID}
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return fault.New(fault.Invalid, "there is no output %.64q; the outputs are %s", name, strings.Join(names, ", "))
}

// appendJSON appends the values as a JSON array.
func (o output) appendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range o.rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		if o.column != nil {
			dst = realtime.AppendValue(dst, o.column, i)
		} else {
			dst = compat.AppendString(dst, o.texts[i])
		}
	}
	return append(dst, ']')
}

// appendRaw appends the values as bytes, little endian. A number that is not
// known is NaN, a text that is not is empty; for others there are no bytes.
func (o output) appendRaw(dst []byte) ([]byte, error) {
	switch c := o.column.(type) {
	case *array.Float64:
		for i := range o.rows {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(o.float(c, i)))
		}
	case *array.Int64:
		if c.NullN() > 0 {
			return nil, o.hasNulls()
		}
		for i := range o.rows {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(c.Value(i)))
		}
	case *array.Boolean:
		if c.NullN() > 0 {
			return nil, o.hasNulls()
		}
		for i := range o.rows {
			b := byte(0)
			if c.Value(i) {
				b = 1
			}
			dst = append(dst, b)
		}
	default:
		for i := range o.rows {
			text := o.text(i)
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text)))
			dst = append(dst, text...)
		}
	}
	return dst, nil
}

func (o output) float(c *array.Float64, i int) float64 {
	if c.IsNull(i) {
		return math.NaN()
	}
	return c.Value(i)
}

func (o output) hasNulls() error {
	return fault.New(fault.Unsupported, "output %q has a value that is not known, and %s has no bytes for it", o.name, o.datatype).
		Hint("ask for it as JSON")
}

// text is a value of a column of text or time.
func (o output) text(i int) string {
	switch c := o.column.(type) {
	case nil:
		return o.texts[i]
	case *array.String:
		if c.IsNull(i) {
			return ""
		}
		return c.Value(i)
	}
	quoted := realtime.AppendValue(nil, o.column, i)
	return strings.Trim(strings.TrimPrefix(string(quoted), "null"), `"`)
}
