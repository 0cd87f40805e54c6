package cite

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Removed is what stands in place of a quote that was taken out.
const Removed = "[…]"

// closing are the marks that end a quotation, by the one that opens it.
func closing(open rune) string {
	switch open {
	case '"':
		return `"`
	case '“':
		return `”"`
	case '„':
		return `“”"`
	case '«':
		return "»"
	case '»':
		return "«»"
	case '「':
		return "」"
	case '『':
		return "』"
	case '‟':
		return "”"
	}
	return ""
}

// quotation is a stretch in quotation marks: text[open:end], the words alone
// text[start:stop].
type quotation struct{ open, start, stop, end int }

// quotations finds what stands in quotation marks. An opening mark without its
// end is not one.
func quotations(text string) []quotation {
	var found []quotation
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRuneInString(text[at:])
		ends := closing(r)
		if ends == "" || r == '"' && inch(text, at) {
			at += n
			continue
		}
		stop := strings.IndexAny(text[at+n:], ends)
		if stop < 0 {
			at += n
			continue
		}
		stop += at + n
		_, m := utf8.DecodeRuneInString(text[stop:])
		found = append(found, quotation{at, at + n, stop, stop + m})
		at = stop + m
	}
	return found
}

// inch tells whether a straight mark stands behind a digit, as for inches.
func inch(text string, at int) bool {
	return at > 0 && text[at-1] >= '0' && text[at-1] <= '9'
}

// Open tells whether a quotation that began in a text has not ended.
func Open(text string) bool {
	rest := text
	if found := quotations(text); len(found) > 0 {
		rest = text[found[len(found)-1].end:]
	}
	for at, r := range rest {
		if closing(r) != "" && r != '»' && !(r == '"' && (inch(rest, at) || at > 0 && !unicode.IsSpace(before(rest, at)) && before(rest, at) != '(')) {
			return true
		}
	}
	return false
}

func before(text string, at int) rune {
	r, _ := utf8.DecodeLastRuneInString(text[:at])
	return r
}

// quotes checks what stands in quotation marks. It returns the text with what
// is said nowhere replaced by Removed, and where the rest stands. The
// question's own words may be repeated in marks.
func (c *Checker) quotes(text string, cited []int) (out string, spans []Span, removed int) {
	var b strings.Builder
	last := 0
	for _, q := range quotations(text) {
		said := text[q.start:q.stop]
		b.WriteString(text[last:q.open])
		last = q.end
		if strings.TrimSpace(said) == "" {
			b.WriteString(text[q.open:q.end])
			continue
		}
		// Punctuation that the language puts inside the marks is the answer's
		// own where the passage has none.
		bare := strings.TrimRight(said, ".,;:!?")
		if span, ok := c.find(said, cited); ok {
			spans = append(spans, span)
			b.WriteString(text[q.open:q.end])
		} else if span, ok := c.find(bare, cited); ok {
			spans = append(spans, span)
			b.WriteString(text[q.open:q.start] + bare + text[q.stop:q.end] + said[len(bare):])
		} else if strings.Contains(strings.ToLower(c.question), strings.ToLower(bare)) {
			b.WriteString(text[q.open:q.end])
		} else {
			removed++
			b.WriteString(Removed)
		}
	}
	b.WriteString(text[last:])
	return b.String(), spans, removed
}

// find looks for a quote, byte for byte, in the cited passages first.
func (c *Checker) find(said string, cited []int) (Span, bool) {
	if said == "" {
		return Span{}, false
	}
	look := func(i int) (Span, bool) {
		at := strings.Index(c.shown[i].Text, said)
		return Span{i, at, at + len(said)}, at >= 0
	}
	for _, i := range cited {
		if span, ok := look(i); ok {
			return span, true
		}
	}
	for i := range c.shown {
		if span, ok := look(i); ok {
			return span, true
		}
	}
	return Span{}, false
}

// unquoted is a text without its quotations.
func unquoted(text string) string {
	var b strings.Builder
	last := 0
	for _, q := range quotations(text) {
		b.WriteString(text[last:q.open])
		last = q.end
	}
	b.WriteString(text[last:])
	return Plain(b.String())
}
