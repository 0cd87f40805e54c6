package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/frame"
)

// pair is a conversion: from, to.
type pair [2]frame.Type

// conversions are the casts there are, besides those of a type to itself. What
// cannot be converted is NULL.
var conversions = map[pair]kernel{
	{frame.Int, frame.Double}:       map1(ints, doubles, sure(func(i int64) float64 { return float64(i) })),
	{frame.Int, frame.String}:       map1(ints, texts, sure(func(i int64) string { return strconv.FormatInt(i, 10) })),
	{frame.Int, frame.Bool}:         map1(ints, bools, sure(func(i int64) bool { return i != 0 })),
	{frame.Double, frame.Int}:       map1(doubles, ints, doubleToInt),
	{frame.Double, frame.String}:    map1(doubles, texts, sure(formatDouble)),
	{frame.Double, frame.Bool}:      map1(doubles, bools, sure(func(f float64) bool { return f != 0 })),
	{frame.Bool, frame.Int}:         map1(bools, ints, sure(fromBool)),
	{frame.Bool, frame.Double}:      map1(bools, doubles, sure(func(b bool) float64 { return float64(fromBool(b)) })),
	{frame.Bool, frame.String}:      map1(bools, texts, sure(strconv.FormatBool)),
	{frame.String, frame.Int}:       map1(texts, ints, parseInt),
	{frame.String, frame.Double}:    map1(texts, doubles, parseDouble),
	{frame.String, frame.Bool}:      map1(texts, bools, parseBool),
	{frame.String, frame.Timestamp}: map1(texts, ints, parseTimestamp),
	{frame.String, frame.Date}:      map1(texts, ints, parseDate),
	{frame.Timestamp, frame.Date}:   map1(ints, ints, sure(func(us int64) int64 { return floorDiv(us, day) })),
	{frame.Timestamp, frame.String}: map1(ints, texts, sure(formatTimestamp)),
	{frame.Date, frame.Timestamp}:   map1(ints, ints, func(days int64) (int64, bool) { return mulInt(days, day) }),
	{frame.Date, frame.String}:      map1(ints, texts, sure(formatDate)),
}

func (b *binder) castTo(x *bound, t frame.Type, at int) (*bound, error) {
	switch x.typ {
	case t:
		return x, nil
	case "":
		return retyped(x, t), nil
	}
	run, ok := conversions[pair{x.typ, t}]
	if !ok {
		return nil, b.fail(at, "%s cannot be cast to %s", a(x.typ), t).Hint("%s", castHint(x.typ, t))
	}
	return op(t, run, x), nil
}

func castHint(from, to frame.Type) string {
	if from == frame.Timestamp || from == frame.Date {
		return "write epoch(t) for seconds since 1970"
	}
	if to == frame.Timestamp || to == frame.Date {
		return "only a string, a date or a timestamp can become " + a(to)
	}
	return "cast to string first"
}

// convert is the cast of one value.
func convert(v Value, to frame.Type) (Value, bool) {
	if v.Type == to {
		return v, v.Valid
	}
	run, ok := conversions[pair{v.Type, to}]
	if !ok {
		return Null(to), false
	}
	in, out := newVec(v.Type, 1), newVec(to, 1)
	in.set(v, 1)
	run(1, &out, []*vec{&in})
	z := out.value(0, to)
	return z, z.Valid
}

// doubleToInt rounds halves to the even neighbour; what an int cannot hold is
// NULL. 2⁶³ is the first double that is too large.
func doubleToInt(f float64) (int64, bool) {
	r := math.RoundToEven(f)
	if r < -1<<63 || r >= 1<<63 {
		return 0, false
	}
	return int64(r), true
}

func parseInt(s string) (int64, bool) {
	s = strings.Trim(s, blanks)
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, true
	}
	f, ok := parseDouble(s)
	if !ok {
		return 0, false
	}
	r := math.Round(f)
	if r < -1<<63 || r >= 1<<63 {
		return 0, false
	}
	return int64(r), true
}

const blanks = " \t\n\v\f\r"

// parseDouble reads decimal numbers only: no hexadecimal, no underscores, and
// no infinity or NaN, which are words and not numbers in a file of text.
func parseDouble(s string) (float64, bool) {
	s = strings.Trim(s, blanks)
	if len(s) > 400 || strings.Trim(s, "+-.0123456789eE") != "" || strings.ContainsAny(s, "_xXpP") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func parseBool(s string) (bool, bool) {
	switch strings.ToLower(s) {
	case "true", "t", "1", "yes", "y":
		return true, true
	case "false", "f", "0", "no", "n":
		return false, true
	}
	return false, false
}
