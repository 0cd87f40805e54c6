package document

import (
	"strconv"
	"strings"

	"golang.org/x/net/html/atom"
)

// htmlList is a list that is open.
type htmlList struct {
	ordered bool
	next    int
	item    bool // an item has begun and has no line yet
}

// htmlTable is the outermost table that is open. A nested one gives its text
// to the cell around it.
type htmlTable struct {
	depth   int // how many tables were open with it
	cells   []string
	head    bool // in thead
	headers int  // cells of the row that are headers
	filled  int  // cells of the row with text
	header  []string
	begun   bool // a header or row was written
	layout  bool // it only places things on the page
}

// opens does what the start of an element means.
func (h *htmlReader) opens(t tag) error {
	if t.tag == atom.Br {
		h.inline.newline()
		return nil
	}
	cell := t.tag == atom.Td || t.tag == atom.Th
	if !isBlock(t.tag) && !cell {
		return nil
	}
	if h.inCell() && !cell && t.tag != atom.Tr && t.tag != atom.Table && t.tag != atom.Tbody && t.tag != atom.Thead && t.tag != atom.Tfoot && headingLevel(t.tag) == 0 {
		h.inline.space = true // blocks within a cell are words of it
		return nil
	}
	if err := h.layout(t.tag); err != nil {
		return err
	}
	if h.table == nil || h.table.layout {
		if err := h.flush(); err != nil {
			return err
		}
	}
	switch t.tag {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		h.heading = headingLevel(t.tag)
	case atom.Pre:
		h.pre++
	case atom.Blockquote:
		h.quote++
	case atom.Main:
		h.mainBegins()
	case atom.Ul, atom.Ol:
		start, err := strconv.Atoi(t.attr["start"])
		if err != nil {
			start = 1
		}
		if len(h.lists) < 32 {
			h.lists = append(h.lists, htmlList{ordered: t.tag == atom.Ol, next: start})
		}
	case atom.Li:
		if n := len(h.lists); n > 0 {
			h.lists[n-1].item = true
		}
	default:
		h.tableOpens(t)
	}
	if t.attr["role"] == "main" {
		h.mainBegins()
	}
	return nil
}

func (h *htmlReader) tableOpens(t tag) {
	switch t.tag {
	case atom.Table:
		h.tables++
		if (h.table == nil || h.table.layout) && len(h.lists) == 0 {
			h.table = &htmlTable{depth: h.tables}
		}
	case atom.Thead:
		if h.table != nil {
			h.table.head = true
		}
	case atom.Td, atom.Th:
		h.inline.space = true
		if h.table == nil || h.tables > h.table.depth || h.table.layout {
			return
		}
		h.inline.take()
		if t.tag == atom.Th {
			h.table.headers++
		}
		const widest = 64
		if span, err := strconv.Atoi(t.attr["colspan"]); err == nil && t.tag == atom.Th {
			for range min(span-1, widest) {
				h.table.cells = append(h.table.cells, "")
			}
		}
	}
}

func (h *htmlReader) inCell() bool {
	return h.table != nil && !h.table.layout && (h.within(atom.Td) || h.within(atom.Th))
}

// layout finds out that a table is no table: headings or further tables stand
// in its cells, and none of its cells is a header.
func (h *htmlReader) layout(a atom.Atom) error {
	if h.table == nil || h.table.layout || !h.inCell() || h.table.headers > 0 || h.table.header != nil {
		return nil
	}
	if headingLevel(a) == 0 && a != atom.Table {
		return nil
	}
	cells := h.table.cells
	text := h.inline.take()
	h.table = &htmlTable{layout: true, depth: h.table.depth}
	for _, c := range append(cells, text) {
		if err := h.w.add(Block{Kind: Paragraph}, c); err != nil {
			return err
		}
	}
	return nil
}

func headingLevel(a atom.Atom) int {
	switch a {
	case atom.H1:
		return 1
	case atom.H2:
		return 2
	case atom.H3:
		return 3
	case atom.H4:
		return 4
	case atom.H5:
		return 5
	case atom.H6:
		return 6
	}
	return 0
}

// closes does what the end of an element means.
func (h *htmlReader) closes(a atom.Atom) error {
	switch a {
	case atom.Td, atom.Th, atom.Tr, atom.Thead, atom.Table, atom.Caption:
		return h.tableCloses(a)
	}
	if !isBlock(a) {
		return nil
	}
	if h.inCell() {
		h.inline.space = true
		return nil
	}
	if err := h.flush(); err != nil {
		return err
	}
	switch a {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		h.heading = 0
	case atom.Pre:
		h.pre = max(0, h.pre-1)
	case atom.Blockquote:
		h.quote = max(0, h.quote-1)
	case atom.Main:
		h.mainEnd = len(h.w.text)
	case atom.Ul, atom.Ol:
		if n := len(h.lists); n > 0 {
			h.lists = h.lists[:n-1]
		}
		if len(h.lists) == 0 {
			text := string(h.list)
			h.list = h.list[:0]
			return h.block(Block{Kind: List}, text)
		}
	}
	return nil
}

func (h *htmlReader) tableCloses(a atom.Atom) error {
	t := h.table
	if a == atom.Table {
		h.tables = max(0, h.tables-1)
	}
	if t == nil || t.layout {
		if a == atom.Table && h.tables == 0 {
			h.table = nil
		}
		h.inline.space = true
		if t == nil && len(h.lists) > 0 && a != atom.Tr && a != atom.Table {
			return nil // a table within a list: a line for every row
		}
		return h.flush()
	}
	if h.tables > t.depth || a == atom.Table && h.tables == t.depth {
		h.inline.space = true // of a table in a cell
		return nil
	}
	switch a {
	case atom.Caption:
		return h.block(Block{Kind: Paragraph}, h.inline.take())
	case atom.Td, atom.Th:
		text := h.inline.take()
		if strings.TrimSpace(text) != "" {
			t.filled++
		}
		t.cells = append(t.cells, text)
	case atom.Tr:
		return h.row()
	case atom.Thead:
		t.head = false
	case atom.Table:
		err := h.row()
		if err == nil && t.header != nil {
			err = h.block(Block{Kind: Table}, strings.Join(t.header, "\n"))
		}
		h.table = nil
		return err
	}
	return nil
}

// row writes the row that was read; rows of headers are kept until the first
// that is none.
func (h *htmlReader) row() error {
	t := h.table
	cells, header := t.cells, t.head || t.headers > 0 && t.headers == t.filled
	t.cells, t.headers, t.filled = nil, 0, 0
	text := row(cells)
	if text == "" {
		return nil
	}
	if header && !t.begun {
		t.header = append(t.header, text)
		return nil
	}
	b := Block{Kind: Row}
	if t.header != nil {
		if err := h.block(Block{Kind: Table}, strings.Join(t.header, "\n")); err != nil {
			return err
		}
		t.header, t.begun = nil, true
	}
	if !t.begun {
		b.Level, t.begun = 1, true
	}
	return h.block(b, text)
}

// flush ends the block whose text was gathered.
func (h *htmlReader) flush() error {
	text := h.inline.take()
	if strings.TrimSpace(text) == "" {
		return nil
	}
	switch {
	case len(h.lists) > 0:
		h.item(text)
		return nil
	case h.heading > 0:
		return h.block(Block{Kind: Heading, Level: h.heading}, strings.Join(strings.Fields(text), " "))
	case h.pre > 0:
		return h.block(Block{Kind: Code}, strings.Trim(text, "\r\n"))
	case h.quote > 0:
		return h.block(Block{Kind: Quote}, text)
	}
	return h.block(Block{Kind: Paragraph}, text)
}

func (h *htmlReader) block(b Block, text string) error {
	b.Anchor = h.anchor
	before := len(h.w.blocks)
	if err := h.w.add(b, text); err != nil {
		return err
	}
	if len(h.w.blocks) > before {
		h.anchor = ""
	}
	return nil
}

// item adds lines to the list that is open: the first of an item with its
// mark, further ones indented as far.
func (h *htmlReader) item(text string) {
	n := len(h.lists)
	l := &h.lists[n-1]
	indent := strings.Repeat("  ", n-1)
	for line := range strings.SplitSeq(strings.Trim(text, "\r\n"), "\n") {
		mark := "  "
		if l.item {
			mark = "- "
			if l.ordered {
				mark = strconv.Itoa(l.next) + ". "
				l.next++
			}
			l.item = false
		}
		if len(h.list) > 0 {
			h.list = append(h.list, '\n')
		}
		h.list = append(h.list, indent+mark+strings.TrimRight(line, " \t\r")...)
	}
}

// mainBegins notes where the main part of the page begins; only the first counts.
func (h *htmlReader) mainBegins() {
	if h.main < 0 {
		h.main = len(h.w.text)
	}
}

// cutToMain drops what stands around the main part, where a page has one that
// says something: menus, banners, footers.
func (h *htmlReader) cutToMain(doc *Document) {
	const something = 200
	if h.main < 0 {
		return
	}
	if h.mainEnd < h.main {
		h.mainEnd = len(doc.Text)
	}
	var kept []Block
	for _, b := range doc.Blocks {
		if b.Start >= h.main && b.End <= h.mainEnd {
			kept = append(kept, b)
		}
	}
	if len(kept) == 0 || kept[len(kept)-1].End-kept[0].Start < something {
		return
	}
	from := kept[0].Start
	doc.Text = doc.Text[from:kept[len(kept)-1].End]
	for i := range kept {
		kept[i].Start -= from
		kept[i].End -= from
	}
	doc.Blocks = kept
}
