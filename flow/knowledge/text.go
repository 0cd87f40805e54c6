package knowledge

import (
	"context"
	"io"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/index"
)

// Version is a state of a document that was read once.
type Version struct {
	Document string    `json:"document"`
	Version  string    `json:"version"` // SHA-256 of the bytes, in hex
	Text     string    `json:"text"`    // SHA-256 of the text that was made of them
	Bytes    int64     `json:"bytes"`
	TextSize int64     `json:"text_bytes"`
	Title    string    `json:"title,omitempty"`
	Format   string    `json:"format"`
	Seen     time.Time `json:"seen"` // when it was read first
	Current  bool      `json:"current,omitempty"`
}

// Citation is a range of the text of a version, and what it is said to be.
type Citation struct {
	Knowledge string `json:"knowledge"`
	Source    string `json:"source"`  // the document
	Version   string `json:"version"` // SHA-256 of its bytes
	Start     int    `json:"start"`   // bytes of the text, half open
	End       int    `json:"end"`
	Quote     string `json:"quote,omitempty"` // compared with the bytes where there is one
	// Text is the SHA-256 of the text, where the version was rendered more than
	// once; that of the latest rendering when empty.
	Text string `json:"text,omitempty"`
}

// Proof is what stands at a citation, with all that is needed to check it.
type Proof struct {
	Citation
	// Bytes are those of the range, Text the SHA-256 of the whole text.
	Bytes    []byte    `json:"bytes"`
	TextSize int64     `json:"text_bytes"`
	Format   string    `json:"format"`
	Verbatim bool      `json:"verbatim"` // the text is the source itself
	Title    string    `json:"title,omitempty"`
	URL      string    `json:"url,omitempty"`
	Verified bool      `json:"verified"` // the quote, where there is one, is identical
	Current  bool      `json:"current"`  // the document has not changed since
	Seen     time.Time `json:"seen"`     // when this version was read first
}

// maxText bounds what is read of a text at once.
const maxText = 64 << 20

// Text returns the text that was made of a version, and its SHA-256. A document
// that who asks may not read is not found, like one that is not there. Others
// are given the same bytes: they are not to be changed.
func (s *Store) Text(ctx context.Context, knowledge, document, version string) ([]byte, string, error) {
	v, err := s.readable(ctx, knowledge, document, version, "")
	if err != nil {
		return nil, "", err
	}
	text, err := s.texts.get(ctx, blob.Digest(v.Text), v.TextSize)
	return text, v.Text, err
}

// Source opens the bytes of a version as they were read from its source.
func (s *Store) Source(ctx context.Context, knowledge, document, version string) (io.ReadCloser, Version, error) {
	v, err := s.readable(ctx, knowledge, document, version, "")
	if err != nil {
		return nil, v, err
	}
	r, err := s.deps.Blobs.Open(ctx, blob.Digest(v.Version))
	return r, v, err
}

// Verify returns what stands at a citation. Its quote, where it has one, is
// compared byte for byte.
func (s *Store) Verify(ctx context.Context, c Citation) (Proof, error) {
	v, err := s.readable(ctx, c.Knowledge, c.Source, c.Version, c.Text)
	if err != nil {
		return Proof{}, err
	}
	if c.Start < 0 || c.End <= c.Start || int64(c.End) > v.TextSize {
		return Proof{}, fault.New(fault.Invalid, "the range %d to %d is none of a text of %d bytes", c.Start, c.End, v.TextSize)
	}
	text, err := s.texts.get(ctx, blob.Digest(v.Text), v.TextSize)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Citation: c, Bytes: text[c.Start:c.End:c.End], TextSize: v.TextSize, Format: v.Format, Verbatim: v.Text == v.Version,
		Title: v.Title, Current: v.Current, Seen: v.Seen}
	p.Text = v.Text
	if !utf8.Valid(p.Bytes) {
		return Proof{}, fault.New(fault.Invalid, "the range %d to %d begins or ends within a character", c.Start, c.End)
	}
	p.Verified = c.Quote == "" || c.Quote == string(p.Bytes)
	d, err := s.document(ctx, c.Knowledge, c.Source)
	if err == nil {
		p.URL = d.URL
	}
	return p, nil
}

// readable finds a version, and whether who asks may read its document now.
func (s *Store) readable(ctx context.Context, knowledge, document, version, text string) (Version, error) {
	if err := s.mayRead(ctx, knowledge, document); err != nil {
		return Version{}, err
	}
	return s.version(ctx, knowledge, document, version, text)
}

// mayRead tells whether who asks may read a document: nil, or the fault that a
// document gives that is not there.
func (s *Store) mayRead(ctx context.Context, knowledge, document string) error {
	k, err := s.spec(knowledge)
	if err != nil {
		return err
	}
	who, err := reader(ctx)
	if err != nil {
		return err
	}
	h, err := s.acquire(ctx, k)
	if err != nil {
		return err
	}
	defer s.release(h)
	readable, err := h.index.Readable(ctx, who, []string{document})
	if err != nil {
		return err
	}
	if len(readable) != 1 || !readable[0] {
		return noDocument(knowledge, document)
	}
	return nil
}

// readables tells for each document whether who may read it, in pieces that an
// index takes.
func readables(ctx context.Context, idx index.Searcher, who index.Reader, documents []string) ([]bool, error) {
	all := make([]bool, 0, len(documents))
	for len(documents) > 0 {
		n := min(len(documents), index.MaxK)
		some, err := idx.Readable(ctx, who, documents[:n])
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		documents = documents[n:]
	}
	return all, nil
}

func noDocument(knowledge, document string) error {
	return fault.New(fault.NotFound, "%q has no document %q", knowledge, document).Hint("or you may not read it")
}
