package document

import (
	"strconv"
	"strings"
)

// docx renders a Word document: body, tables, lists, text boxes, notes. What
// was deleted under change tracking, fields' instructions, tables of contents,
// comments, headers and footers are not rendered.
func (j *job) docx() (Document, error) {
	f, err := j.office()
	if err != nil {
		return Document{}, err
	}
	r := &docxReader{officeFile: f, w: j.writer(), counters: map[string]int{}}
	if err := r.readStyles(); err != nil {
		return Document{}, err
	}
	if err := r.readNumbering(); err != nil {
		return Document{}, err
	}
	if err := r.part(f.main); err != nil {
		return Document{}, err
	}
	for _, kind := range []string{"footnotes", "endnotes"} {
		if part := f.refs.byType[kind]; f.has(part) {
			if err := r.part(part); err != nil {
				return Document{}, err
			}
		}
	}
	doc := r.w.document()
	doc.Language = r.language
	if err := f.describe(&doc); err != nil {
		return Document{}, err
	}
	if r.title != "" {
		doc.Title = r.title
	}
	return doc, nil
}

type docxReader struct {
	*officeFile
	w        *writer
	styles   map[string]docxStyle
	formats  map[string]string // of list levels: "numId/level" → "bullet", "decimal", …
	counters map[string]int    // of numbered lists: "numId/level" → the last number
	language string
	title    string

	paragraphs []*docxParagraph // open ones; text boxes stand within paragraphs
	tables     []*docxTable     // open ones; tables stand within cells
	skip       int              // open elements below one that is not rendered
	inText     bool
	gathered   Kind // List or Code: kind of the lines that are gathered into one block
	lines      []string
	anchor     string
}

type docxParagraph struct {
	text   strings.Builder
	style  string
	num    string
	level  int
	hasNum bool
	anchor string
}

type docxTable struct {
	rows  int
	cells []string
	cell  strings.Builder
	first string // the first row, kept until it is known whether it is a header
	wide  int    // cells of the first row
}

func (r *docxReader) part(name string) error {
	err := r.walk(name, r.j.limits.Depth, handler{start: r.start, text: r.text, end: r.end})
	if err != nil {
		return err
	}
	return r.gather(Paragraph, "")
}

func (r *docxReader) start(name string, a attributes) error {
	if r.skip > 0 {
		r.skip++
		return nil
	}
	switch name {
	case "Fallback", "del", "moveFrom", "headerReference", "sectPr":
		r.skip = 1
		return nil
	case "p":
		r.paragraphs = append(r.paragraphs, &docxParagraph{})
		return nil
	case "tbl":
		if len(r.tables) == 0 {
			if err := r.gather(Paragraph, ""); err != nil {
				return err
			}
		}
		r.tables = append(r.tables, &docxTable{})
		return nil
	case "footnote", "endnote":
		if a.get("type") == "separator" || a.get("type") == "continuationSeparator" {
			r.skip = 1
		}
		return nil
	}
	if n := len(r.paragraphs); n > 0 {
		r.inline(r.paragraphs[n-1], name, a)
	}
	if n := len(r.tables); n > 0 && name == "gridSpan" {
		const widest = 64
		if span, err := strconv.Atoi(a.get("val")); err == nil {
			for range min(span-1, widest) {
				r.tables[n-1].cells = append(r.tables[n-1].cells, "")
			}
		}
	}
	return nil
}

// inline takes what stands within a paragraph.
func (r *docxReader) inline(p *docxParagraph, name string, a attributes) {
	switch name {
	case "t":
		r.inText = true
	case "tab":
		if p.text.Len() > 0 {
			p.text.WriteByte('\t')
		}
	case "br", "cr":
		p.text.WriteByte('\n')
	case "noBreakHyphen":
		p.text.WriteByte('-')
	case "pStyle":
		p.style = a.get("val")
	case "numId":
		p.num, p.hasNum = a.get("val"), true
	case "ilvl":
		p.level, _ = strconv.Atoi(a.get("val")) //nolint:errcheck // 0 where it is no number
	case "outlineLvl":
		p.style += "\x00" + a.get("val")
	case "bookmarkStart":
		if b := a.get("name"); p.anchor == "" && !strings.HasPrefix(b, "_GoBack") {
			p.anchor = b
		}
	case "footnoteReference", "endnoteReference":
		p.text.WriteString("[" + a.get("id") + "]")
	case "footnoteRef", "endnoteRef":
		p.text.WriteString("Note: ")
	}
}

func (r *docxReader) text(text []byte) {
	if n := len(r.paragraphs); r.inText && r.skip == 0 && n > 0 {
		r.paragraphs[n-1].text.Write(text)
	}
}

func (r *docxReader) end(name string) error {
	if r.skip > 0 {
		r.skip--
		return nil
	}
	switch name {
	case "t":
		r.inText = false
	case "p":
		if n := len(r.paragraphs); n > 0 {
			p := r.paragraphs[n-1]
			err := r.paragraph(p)
			r.paragraphs = r.paragraphs[:n-1]
			return err
		}
	case "tc", "tr", "tbl":
		if len(r.tables) > 0 {
			return r.tableEnds(name)
		}
	}
	return nil
}

// paragraph writes a paragraph that ended: into the cell that is open, or as a
// block by its style.
func (r *docxReader) paragraph(p *docxParagraph) error {
	text := clean(p.text.String())
	if n := len(r.tables); n > 0 {
		t := r.tables[n-1]
		if t.cell.Len() > 0 {
			t.cell.WriteByte(' ')
		}
		t.cell.WriteString(text)
		return nil
	}
	if text == "" {
		return nil
	}
	r.anchor = p.anchor
	style := r.style(p)
	switch {
	case style.contents:
		return nil
	case style.heading > 0:
		if style.title && r.title == "" {
			r.title = oneLine(text, longestTitle)
		}
		if err := r.gather(Paragraph, ""); err != nil {
			return err
		}
		return r.w.add(Block{Kind: Heading, Level: style.heading, Anchor: p.anchor}, strings.Join(strings.Fields(text), " "))
	case style.num != "" && style.num != "0":
		return r.gather(List, r.item(style, text))
	case style.code:
		return r.gather(Code, strings.TrimRight(p.text.String(), " \n"))
	case style.quote:
		return r.gather(Quote, text)
	}
	return r.gather(Paragraph, text)
}

// gather adds a line to the list or code that is open, or ends it and writes
// the paragraph.
func (r *docxReader) gather(kind Kind, text string) error {
	if len(r.lines) > 0 && r.gathered != kind {
		block := strings.Join(r.lines, "\n")
		r.lines = r.lines[:0]
		if err := r.w.add(Block{Kind: r.gathered}, block); err != nil {
			return err
		}
	}
	switch {
	case text == "":
		return nil
	case kind == Paragraph:
		return r.w.add(Block{Kind: Paragraph, Anchor: r.anchor}, text)
	}
	if len(r.lines) >= r.w.limits.Blocks {
		return r.w.over("the document has more than %d lines in a list", r.w.limits.Blocks)
	}
	r.gathered = kind
	r.lines = append(r.lines, text)
	return nil
}

// item is a line of a list with its mark.
func (r *docxReader) item(s docxStyle, text string) string {
	level := min(max(s.level, 0), 8)
	key := s.num + "/" + itoa(level)
	mark := "- "
	if format := r.formats[key]; format != "" && format != "bullet" && format != "none" {
		r.counters[key]++
		for deeper := level + 1; deeper < 9; deeper++ {
			delete(r.counters, s.num+"/"+itoa(deeper))
		}
		mark = itoa(r.counters[key]) + ". "
	}
	indent := strings.Repeat("  ", level)
	return indent + mark + strings.ReplaceAll(text, "\n", "\n"+indent+"  ")
}

func (r *docxReader) tableEnds(name string) error {
	n := len(r.tables)
	t := r.tables[n-1]
	switch name {
	case "tc":
		t.cells = append(t.cells, t.cell.String())
		t.cell.Reset()
		return nil
	case "tr":
		text, wide := row(t.cells), len(t.cells)
		t.cells = t.cells[:0]
		if text == "" {
			return nil
		}
		t.rows++
		if n > 1 {
			outer := &r.tables[n-2].cell
			outer.WriteString(" " + text)
			return nil
		}
		if t.rows == 1 {
			t.first, t.wide = text, wide
			return nil
		}
		if t.rows == 2 {
			if err := r.w.add(Block{Kind: Table}, t.first); err != nil {
				return err
			}
		}
		return r.w.add(Block{Kind: Row}, text)
	}
	first, rows, wide := t.first, t.rows, t.wide
	r.tables = r.tables[:n-1]
	if n == 1 && rows == 1 {
		if wide == 1 { // a frame around text
			return r.w.add(Block{Kind: Paragraph}, first)
		}
		return r.w.add(Block{Kind: Row, Level: 1}, first)
	}
	return nil
}
