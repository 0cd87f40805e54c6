// Package pdf finds the text on the pages of a PDF file, with its places,
// sizes and fonts.
//
// It stands below flow/knowledge/document, which makes lines, paragraphs and
// headings of what is found here. Open a file, then ask for one page after the
// other with Page.
//
// It is written for hostile files: nothing is allocated because a number in
// the file says so, references and forms that go in circles end, streams that
// swell are refused, every loop that reads looks at the context, and what one
// page may cost is bounded. A damaged table of objects is found anew by looking
// through the file. It reads classic and compressed cross-references, object
// streams, the filters of text (Flate, LZW, ASCII85, ASCIIHex, RunLength), files
// with an owner's password alone (RC4, AES), and simple, composite and Type 3
// fonts by ToUnicode, encoding or the names of glyphs. It draws nothing and
// decodes no images.
//
// Section numbers in comments are those of ISO 32000-2.
package pdf

import (
	"context"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// Limits bound what reading a file may cost.
type Limits struct {
	Unpack int64 // bytes that come out of all streams together
	Pages  int
	Runs   int // runs of text on one page
}

// Run is a piece of text on a page that was shown in one go, in the directions
// of its own writing: X grows along the line and Y against the order of lines.
type Run struct {
	Text   string
	X, Y   float64 // where the baseline begins, in points
	Width  float64
	Size   float64 // of the font, in points as shown
	Bold   bool
	Mono   bool // of a font whose characters are equally wide
	Turned int  // quarter turns of the text on the page: 0 is upright
}

// Page is the text of a page in the order of its content.
type Page struct {
	Width, Height float64
	Runs          []Run
	Unknown       int // glyphs whose characters the file does not say
	Images        int
	Fields        int // of forms; their runs come after those of the page
}

// File is an open PDF file. It is for one goroutine.
type File struct {
	ctx      context.Context
	r        io.ReaderAt
	size     int64
	limits   Limits
	left     int64 // bytes that may still come out of streams
	start    int64 // of the header: offsets count from it
	objects  []entry
	trailer  value
	crypt    *crypt
	rebuilt  bool
	streams  map[int]*objectStream
	order    []int // of the object streams that are held, the oldest first
	pages    []ref
	fonts    map[ref]*font
	resolves int // depth of resolving
}

// Open reads the structure of a file. Its errors are faults: Invalid for a
// damaged file, Unsupported for one that asks for a password, TooLarge for one
// over a limit.
func Open(ctx context.Context, r io.ReaderAt, size int64, limits Limits) (*File, error) {
	f := &File{ctx: ctx, r: r, size: size, limits: limits, left: limits.Unpack,
		streams: map[int]*objectStream{}, fonts: map[ref]*font{}}
	f.findHeader()
	err := f.readXref()
	if err == nil {
		err = f.open()
	}
	if err != nil && keep(ctx, err) {
		return nil, err
	}
	if err != nil || len(f.pages) == 0 {
		if err := f.rebuild(); err != nil {
			return nil, err
		}
		if err := f.open(); err != nil {
			return nil, err
		}
	}
	if len(f.pages) == 0 {
		return nil, damaged("it has no pages")
	}
	return f, nil
}

// keep tells errors that looking through the file cannot mend.
func keep(ctx context.Context, err error) bool {
	kind := fault.KindOf(err)
	return ctx.Err() != nil || kind == fault.Unsupported || kind == fault.TooLarge
}

func damaged(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "the PDF file is damaged: "+format, args...).Hint("fetch it again, or print it anew as PDF")
}

// open reads the encryption and the list of pages.
func (f *File) open() error {
	f.pages = nil
	if err := f.decryption(); err != nil {
		return err
	}
	root, err := f.get(f.trailer, "Root")
	if err != nil {
		return err
	}
	seen := map[ref]bool{}
	return f.pageTree(root.dict["Pages"], seen, 0)
}

// mostNested bounds trees and chains of objects.
const mostNested = 64

// pageTree lists the pages below a node (7.7.3).
func (f *File) pageTree(node value, seen map[ref]bool, depth int) error {
	if node.kind != kindRef || seen[node.ref] || depth > mostNested {
		return nil
	}
	seen[node.ref] = true
	at := node.ref
	node, err := f.resolve(node)
	if err != nil {
		return err
	}
	kids, err := f.get(node, "Kids")
	if err != nil {
		return err
	}
	if kids.kind != kindArray {
		if node.kind == kindDict {
			if len(f.pages) >= f.limits.Pages {
				return fault.New(fault.TooLarge, "the file has more than %d pages", f.limits.Pages).Hint("split it, or raise the limit of pages")
			}
			f.pages = append(f.pages, at)
		}
		return nil
	}
	for _, kid := range kids.array {
		if err := f.pageTree(kid, seen, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Pages is the number of pages.
func (f *File) Pages() int { return len(f.pages) }

// Info is what the file says of itself: "Title", "Author", "CreationDate", …,
// and "Lang", its language.
func (f *File) Info() map[string]string {
	info := map[string]string{}
	if dict, err := f.get(f.trailer, "Info"); err == nil {
		for _, key := range []string{"Title", "Author", "Subject", "Keywords", "CreationDate", "ModDate", "Producer"} {
			if v, err := f.get(dict, key); err == nil && v.kind == kindString {
				info[key] = textString(v.str)
			}
		}
	}
	if root, err := f.get(f.trailer, "Root"); err == nil {
		if v, err := f.get(root, "Lang"); err == nil && v.kind == kindString {
			info["Lang"] = textString(v.str)
		}
	}
	return info
}
