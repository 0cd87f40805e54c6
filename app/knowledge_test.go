package app

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/surface/server"
)

const handbook = `
---
kind: Knowledge
name: handbook
fields: {year: int}
sources:
  - {from: "push://", readers: [group:staff]}
---
kind: Endpoint`

// keyed is a client with a key of its own.
func (l *loop) keyed(name string, groups []string, grants ...string) *client.Client {
	l.Helper()
	token, _, err := l.keys.Create(l.Context(), identity.NewKey{Name: name, Groups: groups, Grants: grants, By: "test"})
	if err != nil {
		l.Fatal(err)
	}
	cl, err := client.New(l.URL(), client.Options{Key: token})
	if err != nil {
		l.Fatal(err)
	}
	return cl
}

// Who asks over HTTP is whom the index knows: what he may not read he is not
// given, whatever he asks, and what is deleted is gone with the answer to the
// deletion.
func TestKnowledgeOverHTTP(t *testing.T) {
	l := newLoop(t, 10, listening)
	l.apply("\n---\nkind: Endpoint", handbook)
	l.config.Server.Auth = server.AuthKeys
	l.App = l.again()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	librarian := l.keyed("librarian", nil, "knowledge:handbook", "read:*", "run:*")
	anna, bert := l.keyed("anna", []string{"staff"}, "search:handbook"), l.keyed("bert", []string{"guests"}, "search:*")
	stranger := l.keyed("stranger", []string{"staff"}, "search:other")
	put := func(id, text string, readers []string) {
		t.Helper()
		doc := knowledge.Pushed{ID: id, MIME: "text/markdown", Title: id, Readers: readers, Fields: map[string]string{"year": "2026"}}
		if _, err := librarian.PutDocument(ctx, "handbook", doc, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	find := func(cl *client.Client, q api.Searched) (out []string) {
		t.Helper()
		found, err := cl.SearchKnowledge(ctx, "handbook", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found.Passages {
			out = append(out, p.Source)
		}
		return out
	}
	put("travel/hotels.md", "Hotels are booked by the office.\n", nil)
	put("https://example.org/a b?c=d", "Hotels have doors.\n", []string{"*"})
	id, err := librarian.SyncKnowledge(ctx, "handbook")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := l.runs.Wait(ctx, id); err != nil || st.Err() != nil {
		t.Fatal(err, st.Err())
	}
	if got := find(anna, api.Searched{Query: "hotels"}); len(got) != 2 {
		t.Errorf("the staff finds %q", got)
	}
	if got := find(bert, api.Searched{Query: "hotels", Filter: []byte(`{"field": "year", "gte": 2026}`)}); fmt.Sprint(got) != "[https://example.org/a b?c=d]" {
		t.Errorf("a guest finds %q", got)
	}
	if _, err := stranger.SearchKnowledge(ctx, "handbook", api.Searched{Query: "hotels"}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a stranger: %v", err)
	}

	found, err := anna.SearchKnowledge(ctx, "handbook", api.Searched{Query: "booked office"})
	if err != nil || len(found.Passages) == 0 {
		t.Fatalf("%+v %v", found, err)
	}
	p := found.Passages[0]
	cite := knowledge.Citation{Knowledge: "handbook", Source: p.Source, Version: p.Version, Start: p.Start, End: p.End, Quote: p.Text}
	proof, err := anna.Citation(ctx, cite)
	if err != nil || !proof.Verified || string(proof.Bytes) != p.Text {
		t.Errorf("%+v %v", proof, err)
	}
	if _, err := bert.Citation(ctx, cite); !fault.Is(err, fault.NotFound) {
		t.Errorf("a guest and a citation: %v", err)
	}
	if _, err := bert.DocumentVersions(ctx, "handbook", p.Source); !fault.Is(err, fault.NotFound) {
		t.Errorf("a guest and the versions: %v", err)
	}
	if err := anna.RemoveDocument(ctx, "handbook", p.Source); !fault.Is(err, fault.Forbidden) {
		t.Errorf("who may search deletes: %v", err)
	}
	if err := librarian.RemoveDocument(ctx, "handbook", p.Source); err != nil {
		t.Fatal(err)
	}
	if got := find(anna, api.Searched{Query: "hotels"}); len(got) != 1 {
		t.Errorf("after the deletion %q", got)
	}
	if _, err := anna.Citation(ctx, cite); !fault.Is(err, fault.NotFound) {
		t.Errorf("a citation of what is deleted: %v", err)
	}
	if err := librarian.RemoveDocument(ctx, "handbook", "https://example.org/a b?c=d"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		st, err := librarian.Knowledge(ctx, "handbook")
		if err != nil {
			t.Fatal(err)
		}
		if st.Documents == 0 && st.Withdrawn == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("what was deleted is in the index: %+v", st)
		}
	}
}
