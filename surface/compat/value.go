package compat

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/realtime"
)

// Value is one value on its way from a wire into a column. The zero Value is
// NULL.
type Value struct {
	kind valueKind
	f    float64
	i    int64
	text string // also the digits of a number of JSON
}

type valueKind byte

const (
	null valueKind = iota
	float
	integer
	natural // an integer over the largest int64, in f
	boolean // in i
	text
	digits
)

// Float is a number; NaN is NULL.
func Float(v float64) Value {
	if math.IsNaN(v) {
		return Value{}
	}
	return Value{kind: float, f: v}
}

// Int is an integer.
func Int(v int64) Value { return Value{kind: integer, i: v} }

// Uint is an integer that is not negative.
func Uint(v uint64) Value {
	if v > math.MaxInt64 {
		return Value{kind: natural, f: float64(v)}
	}
	return Int(int64(v))
}

// Bool is true or false.
func Bool(v bool) Value {
	if v {
		return Value{kind: boolean, i: 1}
	}
	return Value{kind: boolean}
}

// Text is a string.
func Text(v string) Value { return Value{kind: text, text: v} }

// Cell is a cell of text of a column of a type; an empty one is NULL.
func Cell(v string, t frame.Type) Value {
	switch {
	case v == "":
		return Value{}
	case t == frame.Bool && (strings.EqualFold(v, "true") || strings.EqualFold(v, "false")):
		return Bool(strings.EqualFold(v, "true"))
	case t == frame.Double || t == frame.Int || t == frame.Bool:
		return Value{kind: digits, text: v}
	}
	return Text(v)
}

// Token is a value of JSON; false for what is none, a bracket for instance.
// It does not outlive the token.
func Token(t jsontext.Token) (Value, bool) {
	switch t.Kind() {
	case 'n':
		return Value{}, true
	case 't', 'f':
		return Bool(t.Kind() == 't'), true
	case '"':
		return Text(t.String()), true
	case '0':
		return Value{kind: digits, text: t.String()}, true
	}
	return Value{}, false
}

// Set puts a value into a column of a type; false when it does not fit. No
// value changes on the way: a number with a fraction is no int, an integer
// that no double has is none. flags lets 0 and 1 be bools and bools be 0 and 1,
// for wires on which every value of a row has one type.
func (v Value) Set(rows *realtime.Blank, t frame.Type, column, row int, flags bool) bool {
	if v.kind == null {
		setNull(rows, t, column, row)
		return true
	}
	switch t {
	case frame.Double:
		f, ok := v.double()
		rows.Doubles(column)[row] = f
		return ok && (flags || v.kind != boolean)
	case frame.Int:
		i, ok := v.whole()
		rows.Ints(column)[row] = i
		return ok && (flags || v.kind != boolean)
	case frame.Bool:
		ok := v.kind == boolean
		i := v.i
		if !ok && flags {
			i, ok = v.whole()
			ok = ok && (i == 0 || i == 1)
		}
		rows.Bools(column)[row] = i == 1
		return ok
	case frame.String:
		rows.Strings(column)[row] = v.text
		return v.kind == text && utf8.ValidString(v.text)
	}
	at, ok := int64(0), v.kind == text
	if ok {
		at, ok = realtime.ParseTime(v.text, t)
	}
	rows.Ints(column)[row] = at
	return ok
}

func setNull(rows *realtime.Blank, t frame.Type, column, row int) {
	if t == frame.Double {
		rows.Doubles(column)[row] = math.NaN()
		return
	}
	rows.Null(column, row)
}

// exact is the largest integer up to which every integer is a float64.
const exact = 1 << 53

func (v Value) double() (float64, bool) {
	switch v.kind {
	case float, natural:
		return v.f, v.kind == float
	case integer:
		return float64(v.i), v.i <= exact && v.i >= -exact
	case boolean:
		return float64(v.i), true
	case digits:
		f, err := strconv.ParseFloat(v.text, 64)
		return f, err == nil
	}
	return 0, false
}

func (v Value) whole() (int64, bool) {
	switch v.kind {
	case integer, boolean:
		return v.i, true
	case digits:
		if i, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			return i, true
		}
		f, err := strconv.ParseFloat(v.text, 64)
		return int64(f), err == nil && isWhole(f)
	case float:
		return int64(v.f), isWhole(v.f)
	}
	return 0, false
}

func isWhole(f float64) bool { return f == math.Trunc(f) && math.Abs(f) <= exact }
