package xgboost

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonLexer reads JSON as XGBoost writes it: with the bare words NaN,
// Infinity and -Infinity for numbers that JSON has no words for.
type jsonLexer struct {
	data []byte
	at   int
	open stack
	want want
}

// want is what may come next.
type want uint8

const (
	aValue  want = iota
	aKey         // or the end of an object that has just begun
	nothing      // but a comma or a closing bracket, or the end
)

func (l *jsonLexer) offset() int { return l.at }

func (l *jsonLexer) next() (token, error) {
	l.space()
	top := l.open.top()
	if l.want == nothing {
		if top == nil {
			if l.at < len(l.data) {
				return token{}, malformed(l.at, "there is more behind its end")
			}
			return token{kind: end}, nil
		}
		if l.at < len(l.data) && l.data[l.at] == ',' {
			l.at++
			l.space()
			l.want = aValue
			if top.object {
				l.want = aKey
			}
		}
	}
	if l.at >= len(l.data) {
		return token{}, malformed(l.at, "it ends too early")
	}
	if c := l.data[l.at]; top != nil && (c == '}' && top.object || c == ']' && !top.object) && (l.want == nothing || top.first) {
		return l.close(top.object), nil
	}
	if top != nil {
		top.first = false
	}
	switch l.want {
	case nothing:
		return token{}, malformed(l.at, "a comma or a closing bracket is missing")
	case aKey:
		return l.key()
	}
	return l.value()
}

func (l *jsonLexer) space() {
	for l.at < len(l.data) {
		switch l.data[l.at] {
		case ' ', '\n', '\r', '\t':
			l.at++
		default:
			return
		}
	}
}

func (l *jsonLexer) close(object bool) token {
	l.at++
	l.open.pop()
	l.want = nothing
	if object {
		return token{kind: objectClose}
	}
	return token{kind: arrayClose}
}

func (l *jsonLexer) key() (token, error) {
	name, err := l.string()
	if err != nil {
		return token{}, err
	}
	l.space()
	if l.at >= len(l.data) || l.data[l.at] != ':' {
		return token{}, malformed(l.at, "a colon is missing")
	}
	l.at++
	l.want = aValue
	return token{kind: key, text: name}, nil
}

func (l *jsonLexer) value() (token, error) {
	switch c := l.data[l.at]; c {
	case '{', '[':
		object := c == '{'
		if err := l.open.push(bracket{object: object, first: true}, l.at); err != nil {
			return token{}, err
		}
		l.at++
		if object {
			l.want = aKey
			return token{kind: objectOpen}, nil
		}
		return token{kind: arrayOpen, count: l.elements()}, nil
	case '"':
		l.want = nothing
		s, err := l.string()
		return token{kind: text, text: s}, err
	}
	l.want = nothing
	return l.word()
}

// elements counts the elements of the array of plain values that begins here;
// -1 when it has others. Knowing them, nothing is allocated twice.
func (l *jsonLexer) elements() int {
	rest := l.data[l.at:]
	stop := bytes.IndexAny(rest, `]["{`)
	if stop < 0 || rest[stop] != ']' {
		return -1
	}
	if len(bytes.TrimSpace(rest[:stop])) == 0 {
		return 0
	}
	return bytes.Count(rest[:stop], []byte{','}) + 1
}

// word reads a number or a literal: all up to what ends a value.
func (l *jsonLexer) word() (token, error) {
	start := l.at
	for l.at < len(l.data) {
		switch l.data[l.at] {
		case ',', ']', '}', ' ', '\n', '\r', '\t', ':', '"', '[', '{':
		default:
			l.at++
			continue
		}
		break
	}
	word := l.data[start:l.at]
	switch string(word) {
	case "true":
		return token{kind: truth, value: 1}, nil
	case "false":
		return token{kind: truth}, nil
	case "null":
		return token{kind: null}, nil
	case "NaN", "Infinity", "-Infinity":
		return token{kind: number, text: word}, nil
	}
	if len(word) == 0 || word[0] != '-' && (word[0] < '0' || word[0] > '9') {
		return token{}, malformed(start, "a value is missing")
	}
	for _, c := range word {
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return token{}, malformed(start, "a number has the character %q", c)
		}
	}
	return token{kind: number, text: word}, nil
}

// string reads a string. Without escapes, which is the rule, it is a piece of
// the document.
func (l *jsonLexer) string() ([]byte, error) {
	start := l.at
	if l.data[l.at] != '"' {
		return nil, malformed(l.at, "a name in quotes is missing")
	}
	l.at++
	for i := l.at; i < len(l.data); i++ {
		switch l.data[i] {
		case '"':
			s := l.data[l.at:i]
			l.at = i + 1
			return s, nil
		case '\\':
			return l.escaped(start)
		}
	}
	return nil, malformed(start, "a string does not end")
}

// escaped reads a string with escapes.
func (l *jsonLexer) escaped(start int) ([]byte, error) {
	var s []byte
	for l.at < len(l.data) {
		c := l.data[l.at]
		l.at++
		switch c {
		case '"':
			return s, nil
		case '\\':
			if l.at >= len(l.data) {
				return nil, malformed(start, "a string does not end")
			}
			var err error
			if s, err = l.escape(s); err != nil {
				return nil, err
			}
		default:
			s = append(s, c)
		}
	}
	return nil, malformed(start, "a string does not end")
}

func (l *jsonLexer) escape(s []byte) ([]byte, error) {
	c := l.data[l.at]
	l.at++
	switch c {
	case '"', '\\', '/':
		return append(s, c), nil
	case 'b':
		return append(s, '\b'), nil
	case 'f':
		return append(s, '\f'), nil
	case 'n':
		return append(s, '\n'), nil
	case 'r':
		return append(s, '\r'), nil
	case 't':
		return append(s, '\t'), nil
	case 'u':
		r, ok := l.hex()
		if !ok {
			return nil, malformed(l.at, "an escape has no four hexadecimal digits")
		}
		if utf16.IsSurrogate(r) {
			r = l.pair(r)
		}
		return utf8.AppendRune(s, r), nil
	}
	return nil, malformed(l.at, "an escape is unknown")
}

// pair reads the second half of a surrogate pair. Half a pair is no character.
func (l *jsonLexer) pair(first rune) rune {
	before := l.at
	if l.at+1 < len(l.data) && l.data[l.at] == '\\' && l.data[l.at+1] == 'u' {
		l.at += 2
		if second, ok := l.hex(); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r
			}
		}
		l.at = before
	}
	return utf8.RuneError
}

func (l *jsonLexer) hex() (rune, bool) {
	if len(l.data)-l.at < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(l.data[l.at:l.at+4]), 16, 16)
	if err != nil {
		return 0, false
	}
	l.at += 4
	return rune(v), true
}
