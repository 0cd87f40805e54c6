package columns

import (
	"errors"
	"fmt"
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
)

// Builder collects cells into columns of declared fields. It is for one
// goroutine; Release it when done.
type Builder struct {
	fields []model.Field
	record *array.RecordBuilder
}

// NewBuilder makes a builder of columns of the fields' types.
func NewBuilder(fields []model.Field) *Builder {
	return &Builder{fields: fields, record: array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(fields))}
}

// Release gives back the builder's memory.
func (b *Builder) Release() { b.record.Release() }

// Len is how many cells a column has.
func (b *Builder) Len(column int) int { return b.record.Field(column).Len() }

// Null adds a missing value to a column.
func (b *Builder) Null(column int) { b.record.Field(column).AppendNull() }

// Cell adds a JSON value to a column: null, or what its type can be written
// as. A number may be text where JSON has none for it ("NaN", "Infinity"); a
// time may be a number or text.
func (b *Builder) Cell(column int, cell jsontext.Value) error {
	if err := appendJSON(b.record.Field(column), cell); err != nil {
		return b.wrong(column, cell, err)
	}
	return nil
}

func (b *Builder) wrong(column int, cell jsontext.Value, err error) error {
	f := b.fields[column]
	return fault.New(fault.Corrupt, "row %d of the answered column %q is %s, not %s", b.Len(column), f.Name, short(cell), article(f.Type)).Because(err)
}

func article(t frame.Type) string {
	if t == frame.Int {
		return "an int"
	}
	return fmt.Sprintf("a %s", t)
}

// short shows a value in an error, and no more of it than helps.
func short(v []byte) string {
	const most = 40
	if len(v) <= most {
		return string(v)
	}
	return string(v[:most]) + "…"
}

// Batch returns what was collected, every column of which must have as many
// cells as rows. The caller releases it.
func (b *Builder) Batch(rows int) (frame.Batch, error) {
	for i, f := range b.fields {
		if n := b.Len(i); n != rows {
			return nil, fault.New(fault.Corrupt, "the answered column %q has %d rows, not %d", f.Name, n, rows)
		}
	}
	return b.record.NewRecordBatch(), nil
}

var errForm = errors.New("that is another type")

func appendJSON(b array.Builder, cell jsontext.Value) error {
	if cell.Kind() == 'n' {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.Float64Builder:
		v, err := number(cell)
		if err == nil {
			b.Append(v)
		}
		return err
	case *array.Int64Builder:
		v, err := integer(cell)
		if err == nil {
			b.Append(v)
		}
		return err
	case *array.StringBuilder:
		v, err := text(cell)
		if err == nil {
			b.Append(v)
		}
		return err
	case *array.BooleanBuilder:
		v, err := boolean(cell)
		if err == nil {
			b.Append(v)
		}
		return err
	case *array.TimestampBuilder:
		v, err := instant(cell)
		if err == nil {
			b.Append(arrow.Timestamp(v))
		}
		return err
	case *array.Date32Builder:
		v, err := day(cell)
		if err == nil {
			b.Append(arrow.Date32(v))
		}
		return err
	}
	return fault.New(fault.Unsupported, "the type %s is not carried", b.Type())
}

func number(cell jsontext.Value) (float64, error) {
	switch cell.Kind() {
	case '0':
		return strconv.ParseFloat(string(cell), 64)
	case 't':
		return 1, nil
	case 'f':
		return 0, nil
	case '"':
		s, err := text(cell)
		if err != nil {
			return 0, err
		}
		switch s {
		case "NaN", "nan":
			return math.NaN(), nil
		case "Infinity", "inf":
			return math.Inf(1), nil
		case "-Infinity", "-inf":
			return math.Inf(-1), nil
		}
	}
	return 0, errForm
}

func integer(cell jsontext.Value) (int64, error) {
	if cell.Kind() != '0' {
		return 0, errForm
	}
	if v, err := strconv.ParseInt(string(cell), 10, 64); err == nil {
		return v, nil
	}
	// 3.0 and 1e3 are whole numbers too, as some libraries write them.
	f, err := strconv.ParseFloat(string(cell), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, errForm
	}
	return int64(f), nil
}

// text is a JSON string; other values are taken as they are written, because
// labels are often numbers.
func text(cell jsontext.Value) (string, error) {
	switch cell.Kind() {
	case '"':
		unquoted, err := jsontext.AppendUnquote(nil, cell)
		return string(unquoted), err
	case '0', 't', 'f':
		return string(cell), nil
	}
	return "", errForm
}

func boolean(cell jsontext.Value) (bool, error) {
	switch {
	case cell.Kind() == 't' || string(cell) == "1":
		return true, nil
	case cell.Kind() == 'f' || string(cell) == "0":
		return false, nil
	}
	return false, errForm
}

func instant(cell jsontext.Value) (int64, error) {
	if cell.Kind() != '"' {
		return integer(cell)
	}
	s, err := text(cell)
	if err != nil {
		return 0, err
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UnixMicro(), nil
		}
	}
	return 0, errForm
}

func day(cell jsontext.Value) (int64, error) {
	days := int64(0)
	if cell.Kind() != '"' {
		v, err := integer(cell)
		if err != nil {
			return 0, err
		}
		days = v
	} else {
		micros, err := instant(cell)
		if err != nil {
			return 0, err
		}
		const micro = 24 * 3600 * 1_000_000
		if micros%micro != 0 {
			return 0, errForm
		}
		days = micros / micro
	}
	if days != int64(int32(days)) {
		return 0, errForm
	}
	return days, nil
}
