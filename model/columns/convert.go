package columns

import (
	"errors"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

var errForm = errors.New("that is another type")

// Convert copies a column of another make into a field's type: numbers of
// every width, large and dictionary text, times of every unit. A value that
// does not fit is a Corrupt fault that names the row. The array's own offsets
// and lengths are not trusted: a broken one is a fault, too.
func Convert(col arrow.Array, f model.Field) (out arrow.Array, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			out, err = nil, fault.New(fault.Corrupt, "the answered column %q is broken", f.Name)
		}
	}()
	b := array.NewBuilder(memory.DefaultAllocator, f.Type.Arrow())
	defer b.Release()
	b.Reserve(col.Len())
	add, ok := adder(b, col)
	if !ok {
		return nil, fault.New(fault.Corrupt, "the answered column %q has the type %s, not %s", f.Name, col.DataType(), f.Type)
	}
	for row := range col.Len() {
		if col.IsNull(row) || col.DataType().ID() == arrow.NULL {
			b.AppendNull()
		} else if !add(row) {
			return nil, fault.New(fault.Corrupt, "row %d of the answered column %q is %s, not %s", row, f.Name, short([]byte(col.ValueStr(row))), article(f.Type))
		}
	}
	return b.NewArray(), nil
}

// adder returns what appends a row of col to b, false where no value of its
// type could fit.
func adder(b array.Builder, col arrow.Array) (func(row int) bool, bool) {
	if col.DataType().ID() == arrow.NULL {
		return func(int) bool { return true }, true
	}
	switch b := b.(type) {
	case *array.Float64Builder:
		return floats(b, col)
	case *array.Int64Builder:
		return ints(b, col)
	case *array.StringBuilder:
		return texts(b, col)
	case *array.BooleanBuilder:
		c, ok := col.(*array.Boolean)
		return func(row int) bool { b.Append(c.Value(row)); return true }, ok
	case *array.TimestampBuilder:
		return instants(b, col)
	case *array.Date32Builder:
		return days(b, col)
	}
	return nil, false
}

func floats(b *array.Float64Builder, col arrow.Array) (func(int) bool, bool) {
	switch c := col.(type) {
	case *array.Float64:
		return func(row int) bool { b.Append(c.Value(row)); return true }, true
	case *array.Float32:
		return func(row int) bool { b.Append(float64(c.Value(row))); return true }, true
	case *array.Float16:
		return func(row int) bool { b.Append(float64(c.Value(row).Float32())); return true }, true
	}
	whole, ok := integers(col)
	return func(row int) bool {
		v, fits := whole(row)
		b.Append(float64(v))
		return fits
	}, ok
}

func ints(b *array.Int64Builder, col arrow.Array) (func(int) bool, bool) {
	switch c := col.(type) {
	case *array.Float64:
		return func(row int) bool { return appendWhole(b, c.Value(row)) }, true
	case *array.Float32:
		return func(row int) bool { return appendWhole(b, float64(c.Value(row))) }, true
	}
	whole, ok := integers(col)
	return func(row int) bool {
		v, fits := whole(row)
		b.Append(v)
		return fits
	}, ok
}

func appendWhole(b *array.Int64Builder, v float64) bool {
	if math.IsNaN(v) {
		b.AppendNull() // how libraries without a missing integer write one
		return true
	}
	if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return false
	}
	b.Append(int64(v))
	return true
}

func integers(col arrow.Array) (func(row int) (int64, bool), bool) {
	switch c := col.(type) {
	case *array.Int64:
		return func(row int) (int64, bool) { return c.Value(row), true }, true
	case *array.Int32:
		return func(row int) (int64, bool) { return int64(c.Value(row)), true }, true
	case *array.Int16:
		return func(row int) (int64, bool) { return int64(c.Value(row)), true }, true
	case *array.Int8:
		return func(row int) (int64, bool) { return int64(c.Value(row)), true }, true
	case *array.Uint64:
		return func(row int) (int64, bool) { v := c.Value(row); return int64(v), v <= math.MaxInt64 }, true
	case *array.Uint32:
		return func(row int) (int64, bool) { return int64(c.Value(row)), true }, true
	case *array.Uint16:
		return func(row int) (int64, bool) { return int64(c.Value(row)), true }, true
	case *array.Uint8:
		return func(row int) (int64, bool) { return int64(c.Value(row)), true }, true
	case *array.Boolean:
		return func(row int) (int64, bool) {
			if c.Value(row) {
				return 1, true
			}
			return 0, true
		}, true
	}
	return nil, false
}

func texts(b *array.StringBuilder, col arrow.Array) (func(int) bool, bool) {
	switch c := col.(type) {
	case *array.String:
		return func(row int) bool { b.Append(strings.ToValidUTF8(c.Value(row), "\uFFFD")); return true }, true
	case *array.LargeString:
		return func(row int) bool { b.Append(c.Value(row)); return true }, true
	case *array.StringView:
		return func(row int) bool { b.Append(c.Value(row)); return true }, true
	case *array.Dictionary:
		inner, ok := texts(b, c.Dictionary())
		return func(row int) bool {
			at := c.GetValueIndex(row)
			if c.Dictionary().IsNull(at) {
				b.AppendNull()
				return true
			}
			return inner(at)
		}, ok
	}
	if whole, ok := integers(col); ok { // labels are often numbers
		return func(row int) bool { whole(row); b.Append(col.ValueStr(row)); return true }, true
	}
	return nil, false
}

func instants(b *array.TimestampBuilder, col arrow.Array) (func(int) bool, bool) {
	switch c := col.(type) {
	case *array.Timestamp:
		unit := c.DataType().(*arrow.TimestampType).Unit
		return func(row int) bool {
			v, ok := micros(int64(c.Value(row)), unit)
			b.Append(arrow.Timestamp(v))
			return ok
		}, true
	case *array.Date32:
		return func(row int) bool {
			b.Append(arrow.Timestamp(int64(c.Value(row)) * 86_400_000_000))
			return true
		}, true
	}
	return nil, false
}

func micros(v int64, unit arrow.TimeUnit) (int64, bool) {
	factor := int64(1)
	switch unit {
	case arrow.Second:
		factor = 1_000_000
	case arrow.Millisecond:
		factor = 1000
	case arrow.Nanosecond:
		return v / 1000, true
	}
	return v * factor, v <= math.MaxInt64/factor && v >= math.MinInt64/factor
}

func days(b *array.Date32Builder, col arrow.Array) (func(int) bool, bool) {
	switch c := col.(type) {
	case *array.Date32:
		return func(row int) bool { b.Append(c.Value(row)); return true }, true
	case *array.Date64:
		return func(row int) bool { b.Append(arrow.Date32(int64(c.Value(row)) / 86_400_000)); return true }, true
	case *array.Timestamp:
		unit := c.DataType().(*arrow.TimestampType).Unit
		return func(row int) bool {
			v, ok := micros(int64(c.Value(row)), unit)
			b.Append(arrow.Date32(v / 86_400_000_000))
			return ok && v%86_400_000_000 == 0
		}, true
	}
	return nil, false
}

// Answer makes a batch of declared fields from foreign columns: by name, or by
// position where the answer has as many columns and none of the names. The
// caller releases it.
func Answer(in frame.Batch, fields []model.Field, rows int) (frame.Batch, error) {
	if in.NumRows() != int64(rows) {
		return nil, fault.New(fault.Corrupt, "%d rows were answered for %d", in.NumRows(), rows)
	}
	columns := make([]arrow.Array, 0, len(fields))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, f := range fields {
		at := frame.Index(in.Schema(), f.Name)
		if at < 0 && byPosition(in, fields) {
			at = i
		}
		if at < 0 {
			return nil, fault.New(fault.Corrupt, "the answer has no column %q", f.Name)
		}
		col, err := Convert(in.Column(at), f)
		if err != nil {
			return nil, err
		}
		columns = append(columns, col)
	}
	return array.NewRecordBatch(model.SchemaOf(fields), columns, int64(rows)), nil
}

func byPosition(in frame.Batch, fields []model.Field) bool {
	if int(in.NumCols()) != len(fields) {
		return false
	}
	for _, f := range fields {
		if frame.Index(in.Schema(), f.Name) >= 0 {
			return false
		}
	}
	return true
}
