package document

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// verbatim is the document of a text that is indexed as it is.
func (j *job) verbatim(d decoded, blocks []Block) (Document, error) {
	if len(blocks) > j.limits.Blocks {
		return Document{}, fault.New(fault.TooLarge, "the document has %d blocks; at most %d are read", len(blocks), j.limits.Blocks)
	}
	return Document{Text: d.text, Verbatim: d.verbatim, Blocks: blocks, Meta: map[string]string{}}, nil
}

func (j *job) plain(d decoded) (Document, error) {
	return j.verbatim(d, paragraphs(d.text, Paragraph))
}

// code takes runs of lines between blank lines as blocks, so that a function
// or a stanza is one.
func (j *job) code(d decoded) (Document, error) {
	return j.verbatim(d, paragraphs(d.text, Code))
}

// grain is how long a block is at least in a text of this size: nothing for
// what people write, more for dumps of many megabytes, so that the blocks of a
// text never outweigh it. It moves by powers of two, so that a growing file
// keeps its blocks.
func grain(size int) int {
	g := 0
	for size>>16 > g {
		g = 2*g + 1
	}
	return g
}

// paragraphs finds the runs of lines that are set apart by blank lines. Blocks
// begin with their line's indentation where they are code.
func paragraphs(text []byte, kind Kind) []Block {
	var blocks []Block
	least := grain(len(text))
	start, last := -1, 0
	flush := func() {
		if start >= 0 {
			blocks = append(blocks, Block{Kind: kind, Start: start, End: last})
		}
		start = -1
	}
	skip := len(text) - len(bytes.TrimPrefix(text, byteOrderMark))
	for at := skip; at < len(text); {
		end := lineEnd(text, at)
		from, to := trim(text, at, end)
		switch {
		case from == to:
			if start >= 0 && last-start >= least {
				flush()
			}
		case start < 0:
			start, last = from, to
			if kind == Code {
				start = at
			}
		default:
			last = to
		}
		at = end + 1
	}
	flush()
	return blocks
}

// lines takes every line with something in it as a block, joined where they
// are too many.
func lines(text []byte, from, to int, kind Kind) []Block {
	var blocks []Block
	least := grain(to - from)
	for at := from; at < to; {
		end := min(lineEnd(text, at), to)
		for end < to && end-at < least {
			end = min(lineEnd(text, end+1), to)
		}
		if s, e := trim(text, at, end); s < e {
			blocks = append(blocks, Block{Kind: kind, Start: s, End: e})
		}
		at = end + 1
	}
	return blocks
}

// lineEnd is the place of the next line end at or after a place.
func lineEnd(text []byte, at int) int {
	if at >= len(text) {
		return len(text)
	}
	if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(text)
}

// trim moves both ends of a range past space.
func trim(text []byte, start, end int) (from, to int) {
	for start < end {
		r, n := rune(text[start]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text[start:end])
		}
		if !unicode.IsSpace(r) {
			break
		}
		start += n
	}
	for end > start {
		r, n := rune(text[end-1]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeLastRune(text[start:end])
		}
		if !unicode.IsSpace(r) {
			break
		}
		end -= n
	}
	return start, end
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
