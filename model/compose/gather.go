package compose

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
)

// gather makes a column whose row i is row rows[i] of columns[from[i]], NULL
// where rows[i] is negative. from nil means the first column. A column may be
// nil where no row is taken of it.
func gather(columns []arrow.Array, from, rows []int, typ arrow.DataType) arrow.Array {
	switch typ.ID() {
	case arrow.STRING:
		return collect[string](array.NewStringBuilder(memory.DefaultAllocator), columns, from, rows)
	case arrow.INT64:
		return collect[int64](array.NewInt64Builder(memory.DefaultAllocator), columns, from, rows)
	case arrow.FLOAT64:
		return collect[float64](array.NewFloat64Builder(memory.DefaultAllocator), columns, from, rows)
	case arrow.BOOL:
		return collect[bool](array.NewBooleanBuilder(memory.DefaultAllocator), columns, from, rows)
	case arrow.TIMESTAMP:
		return collect[arrow.Timestamp](array.NewTimestampBuilder(memory.DefaultAllocator, frame.TimestampType), columns, from, rows)
	case arrow.DATE32:
		return collect[arrow.Date32](array.NewDate32Builder(memory.DefaultAllocator), columns, from, rows)
	}
	return array.MakeArrayOfNull(memory.DefaultAllocator, typ, len(rows))
}

// values is an Arrow column of one Go type.
type values[T any] interface {
	arrow.Array
	Value(int) T
}

func collect[T any](b interface {
	array.Builder
	Append(T)
}, columns []arrow.Array, from, rows []int) arrow.Array {
	defer b.Release()
	b.Reserve(len(rows))
	typed := make([]values[T], len(columns))
	for i, c := range columns {
		typed[i], _ = c.(values[T])
	}
	for i, row := range rows {
		at := 0
		if from != nil {
			at = from[i]
		}
		if row < 0 || typed[at] == nil || typed[at].IsNull(row) {
			b.AppendNull()
		} else {
			b.Append(typed[at].Value(row))
		}
	}
	return b.NewArray()
}
