package realtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// ReadRows reads JSON rows into a batch with one column for each input of the
// layout, in their order. Every row must name every input; null stands for a value that
// is not known. Other columns of a row are passed over. The caller releases
// them.
//
// A missing column, a value of the wrong type, more than maxRows rows and
// anything that is not strict JSON (RFC 8259, and no name twice in an object)
// is an Invalid or TooLarge fault that says which row and column.
func ReadRows(body []byte, l *Layout, maxRows int) (Rows, error) {
	if r, ok := l.readSingle(body); ok {
		return r, nil
	}
	if b, ok := l.readPlain(body, maxRows); ok {
		return Rows{Batch: b}, nil
	}
	b, err := l.readAny(body, maxRows)
	return Rows{Batch: b}, err
}

// readAny reads whatever is JSON, and explains whatever is not.
func (l *Layout) readAny(body []byte, maxRows int) (frame.Batch, error) {
	r := newRowReader(body, l, maxRows)
	defer r.builder.Release()
	if err := r.document(); err != nil {
		return nil, r.explain(err)
	}
	return r.builder.NewRecordBatch(), nil
}

// Layout is what the rows of a path look like: made once, used for every
// request. It is immutable and safe for many goroutines.
type Layout struct {
	inputs []model.Field
	schema *arrow.Schema
	byName map[string]int
	// singles are rows that wait to be used again; without a New function when
	// the layout has a column that only the general way reads.
	singles sync.Pool
}

// NewLayout prepares reading rows of a path's inputs. schema may be nil; the
// batches read have it otherwise.
func NewLayout(inputs []model.Field, schema *arrow.Schema) *Layout {
	l := &Layout{inputs: inputs, schema: schema, byName: make(map[string]int, len(inputs))}
	fields := make([]arrow.Field, len(inputs))
	for i, in := range inputs {
		fields[i] = arrow.Field{Name: in.Name, Type: in.Type.Arrow(), Nullable: true}
		l.byName[in.Name] = i
	}
	if l.schema == nil {
		l.schema = arrow.NewSchema(fields, nil)
	}
	if newSingle(l) != nil {
		l.singles.New = func() any { return newSingle(l) }
	}
	return l
}

// rowReader holds the state of one ReadRows.
type rowReader struct {
	dec     *jsontext.Decoder
	inputs  []model.Field
	byName  map[string]int
	builder *array.RecordBuilder
	seen    []int // the last row, counted from 1, that named each input
	row     int
	maxRows int
}

func newRowReader(body []byte, l *Layout, maxRows int) *rowReader {
	return &rowReader{
		dec:     jsontext.NewDecoder(bytes.NewBuffer(body)),
		inputs:  l.inputs,
		byName:  l.byName,
		builder: array.NewRecordBuilder(memory.DefaultAllocator, l.schema),
		seen:    make([]int, len(l.inputs)),
		maxRows: maxRows,
	}
}

// document reads the whole body, in any of its three forms.
func (r *rowReader) document() error {
	var err error
	switch r.dec.PeekKind() {
	case '[':
		err = r.rows()
	case '{':
		err = r.objectOrRow()
	default:
		if _, err = r.dec.ReadToken(); err == nil {
			err = r.shape("the body is not a row")
		}
	}
	if err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return r.shape("something follows the rows")
	}
	return nil
}

func (r *rowReader) shape(what string) error {
	return fault.New(fault.Invalid, "%s", what).
		Hint(`send {"rows": [{"column": value, …}]}, or one row object`)
}

// objectOrRow reads {"rows": […]} or a bare row. Which of the two it is shows
// at the first name, unless a row has a column named rows.
func (r *rowReader) objectOrRow() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	if r.dec.PeekKind() == '}' {
		return r.shape("the body has no rows")
	}
	name, err := r.name()
	if err != nil {
		return err
	}
	_, isColumn := r.byName["rows"]
	if name != "rows" || isColumn {
		return r.singleRow(name)
	}
	if r.dec.PeekKind() != '[' {
		return r.shape(`"rows" is not an array`)
	}
	if err := r.rows(); err != nil {
		return err
	}
	if r.dec.PeekKind() != '}' {
		name, err := r.name()
		if err != nil {
			return err
		}
		return fault.New(fault.Invalid, "%q is not understood beside \"rows\"", name)
	}
	_, err = r.dec.ReadToken()
	return err
}

func (r *rowReader) singleRow(first string) error {
	r.row = 1
	if err := r.value(first); err != nil {
		return err
	}
	return r.members()
}

func (r *rowReader) rows() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() == '{' {
		if r.row++; r.row > r.maxRows {
			return fault.New(fault.TooLarge, "more than %d rows in one request", r.maxRows).
				Hint("send fewer rows at a time, or score the table with a batch")
		}
		if _, err := r.dec.ReadToken(); err != nil {
			return err
		}
		if err := r.members(); err != nil {
			return err
		}
	}
	t, err := r.dec.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != ']' {
		return r.shape(fmt.Sprintf("row %d is not an object", r.row))
	}
	return nil
}

// members reads the rest of a row up to its closing brace.
func (r *rowReader) members() error {
	for r.dec.PeekKind() == '"' {
		name, err := r.name()
		if err != nil {
			return err
		}
		if err := r.value(name); err != nil {
			return err
		}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for i, row := range r.seen {
		if row != r.row {
			return fault.New(fault.Invalid, "row %d lacks the column %q", r.row-1, r.inputs[i].Name).
				Hint("send every input column; null says that a value is not known")
		}
	}
	return nil
}

func (r *rowReader) name() (string, error) {
	t, err := r.dec.ReadToken()
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

// value reads the value of a column into its builder.
func (r *rowReader) value(name string) error {
	i, known := r.byName[name]
	if !known {
		return r.dec.SkipValue()
	}
	r.seen[i] = r.row
	switch r.dec.PeekKind() {
	case '{', '[':
		return r.wrongType(i, "something nested")
	}
	t, err := r.dec.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() == 'n' {
		r.builder.Field(i).AppendNull()
		return nil
	}
	return r.append(i, t)
}

func (r *rowReader) append(i int, t jsontext.Token) error {
	switch b := r.builder.Field(i).(type) {
	case *array.Float64Builder:
		if t.Kind() != '0' {
			return r.wrongType(i, kindName(t))
		}
		v, err := strconv.ParseFloat(t.String(), 64)
		if err != nil {
			return r.wrongType(i, "a number beyond its range")
		}
		b.Append(v)
	case *array.Int64Builder:
		if t.Kind() != '0' {
			return r.wrongType(i, kindName(t))
		}
		v, ok := wholeNumber(t.String())
		if !ok {
			return r.wrongType(i, "the number "+clip(t.String()))
		}
		b.Append(v)
	case *array.StringBuilder:
		if t.Kind() != '"' {
			return r.wrongType(i, kindName(t))
		}
		b.Append(t.String())
	case *array.BooleanBuilder:
		if t.Kind() != 't' && t.Kind() != 'f' {
			return r.wrongType(i, kindName(t))
		}
		b.Append(t.Bool())
	default:
		return r.appendTime(i, t)
	}
	return nil
}

// appendTime takes "2026-01-31T10:00:00Z" or, for a date and for midnight,
// "2026-01-31".
func (r *rowReader) appendTime(i int, t jsontext.Token) error {
	if t.Kind() != '"' {
		return r.wrongType(i, kindName(t))
	}
	text := t.String()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
	}
	if err != nil {
		return r.wrongType(i, fmt.Sprintf("%q", clip(text)))
	}
	switch b := r.builder.Field(i).(type) {
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(at.UnixMicro()))
	case *array.Date32Builder:
		b.Append(arrow.Date32FromTime(at))
	}
	return nil
}

// wholeNumber reads an int, also when it is written like 3.0 or 1e3.
func wholeNumber(text string) (int64, bool) {
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func (r *rowReader) wrongType(i int, got string) error {
	in := r.inputs[i]
	err := fault.New(fault.Invalid, "row %d: column %q takes %s, not %s", max(r.row-1, 0), in.Name, article(in.Type), got)
	if in.Type == frame.Timestamp || in.Type == frame.Date {
		err = err.Hint(`write times like "2026-01-31T10:00:00Z"`)
	}
	return err
}

func article(t frame.Type) string {
	if t == frame.Int {
		return "an int"
	}
	return "a " + string(t)
}

func kindName(t jsontext.Token) string {
	switch t.Kind() {
	case '"':
		return fmt.Sprintf("the string %q", clip(t.String()))
	case '0':
		return "a number"
	}
	return t.String()
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// explain turns an error of the JSON decoder into a fault with its place.
func (r *rowReader) explain(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "the JSON ends too early")
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fault.New(fault.Invalid, "not JSON at byte %d: %v", syntax.ByteOffset, syntax.Err)
	}
	return fault.Wrap(err, fault.KindOf(err), "the body cannot be read")
}
