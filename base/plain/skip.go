package plain

import "unicode/utf8"

// MaxDepth bounds how deep the values that Skip passes over may be nested.
const MaxDepth = 64

// Quoted reads a string with its quotes, escapes allowed. It is a part of the
// text; plain tells that nothing in it is escaped, and then what stands
// between the quotes is the string itself. Whether escapes are right is not
// looked at: whoever unquotes it finds out.
func (s *Scanner) Quoted() (text []byte, plain, ok bool) {
	start, ascii := s.At, true
	if !s.Take('"') {
		return nil, false, false
	}
	plain = true
	for ; s.At < len(s.Text); s.At++ {
		switch c := s.Text[s.At]; {
		case c == '"':
			s.At++
			text = s.Text[start:s.At]
			return text, plain, ascii || utf8.Valid(text)
		case c == '\\':
			plain = false
			s.At++ // whatever follows, a quote too
		case c < 0x20:
			return nil, false, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false, false
}

// Skip passes over one value of any kind, nested no deeper than MaxDepth, and
// returns it: it is a part of the text. What it passes over is strict JSON
// (RFC 8259), except that a name may stand twice in an object.
func (s *Scanner) Skip() (value []byte, ok bool) {
	s.Space()
	start := s.At
	// One bit a level, the innermost lowest: 1 is an object.
	var objects uint64
	for depth := 0; ; {
		s.Space()
		switch s.Next() {
		case '{', '[':
			object := s.Next() == '{'
			s.At++
			if depth++; depth > MaxDepth {
				return nil, false
			}
			objects <<= 1
			if object {
				objects |= 1
			}
			if s.Space(); s.Next() == closing(objects) {
				break // it is empty
			}
			if object && !s.skipName() {
				return nil, false
			}
			continue
		default:
			if !s.skipScalar() {
				return nil, false
			}
		}
		// A value has ended, or an empty object or array is about to.
		for {
			if depth == 0 {
				return s.Text[start:s.At], true
			}
			s.Space()
			if s.Take(closing(objects)) {
				depth--
				objects >>= 1
				continue
			}
			break
		}
		if !s.Take(',') || objects&1 == 1 && !s.skipName() {
			return nil, false
		}
	}
}

func closing(objects uint64) byte {
	if objects&1 == 1 {
		return '}'
	}
	return ']'
}

// skipName passes over a member's name and its colon.
func (s *Scanner) skipName() bool {
	s.Space()
	return s.skipString() && s.TakeAfterSpace(':')
}

func (s *Scanner) skipScalar() bool {
	switch s.Next() {
	case '"':
		return s.skipString()
	case 't':
		return s.Word("true")
	case 'f':
		return s.Word("false")
	case 'n':
		return s.Word("null")
	}
	_, ok := s.Number()
	return ok
}

// skipString passes over a string whose escapes are right.
func (s *Scanner) skipString() bool {
	text, plain, ok := s.Quoted()
	return ok && (plain || escapesHold(text[1:len(text)-1]))
}

// escapesHold tells whether every escape of a string is one of JSON's, and no
// half of a surrogate pair stands alone.
func escapesHold(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i++; i == len(text) {
			return false
		}
		switch text[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			continue
		case 'u':
		default:
			return false
		}
		unit, ok := hex4(text, i+1)
		i += 4
		switch {
		case !ok || unit >= 0xdc00 && unit < 0xe000:
			return false
		case unit < 0xd800 || unit >= 0xe000:
			continue
		}
		if i+2 >= len(text) || text[i+1] != '\\' || text[i+2] != 'u' {
			return false
		}
		if low, ok := hex4(text, i+3); !ok || low < 0xdc00 || low >= 0xe000 {
			return false
		}
		i += 6
	}
	return true
}

func hex4(text []byte, at int) (unit uint32, ok bool) {
	if at+4 > len(text) {
		return 0, false
	}
	for _, c := range text[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			unit = unit<<4 | uint32(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			unit = unit<<4 | uint32(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}
