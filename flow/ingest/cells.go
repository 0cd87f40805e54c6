package ingest

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unsafe"

	"github.com/leat-ai/leat/base/frame"
)

// This file reads cells of text. The readers are strict about what a value
// is, so that a guess of a type means something: no hexadecimal numbers, no
// underscores, no two-digit years.

// parseInt reads an optional sign and digits within 64 bits.
func parseInt(s []byte) (int64, bool) {
	digits := s
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		digits = s[1:]
	}
	if len(digits) == 0 {
		return 0, false
	}
	if len(digits) > 18 { // may overflow: let the library decide
		for _, c := range digits {
			if c-'0' > 9 {
				return 0, false
			}
		}
		v, err := strconv.ParseInt(text(s), 10, 64)
		return v, err == nil
	}
	var v int64
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if s[0] == '-' {
		v = -v
	}
	return v, true
}

// parseDouble reads a decimal number. Up to 15 digits without an exponent are
// computed here, exactly as the library would: an integer below 2^53 divided
// by an exact power of ten is rounded once.
func parseDouble(s []byte) (float64, bool) {
	i, negative := 0, false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		i = 1
	}
	var mantissa uint64
	digits, decimals, point := 0, 0, false
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c-'0' <= 9:
			mantissa = mantissa*10 + uint64(c-'0')
			digits++
			if point {
				decimals++
			}
		case c == '.' && !point:
			point = true
		default:
			return slowDouble(s)
		}
		if digits > 15 {
			return slowDouble(s)
		}
	}
	if digits == 0 {
		return 0, false
	}
	v := float64(mantissa) / math.Pow10(decimals)
	if negative {
		v = -v
	}
	return v, true
}

func slowDouble(s []byte) (float64, bool) {
	for _, c := range s {
		if c == '_' || c == 'x' || c == 'X' || c == 'p' || c == 'P' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(text(s), 64)
	return v, err == nil && !math.IsNaN(v)
}

func parseBool(s []byte) (value, ok bool) {
	switch len(s) {
	case 4:
		return true, bytes.EqualFold(s, []byte("true"))
	case 5:
		return false, bytes.EqualFold(s, []byte("false"))
	}
	return false, false
}

// order is how the numbers of a date are ordered: a set, because a column's
// cells narrow down what it can be.
type order uint8

const (
	yearFirst  order = 1 << iota // 2011-01-31, 2011/1/31
	monthFirst                   // 1/31/2011
	dayFirst                     // 31/1/2011, 31.1.2011
	anyOrder   = yearFirst | monthFirst | dayFirst
)

// parseDay reads a date at the beginning of s and returns the days since 1970
// for the first of the allowed orders that fits, which orders fit, and what
// follows.
func parseDay(s []byte, allowed order) (day int64, fits order, rest []byte) {
	var n [3]int
	var width [3]int
	var sep byte
	i := 0
	for part := range n {
		for i < len(s) && s[i]-'0' <= 9 && width[part] < 4 {
			n[part] = n[part]*10 + int(s[i]-'0')
			width[part]++
			i++
		}
		if width[part] == 0 {
			return 0, 0, nil
		}
		if part == 2 {
			break
		}
		if i >= len(s) || s[i] != '-' && s[i] != '/' && s[i] != '.' || part == 1 && s[i] != sep {
			return 0, 0, nil
		}
		sep = s[i]
		i++
	}
	try := func(o order, y, m, d int) {
		if allowed&o == 0 || m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
			return
		}
		if fits == 0 {
			day = daysSince1970(y, m, d)
		}
		fits |= o
	}
	switch {
	case width[0] == 4 && width[1] <= 2 && width[2] <= 2 && sep != '.':
		try(yearFirst, n[0], n[1], n[2])
	case width[2] == 4 && width[0] <= 2 && width[1] <= 2:
		if sep == '/' || sep == '-' {
			try(monthFirst, n[2], n[0], n[1])
		}
		try(dayFirst, n[2], n[1], n[0])
	}
	return day, fits, s[i:]
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts with years that begin in March, so that leap days come
// last.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(int64(year), 400)
	yearOfEra := int64(year) - era*400
	dayOfYear := int64((153*(month-3)+2)/5 + day - 1)
	return era*146097 + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - 719468
}

func floorDiv(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}

const (
	microsecond = int64(1)
	second      = 1_000_000 * microsecond
	minute      = 60 * second
	hour        = 60 * minute
	dayMicros   = 24 * hour
)

// parseDate reads a date, or a time that is midnight.
func parseDate(s []byte, allowed order) (int64, order, bool) {
	day, fits, rest := parseDay(s, allowed)
	if fits == 0 {
		return 0, 0, false
	}
	if len(rest) > 0 {
		t, ok := parseClock(rest)
		return day, fits, ok && t == 0
	}
	return day, fits, true
}

// parseTime reads a date with an optional time of day and zone, and returns
// microseconds since 1970 in UTC. A time without a zone is taken as UTC.
func parseTime(s []byte, allowed order) (int64, order, bool) {
	day, fits, rest := parseDay(s, allowed)
	if fits == 0 {
		return 0, 0, false
	}
	if len(rest) == 0 {
		return day * dayMicros, fits, true
	}
	t, ok := parseClock(rest)
	return day*dayMicros + t, fits, ok
}

// parseClock reads "T15:04", " 15:04:05.123456", "3:04 PM" and what may
// follow them: Z, +02:00, +0200, +02, UTC.
func parseClock(s []byte) (int64, bool) {
	if s[0] != 'T' && s[0] != 't' && s[0] != ' ' {
		return 0, false
	}
	h, s, ok := number(s[1:], 1, 2)
	if !ok || len(s) == 0 || s[0] != ':' {
		return 0, false
	}
	m, s, ok := number(s[1:], 2, 2)
	if !ok || h > 24 || m > 59 {
		return 0, false
	}
	t := int64(h)*hour + int64(m)*minute
	if len(s) > 0 && s[0] == ':' {
		var sec int
		if sec, s, ok = number(s[1:], 2, 2); !ok || sec > 60 {
			return 0, false
		}
		t += int64(sec) * second
		if len(s) > 1 && (s[0] == '.' || s[0] == ',') {
			var fraction int64
			if fraction, s, ok = fractionMicros(s[1:]); !ok {
				return 0, false
			}
			t += fraction
		}
	}
	if t > dayMicros {
		return 0, false
	}
	return zoned(t, h, bytes.TrimSpace(s))
}

// zoned applies what stands after a time of day.
func zoned(t int64, h int, s []byte) (int64, bool) {
	switch {
	case len(s) == 0, text(s) == "Z", text(s) == "z", text(s) == "UTC", text(s) == "GMT":
		return t, true
	case len(s) == 2 && s[1]|0x20 == 'm' && h >= 1 && h <= 12:
		switch s[0] | 0x20 {
		case 'a':
			return t - int64(h)*hour + int64(h%12)*hour, true
		case 'p':
			return t - int64(h)*hour + int64(h%12+12)*hour, true
		}
	case s[0] == '+' || s[0] == '-':
		zh, rest, ok := number(s[1:], 2, 2)
		zm := 0
		if ok && len(rest) > 0 {
			if rest[0] == ':' {
				rest = rest[1:]
			}
			zm, rest, ok = number(rest, 2, 2)
		}
		if !ok || len(rest) > 0 || zh > 18 || zm > 59 {
			return 0, false
		}
		offset := int64(zh)*hour + int64(zm)*minute
		if s[0] == '-' {
			offset = -offset
		}
		return t - offset, true
	}
	return 0, false
}

func number(s []byte, least, most int) (int, []byte, bool) {
	v, i := 0, 0
	for i < len(s) && i < most && s[i]-'0' <= 9 {
		v = v*10 + int(s[i]-'0')
		i++
	}
	return v, s[i:], i >= least
}

// fractionMicros reads up to nine decimals and drops what is below a
// microsecond.
func fractionMicros(s []byte) (int64, []byte, bool) {
	v, i := int64(0), 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		if i >= 9 {
			return 0, s, false
		}
		if i < 6 {
			v = v*10 + int64(s[i]-'0')
		}
	}
	for n := i; n < 6; n++ {
		v *= 10
	}
	return v, s[i:], i > 0
}

// text views bytes as a string for calls that do not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// looksMissing tells whether a cell of a number, time or bool says that there
// is no value, in the ways that common tools write it.
func looksMissing(s []byte) bool {
	switch len(s) {
	case 0:
		return true
	case 1:
		return s[0] == '?' || s[0] == '-' || s[0] == '.'
	case 2:
		return bytes.EqualFold(s, []byte("na")) || text(s) == `\N`
	case 3:
		return bytes.EqualFold(s, []byte("nan")) || bytes.EqualFold(s, []byte("n/a"))
	case 4:
		return bytes.EqualFold(s, []byte("null")) || bytes.EqualFold(s, []byte("none"))
	}
	return false
}

// trimSpace cuts spaces and tabs off both ends.
func trimSpace(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// typeText names a type in a reason for people.
func typeText(t frame.Type) string {
	switch t {
	case frame.Int:
		return "an int"
	case frame.Date, frame.Double, frame.Bool, frame.Timestamp:
		return "a " + string(t)
	}
	return string(t)
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
