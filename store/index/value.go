package index

import (
	"cmp"
	"math"
	"math/big"
	"strings"
	"time"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of values. Int and Double compare with one another by number;
// values of other kinds compare with their own kind only.
const (
	String Kind = iota + 1
	Bool
	Int
	Double
	Timestamp
)

// Value is a typed value of a field. Make one with Text, Truth, Integer,
// Number or Time.
type Value struct {
	Kind   Kind
	Text   string  // of a String
	Int    int64   // of an Int; of a Bool 0 or 1; of a Timestamp microseconds since 1970
	Double float64 // of a Double: never NaN
}

// Text is a value of the kind String.
func Text(s string) Value { return Value{Kind: String, Text: s} }

// Truth is a value of the kind Bool.
func Truth(b bool) Value {
	if b {
		return Value{Kind: Bool, Int: 1}
	}
	return Value{Kind: Bool}
}

// Integer is a value of the kind Int.
func Integer(n int64) Value { return Value{Kind: Int, Int: n} }

// Number is a value of the kind Double.
func Number(f float64) Value { return Value{Kind: Double, Double: f} }

// Time is a value of the kind Timestamp, to the microsecond.
func Time(t time.Time) Value { return Value{Kind: Timestamp, Int: t.UnixMicro()} }

// Compare orders two values. ok is false where they do not compare.
func (v Value) Compare(w Value) (order int, ok bool) {
	switch {
	case v.Kind == Int && w.Kind == Double:
		return -compareDouble(w.Double, v.Int), true
	case v.Kind == Double && w.Kind == Int:
		return compareDouble(v.Double, w.Int), true
	case v.Kind != w.Kind:
		return 0, false
	case v.Kind == String:
		return strings.Compare(v.Text, w.Text), true
	case v.Kind == Double:
		return cmp.Compare(v.Double, w.Double), true
	case v.Kind == Bool || v.Kind == Int || v.Kind == Timestamp:
		return cmp.Compare(v.Int, w.Int), true
	}
	return 0, false
}

// compareDouble compares a double with an integer, exactly: neither is
// rounded to the type of the other.
func compareDouble(f float64, n int64) int {
	if math.IsInf(f, 0) {
		return cmp.Compare(f, 0)
	}
	return new(big.Float).SetFloat64(f).Cmp(new(big.Float).SetInt64(n))
}
