package cite

import (
	"slices"
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
	case '‘':
		return "’"
	case '‚':
		return "‘’"
	case '‹':
		return "›"
	case '›':
		return "‹" // not itself, which stands between the steps of a menu
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
		stop := ending(text, at+n, ends)
		if stop < 0 {
			at += n
			continue
		}
		_, m := utf8.DecodeRuneInString(text[stop:])
		found = append(found, quotation{at, at + n, stop, stop + m})
		at = stop + m
	}
	return found
}

// ending finds the mark that ends a quotation, -1 where there is none. A single
// mark before a letter is an apostrophe.
func ending(text string, from int, ends string) int {
	for at, r := range text[from:] {
		if !strings.ContainsRune(ends, r) {
			continue
		}
		if next, _ := utf8.DecodeRuneInString(text[from+at+utf8.RuneLen(r):]); r != '’' || !unicode.IsLetter(next) {
			return from + at
		}
	}
	return -1
}

// inch tells whether a straight mark is one of inches: behind a digit, before
// no word, and where another straight mark follows, that one begins a
// quotation or is of inches too. Otherwise it begins one.
func inch(text string, at int) bool {
	if !inchLike(text, at) {
		return false
	}
	next := strings.IndexByte(text[at+1:], '"')
	if next < 0 {
		return true
	}
	next += at + 1
	return inchLike(text, next) || begins(text, next)
}

func inchLike(text string, at int) bool {
	return behindDigit(text, at) && !beforeWord(text, at)
}

// begins tells whether a straight mark can only begin a quotation.
func begins(text string, at int) bool {
	r := before(text, at)
	return (unicode.IsSpace(r) || r == '(') && beforeWord(text, at)
}

func behindDigit(text string, at int) bool {
	return at > 0 && text[at-1] >= '0' && text[at-1] <= '9'
}

func beforeWord(text string, at int) bool {
	r, _ := utf8.DecodeRuneInString(text[at+1:])
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// Open tells whether a quotation that began in a text has not ended.
func Open(text string) bool {
	rest := text
	if found := quotations(text); len(found) > 0 {
		rest = text[found[len(found)-1].end:]
	}
	for at, r := range rest {
		switch b := before(rest, at); {
		case closing(r) == "" || r == '»' || r == '›':
		case r != '"', at == 0, unicode.IsSpace(b), b == '(', behindDigit(rest, at) && beforeWord(rest, at):
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

// Quoted are the words that stand in quotation marks.
func Quoted(text string) (words []string) {
	for _, q := range quotations(text) {
		words = append(words, text[q.start:q.stop])
	}
	return words
}

// Unquote takes the quotation marks off all words but those to keep.
func Unquote(text string, keep []string) string {
	var b strings.Builder
	last := 0
	for _, q := range quotations(text) {
		said := text[q.start:q.stop]
		if slices.Contains(keep, said) {
			continue
		}
		b.WriteString(text[last:q.open] + said)
		last = q.end
	}
	b.WriteString(text[last:])
	return b.String()
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
