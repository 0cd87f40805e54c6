package expr

import (
	"fmt"
	"math"
	"strconv"

	"github.com/leat-ai/leat/base/frame"
)

// Value is one value of one of the frame types, or NULL. The zero Value is a
// NULL of no particular type. Values of the same type may be compared with ==.
type Value struct {
	Type  frame.Type
	Valid bool    // false: NULL
	I     int64   // Int; Timestamp in microseconds and Date in days since 1970
	F     float64 // Double
	S     string  // String
	B     bool    // Bool
}

// Double returns a double; a NaN is NULL.
func Double(f float64) Value {
	if math.IsNaN(f) {
		return Value{Type: frame.Double}
	}
	return Value{Type: frame.Double, Valid: true, F: f}
}

// Int returns an int.
func Int(i int64) Value { return Value{Type: frame.Int, Valid: true, I: i} }

// Bool returns a bool.
func Bool(b bool) Value { return Value{Type: frame.Bool, Valid: true, B: b} }

// String returns a string.
func String(s string) Value { return Value{Type: frame.String, Valid: true, S: s} }

// Null returns the NULL of a type.
func Null(t frame.Type) Value { return Value{Type: t} }

// Number returns a numeric value as a double; ok is false for NULL and for
// types that are not numbers.
func (v Value) Number() (f float64, ok bool) {
	switch {
	case !v.Valid:
		return 0, false
	case v.Type == frame.Double:
		return v.F, true
	case v.Type == frame.Int:
		return float64(v.I), true
	}
	return 0, false
}

// Text shows the value as a literal of the language.
func (v Value) Text() string {
	if !v.Valid {
		return "null"
	}
	switch v.Type {
	case frame.Double:
		return formatDouble(v.F)
	case frame.Int:
		return strconv.FormatInt(v.I, 10)
	case frame.Bool:
		return strconv.FormatBool(v.B)
	case frame.Timestamp:
		return "timestamp '" + formatTimestamp(v.I) + "'"
	case frame.Date:
		return "date '" + formatDate(v.I) + "'"
	}
	return fmt.Sprintf("'%s'", escapeQuote(v.S))
}
