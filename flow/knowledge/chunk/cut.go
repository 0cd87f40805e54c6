package chunk

import (
	"bytes"
	"unicode/utf8"

	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/flow/knowledge/sentence"
)

// cut returns the parts of a block: itself where it fits into a chunk, else
// pieces between items, lines or sentences, whichever its kind has.
func (s *splitter) cut(b document.Block, row bool) []part {
	whole := part{b.Start, b.End, b.Anchor, row}
	if b.End-b.Start <= s.o.Most {
		return []part{whole}
	}
	text := s.doc.Text
	var ends []func([]byte, int, int) []int
	switch b.Kind {
	case document.List:
		ends = append(ends, itemEnds, lineEnds)
	case document.Code, document.Row, document.Table:
		ends = append(ends, emptyLineEnds, lineEnds)
	case document.Quote, document.Paragraph, document.Heading:
	}
	ends = append(ends, sentenceEnds)
	parts := s.pack(text, b.Start, b.End, ends)
	for i := range parts {
		parts[i].row = row
	}
	parts[0].anchor = b.Anchor
	return parts
}

// pack cuts a range at the first kind of ends, joins the pieces up to the
// target and cuts those that are over the most at the next kind.
func (s *splitter) pack(text []byte, start, end int, ends []func([]byte, int, int) []int) []part {
	var parts []part
	add := func(from, to int) {
		if from, to = trim(text, from, to); from < to {
			parts = append(parts, part{start: from, end: to})
		}
	}
	from := start
	flush := func(to int) {
		switch {
		case to-from <= s.o.Most:
			add(from, to)
		case len(ends) > 1:
			parts = append(parts, s.pack(text, from, to, ends[1:])...)
		default:
			for from < to {
				next := cutWords(text, from, to, s.o.Target)
				add(from, next)
				from = next
			}
		}
		from = to
	}
	last := start
	for _, at := range append(ends[0](text, start, end), end) {
		if at-from > s.o.Target && last > from {
			flush(last)
		}
		last = at
	}
	flush(end)
	return parts
}

// itemEnds are where the items of a list end: before every line that is
// indented no deeper than the first and begins with a mark.
func itemEnds(text []byte, start, end int) []int {
	first := indentation(text, lineStart(text, start), end)
	var ends []int
	for at := next(text, start, end); at < end; at = next(text, at, end) {
		i := indentation(text, at, end)
		if i <= first && at+i < end && isMark(text[at+i:end]) {
			ends = append(ends, at)
		}
	}
	return ends
}

func isMark(line []byte) bool {
	digits := bytes.TrimLeft(line, "0123456789")
	if n := len(line) - len(digits); n > 0 && n < 10 && len(digits) > 0 {
		return digits[0] == '.' || digits[0] == ')'
	}
	return line[0] == '-' || line[0] == '*' || line[0] == '+' || bytes.HasPrefix(line, []byte("•"))
}

// emptyLineEnds are the ends of the runs of lines between empty lines.
func emptyLineEnds(text []byte, start, end int) []int {
	var ends []int
	for at := next(text, start, end); at < end; at = next(text, at, end) {
		if len(bytes.TrimSpace(text[at:min(lineEnd(text, at), end)])) == 0 {
			ends = append(ends, at)
		}
	}
	return ends
}

func lineEnds(text []byte, start, end int) []int {
	var ends []int
	for at := next(text, start, end); at < end; at = next(text, at, end) {
		ends = append(ends, at)
	}
	return ends
}

func sentenceEnds(text []byte, start, end int) []int {
	var ends []int
	for _, span := range sentence.Split(string(text[start:end])) {
		ends = append(ends, start+span.End)
	}
	return ends
}

// next is where the line after the one at a place begins, or end.
func next(text []byte, at, end int) int { return min(lineEnd(text, at)+1, end) }

func lineEnd(text []byte, at int) int {
	if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(text)
}

func lineStart(text []byte, at int) int { return bytes.LastIndexByte(text[:at], '\n') + 1 }

func indentation(text []byte, at, end int) int {
	n := 0
	for at+n < end && (text[at+n] == ' ' || text[at+n] == '\t') {
		n++
	}
	return n
}

// cutWords is where a range of at most n bytes ends: after the last space
// before that, else between characters.
func cutWords(text []byte, start, end, n int) int {
	if end-start <= n {
		return end
	}
	at := start + n
	if i := bytes.LastIndexAny(text[start+n/2:at], " \t\n"); i >= 0 {
		return start + n/2 + i + 1
	}
	for at > start && !utf8.RuneStart(text[at]) {
		at--
	}
	if at == start { // a character of more bytes than n
		_, size := utf8.DecodeRune(text[start:end])
		at += size
	}
	return at
}

func trim(text []byte, start, end int) (from, to int) {
	start += len(text[start:end]) - len(bytes.TrimLeft(text[start:end], " \t\r\n"))
	end -= len(text[start:end]) - len(bytes.TrimRight(text[start:end], " \t\r\n"))
	return start, end
}
