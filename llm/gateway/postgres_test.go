package gateway

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog/postgres"
)

// TestOnPostgres has three replicas on one PostgreSQL spend a budget between
// them, and reads what they did.
func TestOnPostgres(t *testing.T) {
	server := testserver.Postgres(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 0, 1), nil }}
	limited := func() *spec.LLM {
		s := budgeted(1)
		s.Limits = spec.LLMLimits{Requests: 1000, Tokens: 1e6}
		return s
	}
	clock := noon()
	var replicas []*lab
	for range 3 {
		replicas = append(replicas, labOn(t, db, clock, map[string]*fake{one: f}, limited()))
	}
	var made atomic.Int64
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			switch _, _, err := replicas[i%3].ask(as("ann"), "gpt", upTo(1)); {
			case err == nil:
				made.Add(1)
			case !fault.Is(err, fault.Limited):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n > 100 || n < 100-2*100/leasePart-3 {
		t.Errorf("%d calls of a cent came out of a dollar", n)
	}
	for _, l := range replicas {
		if err := l.books.flush(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	if b := bookOf(t, db, "default"); b.settled+b.spent != Money(made.Load())*cent {
		t.Errorf("the catalog has %+v after %d calls", b, made.Load())
	}
	l := replicas[0]
	for _, by := range []By{{}, {Day: true}, {LLM: true, Caller: true}} {
		spent, err := l.Spend(t.Context(), clock.Now(), by)
		if err != nil || len(spent) != 1 || spent[0].Cost != Money(made.Load())*cent || spent[0].Calls != 300 {
			t.Errorf("by %+v: %+v, %v", by, spent, err)
		}
	}
	calls, err := l.Calls(t.Context(), Select{LLM: "gpt", Caller: "ann", Limit: 10})
	if err != nil || len(calls) != 10 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	if next, err := l.Calls(t.Context(), Select{Before: calls[9].ID, Limit: 10}); err != nil || len(next) != 10 || next[0].ID >= calls[9].ID {
		t.Errorf("the next page begins with %+v, %v", next, err)
	}
	if s, err := l.Status(t.Context()); err != nil || s[0].Budget.Callers[0].Spent != Money(made.Load())*cent {
		t.Errorf("%+v, %v", s, err)
	}
	if err := l.Tidy(t.Context()); err != nil {
		t.Error(err)
	}
}
