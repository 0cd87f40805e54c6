package expr

import (
	"strings"

	"github.com/leat-ai/leat/base/frame"
)

// clockParts is what a format has read of a time so far.
type clockParts struct {
	year, month, day       int64
	hour, minute, second   int64
	micros, east           int64 // east of UTC, in microseconds
	afternoon, twelveHours bool
}

// reader reads what one specifier stands for from the beginning of s. n is how
// many bytes it took; 0 means that it is not there.
type reader func(s string, p *clockParts) (n int)

// strptimeReaders are the specifiers of formats, those of C with %f for a
// fraction of up to six digits.
func strptimeReaders() map[byte]reader {
	number := func(digits int, least, most int64, to func(*clockParts) *int64) reader {
		return func(s string, p *clockParts) int {
			v, n := leadingDigits(s, digits)
			if n == 0 || v < least || v > most {
				return 0
			}
			*to(p) = v
			return n
		}
	}
	word := func(words []string, whole bool, to func(p *clockParts, i int)) reader {
		return func(s string, p *clockParts) int {
			for i, w := range words {
				if !whole {
					w = w[:min(len(w), 3)]
				}
				if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
					to(p, i)
					return len(w)
				}
			}
			return 0
		}
	}
	months := []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	days := []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	month := func(p *clockParts, i int) { p.month = int64(i) + 1 }
	nothing := func(*clockParts, int) {}
	return map[byte]reader{
		'Y': number(4, 0, 9999, func(p *clockParts) *int64 { return &p.year }),
		'm': number(2, 1, 12, func(p *clockParts) *int64 { return &p.month }),
		'd': number(2, 1, 31, func(p *clockParts) *int64 { return &p.day }),
		'H': number(2, 0, 23, func(p *clockParts) *int64 { return &p.hour }),
		'I': func(s string, p *clockParts) int {
			p.twelveHours = true
			return number(2, 1, 12, func(p *clockParts) *int64 { return &p.hour })(s, p)
		},
		'M': number(2, 0, 59, func(p *clockParts) *int64 { return &p.minute }),
		'S': number(2, 0, 59, func(p *clockParts) *int64 { return &p.second }),
		'f': fraction,
		'z': offset,
		'b': word(months, false, month), 'B': word(months, true, month),
		'a': word(days, false, nothing), 'A': word(days, true, nothing),
		'p': word([]string{"AM", "PM"}, true, func(p *clockParts, i int) { p.afternoon = i == 1 }),
	}
}

// leadingDigits reads a number of at most so many digits.
func leadingDigits(s string, most int) (v int64, n int) {
	for n < len(s) && n < most && s[n] >= '0' && s[n] <= '9' {
		v = v*10 + int64(s[n]-'0')
		n++
	}
	return v, n
}

func fraction(s string, p *clockParts) int {
	v, n := leadingDigits(s, 6)
	for i := n; i < 6; i++ {
		v *= 10
	}
	p.micros = v
	return n
}

// offset reads Z, +hh, +hhmm or +hh:mm.
func offset(s string, p *clockParts) int {
	if strings.HasPrefix(s, "Z") {
		return 1
	}
	if s == "" || s[0] != '+' && s[0] != '-' {
		return 0
	}
	hours, n := leadingDigits(s[1:], 2)
	if n != 2 || hours > 23 {
		return 0
	}
	n, rest := 3, s[3:]
	rest, colon := strings.CutPrefix(rest, ":")
	minutes, more := leadingDigits(rest, 2)
	switch {
	case more == 2 && minutes < 60:
		n += more
		if colon {
			n++
		}
	default:
		minutes = 0
	}
	p.east = hours*hour + minutes*minute
	if s[0] == '-' {
		p.east = -p.east
	}
	return n
}

// timeFormat is a compiled format: specifiers, and the text between them.
type timeFormat struct {
	readers []reader // nil where a text stands
	texts   []string
}

// read returns the microseconds since 1970 that s says.
func (f *timeFormat) read(s string) (int64, bool) {
	p := clockParts{year: 1900, month: 1, day: 1}
	for i, r := range f.readers {
		n := 0
		if r != nil {
			if n = r(s, &p); n == 0 {
				return 0, false
			}
		} else {
			if n = len(f.texts[i]); !strings.HasPrefix(s, f.texts[i]) {
				return 0, false
			}
		}
		s = s[n:]
	}
	if s != "" {
		return 0, false
	}
	if p.twelveHours {
		p.hour %= 12
		if p.afternoon {
			p.hour += 12
		}
	}
	days := daysOf(p.year, p.month, p.day)
	if y, m, d := civil(days); y != p.year || m != p.month || d != p.day {
		return 0, false // the 30th of February
	}
	return days*day + p.hour*hour + p.minute*minute + p.second*second + p.micros - p.east, true
}

func (b *binder) strptime(c *call) (*bound, error) {
	if len(c.args) != 2 {
		return nil, b.fail(c.at(), "strptime takes two values, not %d", len(c.args)).Hint("write %s", b.functions[c.fn].usage)
	}
	s, err := b.bind(c.args[0])
	if err != nil {
		return nil, err
	}
	if s, err = b.as(s, frame.String); err != nil {
		return nil, err
	}
	pattern, err := b.pattern(c.args[1], c.fn)
	if err != nil {
		return nil, err
	}
	known, f, text := strptimeReaders(), &timeFormat{}, ""
	add := func(r reader) {
		if text != "" {
			f.readers, f.texts, text = append(f.readers, nil), append(f.texts, text), ""
		}
		if r != nil {
			f.readers, f.texts = append(f.readers, r), append(f.texts, "")
		}
	}
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			text += pattern[i : i+1]
			continue
		}
		i++
		switch {
		case i == len(pattern):
			return nil, b.fail(c.args[1].at(), "the format ends with %%")
		case pattern[i] == '%':
			text += "%"
		case known[pattern[i]] == nil:
			return nil, b.fail(c.args[1].at(), "there is no %%%c in formats", pattern[i]).
				Hint("there are %%Y %%m %%d %%H %%I %%M %%S %%f %%p %%z %%b %%B %%a %%A %%%%")
		default:
			add(known[pattern[i]])
		}
	}
	add(nil)
	return op(frame.Timestamp, map1(texts, ints, f.read), s), nil
}
