package document

import (
	"bytes"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	gtext "github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// markdown finds the blocks of Markdown in its source. goldmark knows where
// blocks begin; what is within a line is not parsed, as nothing is rendered.
// Tables are found here, since goldmark's make a cell for every column of the
// header in every row, however short the row: a small file can ask for 10¹⁰.
func (j *job) markdown(d decoded) (Document, error) {
	meta, body := frontMatter(d.text)
	m := &markdownReader{text: d.text, slugs: map[string]int{}}
	for from := body; from < len(d.text); {
		if err := j.ctx.Err(); err != nil {
			return Document{}, err
		}
		to := markdownPiece(d.text, from)
		m.piece(from, to, j.limits.Depth)
		from = to
	}
	doc, err := j.verbatim(d, m.blocks)
	if err != nil {
		return Document{}, err
	}
	doc.Meta = meta
	doc.Title = meta["title"]
	for _, key := range []string{"lang", "language"} {
		if doc.Language == "" {
			doc.Language = meta[key]
		}
	}
	return doc, nil
}

type markdownReader struct {
	text   []byte
	blocks []Block
	slugs  map[string]int
	anchor string // of a paragraph that was nothing but an anchor: the next block's
}

// blockParsers are goldmark's parsers of blocks, for each piece anew, since
// some keep state.
func blockParsers() parser.Parser {
	return parser.NewParser(parser.WithBlockParsers(
		util.Prioritized(parser.NewSetextHeadingParser(), 100),
		util.Prioritized(parser.NewThematicBreakParser(), 200),
		util.Prioritized(parser.NewListParser(), 300),
		util.Prioritized(parser.NewListItemParser(), 400),
		util.Prioritized(parser.NewCodeBlockParser(), 500),
		util.Prioritized(parser.NewATXHeadingParser(), 600),
		util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
		util.Prioritized(parser.NewBlockquoteParser(), 800),
		util.Prioritized(parser.NewHTMLBlockParser(), 900),
		util.Prioritized(parser.NewParagraphParser(), 1000),
	))
}

// piece reads a part of the text that begins and ends between blocks. One that
// nests deeper than a person writes is read as plain paragraphs: goldmark's
// work grows with the depth on every line.
func (m *markdownReader) piece(from, to, depth int) {
	part := m.text[from:to]
	if nesting(part) > depth/8 {
		for _, b := range paragraphs(part, Paragraph) {
			b.Start, b.End = b.Start+from, b.End+from
			m.blocks = append(m.blocks, b)
		}
		return
	}
	root := blockParsers().Parse(gtext.NewReader(part))
	var before ast.Node
	start := 0
	for node := root.FirstChild(); node != nil; node = node.NextSibling() {
		at := nodeStart(node)
		if at < start {
			continue // a node without a place belongs to the block before
		}
		at = lineStart(part, at)
		if before != nil {
			m.block(before, from+start, from+at)
		}
		before, start = node, at
	}
	if before != nil {
		m.block(before, from+start, to)
	}
}

// nodeStart is where a node begins, or -1 where nothing of it has a place.
func nodeStart(node ast.Node) int {
	for node != nil {
		if at := node.Pos(); at >= 0 {
			return at
		}
		node = node.FirstChild()
	}
	return -1
}

func lineStart(text []byte, at int) int {
	return bytes.LastIndexByte(text[:min(at, len(text))], '\n') + 1
}

// block adds the block of a top node of goldmark's: the lines up to the next.
func (m *markdownReader) block(node ast.Node, from, to int) {
	first := from
	from, to = trim(m.text, from, to)
	if from == to {
		return
	}
	b := Block{Start: from, End: to}
	switch n := node.(type) {
	case *ast.Heading:
		b.Kind, b.Level = Heading, n.Level
		b.Anchor = m.slug(m.text[from:to])
	case *ast.List:
		b.Kind = List
	case *ast.Blockquote:
		b.Kind = Quote
	case *ast.FencedCodeBlock:
		b.Kind = Code
	case *ast.CodeBlock:
		b.Kind, b.Start = Code, first
	case *ast.ThematicBreak, *ast.LinkReferenceDefinition:
		return
	case *ast.HTMLBlock:
		if onlyMarkup(m.text[from:to]) {
			m.anchor = firstAnchor(m.text[from:to])
			return
		}
	default:
		if onlyMarkup(m.text[from:to]) {
			m.anchor = firstAnchor(m.text[from:to])
			return
		}
		if m.table(b) {
			return
		}
	}
	m.add(b)
}

// add appends a block with its anchor: its own, else that of the line before,
// else what it has as a heading.
func (m *markdownReader) add(b Block) {
	if m.anchor != "" {
		b.Anchor, m.anchor = m.anchor, ""
	}
	if a := firstAnchor(m.text[b.Start:b.End]); a != "" && b.Kind != Code {
		b.Anchor = a
	}
	m.blocks = append(m.blocks, b)
}

// table adds the blocks of a paragraph that holds a table: what stands before
// it, the header with its line of dashes, and the rows.
func (m *markdownReader) table(b Block) bool {
	header := b.Start
	for at := b.Start; at < b.End; {
		end := min(lineEnd(m.text, at), b.End)
		if at > b.Start && isDelimiter(m.text[at:end]) && bytes.IndexByte(m.text[header:at], '|') >= 0 {
			if s, e := trim(m.text, b.Start, header); s < e {
				m.add(Block{Kind: Paragraph, Start: s, End: e})
			}
			m.add(Block{Kind: Table, Start: header, End: end})
			m.blocks = append(m.blocks, lines(m.text, min(end+1, b.End), b.End, Row)...)
			return true
		}
		header, at = at, end+1
	}
	return false
}

// isDelimiter tells the line between the header of a table and its rows.
func isDelimiter(line []byte) bool {
	dashes, bars := 0, 0
	for _, c := range line {
		switch c {
		case '-':
			dashes++
		case '|':
			bars++
		case ':', ' ', '\t', '\r':
		default:
			return false
		}
	}
	return dashes > 0 && bars > 0
}

// slug is the anchor that renderers give a heading: {#name} at its end, or its
// words in lower case with hyphens, numbered when they come again.
func (m *markdownReader) slug(heading []byte) string {
	text := Plain(Markdown, heading)
	if i := strings.LastIndex(text, "{#"); i >= 0 && strings.HasSuffix(text, "}") {
		return text[i+2 : len(text)-1]
	}
	slug := slugOf(text)
	n := m.slugs[slug]
	m.slugs[slug]++
	if n > 0 {
		slug += "-" + itoa(n)
	}
	return slug
}

// The bounds of a piece in bytes: parsed pieces cost several times their size
// in memory while they are parsed.
const (
	pieceLeast = 256 << 10
	pieceMost  = 1 << 20
)

// markdownPiece is where the piece that begins at from ends: before a heading,
// else at an empty line, outside of fenced code.
func markdownPiece(text []byte, from int) int {
	if len(text)-from <= pieceMost {
		return len(text)
	}
	fence := byte(0)
	empty, blank := from, false
	for at := from; at < len(text); {
		end := lineEnd(text, at)
		line := bytes.TrimLeft(text[at:end], " ")
		if blank && fence == 0 && at-from >= pieceLeast && bytes.HasPrefix(line, []byte("#")) {
			return at
		}
		if at-from > pieceMost {
			if empty > from {
				return empty
			}
			return at
		}
		if bytes.HasPrefix(line, []byte("```")) || bytes.HasPrefix(line, []byte("~~~")) {
			switch fence {
			case 0:
				fence = line[0]
			case line[0]:
				fence = 0
			}
		}
		blank = len(bytes.TrimSpace(line)) == 0
		if blank && fence == 0 {
			empty = min(end+1, len(text))
		}
		at = end + 1
	}
	return len(text)
}

// nesting is the largest number of marks of quotes and lists that a line
// begins with.
func nesting(text []byte) int {
	most := 0
	for at := 0; at < len(text); {
		end := lineEnd(text, at)
		depth := 0
		for _, c := range text[at:end] {
			if c == '>' || c == '-' || c == '*' || c == '+' || c == '.' || c == ')' {
				depth++
			} else if c != ' ' && c != '\t' && (c < '0' || c > '9') {
				break
			}
		}
		if !bytes.ContainsAny(text[at:end], "> ") {
			depth = 0 // a rule of dashes
		}
		most = max(most, depth)
		at = end + 1
	}
	return most
}

// frontMatter reads the "key: value" lines between two lines of "---" or "+++"
// at the head of a page, and says where the body begins. Deeper structure is
// left alone.
func frontMatter(text []byte) (map[string]string, int) {
	meta := map[string]string{}
	start := len(text) - len(bytes.TrimPrefix(text, byteOrderMark))
	end := lineEnd(text, start)
	mark := string(bytes.TrimRight(text[start:end], " \t\r"))
	separator := map[string]string{"---": ":", "+++": "="}[mark]
	if separator == "" {
		return meta, start
	}
	const most = 64 << 10
	for at := end + 1; at < len(text) && at-start < most; {
		end = lineEnd(text, at)
		line := string(bytes.TrimRight(text[at:end], " \t\r"))
		if line == mark {
			return meta, min(end+1, len(text))
		}
		if key, value, ok := strings.Cut(line, separator); ok && key != "" && key[0] != ' ' && key[0] != '-' && key[0] != '#' {
			if value = strings.Trim(strings.TrimSpace(value), `"'`); value != "" {
				meta[strings.ToLower(strings.TrimSpace(key))] = value
			}
		}
		at = end + 1
	}
	return map[string]string{}, start
}
