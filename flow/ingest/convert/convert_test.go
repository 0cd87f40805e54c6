package convert_test

import (
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest/convert"
)

func build[B array.Builder](dt arrow.DataType, add func(B)) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, dt)
	defer b.Release()
	add(b.(B))
	b.AppendNull()
	return b.NewArray()
}

func TestArray(t *testing.T) {
	day := arrow.Date64(3 * 86_400_000)
	list := arrow.ListOf(arrow.PrimitiveTypes.Int64)
	dict := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	for name, c := range map[string]struct {
		in   arrow.Array
		typ  frame.Type
		want string
	}{
		"int8":       {build(arrow.PrimitiveTypes.Int8, func(b *array.Int8Builder) { b.Append(-3) }), frame.Int, "-3"},
		"uint64":     {build(arrow.PrimitiveTypes.Uint64, func(b *array.Uint64Builder) { b.Append(7) }), frame.Int, "7"},
		"float16":    {build(arrow.FixedWidthTypes.Float16, func(b *array.Float16Builder) { b.Append(float16.New(1.5)) }), frame.Double, "1.5"},
		"decimal":    {build(&arrow.Decimal128Type{Precision: 9, Scale: 2}, func(b *array.Decimal128Builder) { b.Append(decimal128.FromI64(12345)) }), frame.Double, "123.45"},
		"seconds":    {build(arrow.FixedWidthTypes.Timestamp_s, func(b *array.TimestampBuilder) { b.Append(60) }), frame.Timestamp, "1970-01-01T00:01:00Z"},
		"nanos":      {build(&arrow.TimestampType{Unit: arrow.Nanosecond}, func(b *array.TimestampBuilder) { b.Append(-1) }), frame.Timestamp, "1969-12-31T23:59:59.999999Z"},
		"date64":     {build(arrow.FixedWidthTypes.Date64, func(b *array.Date64Builder) { b.Append(day) }), frame.Date, "1970-01-04"},
		"clock":      {build(arrow.FixedWidthTypes.Time64us, func(b *array.Time64Builder) { b.Append(3_723_000_001) }), frame.String, "01:02:03.000001"},
		"text":       {build(arrow.BinaryTypes.Binary, func(b *array.BinaryBuilder) { b.AppendString("é") }), frame.String, "é"},
		"bytes":      {build(arrow.BinaryTypes.Binary, func(b *array.BinaryBuilder) { b.Append([]byte{0xFF}) }), frame.String, "/w=="},
		"list":       {build(list, func(b *array.ListBuilder) { b.Append(true); b.ValueBuilder().(*array.Int64Builder).Append(1) }), frame.String, "[1]"},
		"duration":   {build(arrow.FixedWidthTypes.Duration_ms, func(b *array.DurationBuilder) { b.Append(2) }), frame.Int, "2000"},
		"bool":       {build(arrow.FixedWidthTypes.Boolean, func(b *array.BooleanBuilder) { b.Append(true) }), frame.Bool, "true"},
		"dictionary": {build(dict, func(b *array.BinaryDictionaryBuilder) { _ = b.AppendString("x") }), frame.String, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := convert.TypeOf(c.in.DataType()); got != c.typ {
				t.Fatalf("type %s, want %s", got, c.typ)
			}
			got, err := convert.Array(c.in, c.typ)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Release()
			if !arrow.TypeEqual(got.DataType(), c.typ.Arrow()) || got.Len() != 2 || got.ValueStr(0) != c.want || !got.IsNull(1) {
				t.Fatalf("%v of type %s, want %s", got, got.DataType(), c.want)
			}
		})
	}
}

func TestNothingIsLostSilently(t *testing.T) {
	for name, a := range map[string]arrow.Array{
		"uint64":  build(arrow.PrimitiveTypes.Uint64, func(b *array.Uint64Builder) { b.Append(math.MaxUint64) }),
		"seconds": build(arrow.FixedWidthTypes.Timestamp_s, func(b *array.TimestampBuilder) { b.Append(math.MaxInt64) }),
	} {
		if _, err := convert.Array(a, convert.TypeOf(a.DataType())); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := build(arrow.BinaryTypes.String, func(b *array.StringBuilder) { b.Append("1") })
	if _, err := convert.Array(text, frame.Int); !fault.Is(err, fault.Invalid) {
		t.Errorf("text as int: %v", err)
	}
}
