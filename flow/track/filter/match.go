package filter

import (
	"math"
	"slices"
	"strings"
	"unicode"
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

// Text tells whether a text compares with a value as op says.
func (op Op) Text(a string, v Value) bool {
	switch op {
	case Equal:
		return a == v.Text
	case NotEqual:
		return a != v.Text
	case Like:
		return like(a, v.Text, func(r rune) rune { return r })
	case ILike:
		return like(a, v.Text, unicode.ToLower)
	case In:
		return slices.Contains(v.List, a)
	case NotIn:
		return !slices.Contains(v.List, a)
	}
	return false
}

// Numeric tells whether op is for numbers.
func (op Op) Numeric() bool {
	switch op {
	case Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual:
		return true
	}
	return false
}

// like matches a text with a pattern in which % stands for any text and _ for
// any one character. It goes back to the last % only, so its time is bounded
// by the product of the two lengths.
func like(text, pattern string, fold func(rune) rune) bool {
	star, mark := -1, 0 // the pattern after the last %, and the text it began with
	i, j := 0, 0
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if j < len(pattern) {
			q, width := utf8.DecodeRuneInString(pattern[j:])
			if q == '%' {
				star, mark = j+width, i
				j += width
				continue
			}
			if q == '_' || fold(q) == fold(r) {
				i, j = i+size, j+width
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, size = utf8.DecodeRuneInString(text[mark:])
		mark += size
		i, j = mark, star
	}
	return strings.Trim(pattern[j:], "%") == ""
}
