package document

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// writer renders a document: block after block, with an empty line between
// them and a single line end between the rows of a table.
type writer struct {
	ctx    context.Context
	limits Limits
	page   int // of the blocks that follow
	text   []byte
	blocks []Block
}

func (j *job) writer() *writer { return &writer{ctx: j.ctx, limits: j.limits} }

// add appends a block; Start, End and Page are set here. A block of nothing
// but space is none.
func (w *writer) add(b Block, text string) error {
	text = clean(text)
	if text == "" {
		return nil
	}
	if len(w.blocks)%64 == 0 && w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	between := ""
	if n := len(w.blocks); n > 0 {
		between = "\n\n"
		if last := w.blocks[n-1].Kind; b.Kind == Row && b.Level == 0 && (last == Row || last == Table) {
			between = "\n"
		}
	}
	if len(w.text)+len(between)+len(text) > w.limits.Text {
		return w.over("the text has more than %d bytes", w.limits.Text)
	}
	if w.widens(b, text) {
		return nil
	}
	if len(w.blocks) >= w.limits.Blocks {
		return w.over("the document has more than %d blocks", w.limits.Blocks)
	}
	w.text = append(w.text, between...)
	b.Start, b.Page = len(w.text), w.page
	w.text = append(w.text, text...)
	b.End = len(w.text)
	w.blocks = append(w.blocks, b)
	return nil
}

// Rows beyond manyBlocks are put together up to wideRow bytes: a sheet of a
// million rows is as few blocks as chunks need.
const (
	manyBlocks = 50_000
	wideRow    = 512
)

// widens adds a row to the row before, where there are very many.
func (w *writer) widens(b Block, text string) bool {
	if len(w.blocks) < manyBlocks || b.Kind != Row || b.Level != 0 {
		return false
	}
	last := &w.blocks[len(w.blocks)-1]
	if last.Kind != Row || last.Page != w.page || last.End-last.Start > wideRow {
		return false
	}
	w.text = append(append(w.text, '\n'), text...)
	last.End = len(w.text)
	return true
}

func (w *writer) over(format string, args ...any) error {
	f := fault.New(fault.TooLarge, format, args...).Hint("split the document, or raise the limit")
	if w.page > 0 {
		f.At("page %d", w.page)
	}
	return f
}

func (w *writer) document() Document {
	return Document{Text: w.text, Blocks: w.blocks, Meta: map[string]string{}}
}

// clean makes text fit to be kept: valid UTF-8 without control characters and
// without space at either end.
func clean(s string) string {
	if !utf8.ValidString(s) || strings.IndexFunc(s, isControl) >= 0 {
		s = strings.Map(func(r rune) rune {
			if r == '\r' || r == '\u00ad' {
				return -1
			}
			if isControl(r) {
				return ' '
			}
			return r
		}, s)
	}
	return strings.TrimFunc(s, unicode.IsSpace)
}

func isControl(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u00ad'
}

// row joins the cells of a row of a table. Cells are one line each.
func row(cells []string) string {
	for i, c := range cells {
		cells[i] = strings.Join(strings.Fields(c), " ")
	}
	for len(cells) > 0 && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	return strings.Join(cells, " | ")
}
