package knowledge

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
)

// Pushed is a document that was sent.
type Pushed struct {
	ID      string            `json:"id"`
	Version string            `json:"version"` // SHA-256 of the bytes
	MIME    string            `json:"mime,omitempty"`
	Title   string            `json:"title,omitempty"`
	URL     string            `json:"url,omitempty"`
	Readers []string          `json:"readers,omitempty"` // those of the source when absent
	Fields  map[string]string `json:"fields,omitempty"`
	Bytes   int64             `json:"bytes"`
	At      time.Time         `json:"at"`
	Same    bool              `json:"same,omitempty"` // it was there just like that
}

// pushScheme is the address of a source that documents are sent to.
const pushScheme = "push"

// pushes returns the source of a knowledge that documents are sent to.
func pushes(k spec.Knowledge) (spec.KnowledgeSource, error) {
	for _, o := range k.All() {
		if spec.Scheme(o.From) == pushScheme {
			return o, nil
		}
	}
	return spec.KnowledgeSource{}, fault.New(fault.Conflict, "nothing is sent to %q: none of its sources is push://", k.Name).
		Hint("add a source: {from: \"push://\"}")
}

// Push keeps a document that was sent, in place of the one of its id. It is
// found once the next run is through; who may not read it any more does not
// read the old one either from now on. The same document sent again changes
// nothing.
func (s *Store) Push(ctx context.Context, knowledge string, p Pushed, body io.Reader, by string) (Pushed, error) {
	k, err := s.spec(knowledge)
	if err != nil {
		return p, err
	}
	from, err := pushes(k)
	if err != nil {
		return p, err
	}
	if err := badID(p.ID); err != nil {
		return p, err
	}
	if p.Readers != nil {
		p.Readers = readerMarks(p.Readers)
		if err := (index.Access{Document: p.ID, Readers: p.Readers}).Check(); err != nil {
			return p, err
		}
	}
	limit := document.DefaultLimits().Source
	digest, size, err := s.deps.Blobs.Put(ctx, &atMost{r: body, left: limit})
	if err != nil {
		return p, err
	}
	p.Version, p.Bytes, p.At = string(digest), size, s.deps.Clock.Now()
	if err := s.closeTo(ctx, k, p.ID, pushedReaders(from, p)); err != nil {
		return p, err
	}
	return p, s.deps.DB.Write(ctx, func(tx catalog.Tx) error { return s.putPushed(ctx, tx, knowledge, &p, by) })
}

// pushedReaders are who may read a document that was sent.
func pushedReaders(from spec.KnowledgeSource, p Pushed) []string {
	switch {
	case p.Readers != nil:
		return p.Readers
	case from.ReadersFrom != "":
		return readerMarks(listOf(p.Fields[from.ReadersFrom]))
	}
	return from.Readers
}

func (s *Store) putPushed(ctx context.Context, tx catalog.Tx, knowledge string, p *Pushed, by string) error {
	readers, err := json.Marshal(p.Readers)
	if err != nil {
		return err
	}
	fields, err := json.Marshal(p.Fields)
	if err != nil {
		return err
	}
	before, err := catalog.Collect(ctx, tx, scanPushed, pushedSelect+` AND document = ?`, s.deps.Space, knowledge, p.ID)
	if err != nil {
		return err
	}
	p.Same = len(before) == 1 && before[0].mark() == p.mark()
	if p.Same {
		p.At = before[0].At
		return nil
	}
	_, err = tx.Exec(ctx, `INSERT INTO knowledge_pushed (space, knowledge, document, version, mime, title, url, readers, fields, bytes, by, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (space, knowledge, document) DO UPDATE SET version = excluded.version, mime = excluded.mime, title = excluded.title,
			url = excluded.url, readers = excluded.readers, fields = excluded.fields, bytes = excluded.bytes, by = excluded.by, at = excluded.at`,
		s.deps.Space, knowledge, p.ID, p.Version, p.MIME, p.Title, p.URL, string(readers), string(fields), p.Bytes, by, catalog.Micros(p.At))
	return err
}

// closeTo takes a document at once from those who may not read it any more.
func (s *Store) closeTo(ctx context.Context, k spec.Knowledge, id string, readers []string) error {
	s.access.Lock()
	defer s.access.Unlock()
	d, err := s.document(ctx, k.Name, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	fewer := narrow(d.Readers, readers)
	if d.State == stateWithdrawn || slices.Equal(fewer, d.Readers) {
		return nil
	}
	h, err := s.acquire(ctx, k)
	if err != nil {
		return err
	}
	defer s.release(h)
	if err := h.index.Grant(ctx, []index.Access{{Document: id, Readers: fewer}}); err != nil {
		return err
	}
	d.Readers, d.Changed = fewer, s.deps.Clock.Now()
	return s.deps.DB.Write(ctx, func(tx catalog.Tx) error { return s.putDocument(ctx, tx, k.Name, d) })
}

// Remove takes a document that was sent out of every answer, at once. One that
// is not there is no error.
func (s *Store) Remove(ctx context.Context, knowledge, id string) error {
	k, err := s.spec(knowledge)
	if err != nil {
		return err
	}
	if _, err := pushes(k); err != nil {
		return err
	}
	s.access.Lock()
	defer s.access.Unlock()
	d, err := s.document(ctx, knowledge, id)
	there := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if there && spec.Scheme(d.Origin) != pushScheme {
		return fault.New(fault.Conflict, "%q comes from %s", id, d.Origin).Hint("delete it there")
	}
	if there {
		h, err := s.acquire(ctx, k)
		if err != nil {
			return err
		}
		defer s.release(h)
		if err := h.index.Withdraw(ctx, []string{id}); err != nil {
			return err
		}
	}
	return s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM knowledge_pushed WHERE space = ? AND knowledge = ? AND document = ?`, s.deps.Space, knowledge, id); err != nil {
			return err
		}
		if !there {
			// A run that has just read it must not bring it back.
			d = Document{ID: id, Origin: pushScheme + "://"}
		}
		d.State, d.Changed, d.mark = stateWithdrawn, s.deps.Clock.Now(), ""
		return s.putDocument(ctx, tx, knowledge, d)
	})
}

const pushedSelect = `SELECT document, version, mime, title, url, readers, fields, bytes, at FROM knowledge_pushed WHERE space = ? AND knowledge = ?`

func scanPushed(rows *sql.Rows) (Pushed, error) {
	var p Pushed
	var readers, fields string
	var at int64
	if err := rows.Scan(&p.ID, &p.Version, &p.MIME, &p.Title, &p.URL, &readers, &fields, &p.Bytes, &at); err != nil {
		return p, err
	}
	p.At = catalog.Time(at)
	if err := json.Unmarshal([]byte(readers), &p.Readers); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(fields), &p.Fields)
}

// mark changes with the document and with what was said of it.
func (p Pushed) mark() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q", p.Version, p.MIME, p.Title, p.URL)
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		fmt.Fprintf(h, " %q=%q", name, p.Fields[name])
	}
	fmt.Fprintf(h, " %t %q", p.Readers != nil, p.Readers)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Inbox is the source of documents that were sent to a knowledge.
func (s *Store) Inbox(knowledge string, from spec.KnowledgeSource) source.Source {
	return inbox{s, knowledge, from}
}

type inbox struct {
	store     *Store
	knowledge string
	from      spec.KnowledgeSource
}

func (i inbox) List(ctx context.Context, _ string, f func(source.Item) error) (string, error) {
	var all []Pushed
	err := i.store.deps.DB.Read(ctx, func(tx catalog.Tx) (err error) {
		all, err = catalog.Collect(ctx, tx, scanPushed, pushedSelect+` ORDER BY document`, i.store.deps.Space, i.knowledge)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, p := range all {
		readers := p.Readers
		if readers == nil && i.from.ReadersFrom != "" {
			readers = readerMarks(listOf(p.Fields[i.from.ReadersFrom]))
		}
		err := f(source.Item{ID: p.ID, Mark: p.mark(), Name: p.ID, MIME: p.MIME, Title: p.Title, URL: p.URL, Size: p.Bytes, Modified: p.At,
			Readers: readers, Fields: p.Fields, Version: p.Version})
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

func (inbox) Open(context.Context, source.Item, string) (source.Content, error) {
	return source.Content{}, fault.New(fault.NotFound, "the document is not there any more")
}

func (inbox) Close() error { return nil }

// atMost is a reader that fails where there is more than it may give.
type atMost struct {
	r    io.Reader
	left int64
}

func (a *atMost) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if a.left -= int64(n); a.left < 0 {
		return 0, fault.New(fault.TooLarge, "the document is larger than %d bytes", document.DefaultLimits().Source)
	}
	return n, err
}
