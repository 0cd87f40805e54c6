package pdf

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"unicode/utf16"
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindName
	kindArray
	kindDict
	kindRef
	kindOperator // a word: an operator of content, or obj, stream, endobj
	kindEnd      // the end of what is read, or a closing bracket
)

// ref names an object.
type ref struct{ number, generation int }

// value is an object of a file (7.3). A stream is a dictionary with the place
// of its data.
type value struct {
	kind  kind
	num   float64
	str   string // of strings, names and operators
	array []value
	dict  map[string]value
	ref   ref
	data  int64 // place of a stream's data in the file; 0: no stream
	owner ref   // the object that a stream is, which its decryption needs
}

func (v value) int() int {
	const most = 1 << 53
	if v.kind != kindNumber || v.num > most || v.num < -most {
		return 0
	}
	return int(v.num)
}

func (v value) isName(name string) bool { return v.kind == kindName && v.str == name }

// The bounds of one object.
const (
	longestString = 1 << 20
	longestWord   = 1 << 12
	mostValues    = 1 << 20
)

// lexer reads objects and operators.
type lexer struct {
	ctx    context.Context
	r      *bufio.Reader
	at     int64 // bytes that were read
	values int   // that were read into the object
	refs   bool  // "1 0 R" is a reference; content has none
	failed error
}

func newLexer(ctx context.Context, r io.Reader, refs bool) *lexer {
	return &lexer{ctx: ctx, r: bufio.NewReaderSize(r, 4096), refs: refs}
}

// next is the next byte; ok is false at the end, and when the context ends.
func (l *lexer) next() (c byte, ok bool) {
	c, err := l.r.ReadByte()
	if err != nil {
		if err != io.EOF && l.failed == nil {
			l.failed = err
		}
		return 0, false
	}
	if l.at++; l.at&0xffff == 0 && l.ctx.Err() != nil {
		l.failed = l.ctx.Err()
		return 0, false
	}
	return c, true
}

func (l *lexer) back() {
	if l.r.UnreadByte() == nil {
		l.at--
	}
}

func (l *lexer) peek() byte {
	if b, err := l.r.Peek(1); err == nil {
		return b[0]
	}
	return 0
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelimiter(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

// skipSpace moves past space and comments and returns what comes.
func (l *lexer) skipSpace() (c byte, ok bool) {
	for {
		c, ok = l.next()
		if !ok {
			return 0, false
		}
		if c == '%' {
			for ok && c != '\n' && c != '\r' {
				c, ok = l.next()
			}
			continue
		}
		if !isSpace(c) {
			return c, true
		}
	}
}

var end = value{kind: kindEnd}

// value reads an object or an operator. What is malformed becomes something
// harmless: content goes on after a mistake.
func (l *lexer) value(depth int) value {
	l.values++
	if l.values > mostValues || depth > mostNested {
		return end
	}
	c, ok := l.skipSpace()
	if !ok {
		return end
	}
	switch c {
	case '(':
		return value{kind: kindString, str: l.literal()}
	case '/':
		return value{kind: kindName, str: l.name()}
	case '[':
		return l.arrayOf(depth)
	case '<':
		if l.peek() == '<' {
			l.next()
			return l.dictOf(depth)
		}
		return value{kind: kindString, str: l.hexString()}
	case '>':
		if l.peek() == '>' {
			l.next()
		}
		return value{kind: kindEnd, str: ">"}
	case ']':
		return value{kind: kindEnd, str: "]"}
	case ')', '{', '}':
		return value{}
	}
	l.back()
	return l.word()
}

func (l *lexer) arrayOf(depth int) value {
	v := value{kind: kindArray}
	for {
		x := l.value(depth + 1)
		if x.kind == kindEnd {
			return v
		}
		if n := len(v.array); l.refs && x.kind == kindOperator && x.str == "R" && n >= 2 {
			v.array[n-2] = reference(v.array[n-2], v.array[n-1])
			v.array = v.array[:n-1]
			continue
		}
		v.array = append(v.array, x)
	}
}

func reference(number, generation value) value {
	return value{kind: kindRef, ref: ref{number.int(), generation.int()}}
}

func (l *lexer) dictOf(depth int) value {
	v := value{kind: kindDict, dict: map[string]value{}}
	key, have := "", false
	var last []value // of the key: a number may be the first of a reference
	put := func() {
		if have && len(last) > 0 {
			if _, twice := v.dict[key]; !twice {
				v.dict[key] = last[0]
			}
		}
		last = nil
	}
	for {
		x := l.value(depth + 1)
		switch {
		case x.kind == kindEnd:
			put()
			return v
		case x.kind == kindName && (!have || len(last) > 0):
			put()
			key, have = x.str, true
		case x.kind == kindOperator && x.str == "R" && len(last) == 2:
			last = []value{reference(last[0], last[1])}
		case have && len(last) < 2:
			last = append(last, x)
		}
	}
}

// literal reads a string in parentheses (7.3.4.2).
func (l *lexer) literal() string {
	var s []byte
	depth := 1
	for {
		c, ok := l.next()
		if !ok {
			return string(s)
		}
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return string(s)
			}
		case '\\':
			if c, ok = l.escaped(); !ok {
				continue
			}
		}
		if len(s) < longestString {
			s = append(s, c)
		}
	}
}

// escaped reads what follows a backslash; ok is false where that is nothing.
func (l *lexer) escaped() (c byte, ok bool) {
	c, ok = l.next()
	if !ok {
		return 0, false
	}
	switch c {
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case '\r':
		if l.peek() == '\n' {
			l.next()
		}
		return 0, false
	case '\n':
		return 0, false
	}
	if c < '0' || c > '7' {
		return c, true
	}
	n := c - '0'
	for range 2 {
		if d := l.peek(); d < '0' || d > '7' {
			break
		}
		d, _ := l.next()
		n = n<<3 | (d - '0')
	}
	return n, true
}

func (l *lexer) hexString() string {
	var s []byte
	digit, half := byte(0), false
	for {
		c, ok := l.next()
		if !ok || c == '>' {
			break
		}
		d := hexDigit(c)
		if d > 15 {
			continue
		}
		if half && len(s) < longestString {
			s = append(s, digit<<4|d)
		}
		digit, half = d, !half
	}
	if half {
		s = append(s, digit<<4)
	}
	return string(s)
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

func (l *lexer) name() string {
	var s []byte
	for {
		c, ok := l.next()
		if !ok {
			return string(s)
		}
		if isSpace(c) || isDelimiter(c) {
			l.back()
			return string(s)
		}
		if c == '#' {
			if b, err := l.r.Peek(2); err == nil && hexDigit(b[0]) < 16 && hexDigit(b[1]) < 16 {
				c = hexDigit(b[0])<<4 | hexDigit(b[1])
				l.next()
				l.next()
			}
		}
		if len(s) < longestWord {
			s = append(s, c)
		}
	}
}

// word reads a number, or an operator.
func (l *lexer) word() value {
	var buf [32]byte
	s := buf[:0]
	for {
		c, ok := l.next()
		if !ok {
			break
		}
		if isSpace(c) || isDelimiter(c) {
			l.back()
			break
		}
		if len(s) < longestWord {
			s = append(s, c)
		}
	}
	if len(s) > 0 && (s[0] >= '0' && s[0] <= '9' || s[0] == '-' || s[0] == '+' || s[0] == '.') {
		if n, ok := number(s); ok {
			return value{kind: kindNumber, num: n}
		}
	}
	switch string(s) {
	case "true":
		return value{kind: kindBool, num: 1}
	case "false":
		return value{kind: kindBool}
	case "null":
		return value{}
	}
	return value{kind: kindOperator, str: string(s)}
}

func number(s []byte) (float64, bool) {
	whole, digits, negative := 0.0, 0, false
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9' && digits < 15:
			whole = whole*10 + float64(c-'0')
			digits++
		case i == 0 && c == '-':
			negative = true
		case i == 0 && c == '+':
		case c == '.':
			n, err := strconv.ParseFloat(string(s), 64)
			return n, err == nil
		default:
			return 0, false
		}
	}
	if negative {
		whole = -whole
	}
	return whole, digits > 0
}

// textString decodes a string that people read (7.9.2.2).
func textString(s string) string {
	switch {
	case len(s) >= 2 && s[0] == 0xfe && s[1] == 0xff:
		return utf16String(s[2:])
	case len(s) >= 3 && s[:3] == "\xef\xbb\xbf":
		return s[3:]
	}
	var out []rune
	for i := range len(s) {
		out = append(out, winAnsi(s[i])) // PDFDocEncoding differs in a few marks only
	}
	return string(out)
}

func utf16String(s string) string {
	units := make([]uint16, len(s)/2)
	for i := range units {
		units[i] = uint16(s[2*i])<<8 | uint16(s[2*i+1])
	}
	return string(utf16.Decode(units))
}
