// Package source is the contract of what a Knowledge reads documents from, and
// has its kinds: folders, buckets, git repositories, web pages, rows of
// databases and of lake tables.
//
// It stands at the left end of flow/knowledge: List says what is there, each
// document with a mark that changes when the document does; Open reads one.
// What was read is turned into text by package document.
//
// Promises: nothing outside of what a source names is read (a symbolic link
// leads nowhere, a redirect is checked like a first address); every address of
// another host goes through guard/egress; time and size are bounded; a listing
// that could not be completed is an error and never a shorter listing, because
// what is missing counts as deleted.
package source

import (
	"context"
	"io"
	"time"
)

// Source is a place that documents come from. It is safe for many goroutines.
type Source interface {
	// List calls f with every document that is there, in any order, until f
	// returns an error, which List returns. since is what the last complete
	// listing returned, "" the first time; what it is to be next time is
	// returned.
	List(ctx context.Context, since string, f func(Item) error) (next string, err error)
	// Open reads one document that was listed. known is its mark when it was
	// last read, or "": where the source finds that it has not changed, it
	// says so instead. A document that is gone meanwhile is a NotFound fault.
	Open(ctx context.Context, it Item, known string) (Content, error)
	io.Closer
}

// Item is a document as a source lists it.
type Item struct {
	// ID names the document within its knowledge: a path, an address.
	ID string `json:"id"`
	// Mark changes when the document does. "" is not known before it is opened.
	Mark string `json:"mark,omitempty"`
	// Same says that the document was not read because it has not changed since
	// the last listing; there is nothing else in the item then.
	Same bool `json:"same,omitempty"`
	// Name with its ending is a hint of the format; the ID when empty.
	Name  string `json:"name,omitempty"`
	MIME  string `json:"mime,omitempty"`
	Title string `json:"title,omitempty"`
	URL   string `json:"url,omitempty"` // where a reader is sent to
	// Size in bytes, -1 where it is not known.
	Size     int64     `json:"size,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
	// Readers are who may read it; nil where the source does not say.
	Readers []string `json:"readers,omitempty"`
	// Fields are attributes, as text.
	Fields map[string]string `json:"fields,omitempty"`
	// Version is the digest of a document whose bytes are among the blobs
	// already; such a document is not opened.
	Version string `json:"version,omitempty"`
	// Text is the document itself, where the source has it at hand while it
	// lists. Such a document is not opened.
	Text []byte `json:"-"`
	// Place is what the source needs to open it.
	Place string `json:"place,omitempty"`
}

// Content is a document that is read.
type Content struct {
	Body io.ReadCloser // nil where Unchanged
	// Mark of what is read: it replaces that of the item where it is not "".
	Mark string
	MIME string // as the server told it
	// Unchanged says that the document is as it was when it had the mark that
	// was known.
	Unchanged bool
	// Still tells, after the body was read, whether the document is still the
	// one that was opened. nil: it cannot change.
	Still func(ctx context.Context) (bool, error)
}
