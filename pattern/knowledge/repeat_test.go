package knowledge_test

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// An answer is given again while its sources may be read, and not after: also
// those that it was only made from and does not cite.
func TestAnAnswerIsRepeatedWhileItsSourcesMayBeRead(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	const text = "How much does the director of sales earn, and when may she fly business class?"
	for name, change := range map[string]struct {
		groups []string // of who asks again
		lose   func(s *shelf, cited string)
		gone   bool
	}{
		"unchanged":           {groups: []string{"hr"}},
		"another document":    {groups: []string{"hr"}, lose: func(s *shelf, _ string) { s.remove("hotels.md") }},
		"withdrawn":           {groups: []string{"hr"}, lose: func(s *shelf, cited string) { s.remove(cited) }, gone: true},
		"no longer in groups": {gone: true},
		"the source only listed": {groups: []string{"hr"}, gone: true, lose: func(s *shelf, cited string) {
			s.remove(map[string]string{"salaries.md": "travel.md", "travel.md": "salaries.md"}[cited])
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, travel(), nil, nil)
			repeats := &knowledge.Repeats{Ledger: decide.NewLedger(db, clock.System{}, 0), Texts: w.shelf}
			asked := 0
			ask := func(groups ...string) (knowledge.Answer, bool, error) {
				return repeats.Ask(as(t.Context(), "ann", groups...), decide.Claim{Endpoint: "help", Principal: "ann", Key: name}, func(ctx context.Context) (knowledge.Answer, error) {
					asked++
					a, _, err := w.ask(ctx, text)
					a.Citations = a.Citations[:1] // the other source is listed alone
					return a, err
				})
			}
			one, again, err := ask("hr")
			if err != nil || again {
				t.Fatal(again, err)
			}
			sources := map[string]bool{}
			for _, p := range one.Passages {
				sources[p.Source] = true
			}
			if !sources["salaries.md"] || !sources["travel.md"] || sources["hotels.md"] {
				t.Fatal(sources)
			}
			if change.lose != nil {
				change.lose(w.shelf, one.Citations[0].Source)
			}
			two, again, err := ask(change.groups...)
			switch {
			case asked != 1:
				t.Errorf("asked %d times", asked)
			case change.gone && (!fault.Is(err, fault.Conflict) || !reflect.DeepEqual(two, knowledge.Answer{})):
				t.Errorf("%+v, %v", two, err)
			case !change.gone && (err != nil || !again || !reflect.DeepEqual(two, one)):
				t.Errorf("%+v\n%+v, %v", one, two, err)
			}
		})
	}
}

// A check that cannot be made is no permission, and no loss either.
func TestAnAnswerIsNotRepeatedUnchecked(t *testing.T) {
	stored := `{"Passages":[{"knowledge":"docs","source":"a.md","version":"v"}]}`
	down := fault.New(fault.Unavailable, "the index is down")
	r := &knowledge.Repeats{Ledger: kept(stored), Texts: broken{down}}
	if a, again, err := r.Ask(t.Context(), decide.Claim{}, nil); !fault.Is(err, fault.Unavailable) || again || len(a.Passages) > 0 {
		t.Errorf("%+v, %v, %v", a, again, err)
	}
	r.Ledger = kept(strings.TrimSuffix(stored, "}"))
	if _, _, err := r.Ask(t.Context(), decide.Claim{}, nil); !fault.Is(err, fault.Corrupt) {
		t.Error(err)
	}
}

// kept is a ledger that has an answer.
type kept string

func (k kept) Once(context.Context, decide.Claim, func(context.Context) ([]byte, error)) ([]byte, bool, error) {
	return []byte(k), true, nil
}

type broken struct{ err error }

func (b broken) Text(context.Context, string, string, string) ([]byte, string, error) {
	return nil, "", b.err
}
