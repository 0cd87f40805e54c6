package cli

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// appendRows appends the rows of a batch as CSV. Numbers are written so that
// reading them gives the same float64 again.
func appendRows(dst []byte, out frame.Batch, columns []int) ([]byte, error) {
	cells := make([]func([]byte, int) []byte, len(columns))
	for i, at := range columns {
		if cells[i] = cellsOf(out.Column(at)); cells[i] == nil {
			return nil, fault.New(fault.Unsupported, "the output %q of type %s has no form as text", out.ColumnName(at), out.Column(at).DataType())
		}
	}
	for row := range int(out.NumRows()) {
		for i, cell := range cells {
			if i > 0 {
				dst = append(dst, ',')
			}
			if out.Column(columns[i]).IsValid(row) {
				dst = cell(dst, row)
			}
		}
		dst = append(dst, '\n')
	}
	return dst, nil
}

// cellsOf returns what writes a value of a column.
func cellsOf(col arrow.Array) func(dst []byte, row int) []byte {
	switch col := col.(type) {
	case *array.Float64:
		return func(dst []byte, row int) []byte { return appendNumber(dst, col.Value(row)) }
	case *array.Float32:
		return func(dst []byte, row int) []byte { return appendNumber(dst, float64(col.Value(row))) }
	case *array.Int64:
		return func(dst []byte, row int) []byte { return strconv.AppendInt(dst, col.Value(row), 10) }
	case *array.Boolean:
		return func(dst []byte, row int) []byte { return strconv.AppendBool(dst, col.Value(row)) }
	case *array.String:
		return func(dst []byte, row int) []byte { return appendText(dst, col.Value(row)) }
	case *array.Timestamp:
		return func(dst []byte, row int) []byte {
			return col.Value(row).ToTime(arrow.Microsecond).UTC().AppendFormat(dst, time.RFC3339Nano)
		}
	case *array.Date32:
		return func(dst []byte, row int) []byte { return col.Value(row).ToTime().AppendFormat(dst, time.DateOnly) }
	}
	return nil
}

// appendNumber writes a number in its shortest form that reads back the same:
// without an exponent where that is not much longer.
func appendNumber(dst []byte, v float64) []byte {
	switch size := math.Abs(v); {
	case size == 0 || size >= 1e-5 && size < 1e21:
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	case size == math.Inf(1) && v > 0:
		return append(dst, "inf"...)
	case size == math.Inf(1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, v, 'e', -1, 64)
}

// appendText writes a text, in quotes where a reader would otherwise see more
// than one cell, or none.
func appendText(dst []byte, text string) []byte {
	plain := text != "" && text[0] != ' ' && text[len(text)-1] != ' '
	for i := range len(text) {
		if c := text[i]; c == ',' || c == '"' || c == '\n' || c == '\r' {
			plain = false
		}
	}
	if plain {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for i := range len(text) {
		if text[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '"')
}
