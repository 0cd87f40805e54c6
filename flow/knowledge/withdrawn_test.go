package knowledge_test

import (
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/spec"
)

// What was withdrawn stays so for the readers of what comes back under its
// name, by whatever way they ask; what comes back itself is there again.
func TestWithdrawnVersionsStayClosed(t *testing.T) {
	f := newFixture(t, spec.Knowledge{Name: "handbook", Keep: 5, Sources: []spec.KnowledgeSource{{From: "push://", Readers: []string{"*"}}}})
	const secret, redacted, later = "The merger with Initech is a secret.", "The merger is redacted.", "The merger is public now."
	push := func(text, reader string) string {
		t.Helper()
		p, err := f.store.Push(t.Context(), "handbook", knowledge.Pushed{ID: "a", MIME: "text/plain", Readers: []string{reader}}, strings.NewReader(text), "test")
		if err != nil {
			t.Fatal(err)
		}
		return p.Version
	}
	anna := as(t.Context(), "anna")
	listed := func(what string, want ...string) {
		t.Helper()
		versions, err := f.store.Versions(anna, "handbook", "a")
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, v := range versions {
			got = append(got, v.Version)
		}
		same(t, what, got, want)
	}
	v1 := push(secret, "user:board")
	first := f.sync()
	if err := f.store.Remove(t.Context(), "handbook", "a"); err != nil {
		t.Fatal(err)
	}
	v2 := push(redacted, "*")
	f.sync()
	listed("redacted", v2)
	_, err := f.store.Verify(anna, knowledge.Citation{Knowledge: "handbook", Source: "a", Version: v1, Start: 0, End: 10})
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("a citation of what was withdrawn: %v", err)
	}
	if _, _, err := f.store.Text(anna, "handbook", "a", v1); !fault.Is(err, fault.NotFound) {
		t.Errorf("its text: %v", err)
	}
	if _, _, err := f.store.Source(anna, "handbook", "a", v1); !fault.Is(err, fault.NotFound) {
		t.Errorf("its bytes: %v", err)
	}
	same(t, "an earlier snapshot", f.find(anna, knowledge.Search{Text: "merger", Snapshot: first.Snapshot}), []string{})
	same(t, "now", f.find(anna, knowledge.Search{Text: "merger"}), []string{"a: " + redacted})

	v3 := push(later, "*")
	f.sync()
	listed("changed since", v3, v2)
	push(secret, "*")
	f.sync()
	push(later, "*")
	f.sync()
	if _, _, err := f.store.Text(anna, "handbook", "a", v1); err != nil {
		t.Errorf("what was sent again for everybody: %v", err)
	}

	// Once the row of what was withdrawn is gone it is as before.
	if err := f.store.Remove(t.Context(), "handbook", "a"); err != nil {
		t.Fatal(err)
	}
	f.sync()
	push(redacted, "*")
	f.sync()
	listed("again", v2)
}
