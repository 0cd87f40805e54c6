package columns

import (
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
)

// arrow adds all rows of a foreign column to a column of the builder.
func (b *Builder) arrow(i int, c *column, rows int) error {
	f := b.fields[i]
	add, known := taker(b.record.Field(i), c)
	if !known && c.typ != typeNull {
		return fault.New(fault.Corrupt, "the answered column %q is of another type than %s", f.Name, f.Type)
	}
	b.record.Field(i).Reserve(rows)
	for row := range rows {
		if c.null(row) {
			b.Null(i)
		} else if !add(row) {
			return fault.New(fault.Corrupt, "row %d of the answered column %q is %s, not %s", row, f.Name, c.shown(row), article(f.Type))
		}
	}
	return nil
}

// taker returns what adds a row of c to b, or false where no value of c's type
// could be one of b's.
func taker(b array.Builder, c *column) (add func(row int) bool, known bool) {
	number := c.typ == typeInt || c.typ == typeBool
	switch b := b.(type) {
	case *array.Float64Builder:
		if c.typ == typeFloat {
			return func(row int) bool { b.Append(c.float(row)); return true }, true
		}
		return func(row int) bool {
			v, ok := c.whole(row)
			b.Append(float64(v))
			return ok
		}, number
	case *array.Int64Builder:
		if c.typ == typeFloat {
			return func(row int) bool { return appendWhole(b, c.float(row)) }, true
		}
		return func(row int) bool {
			v, ok := c.whole(row)
			b.Append(v)
			return ok
		}, number
	case *array.StringBuilder:
		return textTaker(b, c)
	case *array.BooleanBuilder:
		return func(row int) bool {
			v, ok := c.whole(row)
			b.Append(v == 1)
			return ok && v>>1 == 0
		}, number
	case *array.TimestampBuilder:
		return func(row int) bool {
			v, ok := c.micros(row)
			b.Append(arrow.Timestamp(v))
			return ok
		}, c.scale != 0
	case *array.Date32Builder:
		return func(row int) bool {
			v, ok := c.micros(row)
			days := v / day24
			b.Append(arrow.Date32(days))
			return ok && v%day24 == 0 && days == int64(int32(days))
		}, c.scale != 0
	}
	return nil, false
}

// day24 is a day in microseconds.
const day24 = 86_400_000_000

func textTaker(b *array.StringBuilder, c *column) (func(row int) bool, bool) {
	if c.typ == typeText || c.typ == typeLargeText {
		return func(row int) bool {
			s, ok := c.string(row)
			b.Append(strings.ToValidUTF8(s, "\uFFFD"))
			return ok
		}, true
	}
	return func(row int) bool { // labels are often numbers
		v, ok := c.whole(row)
		b.Append(strconv.FormatInt(v, 10))
		return ok
	}, c.typ == typeInt
}

// appendWhole appends a float that is a whole number; NaN is how libraries
// without a missing integer write one.
func appendWhole(b *array.Int64Builder, v float64) bool {
	if math.IsNaN(v) {
		b.AppendNull()
		return true
	}
	if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return false
	}
	b.Append(int64(v))
	return true
}
