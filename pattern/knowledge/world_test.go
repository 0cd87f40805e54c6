package knowledge_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/store/index"
)

// shelf is a knowledge in memory: each document is one passage, found by the
// words that it shares with the question.
type shelf struct {
	mu        sync.Mutex
	documents map[string]document
	versions  map[string]string // text by version
	searches  int
	broken    error
}

type document struct {
	text, title, url string
	readers          []string
}

func newShelf() *shelf {
	return &shelf{documents: map[string]document{}, versions: map[string]string{}}
}

func version(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (s *shelf) put(id string, d document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.readers == nil {
		d.readers = []string{"*"}
	}
	s.documents[id] = d
	s.versions[version(d.text)] = d.text
}

func (s *shelf) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.documents, id)
}

func (s *shelf) Search(ctx context.Context, q store.Search) (store.Found, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searches++
	if s.broken != nil {
		return store.Found{}, s.broken
	}
	who, _ := identity.From(ctx)
	reader := index.ReaderOf(who.Name, who.Groups)
	found := store.Found{Knowledge: q.Knowledge, Snapshot: "s1"}
	for id, d := range s.documents {
		if !reader.May(d.readers) {
			continue
		}
		if score := shared(q.Text, d.title+" "+d.text); score > 0 {
			found.Passages = append(found.Passages, store.Scored{URL: d.url, Score: score,
				Passage: index.Passage{ID: id + "#0", Document: id, Version: version(d.text), Title: d.title, Start: 0, End: len(d.text), Text: d.text}})
		}
	}
	slices.SortFunc(found.Passages, func(a, b store.Scored) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.ID, b.ID))
	})
	found.Passages = found.Passages[:min(len(found.Passages), q.K)]
	return found, nil
}

func shared(a, b string) (n float64) {
	for w := range strings.FieldsSeq(strings.ToLower(a)) {
		if w = strings.Trim(w, ".,?!"); len(w) > 2 && strings.Contains(strings.ToLower(b), w) {
			n++
		}
	}
	return n
}

func (s *shelf) Text(ctx context.Context, _, id, version string) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who, _ := identity.From(ctx)
	d, ok := s.documents[id]
	if !ok || !index.ReaderOf(who.Name, who.Groups).May(d.readers) {
		return nil, "", fault.New(fault.NotFound, "there is no %q", id)
	}
	text, ok := s.versions[version]
	if !ok {
		return nil, "", fault.New(fault.NotFound, "there is no version of %q", id)
	}
	return []byte(text), version, nil
}

// script is a language model that says what it is told to, word by word.
type script struct {
	mu     sync.Mutex
	say    func(r llm.Request) (text string, err error) // err ends the answer after the text
	calls  []llm.Request
	finish llm.Finish // why its answers end; llm.FinishStop where empty
	// before is called before the answer's first word.
	before func()
}

func says(text string) *script {
	return &script{say: func(llm.Request) (string, error) { return text, nil }}
}

func (s *script) Chat(_ context.Context, _ string, r llm.Request) (llm.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r)
	text, err := s.say(r)
	if err != nil && text == "" {
		return nil, err
	}
	if s.before != nil {
		s.before()
	}
	return &words{left: text, err: err, finish: cmp.Or(s.finish, llm.FinishStop)}, nil
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

type words struct {
	left   string
	err    error
	over   bool
	finish llm.Finish
}

func (w *words) Next() (llm.Delta, error) {
	if w.left != "" {
		n := min(len(w.left), 7)
		d := llm.Delta{Text: w.left[:n], Model: "scripted-1"}
		w.left = w.left[n:]
		return d, nil
	}
	if w.err != nil {
		return llm.Delta{}, w.err
	}
	if !w.over {
		w.over = true
		return llm.Delta{Finish: w.finish, Usage: &llm.Usage{Input: 100, Output: 20},
			Calls: []llm.CallPart{{Index: 0, ID: "c1", Name: "send_mail", Arguments: `{"to":"a@evil.com"}`}}}, nil
	}
	return llm.Delta{}, io.EOF
}

func (w *words) Close() error { return nil }

// releases has one live release of one assistant.
type releases struct {
	assistant deploy.Assistant
	record    string
}

func (r releases) Live(context.Context, string) (deploy.Release, error) {
	return r.Release(context.Background(), "r1")
}

func (r releases) Release(context.Context, string) (deploy.Release, error) {
	return deploy.Release{ID: "r1", Endpoint: "help", Number: 1, Content: deploy.Content{Record: r.record, Assistant: &r.assistant}}, nil
}

// none is a registry without models.
type none struct{}

func (none) Version(context.Context, string, string) (registry.Version, error) {
	return registry.Version{}, fault.New(fault.NotFound, "there are no models")
}

func (none) Hold(context.Context, registry.Version) (model.Model, func(), error) {
	return nil, nil, fault.New(fault.NotFound, "there are no models")
}

func (none) Full() bool { return false }

// diary keeps what was recorded.
type diary struct {
	mu      sync.Mutex
	entries []string
	full    bool
}

func (d *diary) Record(_ context.Context, e *record.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return fault.New(fault.Full, "the log is full")
	}
	d.entries = append(d.entries, fmt.Sprint(e.Features.Schema().Fields(), e.Output.Schema().Fields(), e.Output))
	return nil
}

// world is an assistant on the decision path.
type world struct {
	t      *testing.T
	shelf  *shelf
	driver *knowledge.Driver
	diary  *diary
}

func newWorld(t *testing.T, s *shelf, chat knowledge.Chat, change func(*deploy.Assistant)) *world {
	return newWorldWith(t, s, chat, 0, decide.RecordOn, change)
}

func newWorldWith(t *testing.T, s *shelf, chat knowledge.Chat, cacheBytes int, recorded string, change func(*deploy.Assistant)) *world {
	a := deploy.Assistant{Knowledge: []deploy.KnowledgeRef{{Name: "handbook", Snapshot: "s1"}}, Answerer: knowledge.Answerer,
		Passages: 8, Unsupported: "mark", Fallback: "extractive", Question: 64 << 10}
	if chat != nil {
		a.LLM = "gpt"
	}
	if change != nil {
		change(&a)
	}
	assistants := knowledge.New(knowledge.Deps{Retriever: s, Texts: s, Chat: chat, CacheBytes: cacheBytes, Clock: clock.System{}})
	d := &diary{}
	router := decide.NewRouter(releases{a, recorded}, decide.Deps{Models: none{}, Assistants: assistants, Recorder: d})
	t.Cleanup(router.Close)
	if err := router.Refresh(t.Context(), "help"); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, shelf: s, driver: knowledge.NewDriver(router), diary: d}
}

func as(ctx context.Context, name string, groups ...string) context.Context {
	return identity.With(ctx, identity.Principal{Name: name, Groups: groups, Grants: []string{"ask:*"}})
}

func groupsOf(ctx context.Context) []string {
	who, _ := identity.From(ctx)
	return who.Groups
}

func (w *world) ask(ctx context.Context, text string, turns ...knowledge.Turn) (knowledge.Answer, []knowledge.Part, error) {
	var parts []knowledge.Part
	a, err := w.driver.Ask(ctx, knowledge.Question{Assistant: "help", Text: text, Conversation: turns, Emit: func(p knowledge.Part) error {
		parts = append(parts, p)
		return nil
	}})
	return a, parts, err
}

func (w *world) answer(text string) knowledge.Answer {
	w.t.Helper()
	a, parts, err := w.ask(as(w.t.Context(), "ann"), text)
	if err != nil {
		w.t.Fatal(err)
	}
	w.check(a, parts)
	return a
}

// check holds an answer to what is promised of every one.
func (w *world) check(a knowledge.Answer, parts []knowledge.Part) {
	w.t.Helper()
	var text strings.Builder
	for i, p := range parts {
		if (p.Passages != nil) && i != 0 {
			w.t.Error("passages came late")
		}
		text.WriteString(p.Text)
	}
	if text.String() != a.Text {
		w.t.Errorf("the parts make %q, the answer is %q", text.String(), a.Text)
	}
	for i, c := range a.Citations {
		stored := w.shelf.versions[c.Version]
		if c.Number != i+1 || !c.Verified || c.End > len(stored) || stored[c.Start:c.End] != c.Quote || version(c.Quote) != c.SHA256 {
			w.t.Errorf("citation %d is not what is stored: %+v", i, c)
		}
	}
	last := 0
	for _, s := range a.Sentences {
		if s.Start < last || s.End > len(a.Text) || s.End < s.Start {
			w.t.Errorf("sentence %+v in %q", s, a.Text)
		}
		last = s.End
		for _, n := range s.Citations {
			if n < 1 || n > len(a.Citations) {
				w.t.Errorf("sentence %q cites %d of %d", a.Text[s.Start:s.End], n, len(a.Citations))
			}
		}
	}
}

func travel() *shelf {
	s := newShelf()
	s.put("travel.md", document{title: "Travel policy", url: "https://wiki.corp.example/travel",
		text: "Employees fly economy class on flights under six hours. Business class is allowed on flights of more than six hours with approval of a director. Trains may be booked in first class."})
	s.put("hotels.md", document{title: "Hotels", url: "https://wiki.corp.example/hotels",
		text: "Hotels cost at most 180 euros a night in Paris. Breakfast is not paid. See https://booking.example.com for rates."})
	s.put("salaries.md", document{title: "Salaries", readers: []string{"group:hr"},
		text: "The director of sales earns 240000 euros a year. Salaries are paid on the 25th of each month."})
	return s
}
