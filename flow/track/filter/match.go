package filter

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Number tells whether a number compares with another as op says. NaN is
// unequal to everything and nothing else.
func (op Op) Number(a, b float64) bool {
	if math.IsNaN(a) || math.IsNaN(b) {
		return op == NotEqual
	}
	switch op {
	case Equal:
		return a == b
	case NotEqual:
		return a != b
	case Less:
		return a < b
	case LessEqual:
		return a <= b
	case Greater:
		return a > b
	case GreaterEqual:
		return a >= b
	}
	return false
}

// Text tells whether a text compares with a value as op says. Who asks for
// many texts makes a Matcher.
func (op Op) Text(a string, v Value) bool { return Clause{Op: op, Value: v}.Matcher()(a) }

// Matcher returns what tells whether a text compares with the clause's value
// as its comparison says. It is safe for many goroutines.
func (c Clause) Matcher() func(string) bool {
	switch want := c.Value.Text; c.Op {
	case Equal:
		return func(a string) bool { return a == want }
	case NotEqual:
		return func(a string) bool { return a != want }
	case Like:
		return newPattern(want).matches
	case ILike:
		p := newPattern(strings.ToLower(want))
		return func(a string) bool { return p.matches(strings.ToLower(a)) }
	case In, NotIn:
		set := make(map[string]bool, len(c.Value.List))
		for _, s := range c.Value.List {
			set[s] = true
		}
		return func(a string) bool { return set[a] == (c.Op == In) }
	}
	return func(string) bool { return false }
}

// Numeric tells whether op is for numbers.
func (op Op) Numeric() bool {
	switch op {
	case Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual:
		return true
	}
	return false
}

// pattern is a LIKE pattern: its parts between the % signs, which stand for
// any text. In a part, _ stands for any one character.
type pattern []piece

type piece struct {
	text string
	wild bool // it has a _
}

func newPattern(text string) pattern {
	var p pattern
	for s := range strings.SplitSeq(text, "%") {
		p = append(p, piece{s, strings.Contains(s, "_")})
	}
	return p
}

// matches looks for the parts one after the other, each where it first is: if
// any places do, the first ones do. Without a _ that takes a time linear in
// the text.
func (p pattern) matches(text string) bool {
	n, ok := p[0].begins(text)
	if len(p) == 1 {
		return ok && n == len(text)
	}
	if !ok {
		return false
	}
	text = text[n:]
	for _, middle := range p[1 : len(p)-1] {
		if text, ok = middle.behind(text); !ok {
			return false
		}
	}
	return p[len(p)-1].ends(text)
}

// begins tells how many bytes of the beginning of a text the part is.
func (q piece) begins(text string) (n int, ok bool) {
	if !q.wild {
		return len(q.text), strings.HasPrefix(text, q.text)
	}
	for _, want := range q.text {
		r, size := utf8.DecodeRuneInString(text[n:])
		if size == 0 || want != '_' && want != r {
			return 0, false
		}
		n += size
	}
	return n, true
}

// behind returns what is behind the first place of the part in a text.
func (q piece) behind(text string) (rest string, ok bool) {
	if !q.wild {
		_, rest, ok = strings.Cut(text, q.text)
		return rest, ok
	}
	for {
		if n, ok := q.begins(text); ok {
			return text[n:], true
		}
		_, size := utf8.DecodeRuneInString(text)
		if size == 0 {
			return "", false
		}
		text = text[size:]
	}
}

// ends tells whether a text ends with the part.
func (q piece) ends(text string) bool {
	if !q.wild {
		return strings.HasSuffix(text, q.text)
	}
	at := len(text)
	for range utf8.RuneCountInString(q.text) {
		_, size := utf8.DecodeLastRuneInString(text[:at])
		if size == 0 {
			return false
		}
		at -= size
	}
	n, ok := q.begins(text[at:])
	return ok && at+n == len(text)
}
