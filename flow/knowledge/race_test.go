package knowledge_test

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/embedded"
)

// watched is an index that tells when it is granted and when a snapshot of it
// is made.
type watched struct {
	index.Index
	grant     func(context.Context) error
	committed func()
}

func (w watched) Grant(ctx context.Context, access []index.Access) error {
	if err := w.grant(ctx); err != nil {
		return err
	}
	return w.Index.Grant(ctx, access)
}

func (w watched) Build(ctx context.Context, start index.Start) (index.Build, error) {
	b, err := w.Index.Build(ctx, start)
	return watchedBuild{b, w.committed}, err
}

type watchedBuild struct {
	index.Build
	committed func()
}

func (w watchedBuild) Commit(ctx context.Context, name string) (index.Snapshot, error) {
	defer w.committed()
	return w.Build.Commit(ctx, name)
}

func (f *fixture) watch(grant func(context.Context) error, committed func()) {
	f.index = func(ctx context.Context) (index.Index, error) {
		idx, err := embedded.Open(ctx, embedded.Config{Path: filepath.Join(f.dir, "index", "handbook")})
		return watched{idx, grant, committed}, err
	}
}

func frontMatter() spec.Knowledge {
	return spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "docs", ReadersFrom: "readers"}}}
}

// The new text of a document whose front matter says others is never read by
// those who could read the old one only, also where the run ends right after it
// went live; those who may read it do after the next one.
func TestNewTextIsOnlyForItsReaders(t *testing.T) {
	f := newFixture(t, frontMatter())
	first := ""
	var broken atomic.Bool
	f.watch(func(ctx context.Context) error {
		if !broken.Load() {
			return nil
		}
		if live, err := f.store.Live(ctx, "handbook"); err != nil || live.Name != first {
			return fault.New(fault.Invalid, "the index takes no readers any more")
		}
		return nil
	}, func() {})
	f.write("docs/pay.md", "---\nreaders: \"*\"\n---\nThe table of pay.\n")
	f.write("docs/plan.md", "---\nreaders: staff\n---\nThe table of plans.\n")
	f.write("docs/same.md", "---\nreaders: staff\n---\nThe table of rooms.\n")
	first = f.sync().Snapshot
	staff, hr := as(t.Context(), "anna", "staff"), as(t.Context(), "hans", "hr")
	f.write("docs/pay.md", "---\nreaders: hr\n---\nThe secret table of pay.\n")
	f.write("docs/plan.md", "---\nreaders: hr\n---\nThe secret table of plans.\n")
	broken.Store(true)
	if _, err := f.try(); !fault.Is(err, fault.Invalid) {
		t.Fatalf("readers were set: %v", err)
	}
	if live, err := f.store.Live(t.Context(), "handbook"); err != nil || live.Name == first {
		t.Fatalf("the new text is not live: %+v %v", live, err)
	}
	same(t, "those of before", f.find(staff, knowledge.Search{Text: "table"}), []string{"docs/same.md: The table of rooms."})
	broken.Store(false)
	f.sync()
	same(t, "those of before, after the next run", f.find(staff, knowledge.Search{Text: "table"}), []string{"docs/same.md: The table of rooms."})
	if got := f.find(hr, knowledge.Search{Text: "secret table"}); len(got) != 2 {
		t.Errorf("those of now find %q", got)
	}
	if again := f.sync(); !again.Unchanged {
		t.Errorf("nothing changed: %+v", again)
	}
}

// notes is a source of texts whose mark is the text.
type notes map[string]string

func (n notes) List(_ context.Context, _ string, f func(source.Item) error) (string, error) {
	for id, text := range n {
		if err := f(source.Item{ID: id, Mark: text, MIME: "text/markdown", Text: []byte(text)}); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (notes) Open(context.Context, source.Item, string) (source.Content, error) {
	return source.Content{}, fault.New(fault.NotFound, "it is not there")
}

func (notes) Close() error { return nil }

// A document that was closed for a version that did not pass the gate is open
// again when it is what it was.
func TestWhatDidNotPassIsNotClosedForEver(t *testing.T) {
	k := frontMatter()
	k.Questions, k.Gate = "questions.jsonl", spec.Names{"recall@10 >= 1"}
	f := newFixture(t, k)
	f.write("questions.jsonl", `{"question": "who books hotels", "documents": ["docs/travel.md"]}`+"\n")
	const good = "---\nreaders: staff\n---\nHotels are booked by the office.\n"
	n := notes{"docs/travel.md": good}
	f.source = func(spec.KnowledgeSource) (source.Source, error) { return n, nil }
	f.sync()
	n["docs/travel.md"] = "---\nreaders: board\n---\nNothing is said.\n"
	if _, err := f.try(); !fault.Is(err, fault.Rejected) {
		t.Fatal(err)
	}
	staff := as(t.Context(), "anna", "staff")
	same(t, "closed", f.find(staff, knowledge.Search{Text: "hotels"}), []string{})
	n["docs/travel.md"] = good // with the mark that it had
	f.sync()
	same(t, "open again", f.find(staff, knowledge.Search{Text: "hotels"}), []string{"docs/travel.md: Hotels are booked by the office."})
}

// tapped is a bucket that tells of every read.
type tapped struct {
	blob.Bucket
	read func()
}

func (b tapped) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	b.read()
	return b.Bucket.Open(ctx, name, offset, length)
}

// What is deleted or closed while a run swaps stays so.
func TestASwapUndoesNoDelete(t *testing.T) {
	read := func() {}
	w, err := openTapped(t.Context(), t.TempDir(), func(b blob.Bucket) blob.Bucket { return tapped{b, func() { read() }} })
	if err != nil {
		t.Fatal(err)
	}
	f := fixtureOf(t, w, spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "push://"}}})
	committed := false
	f.watch(func(context.Context) error { return nil }, func() { committed = true })
	ctx := as(t.Context(), "bert", "guests")
	push := func(id, text string, readers ...string) {
		t.Helper()
		if _, err := f.store.Push(t.Context(), "handbook", knowledge.Pushed{ID: id, MIME: "text/plain", Readers: readers}, strings.NewReader(text), "test"); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"deleted", "closed", "open"} {
		push(id, "A word of "+id+".", "*")
	}
	f.sync()
	for _, id := range []string{"deleted", "closed", "open"} {
		push(id, "Another word of "+id+".", "*")
	}
	reads := 0
	committed = false
	read = func() {
		if !committed {
			return
		}
		// The swap reads what was prepared twice: for the rows, and for the
		// versions once it has the rows.
		if reads++; reads != 2 {
			return
		}
		if err := f.store.Remove(t.Context(), "handbook", "deleted"); err != nil {
			t.Error(err)
		}
		push("closed", "Another word of closed.", "group:staff")
	}
	f.sync()
	if reads < 2 {
		t.Fatalf("%d reads", reads)
	}
	want := []string{"open: Another word of open."}
	same(t, "after the swap", f.find(ctx, knowledge.Search{Text: "another word"}), want)
	f.sync()
	same(t, "after the next run", f.find(ctx, knowledge.Search{Text: "another word"}), want)
	if got := f.find(as(t.Context(), "anna", "staff"), knowledge.Search{Text: "another word"}); len(got) != 2 {
		t.Errorf("staff finds %q", got)
	}
}

// page is a source whose page never changes, as a server says that is asked
// with its mark.
type page struct{}

func (page) List(_ context.Context, _ string, f func(source.Item) error) (string, error) {
	return "", f(source.Item{ID: "page", MIME: "text/plain"})
}

func (page) Open(_ context.Context, _ source.Item, known string) (source.Content, error) {
	if known == "etag 1" {
		return source.Content{Unchanged: true, Mark: known}, nil
	}
	return source.Content{Body: io.NopCloser(strings.NewReader("The whole page.")), Mark: "etag 1"}, nil
}

func (page) Close() error { return nil }

func TestNewReadersOfAPageThatStays(t *testing.T) {
	of := func(group string) spec.Knowledge {
		return spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "docs", Readers: spec.Names{"group:" + group}}}}
	}
	f := newFixture(t, of("a"))
	f.source = func(spec.KnowledgeSource) (source.Source, error) { return page{}, nil }
	f.sync()
	f.apply(of("b"))
	f.sync()
	same(t, "a", f.find(as(t.Context(), "anna", "a"), knowledge.Search{Text: "page"}), []string{})
	same(t, "b", f.find(as(t.Context(), "bert", "b"), knowledge.Search{Text: "page"}), []string{"page: The whole page."})
}

// Who may read counts also where the same run makes other passages.
func TestFewerReadersOfOtherPassages(t *testing.T) {
	k := spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "docs"}}}
	f := newFixture(t, k)
	f.write("docs/a.md", "Hotels are booked by the office.\n")
	f.sync()
	k.Sources = []spec.KnowledgeSource{{From: "docs", Readers: spec.Names{"group:staff"}}}
	k.Chunk.Target, k.Chunk.Most = 100, 200
	f.apply(k)
	f.sync()
	same(t, "others", f.find(as(t.Context(), "bert"), knowledge.Search{Text: "hotels"}), []string{})
}
