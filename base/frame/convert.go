package frame

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
)

// Floats writes the values of a column into dst, which must be as long as the
// column: numbers as they are, bools as 0 and 1, timestamps as seconds and
// dates as days since 1970, NULL as NaN. A string column is an Invalid fault.
func Floats(col arrow.Array, dst []float64) error {
	switch c := col.(type) {
	case *array.Float64:
		copy(dst, c.Float64Values())
	case *array.Int64:
		for i, v := range c.Int64Values() {
			dst[i] = float64(v)
		}
	case *array.Boolean:
		for i := range dst {
			if c.Value(i) {
				dst[i] = 1
			} else {
				dst[i] = 0
			}
		}
	case *array.Timestamp:
		for i, v := range c.TimestampValues() {
			dst[i] = float64(v) / 1e6
		}
	case *array.Date32:
		for i, v := range c.Date32Values() {
			dst[i] = float64(v)
		}
	default:
		return fault.New(fault.Invalid, "a column of type %s has no numbers", col.DataType())
	}
	if col.NullN() > 0 {
		for i := range dst {
			if col.IsNull(i) {
				dst[i] = math.NaN()
			}
		}
	}
	return nil
}

// Index returns the position of the named column, or -1.
func Index(schema *arrow.Schema, name string) int {
	if at := schema.FieldIndices(name); len(at) > 0 {
		return at[0]
	}
	return -1
}
