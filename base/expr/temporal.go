package expr

import (
	"fmt"
	"strings"
)

// Time is proleptic Gregorian, UTC, without leap seconds. The arithmetic is
// done here rather than by package time, which is several times slower and
// does not reach as far as 64 bits of microseconds.

const (
	second = int64(1e6) // microseconds
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// floorDiv divides towards minus infinity; b is positive.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }

// civil turns days since 1970 into a year, month and day of month. Years are
// counted from March, so that the leap day is the last of its year; 400 years
// have 146097 days.
func civil(days int64) (y, m, d int64) {
	days += 719468 // since 0000-03-01
	era := floorDiv(days, 146097)
	doe := days - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	y, m, d = yoe+era*400, mp+3, doy-(153*mp+2)/5+1
	if m > 12 {
		y, m = y+1, m-12
	}
	return y, m, d
}

// daysOf is the inverse of civil, for any y, 1 ≤ m ≤ 12 and 1 ≤ d ≤ 31.
func daysOf(y, m, d int64) int64 {
	if m <= 2 {
		y, m = y-1, m+12
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

func daysIn(y, m int64) int64 {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func formatDate(days int64) string {
	y, m, d := civil(days)
	if y <= 0 {
		return fmt.Sprintf("%04d-%02d-%02d (BC)", 1-y, m, d)
	}
	return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
}

func formatTimestamp(us int64) string {
	days, rest := floorDiv(us, day), floorMod(us, day)
	s := fmt.Sprintf("%s %02d:%02d:%02d", formatDate(days), rest/hour, rest/minute%60, rest/second%60)
	if f := rest % second; f != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%06d", f), "0")
	}
	return s
}

// scanner reads the parts of a date or time from the front of a string.
type scanner struct {
	s  string
	ok bool
}

// number reads an unsigned number of between least and most digits.
func (c *scanner) number(least, most int) int64 {
	n, i := int64(0), 0
	for i < len(c.s) && i < most && isDigit(c.s[i]) {
		n = n*10 + int64(c.s[i]-'0')
		i++
	}
	c.ok = c.ok && i >= least
	c.s = c.s[i:]
	return n
}

// take reads one of the given bytes, and tells whether it stood there.
func (c *scanner) take(these string) bool {
	if c.s == "" || strings.IndexByte(these, c.s[0]) < 0 {
		return false
	}
	c.s = c.s[1:]
	return true
}

func (c *scanner) need(these string) { c.ok = c.take(these) && c.ok }

func (c *scanner) check(holds bool) { c.ok = c.ok && holds }

func (c *scanner) date() int64 {
	y := c.number(4, 5)
	c.need("-")
	m := c.number(1, 2)
	c.need("-")
	d := c.number(1, 2)
	c.check(m >= 1 && m <= 12 && d >= 1)
	if !c.ok || d > daysIn(y, m) {
		c.ok = false
		return 0
	}
	return daysOf(y, m, d)
}

// clock reads 17:05, 17:05:30 or 17:05:30.25 in microseconds; digits of the
// fraction after the sixth are dropped.
func (c *scanner) clock() int64 {
	h := c.number(1, 2)
	c.need(":")
	m := c.number(2, 2)
	c.check(h < 24 && m < 60)
	us := h*hour + m*minute
	if !c.take(":") {
		return us
	}
	s := c.number(2, 2)
	c.check(s < 60)
	us += s * second
	if c.take(".") {
		before := len(c.s)
		f := c.number(1, 6)
		for range 6 - (before - len(c.s)) {
			f *= 10
		}
		us += f
		c.number(0, 100)
	}
	return us
}

// zone reads Z, +02, -0530 or +05:30 in microseconds east of UTC.
func (c *scanner) zone() int64 {
	if c.take("Zz") || c.s == "" {
		return 0
	}
	sign := int64(1)
	if c.take("-") {
		sign = -1
	} else {
		c.need("+")
	}
	h, m := c.number(2, 2), int64(0)
	if c.take(":") || c.s != "" {
		m = c.number(2, 2)
	}
	c.check(h < 16 && m < 60)
	return sign * (h*hour + m*minute)
}

// parseDate reads 2026-03-31, with blanks around it perhaps.
func parseDate(s string) (int64, bool) {
	c := scanner{s: strings.Trim(s, blanks), ok: true}
	days := c.date()
	return days, c.ok && c.s == ""
}

// parseTimestamp reads 2026-03-31, followed perhaps by a time of day, and that
// by a zone; without a zone it is UTC.
func parseTimestamp(s string) (int64, bool) {
	c := scanner{s: strings.Trim(s, blanks), ok: true}
	us := c.date() * day
	if c.take(" T") && c.ok {
		us += c.clock()
		c.take(" ")
		us -= c.zone()
	}
	return us, c.ok && c.s == ""
}

// ParseTimestamp reads a text as cast(… as timestamp) does: 2026-03-31,
// followed perhaps by a time of day, and that by a zone. It gives
// microseconds since 1970, UTC.
func ParseTimestamp(text string) (micros int64, ok bool) { return parseTimestamp(text) }

// ParseDate reads a text as cast(… as date) does, in days since 1970.
func ParseDate(text string) (days int64, ok bool) { return parseDate(text) }
