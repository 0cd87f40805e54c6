package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/knowledge/chunk"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/embedded"

	"github.com/leat-ai/leat/base/fault"
)

// shelf is a knowledge without its runs: the documents are read, cut and
// indexed by the parts that flow/knowledge is made of, in the embedded index.
type shelf struct {
	dir      string
	index    *embedded.Index
	texts    map[string][]byte // by document
	versions map[string]string
	urls     map[string]string
	passages int
}

// newShelf indexes some texts, all of which everybody may read. Format is the
// ending of a file name, by which they are read.
func newShelf(ctx context.Context, language, format string, texts []text) (*shelf, error) {
	dir, err := os.MkdirTemp("", "leat-bench-answers-")
	if err != nil {
		return nil, err
	}
	s := &shelf{dir: dir, texts: map[string][]byte{}, versions: map[string]string{}, urls: map[string]string{}}
	if s.index, err = embedded.Open(ctx, embedded.Config{Path: dir}); err != nil {
		return nil, err
	}
	build, err := s.index.Build(ctx, index.Start{Settings: index.Settings{Language: language}.Default()})
	if err != nil {
		return nil, err
	}
	defer func() { _ = build.Abort() }()
	for at := 0; at < len(texts); at += 500 {
		part := texts[at:min(at+500, len(texts))]
		if err := s.put(ctx, build, format, part); err != nil {
			return nil, err
		}
	}
	_, err = build.Commit(ctx, "live")
	return s, err
}

func (s *shelf) put(ctx context.Context, build index.Build, format string, texts []text) error {
	var passages []index.Passage
	var access []index.Access
	for _, t := range texts {
		source := []byte(t.Text)
		doc, err := document.Read(ctx, document.Source{Name: t.ID + format, Body: bytes.NewReader(source), Size: int64(len(source))}, document.Limits{})
		if err != nil {
			return fmt.Errorf("%s: %w", t.ID, err)
		}
		sum := sha256.Sum256(source)
		s.texts[t.ID], s.versions[t.ID] = doc.Text, hex.EncodeToString(sum[:])
		s.urls[t.ID] = t.URL
		title := t.Title
		if title == "" {
			title = doc.Title
		}
		for _, c := range chunk.Split(doc, chunk.Options{}) {
			headings := c.Headings
			if len(headings) > 1 && headings[0] == title {
				headings = headings[1:]
			}
			passages = append(passages, index.Passage{ID: fmt.Sprintf("%s#%d", t.ID, c.Ordinal), Document: t.ID, Version: s.versions[t.ID],
				Start: c.Start, End: c.End, Title: title, Heading: strings.Join(headings, " > "), Text: strings.ToValidUTF8(string(doc.Text[c.Start:c.End]), "\uFFFD"),
				Context: c.Context, Ordinal: c.Ordinal})
		}
		access = append(access, index.Access{Document: t.ID, Readers: []string{index.Anyone}})
	}
	s.passages += len(passages)
	if err := build.Put(ctx, passages); err != nil {
		return err
	}
	return s.index.Grant(ctx, access)
}

func (s *shelf) close() {
	_ = s.index.Close()
	_ = os.RemoveAll(s.dir)
}

// Search finds passages as flow/knowledge does without an embedder.
func (s *shelf) Search(ctx context.Context, q store.Search) (store.Found, error) {
	hits, err := s.index.Search(ctx, index.Query{Snapshot: "live", Text: q.Text, K: q.K, Filter: q.Filter, Who: index.ReaderOf("", nil)})
	found := store.Found{Knowledge: q.Knowledge, Snapshot: "live"}
	for _, h := range hits {
		found.Passages = append(found.Passages, store.Scored{Passage: h.Passage, Score: h.Score, URL: s.urls[h.Passage.Document]})
	}
	return found, err
}

// Text returns the text of a version.
func (s *shelf) Text(_ context.Context, _, id, version string) ([]byte, string, error) {
	if s.versions[id] != version {
		return nil, "", fault.New(fault.NotFound, "there is no version %s of %q", version, id)
	}
	sum := sha256.Sum256(s.texts[id])
	return s.texts[id], hex.EncodeToString(sum[:]), nil
}
