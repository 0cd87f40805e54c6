package document

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// Pages show Arabic and Hebrew as it is seen: the glyphs of a line from left to
// right. Here a line is put into the order in which it is read: the parts that
// run from right to left are turned around, and where they are most of the
// line, so is the order of the parts.

// directions counts the characters that run from left to right and those that
// run from right to left.
func directions(s string) (ltr, rtl int) {
	for _, r := range s {
		switch class(r) {
		case bidi.L:
			ltr++
		case bidi.R, bidi.AL:
			rtl++
		}
	}
	return ltr, rtl
}

func class(r rune) bidi.Class {
	if r < 0x590 {
		if r >= '0' && r <= '9' {
			return bidi.EN
		}
		if r < 0x80 && (r|0x20 < 'a' || r|0x20 > 'z') {
			return bidi.ON
		}
		return bidi.L
	}
	p, _ := bidi.LookupRune(r)
	return p.Class()
}

var mirrored = map[rune]rune{'(': ')', ')': '(', '[': ']', ']': '[', '{': '}', '}': '{', '<': '>', '>': '<', '«': '»', '»': '«'}

// logical puts a line as it is seen into the order of reading.
func logical(s string) string {
	ltr, rtl := directions(s)
	if rtl == 0 {
		return s
	}
	runes := []rune(s)
	if rtl >= ltr {
		slices.Reverse(runes)
		for i, r := range runes {
			if m, ok := mirrored[r]; ok {
				runes[i] = m
			}
		}
		turnParts(runes, func(c bidi.Class) bool { return c == bidi.L || c == bidi.EN || c == bidi.AN }, isNumberMark)
	} else {
		turnParts(runes, func(c bidi.Class) bool { return c == bidi.R || c == bidi.AL || c == bidi.NSM }, isSpaceRune)
	}
	// Forms of letters by their place in a word become the letters.
	return norm.NFKC.String(string(runes))
}

func isNumberMark(r rune) bool {
	return r == '.' || r == ',' || r == '/' || r == ':' || r == '-' || r == '%' || r == '@' || r == '_' || r == ' '
}

func isSpaceRune(r rune) bool { return r == ' ' }

// turnParts turns the parts around whose characters are in; what joins them may
// stand within a part, never at its ends.
func turnParts(runes []rune, in func(bidi.Class) bool, joins func(rune) bool) {
	for i := 0; i < len(runes); i++ {
		if !in(class(runes[i])) {
			continue
		}
		end := i + 1
		for at := end; at < len(runes); at++ {
			if in(class(runes[at])) {
				end = at + 1
			} else if !joins(runes[at]) || runes[at] == utf8.RuneError {
				break
			}
		}
		slices.Reverse(runes[i:end])
		i = end
	}
}
