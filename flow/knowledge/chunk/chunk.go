// Package chunk cuts a document's text into passages that follow its
// structure.
//
// It stands in flow/knowledge after document, which finds the structure, and
// before the index, which takes a chunk as a passage. Call Split.
//
// A heading opens a section. Within a section paragraphs are packed up to
// Options.Target bytes; a table is cut between rows and carries its header as
// Context; code and lists stay whole where they fit; a paragraph over
// Options.Most is cut between sentences. No chunk is over Options.Most.
//
// Promises: chunks stand in the order of the text and do not overlap; every
// byte of the document's blocks that is not space is in exactly one; they
// begin and end between characters; the same document and options give the
// same chunks, and an edit within one section leaves the texts of the chunks
// of the others as they were.
package chunk

import "github.com/leat-ai/leat/flow/knowledge/document"

// Options say how long chunks are, in bytes of the text. A zero field has its
// default.
type Options struct {
	Target int // what paragraphs are packed up to; default 1200
	Most   int // what no chunk is over; default twice Target
}

// Chunk is one passage: the bytes Text[Start:End] of the document.
type Chunk struct {
	Start, End int
	Headings   []string // the headings it stands under, the outermost first
	Page       int      // page, slide or sheet that it begins on; 0: the format has none
	Ordinal    int      // place among the chunks of the document, from 0
	Parent     int      // ordinal of the first chunk of the section around its own, or of its own section for a later chunk; -1: none
	Context    string   // the header of a table whose rows it holds; indexed, no part of the text
	Anchor     string   // fragment of a link to its first block, or of the nearest heading before it
}

// Split cuts a document into chunks.
func Split(doc document.Document, options Options) []Chunk {
	return split(doc, options.orDefault())
}

func (o Options) orDefault() Options {
	if o.Target <= 0 {
		o.Target = 1200
	}
	if o.Most <= 0 {
		o.Most = 2 * o.Target
	}
	o.Most = max(o.Most, 16)
	o.Target = min(o.Target, o.Most)
	return o
}
