package sentence

import (
	"unicode"
	"unicode/utf8"
)

func split(text string) []Span {
	var spans []Span
	start := -1
	for at, r := range text {
		if start < 0 && !unicode.IsSpace(r) {
			start = at
		}
		if start >= 0 && (r == '.' || r == '?' || r == '!' || r == '。') {
			end := at + utf8.RuneLen(r)
			spans = append(spans, Span{start, end})
			start = -1
		}
	}
	if start >= 0 {
		end := len(text)
		for end > start {
			r, n := utf8.DecodeLastRuneInString(text[:end])
			if !unicode.IsSpace(r) {
				break
			}
			end -= n
		}
		spans = append(spans, Span{start, end})
	}
	return spans
}
