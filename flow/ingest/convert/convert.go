// Package convert turns any Arrow array into one of Leat's six column types.
//
// Ingest uses it on what other programs wrote, the lake on columns that other
// engines added to its tables. TypeOf says which type an Arrow type becomes,
// Array converts. Nothing is lost silently: what does not fit is a fault.
package convert

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// TypeOf returns the type that columns of an Arrow type become: integers and
// durations (in microseconds) int, floats and decimals double, times of day,
// bytes and everything nested string.
func TypeOf(dt arrow.DataType) frame.Type {
	switch dt := dt.(type) {
	case *arrow.DictionaryType:
		return TypeOf(dt.ValueType)
	case *arrow.RunEndEncodedType:
		return TypeOf(dt.Encoded())
	case arrow.ExtensionType:
		return TypeOf(dt.StorageType())
	}
	switch id := dt.ID(); {
	case arrow.IsInteger(id), id == arrow.DURATION:
		return frame.Int
	case arrow.IsFloating(id), arrow.IsDecimal(id):
		return frame.Double
	case id == arrow.BOOL:
		return frame.Bool
	case id == arrow.TIMESTAMP:
		return frame.Timestamp
	case id == arrow.DATE32, id == arrow.DATE64:
		return frame.Date
	}
	return frame.String
}

// Columns names the columns of an Arrow schema with the types they become.
func Columns(schema *arrow.Schema) []frame.Column {
	columns := make([]frame.Column, schema.NumFields())
	for i, f := range schema.Fields() {
		columns[i] = frame.Column{Name: f.Name, Type: TypeOf(f.Type)}
	}
	return columns
}

// Array returns a as an array of the exact Arrow type of to, which must be
// TypeOf its type, or String, or Double for an int. The caller releases it. A
// value beyond the type's range is an Invalid fault.
func Array(a arrow.Array, to frame.Type) (arrow.Array, error) {
	if arrow.TypeEqual(a.DataType(), to.Arrow()) {
		a.Retain()
		return a, nil
	}
	switch a := a.(type) {
	case array.ExtensionArray:
		return Array(a.Storage(), to)
	case *array.Dictionary, *array.RunEndEncoded:
		return decode(a, to)
	}
	read, err := reader(a, to)
	if err != nil {
		return nil, err
	}
	b := array.NewBuilder(memory.DefaultAllocator, to.Arrow())
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		if err := read(b, i); err != nil {
			return nil, err
		}
	}
	return b.NewArray(), nil
}

// appender appends the i-th value, which is not NULL, to a builder.
type appender func(b array.Builder, i int) error

func reader(a arrow.Array, to frame.Type) (appender, error) {
	from := TypeOf(a.DataType())
	switch {
	case to == frame.String:
		return texts(a), nil
	case to == frame.Int && from == frame.Int:
		return ints(a)
	case to == frame.Double && (from == frame.Double || from == frame.Int):
		return doubles(a)
	case to == frame.Timestamp && from == frame.Timestamp:
		return timestamps(a)
	case to == frame.Date && from == frame.Date:
		return dates(a)
	}
	return nil, fault.New(fault.Invalid, "a column of type %s cannot be read as %s", a.DataType(), to)
}

func decode(a arrow.Array, to frame.Type) (arrow.Array, error) {
	var values arrow.Array
	var at func(i int) int
	switch a := a.(type) {
	case *array.Dictionary:
		values, at = a.Dictionary(), a.GetValueIndex
	case *array.RunEndEncoded:
		values, at = a.Values(), a.GetPhysicalIndex
	}
	converted, err := Array(values, to)
	if err != nil {
		return nil, err
	}
	defer converted.Release()
	b := array.NewBuilder(memory.DefaultAllocator, to.Arrow())
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) || converted.IsNull(at(i)) {
			b.AppendNull()
			continue
		}
		appendFrom(b, converted, at(i))
	}
	return b.NewArray(), nil
}

func appendFrom(b array.Builder, a arrow.Array, i int) {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(a.(*array.String).Value(i))
	case *array.Int64Builder:
		b.Append(a.(*array.Int64).Value(i))
	case *array.Float64Builder:
		b.Append(a.(*array.Float64).Value(i))
	case *array.BooleanBuilder:
		b.Append(a.(*array.Boolean).Value(i))
	case *array.TimestampBuilder:
		b.Append(a.(*array.Timestamp).Value(i))
	case *array.Date32Builder:
		b.Append(a.(*array.Date32).Value(i))
	}
}

func ints(a arrow.Array) (appender, error) {
	value, err := intsOf(a)
	if err != nil {
		return nil, err
	}
	return func(b array.Builder, i int) error {
		v, ok := value(i)
		if !ok {
			return fault.New(fault.Invalid, "row %d has a number beyond 64 bits with a sign", i).
				Hint("write the column as text, or as a smaller integer")
		}
		b.(*array.Int64Builder).Append(v)
		return nil
	}, nil
}

func intsOf(a arrow.Array) (func(i int) (int64, bool), error) {
	switch a := a.(type) {
	case *array.Int8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }, nil
	case *array.Int16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }, nil
	case *array.Int32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }, nil
	case *array.Int64:
		return func(i int) (int64, bool) { return a.Value(i), true }, nil
	case *array.Uint8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }, nil
	case *array.Uint16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }, nil
	case *array.Uint32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }, nil
	case *array.Uint64:
		return func(i int) (int64, bool) { return int64(a.Value(i)), a.Value(i) <= math.MaxInt64 }, nil
	case *array.Duration:
		unit := a.DataType().(*arrow.DurationType).Unit
		return func(i int) (int64, bool) { return micros(int64(a.Value(i)), unit) }, nil
	}
	return nil, fault.New(fault.Unsupported, "a column of type %s has no integers", a.DataType())
}

// micros converts a count of units to microseconds, towards the past.
func micros(v int64, unit arrow.TimeUnit) (int64, bool) {
	factor := int64(1)
	switch unit {
	case arrow.Second:
		factor = 1_000_000
	case arrow.Millisecond:
		factor = 1_000
	case arrow.Nanosecond:
		return floorDiv(v, 1_000), true
	}
	return v * factor, v <= math.MaxInt64/factor && v >= math.MinInt64/factor
}

func floorDiv(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}

func doubles(a arrow.Array) (appender, error) {
	var value func(i int) float64
	switch a := a.(type) {
	case *array.Float16:
		value = func(i int) float64 { return float64(a.Value(i).Float32()) }
	case *array.Float32:
		value = func(i int) float64 { return float64(a.Value(i)) }
	case *array.Float64:
		value = a.Value
	case *array.Decimal32:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		value = func(i int) float64 { return a.Value(i).ToFloat64(scale) }
	case *array.Decimal64:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		value = func(i int) float64 { return a.Value(i).ToFloat64(scale) }
	case *array.Decimal128:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		value = func(i int) float64 { return a.Value(i).ToFloat64(scale) }
	case *array.Decimal256:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		value = func(i int) float64 { return a.Value(i).ToFloat64(scale) }
	case *array.Uint64:
		value = func(i int) float64 { return float64(a.Value(i)) }
	default:
		whole, err := intsOf(a)
		if err != nil {
			return nil, err
		}
		value = func(i int) float64 { v, _ := whole(i); return float64(v) }
	}
	return func(b array.Builder, i int) error {
		b.(*array.Float64Builder).Append(value(i))
		return nil
	}, nil
}

func timestamps(a arrow.Array) (appender, error) {
	ts, ok := a.(*array.Timestamp)
	if !ok {
		return nil, fault.New(fault.Unsupported, "a column of type %s has no timestamps", a.DataType())
	}
	unit := ts.DataType().(*arrow.TimestampType).Unit
	return func(b array.Builder, i int) error {
		v, fits := micros(int64(ts.Value(i)), unit)
		if !fits {
			return fault.New(fault.Invalid, "row %d has a time beyond what microseconds can count", i)
		}
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(v))
		return nil
	}, nil
}

func dates(a arrow.Array) (appender, error) {
	d, ok := a.(*array.Date64)
	if !ok {
		return nil, fault.New(fault.Unsupported, "a column of type %s has no dates", a.DataType())
	}
	return func(b array.Builder, i int) error {
		b.(*array.Date32Builder).Append(arrow.Date32(floorDiv(int64(d.Value(i)), 86_400_000)))
		return nil
	}, nil
}

// texts reads values as text: text as it is, bytes that are not UTF-8 in
// base64, times of day as a clock shows them, anything nested as JSON.
func texts(a arrow.Array) appender {
	var value func(i int) (string, error)
	switch a := a.(type) {
	case *array.LargeString:
		value = func(i int) (string, error) { return a.Value(i), nil }
	case *array.StringView:
		value = func(i int) (string, error) { return a.Value(i), nil }
	case *array.Binary:
		value = func(i int) (string, error) { return bytesText(a.Value(i)), nil }
	case *array.LargeBinary:
		value = func(i int) (string, error) { return bytesText(a.Value(i)), nil }
	case *array.BinaryView:
		value = func(i int) (string, error) { return bytesText(a.Value(i)), nil }
	case *array.FixedSizeBinary:
		value = func(i int) (string, error) { return bytesText(a.Value(i)), nil }
	case *array.Time32:
		unit := a.DataType().(*arrow.Time32Type).Unit
		value = func(i int) (string, error) { return clockText(int64(a.Value(i)), unit), nil }
	case *array.Time64:
		unit := a.DataType().(*arrow.Time64Type).Unit
		value = func(i int) (string, error) { return clockText(int64(a.Value(i)), unit), nil }
	case array.ListLike, *array.Struct, array.Union:
		value = func(i int) (string, error) { return jsonText(a, i) }
	default:
		value = func(i int) (string, error) { return a.ValueStr(i), nil }
	}
	return func(b array.Builder, i int) error {
		text, err := value(i)
		if err == nil {
			b.(*array.StringBuilder).Append(text)
		}
		return err
	}
}

func bytesText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func clockText(v int64, unit arrow.TimeUnit) string {
	return time.Unix(0, v*int64(unit.Multiplier())).UTC().Format("15:04:05.999999999")
}

func jsonText(a arrow.Array, i int) (string, error) {
	text, err := json.Marshal(a.GetOneForMarshal(i))
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "a nested value cannot be written as JSON")
	}
	return string(text), nil
}
