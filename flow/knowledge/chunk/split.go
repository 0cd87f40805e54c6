package chunk

import (
	"hash/fnv"

	"github.com/leat-ai/leat/flow/knowledge/document"
)

func split(doc document.Document, o Options) []Chunk {
	s := splitter{doc: doc, o: o}
	for i := 0; i < len(doc.Blocks); {
		i = s.block(i)
	}
	s.flush()
	s.join()
	for i := range s.chunks {
		s.chunks[i].Ordinal = i
	}
	return s.chunks
}

// splitter packs parts into chunks: it holds one open chunk, to which a part
// is added where it fits.
type splitter struct {
	doc      document.Document
	o        Options
	chunks   []Chunk
	sections []section // the headings above, the outermost first
	first    int       // index in chunks of the first chunk of the section
	open     bool
	heading  bool // the open chunk holds nothing but headings
	chunk    Chunk
	header   string // of the table whose rows come now
}

// section is a heading above the place that is read.
type section struct {
	level  int
	title  string
	anchor string
	chunk  int // index of the chunk that holds the heading
}

// part is a piece of a block that stays whole.
type part struct {
	start, end int
	anchor     string
	row        bool
}

// block takes the block at i, or the table that begins there, and returns the
// place of the next.
func (s *splitter) block(i int) int {
	b := s.doc.Blocks[i]
	if s.open && b.Page != s.chunk.Page && s.size() >= s.o.Target/4 && !s.heading {
		s.flush()
	}
	switch {
	case b.Kind == document.Heading:
		s.section(b)
	case b.Kind == document.Table || b.Kind == document.Row && b.Level == 1:
		return s.table(i)
	case b.Kind == document.Row:
		s.parts(b, s.cut(b, true))
	default:
		s.header = ""
		s.parts(b, s.cut(b, false))
	}
	return i + 1
}

// section opens the section of a heading. A chunk that holds only headings
// stays open for those below them.
func (s *splitter) section(b document.Block) {
	s.header = ""
	deeper := s.heading && len(s.sections) > 0 && b.Level > s.sections[len(s.sections)-1].level
	if !deeper || s.chunk.End == 0 || b.End-s.chunk.Start > s.o.Most {
		s.flush()
		s.join()
	}
	for len(s.sections) > 0 && s.sections[len(s.sections)-1].level >= b.Level {
		s.sections = s.sections[:len(s.sections)-1]
	}
	title := document.Plain(s.doc.Format, s.doc.Text[b.Start:b.End])
	s.sections = append(s.sections, section{b.Level, shorten(title), b.Anchor, len(s.chunks)})
	for _, p := range s.cut(b, false) {
		if !s.open {
			s.begin(p, b.Page)
			s.first = len(s.chunks)
		} else if p.end-s.chunk.Start <= s.o.Most {
			s.chunk.End = p.end
		} else {
			s.flush()
			s.begin(p, b.Page)
		}
		s.heading = true
		s.chunk.Headings, s.chunk.Anchor = s.path(), b.Anchor
		s.chunk.Parent = s.parent()
	}
}

// table takes the blocks of a table. One that fits into a chunk stays whole.
func (s *splitter) table(i int) int {
	b := s.doc.Blocks[i]
	s.header = ""
	last := i + 1
	for last < len(s.doc.Blocks) && s.doc.Blocks[last].Kind == document.Row && s.doc.Blocks[last].Level == 0 {
		last++
	}
	if end := s.doc.Blocks[last-1].End; end-b.Start <= s.o.Target {
		s.parts(b, []part{{start: b.Start, end: end, anchor: b.Anchor}})
		return last
	}
	if b.Kind == document.Row {
		s.parts(b, s.cut(b, true))
		return i + 1
	}
	s.header = string(s.doc.Text[b.Start:cutWords(s.doc.Text, b.Start, b.End, s.o.Target/2)])
	if last > i+1 && s.doc.Blocks[i+1].End-b.Start <= s.o.Target {
		s.parts(b, []part{{start: b.Start, end: s.doc.Blocks[i+1].End, anchor: b.Anchor}})
		return i + 2 // a header stays with its first row
	}
	s.parts(b, s.cut(b, false))
	return i + 1
}

// parts adds the parts of a block to the open chunk or to new ones.
func (s *splitter) parts(b document.Block, parts []part) {
	for _, p := range parts {
		if s.open && !s.fits(p) {
			s.flush()
		}
		if !s.open {
			s.begin(p, b.Page)
			if p.row {
				s.chunk.Context = s.header
			}
		}
		s.chunk.End = p.end
		s.heading = false
		if p.row && s.size() >= s.o.Target/2 && boundary(s.doc.Text[p.start:p.end]) {
			s.flush()
		}
	}
}

// fits tells whether a part goes into the open chunk: up to the target, or up
// to the most where what is there is no more than headings or a line that
// introduces what follows.
func (s *splitter) fits(p part) bool {
	size := p.end - s.chunk.Start
	return size <= s.o.Target || size <= s.o.Most && (s.heading || s.size() < s.o.Target/4)
}

// boundary picks one row in four by its content. Rows in the second half of a
// chunk end it there, so that a row that comes or goes moves the ends of few
// chunks, not of all that follow.
func boundary(row []byte) bool {
	h := fnv.New32a()
	_, _ = h.Write(row) // never fails
	return h.Sum32()%4 == 0
}

func (s *splitter) size() int { return s.chunk.End - s.chunk.Start }

func (s *splitter) begin(p part, page int) {
	s.open, s.heading = true, false
	anchor := p.anchor
	if anchor == "" && len(s.sections) > 0 {
		anchor = s.sections[len(s.sections)-1].anchor
	}
	s.chunk = Chunk{Start: p.start, End: p.end, Headings: s.path(), Page: page, Parent: s.parent(), Anchor: anchor}
}

// parent is the chunk that opens the section of the next chunk, or, where the
// next chunk does that itself, the one around it.
func (s *splitter) parent() int {
	for i := len(s.sections) - 1; i >= 0; i-- {
		if c := s.sections[i].chunk; c < len(s.chunks) {
			return c
		}
	}
	return -1
}

func (s *splitter) path() []string {
	path := make([]string, len(s.sections))
	for i, h := range s.sections {
		path[i] = h.title
	}
	return path
}

// flush closes the open chunk.
func (s *splitter) flush() {
	if s.open {
		s.chunks = append(s.chunks, s.chunk)
	}
	s.open, s.heading, s.chunk = false, false, Chunk{}
}

// join puts a short last chunk of a section to the one before it.
func (s *splitter) join() {
	n := len(s.chunks)
	if n-1 > s.first {
		last, before := s.chunks[n-1], &s.chunks[n-2]
		if last.End-last.Start < s.o.Target/4 && last.End-before.Start <= s.o.Most && last.Page == before.Page {
			before.End = last.End
			s.chunks = s.chunks[:n-1]
		}
	}
	s.first = len(s.chunks)
}

// shorten keeps a heading that is a whole page from every chunk under it.
func shorten(title string) string {
	const longest = 200
	if len(title) <= longest {
		return title
	}
	return title[:cutWords([]byte(title), 0, len(title), longest)]
}
