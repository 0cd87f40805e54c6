package knowledge_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/embedded"
	"github.com/leat-ai/leat/work"
)

// world is a store on real parts below a folder, which opened again is what it
// was.
type world struct {
	dir      string
	db       *catalog.DB
	blobs    *blob.Store
	store    *knowledge.Store
	engine   *work.Engine
	embedder *counting
	// source, when set, opens a source instead of its own.
	source func(s spec.KnowledgeSource) (source.Source, error)
	index  func(ctx context.Context) (index.Index, error) // instead of the embedded one
	failed []string
	closes []func() error
}

func open(ctx context.Context, dir string) (*world, error) {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "catalog.db")})
	if err != nil {
		return nil, err
	}
	return openOn(ctx, dir, db)
}

// openTapped is open with the bucket of the blobs in a wrapper.
func openTapped(ctx context.Context, dir string, wrap func(blob.Bucket) blob.Bucket) (*world, error) {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "catalog.db")})
	if err != nil {
		return nil, err
	}
	return openWith(ctx, dir, db, wrap)
}

// openOn is open on a catalog, which it closes.
func openOn(ctx context.Context, dir string, db *catalog.DB) (*world, error) {
	return openWith(ctx, dir, db, func(b blob.Bucket) blob.Bucket { return b })
}

func openWith(ctx context.Context, dir string, db *catalog.DB, wrap func(blob.Bucket) blob.Bucket) (w *world, err error) {
	w = &world{dir: dir, db: db, embedder: &counting{}}
	w.closes = append(w.closes, w.db.Close)
	bucket, err := file.Open(ctx, file.Config{Path: filepath.Join(dir, "blobs")})
	if err != nil {
		return nil, err
	}
	w.closes = append(w.closes, bucket.Close)
	w.blobs = blob.NewStore(wrap(bucket), "")
	w.store = knowledge.New(knowledge.Deps{DB: w.db, Blobs: w.blobs, Space: "test", Engines: w, Sources: w, Listener: w, Scratch: dir, Workers: 2,
		Questions: func(_ context.Context, name string) ([]knowledge.Question, error) {
			content, err := os.ReadFile(filepath.Join(dir, "project", name))
			if err != nil {
				return nil, err
			}
			return knowledge.ParseQuestions(content)
		}})
	if w.engine, err = work.Open(ctx, work.Config{URL: "sqlite:" + filepath.Join(dir, "work.db")}); err != nil {
		return nil, err
	}
	w.store.Define(w.engine)
	return w, nil
}

func (w *world) close() error {
	err := errors.Join(w.engine.Close(context.Background()), w.store.Close(context.Background()))
	for _, c := range w.closes {
		err = errors.Join(err, c())
	}
	return err
}

func (w *world) Index(ctx context.Context, k spec.Knowledge) (index.Index, error) {
	if w.index != nil {
		return w.index(ctx)
	}
	return embedded.Open(ctx, embedded.Config{Path: filepath.Join(w.dir, "index", k.Name)})
}

func (w *world) Embedder(_ context.Context, k spec.Knowledge) (llm.Embedder, error) {
	if k.Embed == "" {
		return nil, nil
	}
	return w.embedder, nil
}

func (w *world) Reranker(context.Context, spec.Knowledge) (llm.Reranker, error) { return nil, nil }

func (w *world) Source(_ context.Context, name string, s spec.KnowledgeSource) (source.Source, error) {
	if w.source != nil {
		return w.source(s)
	}
	if spec.Scheme(s.From) == "push" {
		return w.store.Inbox(name, s), nil
	}
	return source.OpenFolder(filepath.Join(w.dir, "project"), s.From, source.Names{Include: s.Include, Exclude: s.Exclude})
}

func (w *world) Live(context.Context, catalog.Tx, string, knowledge.Snapshot) error { return nil }

func (w *world) Failed(_ context.Context, _, _ string, why error) {
	w.failed = append(w.failed, why.Error())
}

// counting embeds by the hashes of words, and counts what it was given.
type counting struct {
	mu    sync.Mutex
	texts int
}

func (c *counting) Embed(_ context.Context, r llm.EmbedRequest) (llm.Embeddings, error) {
	c.mu.Lock()
	c.texts += len(r.Inputs)
	c.mu.Unlock()
	var out llm.Embeddings
	for _, text := range r.Inputs {
		v := make([]float32, 16)
		for _, word := range strings.Fields(strings.ToLower(text)) {
			v[sha256.Sum256([]byte(word))[0]%16]++
		}
		v[0] += 0.01
		out.Vectors = append(out.Vectors, v)
	}
	return out, nil
}

// fixture is a world of a test.
type fixture struct {
	*testing.T
	*world
	spec *spec.Knowledge
}

func newFixture(t *testing.T, k spec.Knowledge) *fixture {
	t.Helper()
	w, err := open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return fixtureOf(t, w, k)
}

func fixtureOf(t *testing.T, w *world, k spec.Knowledge) *fixture {
	t.Helper()
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.engine.Launch(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	f := &fixture{t, w, nil}
	f.apply(k)
	return f
}

// apply puts a resource in force.
func (f *fixture) apply(k spec.Knowledge) {
	f.Helper()
	r, err := spec.Of(&k)
	if err != nil {
		f.Fatal(err)
	}
	f.spec = &k
	f.store.Converge([]spec.Resource{r})
}

func (f *fixture) write(name, text string) {
	f.Helper()
	path := filepath.Join(f.dir, "project", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) remove(name string) {
	f.Helper()
	if err := os.Remove(filepath.Join(f.dir, "project", name)); err != nil {
		f.Fatal(err)
	}
}

// try brings the knowledge up to date.
func (f *fixture) try() (knowledge.Report, error) {
	f.Helper()
	id, err := f.store.Start(f.Context(), f.engine, f.spec.Name)
	if err != nil {
		f.Fatal(err)
	}
	st, err := f.engine.Wait(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return knowledge.ReportOf(st)
}

func (f *fixture) sync() knowledge.Report {
	f.Helper()
	r, err := f.try()
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// as is the context of somebody.
func as(ctx context.Context, name string, groups ...string) context.Context {
	return identity.With(ctx, identity.Principal{Name: name, Groups: groups})
}

// find returns the documents that somebody finds, with the first line of each
// passage.
func (f *fixture) find(ctx context.Context, q knowledge.Search) []string {
	f.Helper()
	q.Knowledge = f.spec.Name
	found, err := f.store.Search(ctx, q)
	if err != nil {
		f.Fatal(err)
	}
	out := []string{}
	for _, p := range found.Passages {
		first, _, _ := strings.Cut(strings.TrimSpace(p.Text), "\n")
		out = append(out, fmt.Sprintf("%s: %s", p.Document, first))
	}
	return out
}
