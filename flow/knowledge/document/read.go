package document

import (
	"context"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

func read(ctx context.Context, src Source, limits Limits) (Document, error) {
	if err := ctx.Err(); err != nil {
		return Document{}, err
	}
	limits = limits.orDefault()
	if src.Size > int64(limits.Text) {
		return Document{}, fault.New(fault.TooLarge, "the text has %d bytes; at most %d are read", src.Size, limits.Text).At("%s", src.Name)
	}
	text := make([]byte, src.Size)
	if _, err := io.ReadFull(io.NewSectionReader(src.Body, 0, src.Size), text); err != nil {
		return Document{}, fault.Wrap(err, fault.Unavailable, "the source cannot be read")
	}
	return Document{Text: text, Verbatim: true, Blocks: paragraphs(text), Format: "text"}, nil
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, d *int }{{&l.Text, &d.Text}, {&l.Entries, &d.Entries}, {&l.Pages, &d.Pages}, {&l.Blocks, &d.Blocks}, {&l.Depth, &d.Depth}} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	for _, f := range []struct{ v, d *int64 }{{&l.Source, &d.Source}, {&l.Unpack, &d.Unpack}} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	return l
}

// paragraphs finds the runs of lines that are set apart by blank lines.
func paragraphs(text []byte) []Block {
	var blocks []Block
	start, last := -1, 0
	for at := 0; at < len(text); {
		end := at
		for end < len(text) && text[end] != '\n' {
			end++
		}
		from, to := trim(text, at, end)
		switch {
		case from == to && start >= 0:
			blocks = append(blocks, Block{Start: start, End: last})
			start = -1
		case from != to:
			if start < 0 {
				start = from
			}
			last = to
		}
		at = end + 1
	}
	if start >= 0 {
		blocks = append(blocks, Block{Start: start, End: last})
	}
	return blocks
}

// trim moves both ends of a range past ASCII space.
func trim(text []byte, start, end int) (int, int) {
	for start < end && isSpace(text[start]) {
		start++
	}
	for end > start && isSpace(text[end-1]) {
		end--
	}
	return start, end
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v' }
