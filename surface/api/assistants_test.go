package api_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/store/catalog/sqlite"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/server"
)

const said = "Trains are first class [1]."

// library is an assistant with one source.
type library struct {
	asked     int
	withdrawn bool
}

func (*library) Assistants() []api.Assistant { return nil }

func (l *library) Ask(_ context.Context, q knowledge.Question) (knowledge.Answer, error) {
	l.asked++
	a := knowledge.Answer{ID: "01DECISION", Text: said, Sentences: []knowledge.Sentence{{End: len(said), Supported: true, Citations: []int{1}}},
		Passages:  []knowledge.Passage{{Knowledge: "docs", Source: "rail.md", Version: "b", Text: "Trains are first class."}},
		Citations: []knowledge.Citation{{Number: 1, Knowledge: "docs", Source: "rail.md", Version: "b", Quote: "Trains are first class", Verified: true}}}
	if l.withdrawn {
		a = knowledge.Answer{ID: "01LATER", Text: "Nothing is known.", Abstained: true}
	}
	return a, a.Replay(q.Emit)
}

func (l *library) Text(context.Context, string, string, string) ([]byte, string, error) {
	if l.withdrawn {
		return nil, "", fault.New(fault.NotFound, "no document")
	}
	return nil, "", nil
}

func newLibrary(t *testing.T) (*library, *server.Server) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{}, nil, tel)
	if err != nil {
		t.Fatal(err)
	}
	l := &library{}
	api.New(s, api.Services{Version: "test", Assistants: l, Repeats: &knowledge.Repeats{Ledger: decide.NewLedger(db, clock.System{}, 0), Texts: l}})
	return l, s
}

func TestAQuestionIsAskedOnceUnderItsKey(t *testing.T) {
	for _, accept := range []string{"application/json", "text/event-stream"} {
		t.Run(accept, func(t *testing.T) {
			l, s := newLibrary(t)
			question := func(p identity.Principal, body, key string) (code int, text string, again bool) {
				w, _ := ask(t, s, p, "POST", "/v1/assistants/help/ask", body, api.IdempotencyKey, key, "Accept", accept)
				return w.Code, w.Body.String(), w.Header().Get("Idempotent-Replayed") == "true"
			}
			const body = `{"question":"trains?"}`
			code, one, again := question(root, body, "k")
			if code != http.StatusOK || !strings.Contains(one, said) || again {
				t.Fatalf("%d %s", code, one)
			}
			if code, two, again := question(root, body, "k"); code != http.StatusOK || two != one || !again || l.asked != 1 {
				t.Errorf("asked %d times, again %v: %d %s", l.asked, again, code, two)
			}
			if code, text, _ := question(root, `{"question":"planes?"}`, "k"); code != http.StatusConflict {
				t.Errorf("another question under the key: %d %s", code, text)
			}
			if _, _, again := question(identity.Principal{Name: "ann", Grants: []string{"ask:*"}}, body, "k"); again || l.asked != 2 {
				t.Errorf("another's answer was given, %d asked", l.asked)
			}
			l.withdrawn = true
			if code, text, _ := question(root, body, "k"); code != http.StatusConflict || strings.Contains(text, "Trains") || !strings.Contains(text, "withdrawn") || l.asked != 2 {
				t.Errorf("a withdrawn source: %d %s", code, text)
			}
			if code, text, _ := question(root, body, "new"); code != http.StatusOK || !strings.Contains(text, "01LATER") {
				t.Errorf("a new key: %d %s", code, text)
			}
		})
	}
}
