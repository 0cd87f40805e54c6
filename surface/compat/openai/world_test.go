package openai_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/limit"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/store/catalog/sqlite"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/surface/compat/openai"
	"github.com/leat-ai/leat/surface/server"
)

// world is scripted assistants, language models and a knowledge behind a
// server.
type world struct {
	mu       sync.Mutex
	requests []llm.Request // that language models were asked
	asked    []knowledge.Question
	embeds   []llm.EmbedRequest
	searches []store.Search
	fails    map[string]int // by model: how many calls still fail
	closed   int            // streams
	gone     bool           // a part of an answer found nobody
	hidden   string         // the document that nobody may read any more
	goOn     chan struct{}  // what "wait for me" waits for, and "go on" says
}

// start serves a world.
func start(t testing.TB, auth server.Auth) (*world, *server.Server) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{fails: map[string]int{"flaky": 2, "flaky-js": 2}, goOn: make(chan struct{}, 1)}
	return w, serve(t, auth, openai.Services{Assistants: w, LLMs: w, Names: w, Searcher: w, Stores: w, Repeats: &knowledge.Repeats{Ledger: decide.NewLedger(db, clock.System{}, 0), Texts: w}})
}

// Text meets knowledge.Texts.
func (w *world) Text(_ context.Context, _, document, version string) ([]byte, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if document == w.hidden {
		return nil, "", fault.New(fault.NotFound, "no document %q", document)
	}
	return nil, version, nil
}

// hide takes a document away from everybody; "" gives it back.
func (w *world) hide(document string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hidden = document
}

// serve listens for services.
func serve(t testing.TB, auth server.Auth, services openai.Services) *server.Server {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Auth: auth}, keys{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	openai.Register(s, services)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
	return s
}

// keys knows one key that may ask all, and one that may ask nothing.
type keys struct{}

func (keys) Authenticate(_ context.Context, token string) (identity.Principal, error) {
	switch token {
	case "leat_all":
		return identity.Principal{Name: "ann", Grants: []string{"*:*"}}, nil
	case "leat_other":
		return identity.Principal{Name: "bob", Grants: []string{"ask:other", "chat:other", "search:other"}}, nil
	}
	return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not valid")
}

var since = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

var models = []openai.Model{
	{Kind: openai.Assistant, Name: "handbook", Description: "answers from the handbook", Since: since, Knowledge: []string{"docs"}},
	{Kind: openai.Assistant, Name: "twin", Since: since, Knowledge: []string{"other"}, LLM: "gpt"},
	{Kind: openai.Assistant, Name: "broken", Since: since, Knowledge: []string{"none"}},
	{Kind: openai.LLM, Name: "embedder", Since: since},
	{Kind: openai.LLM, Name: "flaky", Since: since},
	{Kind: openai.LLM, Name: "flaky-js", Since: since},
	{Kind: openai.LLM, Name: "gpt", Since: since},
	{Kind: openai.LLM, Name: "limited", Since: since},
	{Kind: openai.LLM, Name: "slow", Since: since},
	{Kind: openai.LLM, Name: "tools", Since: since},
	{Kind: openai.LLM, Name: "torn", Since: since},
	{Kind: openai.LLM, Name: "twin", Since: since},
}

func (w *world) All(context.Context) []openai.Model { return append([]openai.Model(nil), models...) }

func (w *world) Find(_ context.Context, kind openai.Kind, name string) (openai.Model, bool) {
	for _, m := range models {
		if m.Kind == kind && m.Name == name {
			return m, true
		}
	}
	return openai.Model{}, false
}

// stream gives deltas, and then an error.
type stream struct {
	w      *world
	deltas []llm.Delta
	end    error
	call   gateway.Call
}

func (s *stream) Next() (llm.Delta, error) {
	if len(s.deltas) == 0 {
		s.call.Duration = time.Millisecond
		s.call.Cost = 1_250_000
		return llm.Delta{}, s.end
	}
	d := s.deltas[0]
	s.deltas = s.deltas[1:]
	return d, nil
}

func (s *stream) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.closed++
	return nil
}

func (s *stream) Call() gateway.Call { return s.call }

var errTorn = fault.New(fault.Unavailable, "the provider's answer broke off")

// Chat answers by the name of the model.
func (w *world) Chat(ctx context.Context, name string, r llm.Request) (llm.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, r)
	call := gateway.Call{ID: "01CALL", LLM: name, Deployment: "openai://one/" + name, Model: name + "-2026", Attempts: 2,
		Usage: llm.Usage{Input: 7, CachedInput: 3, Output: 5, Reasoning: 1}, Limits: gateway.Limits{Requests: gateway.Quota{Limit: 60, Remaining: 59, Reset: time.Second}}}
	if w.fails[name] > 0 {
		w.fails[name]--
		refusal := &llm.Refusal{Status: 429, Code: "rate_limit_exceeded", Message: "too many", RetryAfter: 20 * time.Millisecond}
		return nil, &gateway.Failed{Call: call, Err: fault.New(fault.Limited, "the provider has too much to do").Because(refusal)}
	}
	s := &stream{w: w, end: io.EOF, call: call}
	switch name {
	case "limited":
		return nil, fault.New(fault.Limited, "over the limit of requests").Because(&limit.Later{Wait: 2 * time.Hour})
	case "torn":
		s.deltas, s.end = []llm.Delta{{ID: "chatcmpl-up", Text: "Half of "}}, errTorn
		return s, nil
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	case "tools":
		s.deltas = []llm.Delta{
			{ID: "chatcmpl-up", Model: "tools-2026", Calls: []llm.CallPart{{Index: 0, ID: "call_1", Name: "weather", Arguments: `{"city":`}}},
			{Calls: []llm.CallPart{{Index: 0, Arguments: `"Bern"}`}}},
			{Calls: []llm.CallPart{{Index: 1, ID: "call_2", Name: "time", Arguments: `{}`}}},
			{Finish: llm.FinishCalls},
		}
		return s, nil
	}
	usage := call.Usage
	text := "You said: " + r.Messages[len(r.Messages)-1].Text()
	half := len(text) / 2
	for choice := range max(r.N, 1) {
		s.deltas = append(s.deltas, llm.Delta{ID: "chatcmpl-up", Model: name + "-2026", Choice: choice, Text: text[:half], Extra: llm.Extra{"system_fingerprint": json.RawMessage(`"fp_1"`)}},
			llm.Delta{Choice: choice, Text: text[half:], MessageExtra: llm.Extra{"mood": json.RawMessage("{\n\"is\": \"calm\"}")}}, llm.Delta{Choice: choice, Finish: llm.FinishStop})
	}
	s.deltas = append(s.deltas, llm.Delta{Usage: &usage})
	return s, nil
}

// Embed makes vectors that say what they are of.
func (w *world) Embed(_ context.Context, name string, r llm.EmbedRequest) (llm.Embeddings, gateway.Call, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.embeds = append(w.embeds, r)
	if name != "embedder" {
		return llm.Embeddings{}, gateway.Call{}, fault.New(fault.Unsupported, "%s makes no vectors", name)
	}
	e := llm.Embeddings{Model: name}
	for _, text := range r.Inputs {
		e.Vectors = append(e.Vectors, []float32{float32(len(text)), 0.1, -2})
	}
	for _, tokens := range r.Tokens {
		e.Vectors = append(e.Vectors, []float32{float32(len(tokens)), 0.25, -2})
	}
	e.Usage.Input = len(e.Vectors)
	return e, gateway.Call{ID: "01EMBED", LLM: name, Usage: e.Usage, Cost: 7, Duration: time.Millisecond}, nil
}

const (
	first  = "Müller may fly in business class when the flight is longer than six hours [1]."
	second = "Trains are first class [2]."
)

// passages are what every question finds.
var passages = []knowledge.Passage{
	{ID: "rail.md#0", Knowledge: "docs", Source: "rail.md", Version: strings.Repeat("b", 64), Start: 0, End: 23, Title: "Rail", Text: "Trains are first class.", Score: 2},
	{ID: "travel/air.md#3", Knowledge: "docs", Source: "travel/air.md", Version: strings.Repeat("a", 64), Start: 10, End: 40, Title: "Air travel", Heading: "Travel > Air", URL: "https://intra.example/air", Text: "business class over six hours", Score: 1},
}

// citations are what every answer cites.
var citations = []knowledge.Citation{
	{Number: 1, Knowledge: "docs", Source: "travel/air.md", Version: strings.Repeat("a", 64), Start: 12, End: 30, Quote: "business class over", SHA256: strings.Repeat("c", 64), Passage: "travel/air.md#3", Title: "Air travel", Heading: "Travel > Air", URL: "https://intra.example/air", Verified: true},
	{Number: 2, Knowledge: "docs", Source: "rail.md", Version: strings.Repeat("b", 64), Start: 0, End: 22, Quote: "Trains are first class", SHA256: strings.Repeat("d", 64), Passage: "rail.md#0", Page: 4, Verified: true},
}

// Ask answers with two sentences.
func (w *world) Ask(_ context.Context, q knowledge.Question) (knowledge.Answer, error) {
	w.mu.Lock()
	w.asked = append(w.asked, q)
	w.mu.Unlock()
	text := first + " " + second
	a := knowledge.Answer{ID: "01DECISION", Release: "sha-of-release", Variant: "stable", Text: text, Query: "flights and trains", Model: "extractive", Input: 11, Output: 22, Cost: 0.5,
		Sentences: []knowledge.Sentence{{Start: 0, End: len(first), Supported: true, Citations: []int{1}}, {Start: len(first) + 1, End: len(text), Supported: true, Citations: []int{2}}},
		Citations: citations, Passages: passages}
	switch q.Text {
	case "be long":
		a.Finish = llm.FinishLength
	case "be bad":
		a.Finish = llm.FinishFilter
	}
	parts := []knowledge.Part{
		{Passages: passages},
		{Text: first, Sentence: &a.Sentences[0], Citations: citations[:1]},
		{Text: " "},
		{Text: second, Sentence: &a.Sentences[1], Citations: citations[1:]},
	}
	if q.Text == "fail at once" {
		return a, fault.New(fault.Unavailable, "nobody answers")
	}
	if q.Text == "go on" {
		w.goOn <- struct{}{}
	}
	if q.Emit == nil {
		return a, nil
	}
	for i, p := range parts {
		if q.Assistant == "broken" && i == 2 {
			return knowledge.Answer{}, errTorn
		}
		if err := q.Emit(p); err != nil {
			w.mu.Lock()
			w.gone = true
			w.mu.Unlock()
			return knowledge.Answer{}, err
		}
		switch {
		case q.Text == "slowly":
			pause()
		case q.Text == "wait for me" && i == 1:
			<-w.goOn
		}
	}
	return a, nil
}

// pause is long enough for what was sent to arrive.
func pause() { time.Sleep(30 * time.Millisecond) }

// Search finds passages of the store called docs.
func (w *world) Search(_ context.Context, s store.Search) (store.Found, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.searches = append(w.searches, s)
	if s.Knowledge != "docs" {
		return store.Found{}, fault.New(fault.NotFound, "no knowledge is called %q", s.Knowledge)
	}
	found := store.Found{Knowledge: "docs", Snapshot: "s1"}
	for i, p := range passages {
		found.Passages = append(found.Passages, store.Scored{Score: p.Score, URL: p.URL, Passage: index.Passage{ID: p.ID, Document: p.Source, Version: p.Version, Start: p.Start, End: p.End, Title: p.Title,
			Heading: p.Heading, Text: p.Text, Fields: []index.Field{{Name: "team", Value: index.Text("staff")}, {Name: "year", Value: index.Integer(int64(2025 + i))}, {Name: "team", Value: index.Text("law")}}}})
	}
	found.Passages = found.Passages[:min(len(found.Passages), s.K)]
	return found, nil
}

func (w *world) Stores(context.Context) ([]openai.Store, error) {
	return []openai.Store{{Name: "docs", Since: since, Documents: 2, Failed: 1, Bytes: 100, Ready: true}, {Name: "other", Since: since}}, nil
}

// post sends a body and returns the whole answer.
func post(t testing.TB, s *server.Server, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return send(t, r, headers...)
}

func get(t testing.TB, s *server.Server, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, r, headers...)
}

func send(t testing.TB, r *http.Request, headers ...string) (*http.Response, string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// object reads JSON.
func object(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// at walks into JSON: names of members, and numbers of elements.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// frames divides a stream of events into the JSON of each, and tells whether
// it ended in [DONE].
func framesOf(t testing.TB, body string) (frames []map[string]any, done bool) {
	t.Helper()
	for _, f := range strings.SplitAfter(body, "\n\n") {
		if f == "" {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(f, "\n\n"), "\n")
		data, ok := strings.CutPrefix(lines[len(lines)-1], "data: ")
		if !ok || !strings.HasSuffix(f, "\n\n") || len(lines) > 2 {
			t.Fatalf("this is no frame: %q", f)
		}
		if done {
			t.Fatalf("a frame after the end: %q", f)
		}
		if data == "[DONE]" {
			done = true
			continue
		}
		v := object(t, data)
		if len(lines) == 2 && lines[0] != fmt.Sprint("event: ", v["type"]) {
			t.Errorf("%q is of the type %v", lines[0], v["type"])
		}
		frames = append(frames, v)
	}
	return frames, done
}
