package document

import (
	"strconv"
	"strings"
)

// pptx renders a presentation, slide by slide: the title as a heading, texts
// and lists, tables, then the speaker's notes. Hidden slides are left out.
func (j *job) pptx() (Document, error) {
	f, err := j.office()
	if err != nil {
		return Document{}, err
	}
	w := j.writer()
	slides, err := f.slides()
	if err != nil {
		return Document{}, err
	}
	for i, part := range slides {
		if i >= j.limits.Pages {
			return Document{}, w.over("the presentation has more than %d slides", j.limits.Pages)
		}
		w.page = i + 1
		if err := f.slide(w, part); err != nil {
			return Document{}, err
		}
	}
	doc := w.document()
	return doc, f.describe(&doc)
}

// slides are the parts of the slides in their order.
func (f *officeFile) slides() ([]string, error) {
	var parts []string
	err := f.walk(f.main, f.j.limits.Depth, handler{start: func(name string, a attributes) error {
		if name == "sldId" && len(parts) <= f.j.limits.Pages {
			if part := f.refs.byID[a.relation("id")]; f.has(part) {
				parts = append(parts, part)
			}
		}
		return nil
	}})
	return parts, err
}

func (f *officeFile) slide(w *writer, part string) error {
	s := &slideReader{most: w.limits.Text}
	if err := f.walk(part, f.j.limits.Depth, handler{start: s.start, text: s.text, end: s.end}); err != nil {
		return err
	}
	if s.hidden {
		return nil
	}
	if s.size > s.most {
		return w.over("the text has more than %d bytes", s.most)
	}
	title := s.title
	if title == "" {
		title = "Slide " + itoa(w.page)
	}
	if err := w.add(Block{Kind: Heading, Level: 2, Anchor: "slide=" + itoa(w.page)}, title); err != nil {
		return err
	}
	for _, b := range s.blocks {
		if err := w.add(Block{Kind: b.kind, Level: b.level}, b.text); err != nil {
			return err
		}
	}
	refs, err := f.relations(part, f.j.limits.Depth)
	if err != nil {
		return err
	}
	notes := refs.byType["notesSlide"]
	if !f.has(notes) {
		return nil
	}
	n := &slideReader{most: w.limits.Text, notes: true}
	if err := f.walk(notes, f.j.limits.Depth, handler{start: n.start, text: n.text, end: n.end}); err != nil {
		return err
	}
	for i, b := range n.blocks {
		if i == 0 {
			b.text = "Notes: " + b.text
		}
		if err := w.add(Block{Kind: Paragraph}, b.text); err != nil {
			return err
		}
	}
	return nil
}

// slideReader takes the shapes of a slide.
type slideReader struct {
	notes  bool // only the text of notes is taken
	most   int
	size   int
	hidden bool
	title  string
	blocks []slideBlock

	skip   int
	inText bool
	holder string // type of the placeholder that is open; "none" for other shapes
	lines  []slideLine
	line   strings.Builder
	level  int
	bullet bool
	table  *slideTable
}

type slideBlock struct {
	kind  Kind
	level int
	text  string
}

type slideLine struct {
	text   string
	level  int
	bullet bool
}

type slideTable struct {
	rows  []string
	cells []string
}

func (s *slideReader) start(name string, a attributes) error {
	if s.skip > 0 {
		s.skip++
		return nil
	}
	switch name {
	case "Fallback":
		s.skip = 1
	case "sld":
		s.hidden = a.get("show") == "0" || a.get("show") == "false"
	case "sp":
		s.holder, s.lines = "none", nil
	case "ph":
		if s.holder = a.get("type"); s.holder == "" {
			s.holder = "body" // a placeholder without a type is for content
		}
	case "tbl":
		s.table = &slideTable{}
	case "pPr":
		s.level, _ = strconv.Atoi(a.get("lvl")) //nolint:errcheck // 0 where it is no number
	case "buChar", "buAutoNum":
		s.bullet = true
	case "t":
		s.inText = true
	case "br":
		s.line.WriteByte('\n')
	}
	return nil
}

func (s *slideReader) text(text []byte) {
	if s.size += len(text); s.inText && s.skip == 0 && s.size <= s.most {
		s.line.Write(text)
	}
}

func (s *slideReader) end(name string) error {
	if s.skip > 0 {
		s.skip--
		return nil
	}
	switch name {
	case "t":
		s.inText = false
	case "p":
		if text := clean(s.line.String()); text != "" {
			s.lines = append(s.lines, slideLine{text, min(max(s.level, 0), 8), s.bullet})
		}
		s.line.Reset()
		s.level, s.bullet = 0, false
	case "sp":
		s.shape()
	case "tc", "tr", "tbl":
		s.tableEnds(name)
	}
	return nil
}

// shape takes the lines of a shape by what its placeholder is for.
func (s *slideReader) shape() {
	lines := s.lines
	s.lines = nil
	if len(lines) == 0 || s.notes && s.holder != "body" {
		return
	}
	var texts []string
	list := len(lines) > 1 && s.holder == "body" && !s.notes
	for _, l := range lines {
		list = list || l.bullet
	}
	for _, l := range lines {
		if list {
			indent := strings.Repeat("  ", l.level)
			l.text = indent + "- " + strings.ReplaceAll(l.text, "\n", "\n"+indent+"  ")
		}
		texts = append(texts, l.text)
	}
	text := strings.Join(texts, "\n")
	switch s.holder {
	case "title", "ctrTitle":
		if s.title == "" {
			s.title = strings.Join(strings.Fields(text), " ")
			return
		}
	case "sldNum", "dt", "ftr", "hdr":
		return
	}
	kind := Paragraph
	if list {
		kind = List
	}
	s.blocks = append(s.blocks, slideBlock{kind: kind, text: text})
}

func (s *slideReader) tableEnds(name string) {
	if s.table == nil {
		return
	}
	switch name {
	case "tc":
		var words []string
		for _, l := range s.lines {
			words = append(words, l.text)
		}
		s.table.cells, s.lines = append(s.table.cells, strings.Join(words, " ")), nil
	case "tr":
		if text := row(s.table.cells); text != "" {
			s.table.rows = append(s.table.rows, text)
		}
		s.table.cells = nil
	case "tbl":
		for i, text := range s.table.rows {
			b := slideBlock{kind: Row, text: text}
			if i == 0 && len(s.table.rows) > 1 {
				b.kind = Table
			} else if i == 0 {
				b.level = 1
			}
			s.blocks = append(s.blocks, b)
		}
		s.table = nil
	}
}
