// Package plain scans the part of JSON that almost every request is made of:
// numbers, strings without escapes, true, false and null, with what stands
// between them. Whoever meets something else, a mistake included, gives up and
// reads the text from its beginning with a whole parser, so that there is one
// place that decides what is allowed and what is said about it.
package plain

import (
	"unicode/utf8"
	"unsafe"
)

// Scanner reads a text from a place on. Its methods move the place behind what
// they read; one that returns false leaves it anywhere.
type Scanner struct {
	Text []byte
	At   int
}

// End tells whether nothing but space is left.
func (s *Scanner) End() bool {
	s.Space()
	return s.At == len(s.Text)
}

// Space passes over space.
func (s *Scanner) Space() {
	for s.At < len(s.Text) {
		switch s.Text[s.At] {
		case ' ', '\n', '\t', '\r':
			s.At++
		default:
			return
		}
	}
}

// Next returns the next byte without reading it, 0 at the end.
func (s *Scanner) Next() byte {
	if s.At < len(s.Text) {
		return s.Text[s.At]
	}
	return 0
}

// Take reads one byte if it is c.
func (s *Scanner) Take(c byte) bool {
	if s.At < len(s.Text) && s.Text[s.At] == c {
		s.At++
		return true
	}
	return false
}

// TakeAfterSpace is Space and Take.
func (s *Scanner) TakeAfterSpace(c byte) bool {
	s.Space()
	return s.Take(c)
}

// Word reads w, such as null.
func (s *Scanner) Word(w string) bool {
	if len(s.Text)-s.At < len(w) || string(s.Text[s.At:s.At+len(w)]) != w {
		return false
	}
	s.At += len(w)
	return true
}

// String reads a string without escapes and returns what stands between its
// quotes. It is a part of the text; see Quoted for one with its quotes.
func (s *Scanner) String() ([]byte, bool) {
	if !s.Take('"') {
		return nil, false
	}
	start, ascii := s.At, true
	for ; s.At < len(s.Text); s.At++ {
		switch c := s.Text[s.At]; {
		case c == '"':
			text := s.Text[start:s.At]
			s.At++
			return text, ascii || utf8.Valid(text)
		case c == '\\' || c < 0x20:
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

// Name reads a member's name and its colon. It is a part of the text, good
// for as long as that is not changed.
func (s *Scanner) Name() (string, bool) {
	s.Space()
	text, ok := s.String()
	if !ok {
		return "", false
	}
	return unsafe.String(unsafe.SliceData(text), len(text)), s.TakeAfterSpace(':')
}

// Number reads a number by the grammar of JSON, which is stricter than Go's.
// It is a part of the text, good for as long as that is not changed.
func (s *Scanner) Number() (string, bool) {
	start := s.At
	s.Take('-')
	switch {
	case s.Take('0'):
	case !s.digits():
		return "", false
	}
	if s.Take('.') && !s.digits() {
		return "", false
	}
	if s.Take('e') || s.Take('E') {
		_ = s.Take('+') || s.Take('-')
		if !s.digits() {
			return "", false
		}
	}
	text := s.Text[start:s.At]
	return unsafe.String(unsafe.SliceData(text), len(text)), true
}

func (s *Scanner) digits() bool {
	start := s.At
	for s.At < len(s.Text) && s.Text[s.At]-'0' <= 9 {
		s.At++
	}
	return s.At > start
}
