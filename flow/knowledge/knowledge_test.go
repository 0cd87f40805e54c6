package knowledge_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/index"
	indexpostgres "github.com/leat-ai/leat/store/index/postgres"
)

func docs() spec.Knowledge { return spec.Knowledge{Name: "handbook", From: "docs/**/*.md"} }

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

func TestStaysCurrent(t *testing.T) { staysCurrent(newFixture(t, docs())) }

// The same on a catalog of the other kind.
func TestStaysCurrentOnPostgres(t *testing.T) {
	db, err := postgres.Open(t.Context(), postgres.Config{URL: testserver.Postgres(t).URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := openOn(t.Context(), t.TempDir(), db)
	if err != nil {
		t.Fatal(err)
	}
	staysCurrent(fixtureOf(t, w, docs()))
}

// The same with another index.
func TestStaysCurrentInAnIndexOnPostgres(t *testing.T) {
	address := testserver.PostgresWithVectors(t).URL(t)
	w, err := open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.index = func(ctx context.Context) (index.Index, error) {
		return indexpostgres.Open(ctx, indexpostgres.Config{URL: address, Schema: "leat_index_handbook"})
	}
	staysCurrent(fixtureOf(t, w, docs()))
}

func staysCurrent(f *fixture) {
	t := f.T
	f.write("docs/travel.md", "Hotels are booked by the office in Vienna.\n")
	f.write("docs/leave.md", "Parental leave lasts a year.\n")
	f.write("docs/deep/er/pay.md", "Salaries are paid on the last day of a month.\n")
	first := f.sync()
	if first.Read != 3 || first.Documents != 3 || first.Changed != 3 || first.Errors != 0 {
		t.Fatalf("%+v", first)
	}
	ctx := as(t.Context(), "anna")
	same(t, "hotels", f.find(ctx, knowledge.Search{Text: "hotels"}), []string{"docs/travel.md: Hotels are booked by the office in Vienna."})
	if again := f.sync(); !again.Unchanged || again.Snapshot != first.Snapshot {
		t.Errorf("nothing changed: %+v", again)
	}

	before, err := f.store.Search(ctx, knowledge.Search{Knowledge: "handbook", Text: "hotels"})
	if err != nil {
		t.Fatal(err)
	}
	then := time.Now()
	f.write("docs/travel.md", "Hotels are booked by everybody alone.\n")
	f.remove("docs/leave.md")
	f.write("docs/new.md", "The canteen opens at noon.\n")
	second := f.sync()
	if second.Read != 2 || second.Removed != 1 || second.Documents != 3 || second.Snapshot == first.Snapshot {
		t.Errorf("%+v", second)
	}
	same(t, "hotels", f.find(ctx, knowledge.Search{Text: "hotels"}), []string{"docs/travel.md: Hotels are booked by everybody alone."})
	same(t, "leave", f.find(ctx, knowledge.Search{Text: "parental leave"}), []string{})
	same(t, "then", f.find(ctx, knowledge.Search{Text: "hotels", AsOf: then}), []string{"docs/travel.md: Hotels are booked by the office in Vienna."})
	same(t, "then, what is deleted now", f.find(ctx, knowledge.Search{Text: "parental leave", AsOf: then}), []string{})

	// A citation of the first version is proved all the same.
	p := before.Passages[0]
	proof, err := f.store.Verify(ctx, knowledge.Citation{Knowledge: "handbook", Source: p.Document, Version: p.Version, Start: p.Start, End: p.End, Quote: p.Text})
	if err != nil || !proof.Verified || proof.Current || string(proof.Bytes) != p.Text || !proof.Verbatim {
		t.Errorf("%+v %v", proof, err)
	}
	wrong, err := f.store.Verify(ctx, knowledge.Citation{Knowledge: "handbook", Source: p.Document, Version: p.Version, Start: p.Start, End: p.End, Quote: "Hotels are free."})
	if err != nil || wrong.Verified {
		t.Errorf("%+v %v", wrong, err)
	}
	versions, err := f.store.Versions(ctx, "handbook", "docs/travel.md")
	if err != nil || len(versions) != 2 || !versions[0].Current || versions[1].Current {
		t.Errorf("%+v %v", versions, err)
	}

	// What was is named by its content, and comes back under its name.
	f.write("docs/travel.md", "Hotels are booked by the office in Vienna.\n")
	f.write("docs/leave.md", "Parental leave lasts a year.\n")
	f.remove("docs/new.md")
	if third := f.sync(); third.Snapshot != first.Snapshot {
		t.Errorf("%s, not %s", third.Snapshot, first.Snapshot)
	}
	same(t, "leave", f.find(ctx, knowledge.Search{Text: "parental leave"}), []string{"docs/leave.md: Parental leave lasts a year."})
}

func TestOnlyWhatChangedIsEmbedded(t *testing.T) {
	k := docs()
	k.Embed = "models/hash"
	f := newFixture(t, k)
	for _, name := range []string{"a", "b", "c"} {
		f.write("docs/"+name+".md", "# "+name+"\n\n## One\n\nThe first of "+name+".\n\n## Two\n\nThe second of "+name+".\n")
	}
	first := f.sync()
	if first.Embedded == 0 || first.Embedded != first.Passages || f.embedder.texts != first.Passages {
		t.Fatalf("%+v after %d texts", first, f.embedder.texts)
	}
	f.write("docs/b.md", "# b\n\n## One\n\nThe first of b.\n\n## Two\n\nThe second of b is another one.\n")
	if second := f.sync(); second.Embedded != 1 || second.Passages != first.Passages {
		t.Errorf("%+v", second)
	}
	k.BM25.B = new(float64)
	f.apply(k)
	if third := f.sync(); third.Embedded != 0 || third.Read != 0 || third.Passages != first.Passages {
		t.Errorf("another ranking of the same passages: %+v", third)
	}
	k.Chunk.Target, k.Chunk.Most = 100, 200
	f.apply(k)
	if fourth := f.sync(); fourth.Read != 3 || fourth.Documents != 3 {
		t.Errorf("other passages of the same bytes: %+v", fourth)
	}
	if found := f.find(as(t.Context(), "anna"), knowledge.Search{Text: "second of b", K: 1}); len(found) != 1 || !strings.HasPrefix(found[0], "docs/b.md") {
		t.Error(found)
	}
}

func TestOneBadDocumentStopsNoOther(t *testing.T) {
	k := docs()
	k.From = "docs/**"
	f := newFixture(t, k)
	f.write("docs/good.md", "The good one.\n")
	f.write("docs/bad.pdf", "%PDF-1.7 and then nothing of the sort")
	f.write("docs/bad.docx", "PK\x03\x04 no archive")
	r := f.sync()
	if r.Errors != 2 || r.Documents != 1 || len(r.Problems) != 2 {
		t.Fatalf("%+v", r)
	}
	same(t, "good", f.find(as(t.Context(), "anna"), knowledge.Search{Text: "good"}), []string{"docs/good.md: The good one."})
	errs, err := f.store.Errors(t.Context(), "handbook", "", 10)
	if err != nil || len(errs) != 2 || errs[0].Reason == "" {
		t.Errorf("%+v %v", errs, err)
	}
	if again := f.sync(); !again.Unchanged {
		t.Errorf("what is bad is not read again: %+v", again)
	}
	// One that was good and is not any more keeps its last good version.
	f.write("docs/good.md", "The good one.\n")
	f.write("docs/bad.docx", "now it is text")
	if err := os.Rename(filepath.Join(f.dir, "project/docs/bad.docx"), filepath.Join(f.dir, "project/docs/better.txt")); err != nil {
		t.Fatal(err)
	}
	if r := f.sync(); r.Errors != 1 || r.Documents != 2 {
		t.Errorf("%+v", r)
	}
}

func TestFrontMatterSaysWhoMayRead(t *testing.T) {
	k := spec.Knowledge{Name: "handbook", Fields: spec.Columns{{Name: "year", Type: "int"}, {Name: "team", Type: "string"}},
		Sources: []spec.KnowledgeSource{{From: "docs", ReadersFrom: "readers"}}}
	f := newFixture(t, k)
	f.write("docs/all.md", "---\nreaders: \"*\"\nyear: 2024\n---\nThe plan of all.\n")
	f.write("docs/board.md", "---\nreaders: board\nyear: 2026\nteam: top\n---\nThe plan of the board.\n")
	f.write("docs/nobody.md", "The plan of nobody.\n")
	f.sync()
	same(t, "anna", f.find(as(t.Context(), "anna"), knowledge.Search{Text: "plan"}), []string{"docs/all.md: The plan of all."})
	if got := f.find(as(t.Context(), "bert", "board"), knowledge.Search{Text: "plan"}); len(got) != 2 {
		t.Errorf("the board finds %q", got)
	}
	if _, err := f.store.Search(t.Context(), knowledge.Search{Knowledge: "handbook", Text: "plan"}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("nobody asks: %v", err)
	}
	listed, err := f.store.Documents(as(t.Context(), "anna"), "handbook", "", 10, false)
	if err != nil || len(listed) != 1 {
		t.Errorf("%+v %v", listed, err)
	}
	if _, err := f.store.Versions(as(t.Context(), "anna"), "handbook", "docs/board.md"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a document that may not be read: %v", err)
	}
}

func TestWhatIsTakenAwayIsGoneAtOnce(t *testing.T) {
	f := newFixture(t, spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "push://"}}})
	ctx, anna, bert := t.Context(), as(t.Context(), "anna", "staff"), as(t.Context(), "bert", "guests")
	push := func(id, text string, readers ...string) knowledge.Pushed {
		t.Helper()
		p, err := f.store.Push(ctx, "handbook", knowledge.Pushed{ID: id, MIME: "text/markdown", Readers: readers}, strings.NewReader(text), "test")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	push("secret", "The code of the door is 4711.\n", "*")
	push("menu", "On Friday there is fish.\n", "group:staff")
	f.sync()
	same(t, "the door", f.find(bert, knowledge.Search{Text: "door"}), []string{"secret: The code of the door is 4711."})
	if p := push("secret", "The code of the door is 4711.\n", "*"); !p.Same {
		t.Error("the same document is another")
	}

	// Fewer readers: at once. More: with the next snapshot.
	push("secret", "The code of the door is 4711.\n", "group:staff")
	push("menu", "On Friday there is fish and rice.\n", "*")
	same(t, "the door, closed", f.find(bert, knowledge.Search{Text: "door"}), []string{})
	same(t, "the menu, not open yet", f.find(bert, knowledge.Search{Text: "fish"}), []string{})
	f.sync()
	same(t, "the door", f.find(anna, knowledge.Search{Text: "door"}), []string{"secret: The code of the door is 4711."})
	same(t, "the menu", f.find(bert, knowledge.Search{Text: "fish"}), []string{"menu: On Friday there is fish and rice."})

	found, err := f.store.Search(anna, knowledge.Search{Knowledge: "handbook", Text: "door"})
	if err != nil {
		t.Fatal(err)
	}
	p := found.Passages[0]
	if err := f.store.Remove(ctx, "handbook", "secret"); err != nil {
		t.Fatal(err)
	}
	same(t, "the door, deleted", f.find(anna, knowledge.Search{Text: "door"}), []string{})
	cite := knowledge.Citation{Knowledge: "handbook", Source: "secret", Version: p.Version, Start: p.Start, End: p.End}
	if _, err := f.store.Verify(anna, cite); !fault.Is(err, fault.NotFound) {
		t.Errorf("a citation of what is deleted: %v", err)
	}
	if r := f.sync(); r.Documents != 1 || r.Removed != 1 {
		t.Errorf("%+v", r)
	}
	push("secret", "The door is open.\n", "*")
	f.sync()
	same(t, "the door, again", f.find(bert, knowledge.Search{Text: "door"}), []string{"secret: The door is open."})
}

// restless is a source whose document changes while it is read for the first
// times.
type restless struct {
	texts []string
	reads int
}

func (r *restless) List(_ context.Context, _ string, f func(source.Item) error) (string, error) {
	return "", f(source.Item{ID: "page", Mark: r.texts[len(r.texts)-1], MIME: "text/plain"})
}

func (r *restless) Open(context.Context, source.Item, string) (source.Content, error) {
	text := r.texts[min(r.reads, len(r.texts)-1)]
	r.reads++
	last := r.reads >= len(r.texts)
	return source.Content{Body: io.NopCloser(strings.NewReader(text)), Still: func(context.Context) (bool, error) { return last, nil }}, nil
}

func (r *restless) Close() error { return nil }

func TestChangesWhileItIsRead(t *testing.T) {
	f := newFixture(t, docs())
	r := &restless{texts: []string{"half of the page", "the whole page is here"}}
	f.source = func(spec.KnowledgeSource) (source.Source, error) { return r, nil }
	f.sync()
	same(t, "page", f.find(as(t.Context(), "anna"), knowledge.Search{Text: "page"}), []string{"page: the whole page is here"})

	never := &restless{texts: []string{"a page", "b page", "c page", "d page", "e page"}}
	f.source = func(spec.KnowledgeSource) (source.Source, error) { return never, nil }
	if r := f.sync(); r.Errors != 1 {
		t.Errorf("%+v", r)
	}
	same(t, "the last good one", f.find(as(t.Context(), "anna"), knowledge.Search{Text: "page"}), []string{"page: the whole page is here"})
}

func TestGateHoldsBackAndRollbackGoesBack(t *testing.T) {
	k := docs()
	k.Questions, k.Gate = "questions.jsonl", spec.Names{"recall@10 >= 1", "mrr@10 >= live"}
	f := newFixture(t, k)
	f.write("questions.jsonl", `{"question": "who books hotels", "documents": ["docs/travel.md"]}`+"\n")
	f.write("docs/travel.md", "Hotels are booked by the office.\n")
	first := f.sync()
	if first.Measures["recall@10"] != 1 {
		t.Fatalf("%+v", first)
	}
	ctx := as(t.Context(), "anna")
	f.write("docs/travel.md", "Nothing is said any more.\n")
	if _, err := f.try(); !fault.Is(err, fault.Rejected) {
		t.Fatalf("the gate lets through: %v", err)
	}
	same(t, "what was live stays", f.find(ctx, knowledge.Search{Text: "hotels"}), []string{"docs/travel.md: Hotels are booked by the office."})
	if _, err := f.try(); !fault.Is(err, fault.Rejected) || !strings.Contains(err.Error(), "nothing has changed") {
		t.Errorf("again: %v", err)
	}
	if len(f.failed) != 2 {
		t.Errorf("told: %q", f.failed)
	}
	f.write("docs/travel.md", "Hotels are booked by the desk.\n")
	second := f.sync()
	change, err := f.store.Rollback(ctx, "handbook", "", "anna")
	if err != nil || change.Snapshot != first.Snapshot || !change.Held {
		t.Fatalf("%+v %v", change, err)
	}
	same(t, "back", f.find(ctx, knowledge.Search{Text: "hotels"}), []string{"docs/travel.md: Hotels are booked by the office."})
	f.write("docs/more.md", "Trains are booked by the desk.\n")
	third := f.sync()
	if !third.Held {
		t.Errorf("%+v", third)
	}
	same(t, "held", f.find(ctx, knowledge.Search{Text: "trains"}), []string{})
	if _, err := f.store.Rollback(ctx, "handbook", knowledge.Latest, "anna"); err != nil {
		t.Fatal(err)
	}
	same(t, "goes on", f.find(ctx, knowledge.Search{Text: "trains"}), []string{"docs/more.md: Trains are booked by the desk."})
	h, err := f.store.History(ctx, "handbook")
	if err != nil || len(h.Changes) != 4 || h.Snapshots[0].Name != third.Snapshot || !h.Snapshots[0].Live || second.Snapshot == third.Snapshot {
		t.Errorf("%+v %v", h, err)
	}
}

func TestOldSnapshotsGo(t *testing.T) {
	k := docs()
	k.Keep = 2
	f := newFixture(t, k)
	var names []string
	for _, text := range []string{"one", "two", "three", "four", "five"} {
		f.write("docs/a.md", "The word is "+text+".\n")
		names = append(names, f.sync().Snapshot)
	}
	ctx := as(t.Context(), "anna")
	for i, name := range names {
		_, err := f.store.Search(ctx, knowledge.Search{Knowledge: "handbook", Text: "word", Snapshot: name})
		if kept := i >= 2; (err == nil) != kept {
			t.Errorf("snapshot %d: %v", i+1, err)
		}
	}
}

func TestASourceThatCannotBeReadDeletesNothing(t *testing.T) {
	f := newFixture(t, spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "docs"}, {From: "more"}}})
	f.write("docs/a.md", "The first word.\n")
	f.write("more/b.md", "The second word.\n")
	f.sync()
	if err := os.Rename(filepath.Join(f.dir, "project/more"), filepath.Join(f.dir, "project/away")); err != nil {
		t.Fatal(err)
	}
	f.write("docs/c.md", "The third word.\n")
	r := f.sync()
	if r.Documents != 3 || r.Errors != 1 {
		t.Errorf("%+v", r)
	}
	st, err := f.store.Status(t.Context(), "handbook")
	if err != nil || st.Sources[1].Reason == "" || st.Errors != 1 {
		t.Errorf("%+v %v", st, err)
	}
	f.remove("docs/a.md")
	f.remove("docs/c.md")
	if err := os.Remove(filepath.Join(f.dir, "project/docs")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.try(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("no source can be read: %v", err)
	}
	if got := f.find(as(t.Context(), "anna"), knowledge.Search{Text: "word"}); len(got) != 3 {
		t.Errorf("found %q", got)
	}
}

func TestSourceBytesComeBack(t *testing.T) {
	f := newFixture(t, spec.Knowledge{Name: "handbook", From: "docs"})
	page := "<html><title>Page</title><body><p>Some <b>bold</b> words stand here.</p></body></html>"
	f.write("docs/a.html", page)
	f.sync()
	ctx := as(t.Context(), "anna")
	found, err := f.store.Search(ctx, knowledge.Search{Knowledge: "handbook", Text: "bold words"})
	if err != nil || len(found.Passages) != 1 {
		t.Fatalf("%+v %v", found, err)
	}
	p := found.Passages[0]
	text, _, err := f.store.Text(ctx, "handbook", p.Document, p.Version)
	if err != nil || string(text[p.Start:p.End]) != p.Text {
		t.Errorf("%q %v", text, err)
	}
	body, _, err := f.store.Source(ctx, "handbook", p.Document, p.Version)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, []byte(page)) {
		t.Errorf("%q %v", got, err)
	}
}

// An index that was lost is built anew from what was read, with who may read
// what.
func TestAnIndexThatIsLostComesBack(t *testing.T) {
	f := newFixture(t, spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "docs", Readers: spec.Names{"group:staff"}}}})
	f.write("docs/a.md", "Hotels are booked by the office.\n")
	first := f.sync()
	if err := f.store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, "index")); err != nil {
		t.Fatal(err)
	}
	if r := f.sync(); r.Snapshot != first.Snapshot || r.Read != 0 || r.Documents != 1 {
		t.Errorf("%+v", r)
	}
	same(t, "staff", f.find(as(t.Context(), "anna", "staff"), knowledge.Search{Text: "hotels"}), []string{"docs/a.md: Hotels are booked by the office."})
	same(t, "others", f.find(as(t.Context(), "bert"), knowledge.Search{Text: "hotels"}), []string{})
}
