package knowledge_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/spec"
)

// crowd is a source of documents with random readers, of which any may change.
type crowd struct {
	readers map[string][]string
	text    map[string]string
}

func (c *crowd) List(_ context.Context, _ string, f func(source.Item) error) (string, error) {
	for id, readers := range c.readers {
		if err := f(source.Item{ID: id, Mark: c.text[id], MIME: "text/plain", Text: []byte(c.text[id]), Readers: slices.Clone(readers)}); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (c *crowd) Open(context.Context, source.Item, string) (source.Content, error) {
	return source.Content{}, fault.New(fault.NotFound, "it is not there")
}

func (c *crowd) Close() error { return nil }

// may tells by brute force whether somebody may read a document.
func (c *crowd) may(user string, groups []string, id string) bool {
	for _, r := range c.readers[id] {
		if r == "*" || r == "user:"+user || slices.Contains(groups, r[len("group:"):]) && r[:6] == "group:" {
			return true
		}
	}
	return false
}

// Ten thousand documents, fifty people in random groups: nobody is ever given
// an id that he may not read, by any way, also while documents are closed and
// deleted in between.
func TestNobodySeesWhatHeMayNot(t *testing.T) {
	const documents, people, groups = 10_000, 50, 30
	random := rand.New(rand.NewPCG(1, 2))
	c := &crowd{readers: map[string][]string{}, text: map[string]string{}}
	some := func() []string {
		readers := []string{}
		switch n := random.IntN(20); {
		case n == 0:
			return []string{"*"}
		case n == 1:
			return readers // nobody
		case n < 8:
			readers = append(readers, fmt.Sprintf("user:u%d", random.IntN(people)))
		}
		for range 1 + random.IntN(3) {
			readers = append(readers, fmt.Sprintf("group:g%d", random.IntN(groups)))
		}
		return readers
	}
	ids := make([]string, documents)
	for i := range documents {
		ids[i] = fmt.Sprintf("doc/%05d", i)
		c.readers[ids[i]] = some()
		c.text[ids[i]] = fmt.Sprintf("The common word stands in document number%d of topic%d.", i, i%100)
	}
	f := newFixture(t, spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "docs", ReadersFrom: "readers"}}})
	f.source = func(spec.KnowledgeSource) (source.Source, error) { return c, nil }
	if r := f.sync(); r.Documents != documents {
		t.Fatalf("%+v", r)
	}
	inGroups := make([][]string, people)
	for i := range people {
		for range 1 + random.IntN(5) {
			inGroups[i] = append(inGroups[i], fmt.Sprintf("g%d", random.IntN(groups)))
		}
	}
	asked, seen := 0, 0
	check := func(rounds int) {
		t.Helper()
		for range rounds {
			u := random.IntN(people)
			name := fmt.Sprintf("u%d", u)
			ctx := as(t.Context(), name, inGroups[u]...)
			target := random.IntN(documents)
			q := []string{"common word", fmt.Sprintf("number%d", target), fmt.Sprintf("topic%d", target%100)}[random.IntN(3)]
			found, err := f.store.Search(ctx, knowledge.Search{Knowledge: "handbook", Text: q, K: 50, Neighbours: 1})
			if err != nil {
				t.Fatal(err)
			}
			asked++
			readable := 0
			for id := range c.readers {
				if q == "common word" && c.may(name, inGroups[u], id) {
					readable++
				}
			}
			if q == "common word" && len(found.Passages) != min(50, readable) {
				t.Errorf("%s is given %d passages of %d that he may read", name, len(found.Passages), readable)
			}
			for _, p := range found.Passages {
				seen++
				if !c.may(name, inGroups[u], p.Document) {
					t.Fatalf("%s is given %s, which %v may read", name, p.Document, c.readers[p.Document])
				}
			}
			id := ids[target]
			_, err = f.store.Versions(ctx, "handbook", id)
			if (err == nil) != c.may(name, inGroups[u], id) {
				t.Fatalf("%s and the versions of %s: %v", name, id, err)
			}
		}
	}
	check(300)
	for range 3 {
		// Some are closed, some are opened, some are gone; the texts of some
		// change too. All of it counts once the run is through.
		for range 300 {
			id := ids[random.IntN(documents)]
			switch random.IntN(3) {
			case 0:
				if _, there := c.readers[id]; there {
					c.readers[id] = some()
				}
			case 1:
				delete(c.readers, id)
			case 2:
				if _, there := c.readers[id]; there {
					c.readers[id], c.text[id] = some(), c.text[id]+" It was changed."
				}
			}
		}
		f.sync()
		check(150)
	}
	listed, err := f.store.Documents(as(t.Context(), "u1", inGroups[1]...), "handbook", "", 1000, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range listed {
		if !c.may("u1", inGroups[1], d.ID) {
			t.Fatalf("%s is listed", d.ID)
		}
	}
	t.Logf("%d questions, %d passages", asked, seen)
}

// A text that is kept is given from memory, and only to who may read its
// document now.
func TestTextsThatAreKeptAreGuarded(t *testing.T) {
	f := newFixture(t, spec.Knowledge{Name: "handbook", Sources: []spec.KnowledgeSource{{From: "push://", Readers: []string{"*"}}}})
	push := func(readers ...string) {
		t.Helper()
		if _, err := f.store.Push(t.Context(), "handbook", knowledge.Pushed{ID: "a", MIME: "text/plain", Readers: readers}, strings.NewReader("Some words stand here."), "test"); err != nil {
			t.Fatal(err)
		}
	}
	push("user:anna", "user:bert")
	f.sync()
	anna, bert := as(t.Context(), "anna"), as(t.Context(), "bert")
	versions, err := f.store.Versions(anna, "handbook", "a")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%+v %v", versions, err)
	}
	version := versions[0].Version
	if _, _, err := f.store.Text(anna, "handbook", "a", version); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(f.dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{anna, bert} {
		text, _, err := f.store.Text(ctx, "handbook", "a", version)
		if err != nil || string(text) != "Some words stand here." {
			t.Errorf("%q %v", text, err)
		}
		proof, err := f.store.Verify(ctx, knowledge.Citation{Knowledge: "handbook", Source: "a", Version: version, Start: 5, End: 10, Quote: "words"})
		if err != nil || !proof.Verified {
			t.Errorf("%+v %v", proof, err)
		}
	}
	push("user:anna")
	if _, _, err := f.store.Text(anna, "handbook", "a", version); err != nil {
		t.Error(err)
	}
	if _, _, err := f.store.Text(bert, "handbook", "a", version); !fault.Is(err, fault.NotFound) {
		t.Errorf("bert is given a text that was closed to him: %v", err)
	}
}
