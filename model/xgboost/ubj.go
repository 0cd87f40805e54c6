package xgboost

import (
	"encoding/binary"
	"math"
)

// ubjLexer reads UBJSON, big endian, as XGBoost writes it and as the standard
// allows: containers with and without a count, arrays of one type as a whole.
type ubjLexer struct {
	data []byte
	at   int
	open stack
	key  bool // a key has been read, its value comes next
	done bool
}

func (l *ubjLexer) offset() int { return l.at }

func (l *ubjLexer) next() (token, error) {
	top := l.open.top()
	if top == nil {
		if !l.done {
			return l.value()
		}
		for l.at < len(l.data) && l.data[l.at] == 'N' {
			l.at++
		}
		if l.at < len(l.data) {
			return token{}, malformed(l.at, "there is more behind its end")
		}
		return token{kind: end}, nil
	}
	if l.key {
		l.key = false
		return l.value()
	}
	if top.left == 0 {
		return l.close(), nil
	}
	if top.left < 0 && l.at < len(l.data) && (top.object && l.data[l.at] == '}' || !top.object && l.data[l.at] == ']') {
		l.at++
		return l.close(), nil
	}
	if top.left > 0 {
		top.left--
	}
	if !top.object {
		return l.value()
	}
	name, err := l.string()
	l.key = true
	return token{kind: key, text: name}, err
}

func (l *ubjLexer) close() token {
	object := l.open.top().object
	l.open.pop()
	l.done = len(l.open) == 0
	if object {
		return token{kind: objectClose}
	}
	return token{kind: arrayClose}
}

func (l *ubjLexer) marker() (byte, error) {
	for l.at < len(l.data) {
		c := l.data[l.at]
		l.at++
		if c != 'N' { // a place holder that means nothing
			return c, nil
		}
	}
	return 0, malformed(l.at, "it ends too early")
}

func (l *ubjLexer) value() (token, error) {
	start := l.at
	c, err := l.marker()
	if err != nil {
		return token{}, err
	}
	if c == '{' || c == '[' {
		return l.container(c == '{', start)
	}
	l.done = len(l.open) == 0
	switch c {
	case 'Z':
		return token{kind: null}, nil
	case 'T':
		return token{kind: truth, value: 1}, nil
	case 'F':
		return token{kind: truth}, nil
	case 'S', 'H':
		s, err := l.string()
		return token{kind: text, text: s}, err
	case 'C':
		s, err := l.take(1)
		return token{kind: text, text: s}, err
	}
	size := sizeOf(c)
	if size == 0 {
		return token{}, malformed(start, "the type %q is unknown", c)
	}
	raw, err := l.take(size)
	if err != nil {
		return token{}, err
	}
	return token{kind: number, value: element(c, raw)}, nil
}

// container opens an object or an array. One that says its type and count is
// read as a whole when its elements are numbers.
func (l *ubjLexer) container(object bool, start int) (token, error) {
	typ, count := byte(0), -1
	var err error
	if l.at < len(l.data) && l.data[l.at] == '$' {
		l.at++
		if typ, err = l.marker(); err != nil {
			return token{}, err
		}
		if l.at >= len(l.data) || l.data[l.at] != '#' {
			return token{}, malformed(l.at, "a container has a type and no count")
		}
	}
	if l.at < len(l.data) && l.data[l.at] == '#' {
		l.at++
		if count, err = l.length(); err != nil {
			return token{}, err
		}
	}
	if typ != 0 {
		return l.packed(object, typ, count, start)
	}
	if count > len(l.data)-l.at { // each element has a byte at least
		return token{}, malformed(start, "a container claims %d elements, which are not there", count)
	}
	if err := l.open.push(bracket{object: object, left: count}, start); err != nil {
		return token{}, err
	}
	if object {
		return token{kind: objectOpen}, nil
	}
	return token{kind: arrayOpen, count: count}, nil
}

// packed reads an array of count numbers of one type.
func (l *ubjLexer) packed(object bool, typ byte, count, start int) (token, error) {
	size := sizeOf(typ)
	if object || size == 0 {
		return token{}, malformed(start, "a container of the type %q is not what XGBoost writes", typ)
	}
	if count > (len(l.data)-l.at)/size {
		return token{}, malformed(start, "an array claims %d elements, which are not there", count)
	}
	l.done = len(l.open) == 0
	raw, err := l.take(count * size)
	return token{kind: packed, text: raw, typ: typ, count: count}, err
}

// string reads a length and as many bytes.
func (l *ubjLexer) string() ([]byte, error) {
	n, err := l.length()
	if err != nil {
		return nil, err
	}
	return l.take(n)
}

// length reads a marker of a whole number and the number, which is not
// negative.
func (l *ubjLexer) length() (int, error) {
	start := l.at
	c, err := l.marker()
	if err != nil {
		return 0, err
	}
	switch c {
	case 'i', 'U', 'I', 'l', 'L':
	default:
		return 0, malformed(start, "a length has the type %q", c)
	}
	raw, err := l.take(sizeOf(c))
	if err != nil {
		return 0, err
	}
	n := element(c, raw)
	if n < 0 || n > float64(len(l.data)) {
		return 0, malformed(start, "a length is %v, in a file of %d bytes", n, len(l.data))
	}
	return int(n), nil
}

func (l *ubjLexer) take(n int) ([]byte, error) {
	if n > len(l.data)-l.at {
		return nil, malformed(l.at, "it ends too early")
	}
	l.at += n
	return l.data[l.at-n : l.at], nil
}

// sizeOf returns how many bytes a number of a type has; 0 when it is not a
// type of numbers.
func sizeOf(typ byte) int {
	switch typ {
	case 'i', 'U':
		return 1
	case 'I':
		return 2
	case 'l', 'd':
		return 4
	case 'L', 'D':
		return 8
	}
	return 0
}

// element decodes a number. Of 64-bit whole numbers those beyond 2^53 are
// rounded; a model has none.
func element(typ byte, raw []byte) float64 {
	switch typ {
	case 'i':
		return float64(int8(raw[0]))
	case 'U':
		return float64(raw[0])
	case 'I':
		return float64(int16(binary.BigEndian.Uint16(raw)))
	case 'l':
		return float64(int32(binary.BigEndian.Uint32(raw)))
	case 'L':
		return float64(int64(binary.BigEndian.Uint64(raw)))
	case 'd':
		return float64(math.Float32frombits(binary.BigEndian.Uint32(raw)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(raw))
}
