package knowledge

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/chunk"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/work"
)

// prepared is a document cut into passages, without their text, which lies
// among the blobs.
type prepared struct {
	ID       string
	Origin   string
	Mark     string
	Version  string
	Text     string // digest
	Bytes    int64
	TextSize int64
	Title    string
	URL      string
	Format   string
	Language string
	Modified time.Time
	Readers  []string
	Named    bool // Readers is what the source says
	Fields   map[string]string
	Chunks   []chunk.Chunk
	Vectors  [][]float32 // of the chunks, where there is an embedder
	Embedder string      // that made them
	// Sum is the digest of all of the above but the vectors, the mark and the
	// time: a file that was only touched is no other document.
	Sum string

	Same    bool // the source says that nothing has changed
	Gone    bool // it was there when the source was listed, and is not any more
	Problem *Problem
	// Warning is what was wrong with it and did not keep it out.
	Warning string
	// Retry says that the problem may pass by itself.
	Retry bool
}

// done is what one step read.
type done struct {
	Blob     string `json:"blob"`
	Read     int    `json:"read"`
	Changed  int    `json:"changed"`
	Failed   int    `json:"failed"`
	Gone     int    `json:"gone"`
	Passages int    `json:"passages"`
	Bytes    int64  `json:"bytes"`
	Embedded int    `json:"embedded"`
}

// Bounds of reading one document.
const (
	readTimeout = 3 * time.Minute
	rereads     = 3 // of a source that changes while it is read
	spoolMemory = 4 << 20
)

// read is one step: it reads, renders, cuts and embeds a part of the todo.
func (j *job) read(ctx context.Context, pr *work.Progress, _ int, p part) (done, error) {
	todos, err := j.todos(ctx)
	if err != nil {
		return done{}, err
	}
	if p.From < 0 || p.To > len(todos) {
		return done{}, fault.New(fault.Corrupt, "what run %q has to read is not what it listed", j.run)
	}
	pr.Total(int64(len(todos)), "documents")
	r := &reading{job: j, sources: map[string]source.Source{}}
	defer r.close()
	var all []prepared
	var d done
	for _, t := range todos[p.From:p.To] {
		one, err := r.one(ctx, t)
		if err != nil {
			return done{}, err
		}
		all = append(all, one)
		d.add(one)
		pr.Add(1)
	}
	if err := j.withdraw(ctx, all); err != nil {
		return done{}, err
	}
	if err := j.narrowed(ctx, all); err != nil {
		return done{}, err
	}
	if d.Embedded, err = r.embed(ctx, all); err != nil {
		return done{}, err
	}
	d.Blob, err = j.store.putGob(ctx, all)
	return d, err
}

// withdraw takes documents out of answers that turned out to be gone.
func (j *job) withdraw(ctx context.Context, all []prepared) error {
	var gone []string
	for _, p := range all {
		if p.Gone {
			gone = append(gone, p.ID)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	h, err := j.store.acquire(ctx, j.spec)
	if err != nil {
		return err
	}
	defer j.store.release(h)
	return h.index.Withdraw(ctx, gone)
}

func (d *done) add(p prepared) {
	d.Read++
	d.Bytes += p.Bytes
	switch {
	case p.Problem != nil:
		d.Failed++
	case p.Gone:
		d.Gone++
	case !p.Same:
		d.Changed++
		d.Passages += len(p.Chunks)
	}
}

// reading is what one step has open.
type reading struct {
	job     *job
	sources map[string]source.Source
}

func (r *reading) close() {
	for _, s := range r.sources {
		_ = s.Close() // it was only read
	}
}

func (r *reading) source(ctx context.Context, name string) (source.Source, error) {
	if s := r.sources[name]; s != nil {
		return s, nil
	}
	for _, o := range origins(r.job.spec) {
		if o.name != name {
			continue
		}
		s, err := r.job.store.deps.Sources.Source(ctx, r.job.spec.Name, o.KnowledgeSource)
		if err == nil {
			r.sources[name] = s
		}
		return s, err
	}
	return nil, fault.New(fault.NotFound, "the source %q is not there any more", name)
}

// one reads a document. What is wrong with it alone is noted in it; an error
// is one of the run.
func (r *reading) one(ctx context.Context, t todo) (prepared, error) {
	p := prepared{ID: t.Item.ID, Origin: t.Origin, Mark: t.Item.Mark, Title: t.Item.Title, URL: t.Item.URL, Modified: t.Item.Modified,
		Fields: t.Item.Fields, Readers: t.Readers, Named: t.Named}
	within, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := r.prepare(within, t, &p)
	var ours fromStore
	switch {
	case err == nil:
		return p, nil
	case ctx.Err() != nil:
		return p, ctx.Err()
	case errors.As(err, &ours):
		return p, ours.error
	case fault.Is(err, fault.NotFound) && !t.Again:
		p.Gone = true
		return p, nil
	}
	problem := problemOf(t.Item.ID, t.Origin, err)
	p.Problem, p.Chunks = &problem, nil
	p.Retry = fault.KindOf(err).Retryable() || fault.Is(err, fault.Canceled) || fault.Is(err, fault.Conflict)
	return p, nil
}

// fromStore marks an error of what we keep things in: it ends the step, because
// the next document would fail as well.
type fromStore struct{ error }

func (r *reading) prepare(ctx context.Context, t todo, p *prepared) error {
	s := r.job.store
	mime := t.Item.MIME
	version := t.Item.Version
	if t.Again {
		version = t.Before
	}
	var sp *spool
	var err error
	if version != "" {
		sp, err = s.spoolBlob(ctx, version)
	} else {
		sp, mime, err = r.fetch(ctx, t, p)
	}
	if err == nil && p.Same && r.job.plan.Redo && t.Before != "" {
		p.Same, p.Mark, version = false, t.Known, t.Before
		sp, err = s.spoolBlob(ctx, version)
	}
	if err != nil || p.Same {
		return err
	}
	defer sp.close()
	p.Bytes = sp.size
	if version == "" {
		digest, _, err := s.deps.Blobs.Put(ctx, io.NewSectionReader(sp, 0, sp.size))
		if err != nil {
			return fromStore{err}
		}
		version = string(digest)
	}
	p.Version = version
	doc, err := document.Read(ctx, document.Source{Name: cmp.Or(t.Item.Name, t.Item.ID), MIME: mime, Body: sp, Size: sp.size}, document.Limits{})
	if err != nil {
		return err
	}
	return r.cut(ctx, doc, p)
}

// cut makes passages of a document that was rendered.
func (r *reading) cut(ctx context.Context, doc document.Document, p *prepared) error {
	k := r.job.spec
	p.Text, p.TextSize, p.Format = p.Version, int64(len(doc.Text)), string(doc.Format)
	if !doc.Verbatim {
		digest, err := r.job.store.deps.Blobs.PutBytes(ctx, doc.Text)
		if err != nil {
			return fromStore{err}
		}
		p.Text = string(digest)
	}
	p.Title = cmp.Or(p.Title, doc.Title, strings.TrimSuffix(path.Base(p.ID), path.Ext(p.ID)))
	p.Title = clip(p.Title, 1000)
	p.Language = k.Language
	if p.Language == "" {
		p.Language = languageOf(doc)
	}
	p.Fields, p.Warning = fieldsOf(k, doc, p.Fields)
	r.documentReaders(doc, p)
	p.Chunks = chunk.Split(doc, chunk.Options{Target: k.Chunk.Target, Most: k.Chunk.Most})
	p.Sum = p.sum()
	return nil
}

// documentReaders takes who may read from the document itself, where its source
// says so.
func (r *reading) documentReaders(doc document.Document, p *prepared) {
	for _, o := range origins(r.job.spec) {
		if o.name == p.Origin && o.ReadersFrom != "" && !p.Named {
			p.Readers = readerMarks(listOf(doc.Meta[o.ReadersFrom]))
		}
	}
}

// sum is the digest of what a document becomes, whatever else is in the index.
func (p *prepared) sum() string {
	text, err := json.Marshal(struct {
		Version, Text, Title, URL, Format, Language string
		Fields                                      map[string]string
		Chunks                                      []chunk.Chunk
	}{p.Version, p.Text, p.Title, p.URL, p.Format, p.Language, p.Fields, p.Chunks})
	if err != nil {
		return "" // of text and numbers: it can be written
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// fetch reads a document from its source until it did not change meanwhile.
func (r *reading) fetch(ctx context.Context, t todo, p *prepared) (*spool, string, error) {
	src, err := r.source(ctx, t.Origin)
	if err != nil {
		return nil, "", err
	}
	for range rereads {
		c, err := src.Open(ctx, t.Item, t.Known)
		if err != nil {
			return nil, "", err
		}
		if c.Unchanged {
			p.Same = true
			return nil, "", nil
		}
		sp, err := r.job.store.spool(ctx, c.Body)
		if err != nil {
			return nil, "", err
		}
		still := true
		if c.Still != nil {
			if still, err = c.Still(ctx); err != nil {
				sp.close()
				return nil, "", err
			}
		}
		if still {
			p.Mark = cmp.Or(c.Mark, t.Item.Mark)
			return sp, cmp.Or(c.MIME, t.Item.MIME), nil
		}
		sp.close()
	}
	return nil, "", fault.New(fault.Conflict, "the document changed while it was read, %d times", rereads).
		Hint("it is read again when its writer is done")
}

// spool holds the bytes of one document: in memory, or in a file that has no
// name any more.
type spool struct {
	memory []byte
	file   *os.File
	size   int64
}

// spool reads a body to its end and closes it.
func (s *Store) spool(ctx context.Context, body io.ReadCloser) (*spool, error) {
	defer body.Close()
	limit := document.DefaultLimits().Source
	r := io.LimitReader(untilEnd{ctx, body}, limit+1)
	var head bytes.Buffer
	n, err := io.Copy(&head, io.LimitReader(r, spoolMemory))
	if err != nil {
		return nil, readFault(err)
	}
	if n < spoolMemory {
		return &spool{memory: head.Bytes(), size: n}, nil
	}
	f, err := os.CreateTemp(s.deps.Scratch, "leat-document-*")
	if err != nil {
		return nil, fromStore{fault.Wrap(err, fault.Unavailable, "a large document cannot be held in %q", s.deps.Scratch)}
	}
	_ = os.Remove(f.Name()) // what holds it is the open file
	sp := &spool{file: f}
	if sp.size, err = io.Copy(f, io.MultiReader(&head, r)); err != nil {
		sp.close()
		return nil, readFault(err)
	}
	if sp.size > limit {
		sp.close()
		return nil, fault.New(fault.TooLarge, "the document is larger than %d bytes", limit)
	}
	return sp, nil
}

func readFault(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "the document cannot be read")
}

// spoolBlob holds bytes that are among the blobs already.
func (s *Store) spoolBlob(ctx context.Context, version string) (*spool, error) {
	body, err := s.deps.Blobs.Open(ctx, blob.Digest(version))
	if err != nil {
		return nil, fromStore{err}
	}
	return s.spool(ctx, body)
}

// ReadAt meets io.ReaderAt.
func (sp *spool) ReadAt(b []byte, at int64) (int, error) {
	if sp.file != nil {
		return sp.file.ReadAt(b, at)
	}
	return bytes.NewReader(sp.memory).ReadAt(b, at)
}

func (sp *spool) close() {
	if sp.file != nil {
		_ = sp.file.Close() // it has no name any more
	}
}

// untilEnd ends a reader when its context ends.
type untilEnd struct {
	ctx context.Context
	r   io.Reader
}

func (u untilEnd) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// embedBatch is how many passages are embedded by one call.
const embedBatch = 64

// embed makes the vectors of passages that have none: those whose text was
// embedded for the version before are taken from there.
func (r *reading) embed(ctx context.Context, all []prepared) (int, error) {
	k := r.job.spec
	if k.Embed == "" {
		return 0, nil
	}
	embedder, err := r.job.store.deps.Engines.Embedder(ctx, k)
	if err != nil || embedder == nil {
		return 0, err
	}
	kept := vectors{store: r.job.store, embedder: k.Embed}
	var texts []string
	var places []*[]float32
	made := 0
	flush := func() error {
		if len(texts) == 0 {
			return nil
		}
		answer, err := embedder.Embed(ctx, llm.EmbedRequest{Inputs: texts, Purpose: llm.ForDocument})
		if err != nil {
			return err
		}
		if len(answer.Vectors) != len(texts) {
			return fault.New(fault.Unavailable, "the embedder answered %d vectors to %d passages", len(answer.Vectors), len(texts))
		}
		for i, v := range answer.Vectors {
			*places[i] = v
		}
		made += len(texts)
		texts, places = texts[:0], places[:0]
		return nil
	}
	for i := range all {
		p := &all[i]
		if len(p.Chunks) == 0 {
			continue
		}
		p.Embedder = k.Embed
		if p.Vectors, err = kept.of(ctx, r.job, p); err != nil {
			return made, err
		}
		text, err := r.job.store.deps.Blobs.ReadAll(ctx, blob.Digest(p.Text), maxText)
		if err != nil {
			return made, err
		}
		for c := range p.Chunks {
			if p.Vectors[c] != nil {
				continue
			}
			texts, places = append(texts, embedded(p, p.Chunks[c], text)), append(places, &p.Vectors[c])
			if len(texts) == embedBatch {
				if err := flush(); err != nil {
					return made, err
				}
			}
		}
	}
	return made, flush()
}

// embedded is the text that a passage is embedded by: what it stands under, and
// itself.
func embedded(p *prepared, c chunk.Chunk, text []byte) string {
	var b strings.Builder
	for _, part := range []string{p.Title, headingOf(p.Title, c), c.Context} {
		if part != "" {
			b.WriteString(part)
			b.WriteByte('\n')
		}
	}
	b.Write(text[c.Start:c.End])
	return strings.ToValidUTF8(b.String(), "�")
}

// vectors finds those of the version before.
type vectors struct {
	store    *Store
	embedder string
	blob     string // whose documents these are
	before   map[string]prepared
}

// of returns the vectors of a document's passages that are known already, nil
// for the others.
func (v *vectors) of(ctx context.Context, j *job, p *prepared) ([][]float32, error) {
	out := make([][]float32, len(p.Chunks))
	d, err := j.store.document(ctx, j.spec.Name, p.ID)
	if fault.Is(err, fault.NotFound) || err == nil && d.prepared == "" {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	if d.blobOf() != v.blob {
		all, err := j.store.preparedOf(ctx, d.blobOf())
		if err != nil {
			return out, nil // it can be made anew
		}
		v.blob, v.before = d.blobOf(), all
	}
	old, ok := v.before[p.ID]
	if !ok || len(old.Vectors) != len(old.Chunks) || old.Embedder != v.embedder {
		return out, nil
	}
	oldText, err := j.store.deps.Blobs.ReadAll(ctx, blob.Digest(old.Text), maxText)
	if err != nil {
		return out, nil
	}
	text, err := j.store.deps.Blobs.ReadAll(ctx, blob.Digest(p.Text), maxText)
	if err != nil {
		return nil, err
	}
	known := map[string][]float32{}
	for i, c := range old.Chunks {
		known[embedded(&old, c, oldText)] = old.Vectors[i]
	}
	for i, c := range p.Chunks {
		out[i] = known[embedded(p, c, text)]
	}
	return out, nil
}

// preparedOf reads the documents of a blob.
func (s *Store) preparedOf(ctx context.Context, digest string) (map[string]prepared, error) {
	var all []prepared
	if err := s.getGob(ctx, digest, &all); err != nil {
		return nil, err
	}
	by := make(map[string]prepared, len(all))
	for _, p := range all {
		by[p.ID] = p
	}
	return by, nil
}
