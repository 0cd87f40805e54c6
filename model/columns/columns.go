// Package columns carries columns over a border: what models outside of this
// process (model/process, model/remote) are sent and answer, as JSON or as
// Arrow of another make.
//
// It stands below the contract package model. AppendColumn writes a column as
// a JSON array; a Builder collects JSON cells into columns of declared types;
// ReadArrow reads an Arrow stream into them. What comes in is hostile: every
// cell is checked against its type, sizes before memory is taken, nothing is
// shared with the bytes that it came in, and a mistake names the column and
// the row. (Arrow's own reader takes memory as the stream's counts say, so it
// is not used here.)
package columns

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"
)

// Times says how a timestamp or a date is written as JSON.
type Times int

// The ways to write times.
const (
	Numbers Times = iota // microseconds and days since 1970
	Text                 // RFC 3339, and 2026-11-22
)

// AppendColumn appends a column as a JSON array.
func AppendColumn(dst []byte, col arrow.Array, times Times) []byte {
	dst = append(dst, '[')
	for row := range col.Len() {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = AppendCell(dst, col, row, times)
	}
	return append(dst, ']')
}

// AppendCell appends one value as JSON: NULL and NaN as null, an infinity as
// the text "Infinity" or "-Infinity", which JSON has no number for.
func AppendCell(dst []byte, col arrow.Array, row int, times Times) []byte {
	if col.IsNull(row) {
		return append(dst, "null"...)
	}
	switch c := col.(type) {
	case *array.Float64:
		return AppendFloat(dst, c.Value(row))
	case *array.Int64:
		return strconv.AppendInt(dst, c.Value(row), 10)
	case *array.Boolean:
		return strconv.AppendBool(dst, c.Value(row))
	case *array.String:
		return AppendString(dst, c.Value(row))
	case *array.Timestamp:
		if times == Numbers {
			return strconv.AppendInt(dst, int64(c.Value(row)), 10)
		}
		at := time.UnixMicro(int64(c.Value(row))).UTC()
		return append(at.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	case *array.Date32:
		if times == Numbers {
			return strconv.AppendInt(dst, int64(c.Value(row)), 10)
		}
		return append(c.Value(row).ToTime().AppendFormat(append(dst, '"'), time.DateOnly), '"')
	}
	return append(dst, "null"...)
}

// AppendFloat writes a number: NaN as null, and what JSON has no number for as
// text.
func AppendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "null"...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// AppendString appends text as a JSON string; what is not UTF-8 in it becomes
// U+FFFD.
func AppendString(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		quoted, _ = jsontext.AppendQuote(dst, string([]rune(s)))
	}
	return quoted
}
