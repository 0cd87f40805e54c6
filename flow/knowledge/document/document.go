// Package document reads a source's bytes into text with structure: a title,
// the text that is indexed and quoted, and blocks that say where in it the
// headings, paragraphs, lists, tables and code are.
//
// It stands in flow/knowledge between flow/knowledge/source, which fetches
// bytes, and flow/knowledge/chunk, which cuts the text into passages. Call
// Read; FormatOf says beforehand what a source is taken for.
//
// For text formats (Markdown, plain text, source code, CSV, JSON) the text is
// the source itself, byte for byte, and Document.Verbatim is true. The others
// (HTML, PDF, DOCX, PPTX, XLSX, e-mail, and text in an encoding other than
// UTF-8) are rendered as UTF-8: the same bytes under the same Rendering give
// the same text, so a range of it can be checked for ever.
//
// Promises: the blocks of a document stand in the order of the text and never
// overlap, and what lies between them is space, or marks of the format that
// nobody quotes. Every source is taken for hostile: reading is bounded by
// Limits in text, entries, pages and depth and by the context in time, nothing
// is allocated because a file says so, and a panic of a library becomes an
// error of the one document.
package document

import (
	"context"
	"io"
)

// Rendering names the version of the renderings: a text that was rendered
// under another value may differ.
const Rendering = 1

// Kind says what a block is.
type Kind uint8

// The kinds of blocks.
const (
	Paragraph Kind = iota // running text; also the message of an e-mail, a paragraph of a slide
	Heading               // opens a section; Block.Level is 1 to 6
	List                  // one whole list with the lists inside it, an item a line
	Table                 // opens a table and holds its header rows; Rows follow
	Row                   // one or, in a very long table, several whole rows; lines of CSV, members of JSON
	Code                  // source code, preformatted text
	Quote                 // quoted text
)

var kinds = [...]string{"paragraph", "heading", "list", "table", "row", "code", "quote"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "unknown"
}

// Block is a piece of a document's structure: the bytes Text[Start:End],
// without space at either end.
//
// A table is a Table block with the header, followed by Row blocks. Where a
// table has no header its first Row has Level 1, so that two tables in a row
// can be told apart.
type Block struct {
	Kind       Kind
	Level      int    // of a Heading 1 to 6; of a Row 1 where it begins a table without a header
	Start, End int    // bytes of the text, half open
	Page       int    // page, slide or sheet, from 1; 0 where the format has none
	Anchor     string // fragment of a link to this block, or a path such as a JSON pointer or a range of cells
}

// Document is a source that was read.
type Document struct {
	Title    string
	Text     []byte // valid UTF-8
	Verbatim bool   // Text is the source itself, byte for byte
	Blocks   []Block
	Meta     map[string]string // what the format says of itself: "author", "canonical", "date", front matter
	Language string            // BCP 47, where the source says so; else empty
	Format   Format            // which reader was taken
}

// Source is the bytes to read and what is known of them.
type Source struct {
	Name string // path, URL or file name: its ending is a hint
	MIME string // media type as a server told it, or empty: a hint
	Body io.ReaderAt
	Size int64 // bytes of Body
}

// Limits bound what reading one source may cost. A zero field has the value of
// DefaultLimits.
type Limits struct {
	Source  int64 // bytes of the source
	Text    int   // bytes of the text
	Unpack  int64 // bytes that come out of all compressed parts together
	Entries int   // files in an archive, objects of a PDF
	Pages   int   // pages, slides, sheets
	Blocks  int   // blocks of the text
	Depth   int   // elements within elements
}

// DefaultLimits are the bounds that hold where none are set.
func DefaultLimits() Limits {
	return Limits{
		Source:  256 << 20,
		Text:    32 << 20,
		Unpack:  512 << 20,
		Entries: 20_000,
		Pages:   10_000,
		Blocks:  1 << 18,
		Depth:   256,
	}
}

// Read reads a source. Its errors are faults about this one source: Invalid
// for what is corrupt, TooLarge for what is over a limit (the error says which
// and where), Unsupported for what cannot be read (encrypted, scanned, an
// unknown format), Canceled or Timeout when ctx ends.
func Read(ctx context.Context, src Source, limits Limits) (Document, error) {
	return read(ctx, src, limits)
}
