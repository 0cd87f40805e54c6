package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// turning is a clock that a test turns.
type turning struct {
	mu  sync.Mutex
	now time.Time
}

func (c *turning) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *turning) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// noon keeps what is tested within one span of a budget.
func noon() *turning { return &turning{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

type callerKey struct{}

// as returns a context in which somebody asks.
func as(name string, groups ...string) context.Context {
	return context.WithValue(context.Background(), callerKey{}, Caller{Name: name, Groups: groups, May: func(verb, _ string) bool { return verb == "chat" }})
}

func who(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// fake is a provider whose answers a test scripts: by the number of the call,
// from 0.
type fake struct {
	script func(n int, r llm.Request) (llm.Stream, error)
	embed  func(n int, r llm.EmbedRequest) (llm.Embeddings, error)
	rerank func(n int, r llm.RerankRequest) (llm.Ranking, error)
	calls  atomic.Int64
	closed atomic.Bool
}

func (f *fake) next() int { return int(f.calls.Add(1)) - 1 }

func (f *fake) Chat(ctx context.Context, r llm.Request) (llm.Stream, error) {
	s, err := f.script(f.next(), r)
	if p, ok := s.(*pieces); ok {
		p.ctx = ctx
	}
	return s, err
}

func (f *fake) Embed(_ context.Context, r llm.EmbedRequest) (llm.Embeddings, error) {
	return f.embed(f.next(), r)
}

func (f *fake) Rerank(_ context.Context, r llm.RerankRequest) (llm.Ranking, error) {
	return f.rerank(f.next(), r)
}

func (f *fake) provider() Provider {
	p := Provider{Close: func() error { f.closed.Store(true); return nil }}
	if f.script != nil {
		p.Chat = f
	}
	if f.embed != nil {
		p.Embedder = f
	}
	if f.rerank != nil {
		p.Reranker = f
	}
	return p
}

// pieces is a stream of some pieces that ends as a test says.
type pieces struct {
	ctx  context.Context
	list []llm.Delta
	end  error
	gate <-chan struct{} // before the second piece; nil: none
	at   int
}

func (p *pieces) Next() (llm.Delta, error) {
	if p.at == 1 && p.gate != nil {
		select {
		case <-p.gate:
		case <-p.ctx.Done():
			return llm.Delta{}, fault.Wrap(p.ctx.Err(), fault.KindOf(p.ctx.Err()), "the answer")
		}
	}
	if p.at < len(p.list) {
		p.at++
		return p.list[p.at-1], nil
	}
	return llm.Delta{}, p.end
}

func (p *pieces) Close() error { return nil }

// says is a whole answer with a usage.
func says(text string, in, out int) *pieces {
	return &pieces{end: io.EOF, list: []llm.Delta{
		{Text: text, Model: "m"}, {Finish: llm.FinishStop}, {Usage: &llm.Usage{Input: in, Output: out}},
	}}
}

// refused is what a provider says instead of an answer.
func refused(kind fault.Kind, status int, after time.Duration, final bool) error {
	return fault.New(kind, "the language model answers %d", status).
		Because(&llm.Refusal{Status: status, RetryAfter: after, Final: final, Message: "no"})
}

// lab is a gateway with fake providers, by their addresses.
type lab struct {
	*Gateway
	t       testing.TB
	clock   *turning
	db      *catalog.DB
	places  map[string]*fake
	records *recorder
}

type recorder struct {
	mu      sync.Mutex
	entries []Entry
	err     error
}

func (r *recorder) Record(_ context.Context, e Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
	return r.err
}

func newLab(t testing.TB, places map[string]*fake, list ...*spec.LLM) *lab {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return labOn(t, db, noon(), places, list...)
}

func labOn(t testing.TB, db *catalog.DB, clock *turning, places map[string]*fake, list ...*spec.LLM) *lab {
	t.Helper()
	l := &lab{t: t, db: db, places: places, clock: clock, records: &recorder{}}
	var err error
	l.Gateway, err = New(t.Context(), Deps{
		DB: db, Space: "default", Who: who, Clock: clock, Log: slog.New(slog.DiscardHandler), Recorder: l.records,
		Open: func(_ context.Context, d Deployment) (Provider, error) {
			f, ok := places[d.At]
			if !ok {
				return Provider{}, fault.New(fault.NotFound, "nobody is at %s", d.At)
			}
			return f.provider(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if err := spec.Validate(s); err != nil {
			t.Fatal(err)
		}
	}
	l.Converge(list)
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return l
}

// at names deployments by addresses.
func at(names ...string) []spec.LLMDeployment {
	var list []spec.LLMDeployment
	for _, n := range names {
		list = append(list, spec.LLMDeployment{At: n})
	}
	return list
}

const (
	one   = "openai://one.example/m"
	two   = "openai://two.example/m"
	three = "openai://three.example/m"
)

func hello() llm.Request {
	return llm.Request{Messages: []llm.Message{llm.Text(llm.User, "hello")}, Stream: true}
}

// ask reads an answer to its end.
func (l *lab) ask(ctx context.Context, name string, r llm.Request) (string, Call, error) {
	l.t.Helper()
	s, err := l.Chat(ctx, name, r)
	if err != nil {
		failed, ok := errors.AsType[*Failed](err)
		if ok {
			return "", failed.Call, err
		}
		return "", Call{}, err
	}
	a, err := llm.Collect(s)
	c, _ := CallOf(s)
	return a.Text(), c, err
}

func TestAnswer(t *testing.T) {
	l := newLab(t, map[string]*fake{one: {script: func(_ int, r llm.Request) (llm.Stream, error) {
		if r.Model != "" || r.MaxTokens != 0 {
			return nil, fmt.Errorf("asked %+v", r)
		}
		return says("good day", 7, 3), nil
	}}}, &spec.LLM{Name: "gpt", Deployments: at(one), Price: &spec.LLMPrice{Input: 0.25, Output: 2}})
	text, c, err := l.ask(as("ann"), "gpt", hello())
	if err != nil || text != "good day" {
		t.Fatal(text, err)
	}
	if c.Cost.String() != "0.00000775" || c.Usage.Input != 7 || c.Deployment != one || c.Served != "gpt" || c.Attempts != 1 || c.Finish != llm.FinishStop {
		t.Errorf("%+v", c)
	}
	found, err := l.Find(t.Context(), c.ID)
	c.Limits = Limits{}
	if err != nil || found.Cost != c.Cost || found.Caller != "ann" || found.Model != "m" {
		t.Errorf("%+v, %v", found, err)
	}
	spent, err := l.Spend(t.Context(), l.clock.Now(), By{LLM: true, Caller: true})
	if err != nil || len(spent) != 1 || spent[0].Cost != c.Cost || spent[0].Caller != "ann" || spent[0].Calls != 1 {
		t.Errorf("%+v, %v", spent, err)
	}
	if err := l.books.flush(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if e := l.records.entries; len(e) != 1 || e[0].Question != `[{"role":"user","text":"hello"}]` || e[0].Answer != "good day" {
		t.Errorf("recorded %+v", e)
	}
}

func TestWhoMay(t *testing.T) {
	l := newLab(t, map[string]*fake{one: {script: func(int, llm.Request) (llm.Stream, error) { return says("x", 1, 1), nil }}},
		&spec.LLM{Name: "gpt", Deployments: at(one), Allow: []string{"staff"}})
	for _, c := range []struct {
		name string
		ctx  context.Context
		llm  string
		want fault.Kind
	}{
		{"nobody", context.Background(), "gpt", fault.Forbidden},
		{"another group", as("ann", "guests"), "gpt", fault.Forbidden},
		{"the group", as("ann", "staff"), "gpt", ""},
		{"an assistant", Via(context.Background(), "assistant/handbook"), "gpt", ""},
		{"an unknown name", as("ann", "staff"), "gtp", fault.NotFound},
		{"an address", as("ann", "staff"), one, fault.NotFound},
		{"an address of an assistant", Via(as("ann"), "assistant/handbook"), one, ""},
		{"nobody's address", Via(as("ann"), "assistant/handbook"), two, fault.Unavailable},
	} {
		if _, _, err := l.ask(c.ctx, c.llm, hello()); fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, not %s", c.name, err, c.want)
		}
	}
	if list := l.Models(as("ann", "staff")); len(list) != 1 || list[0].Name != "gpt" {
		t.Errorf("%+v", list)
	}
	if list := l.Models(as("ann")); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestFallback(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		text     string
		why      string
		kind     fault.Kind
		attempts int
	}{
		{"unavailable", fault.New(fault.Unavailable, "reset"), "small", "unavailable", "", 3},
		{"not there", refused(fault.NotFound, 404, 0, true), "small", "unavailable", "", 3},
		{"too long", refused(fault.TooLarge, 400, 0, true), "small", "context", "", 2},
		{"filtered", refused(fault.Rejected, 400, 0, true), "small", "filter", "", 2},
		{"wrong", refused(fault.Invalid, 400, 0, true), "", "", fault.Invalid, 1},
		{"wrong, and to be tried again", refused(fault.Invalid, 400, 0, false), "small", "unavailable", "", 3},
		{"our key", refused(fault.Unavailable, 403, 0, true), "small", "unavailable", "", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := func(int, llm.Request) (llm.Stream, error) { return nil, c.err }
			l := newLab(t, map[string]*fake{one: {script: broken}, two: {script: broken}, three: {script: func(int, llm.Request) (llm.Stream, error) { return says("small", 1, 1), nil }}},
				&spec.LLM{Name: "gpt", Deployments: at(one, two), Fallback: []string{"small"}, Attempts: 2},
				&spec.LLM{Name: "small", Deployments: at(three)})
			text, call, err := l.ask(as("ann"), "gpt", hello())
			if fault.KindOf(err) != c.kind || text != c.text || call.Fallback != c.why || call.Attempts != c.attempts {
				t.Errorf("%q, %+v, %v", text, call, err)
			}
			if c.kind == "" && (call.Served != "small" || call.Deployment != three || call.LLM != "gpt") {
				t.Errorf("%+v", call)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	f := &fake{script: func(n int, _ llm.Request) (llm.Stream, error) {
		if n == 0 {
			return nil, refused(fault.Limited, 429, 30*time.Second, false)
		}
		return says("x", 1, 1), nil
	}}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one)})
	_, c, err := l.ask(as("ann"), "gpt", hello())
	if !fault.Is(err, fault.Limited) || llm.RetryAfter(err) != 30*time.Second || c.Attempts != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	// While the provider asked not to be called it is not.
	_, c, err = l.ask(as("ann"), "gpt", hello())
	if !fault.Is(err, fault.Unavailable) || c.Attempts != 0 || f.calls.Load() != 1 || llm.RetryAfter(err) != 30*time.Second {
		t.Fatalf("%+v, %v after %s", c, err, llm.RetryAfter(err))
	}
	l.clock.turn(31 * time.Second)
	if text, _, err := l.ask(as("ann"), "gpt", hello()); err != nil || text != "x" {
		t.Fatal(err)
	}
}

func TestCooldown(t *testing.T) {
	bad := &fake{script: func(int, llm.Request) (llm.Stream, error) { return nil, fault.New(fault.Unavailable, "500") }}
	good := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 1, 1), nil }}
	l := newLab(t, map[string]*fake{one: bad, two: good}, &spec.LLM{Name: "gpt", Deployments: at(one, two)})
	for range 200 {
		if _, _, err := l.ask(as("ann"), "gpt", hello()); err != nil {
			t.Fatal(err)
		}
	}
	if n := bad.calls.Load(); n != coolAfter {
		t.Errorf("a deployment that fails was asked %d times", n)
	}
	// After the pause one call at a time tries.
	l.clock.turn(10 * time.Second)
	for range 100 {
		if _, _, err := l.ask(as("ann"), "gpt", hello()); err != nil {
			t.Fatal(err)
		}
	}
	if n := bad.calls.Load(); n != coolAfter+1 {
		t.Errorf("a deployment that fails was asked %d times after its pause", n-coolAfter)
	}
	s, err := l.Status(as("ann"))
	if err != nil || s[0].Deployments[0].State != "cooling" || s[0].Deployments[1].State != "ready" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestRetriesHaveABudget(t *testing.T) {
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) { return nil, refused(fault.Invalid, 409, 0, false) }}
	l := newLab(t, map[string]*fake{one: f, two: f, three: f}, &spec.LLM{Name: "gpt", Deployments: at(one, two, three), Attempts: 3})
	const calls = 200
	for range calls {
		if _, _, err := l.ask(as("ann"), "gpt", hello()); err == nil {
			t.Fatal("it worked")
		}
	}
	if n := f.calls.Load(); n > calls+retryMost+retryShare*calls+1 {
		t.Errorf("%d attempts for %d calls", n, calls)
	}
}

func TestNothingIsTriedAgainAfterTheFirstByte(t *testing.T) {
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) {
		return &pieces{list: []llm.Delta{{}, {Text: "half"}}, end: fault.New(fault.Unavailable, "reset")}, nil
	}}
	l := newLab(t, map[string]*fake{one: f, two: f}, &spec.LLM{Name: "gpt", Deployments: at(one, two), Fallback: []string{"small"}},
		&spec.LLM{Name: "small", Deployments: at(two)})
	text, c, err := l.ask(as("ann"), "gpt", hello())
	if text != "half" || !fault.Is(err, fault.Unavailable) || err == io.EOF || f.calls.Load() != 1 || c.Error != "unavailable" || !c.Estimated || c.Usage.Output == 0 {
		t.Errorf("%q, %+v, %v", text, c, err)
	}
	// Before it, it is.
	g := &fake{script: func(n int, _ llm.Request) (llm.Stream, error) {
		if n == 0 {
			return &pieces{list: []llm.Delta{{Model: "m"}}, end: fault.New(fault.Unavailable, "reset")}, nil
		}
		return says("whole", 1, 1), nil
	}}
	l = newLab(t, map[string]*fake{one: g}, &spec.LLM{Name: "gpt", Deployments: at(one)})
	if text, c, err := l.ask(as("ann"), "gpt", hello()); text != "whole" || err != nil || c.Attempts != 2 {
		t.Errorf("%q, %+v, %v", text, c, err)
	}
}

func TestFirstTokenTimeout(t *testing.T) {
	never := make(chan struct{})
	slow := &fake{script: func(int, llm.Request) (llm.Stream, error) {
		return &pieces{list: []llm.Delta{{}, {Text: "late"}}, gate: never, end: io.EOF}, nil
	}}
	quick := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 1, 1), nil }}
	zero := 0
	l := newLab(t, map[string]*fake{one: slow, two: quick}, &spec.LLM{Name: "gpt",
		Deployments: []spec.LLMDeployment{{At: one}, {At: two, Weight: &zero}}, Timeouts: spec.LLMTimeouts{First: spec.Duration(30 * time.Millisecond)}, Fallback: []string{"other"}},
		&spec.LLM{Name: "other", Deployments: at(two)})
	text, c, err := l.ask(as("ann"), "gpt", hello())
	if text != "x" || err != nil {
		t.Errorf("%q, %+v, %v", text, c, err)
	}
}

func TestHangUp(t *testing.T) {
	gate := make(chan struct{})
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) {
		return &pieces{list: []llm.Delta{{Text: strings.Repeat("a", 400)}, {Text: "more"}}, gate: gate, end: io.EOF}, nil
	}}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one), Price: &spec.LLMPrice{Input: 1, Output: 1}, Budget: spec.LLMBudget{USD: 1}})
	s, err := l.Chat(as("ann"), "gpt", hello())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c, _ := CallOf(s)
	if c.Error != "canceled" || !c.Estimated || c.Usage.Output != 100 || c.Cost == 0 {
		t.Errorf("%+v", c)
	}
	if spent, reserved := l.sum("gpt"); spent != c.Cost || reserved != 0 {
		t.Errorf("%s spent, %s reserved", spent, reserved)
	}
}

// sum adds up what is spent and reserved of a budget, here and in the catalog.
func (l *lab) sum(name string) (spent, reserved Money) {
	l.t.Helper()
	list, err := l.Status(as("ann"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, s := range list {
		if s.Name == name && s.Budget != nil {
			for _, b := range s.Budget.Callers {
				spent, reserved = spent+b.Spent, reserved+b.Reserved
			}
		}
	}
	return spent, reserved
}

func TestRecordRequired(t *testing.T) {
	l := newLab(t, map[string]*fake{one: {script: func(int, llm.Request) (llm.Stream, error) { return says("x", 1, 1), nil }}},
		&spec.LLM{Name: "gpt", Deployments: at(one), Record: "required"})
	l.records.err = fault.New(fault.Full, "no space")
	if _, _, err := l.ask(as("ann"), "gpt", hello()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an answer without a record: %v", err)
	}
	l.records.err = nil
	if _, _, err := l.ask(as("ann"), "gpt", hello()); err != nil || !l.records.entries[1].Required {
		t.Error(err)
	}
}

func TestCache(t *testing.T) {
	f := &fake{
		script: func(n int, _ llm.Request) (llm.Stream, error) { return says(fmt.Sprint("answer ", n), 5, 5), nil },
		embed: func(_ int, r llm.EmbedRequest) (llm.Embeddings, error) {
			e := llm.Embeddings{Model: "m", Usage: llm.Usage{Input: len(r.Inputs)}}
			for _, s := range r.Inputs {
				e.Vectors = append(e.Vectors, []float32{float32(len(s))})
			}
			return e, nil
		},
	}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one), Cache: spec.Duration(time.Minute), Price: &spec.LLMPrice{Input: 1, Output: 1}})
	first, c1, _ := l.ask(as("ann"), "gpt", hello())
	again, c2, err := l.ask(as("ann"), "gpt", hello())
	if first != again || err != nil || !c2.Cached || c2.Cost != 0 || c1.Cost == 0 {
		t.Errorf("%q and %q, %+v, %v", first, again, c2, err)
	}
	hot := 0.5
	other := hello()
	other.Temperature = &hot
	for name, ask := range map[string]func() (string, Call, error){
		"another caller":  func() (string, Call, error) { return l.ask(as("bob"), "gpt", hello()) },
		"another group":   func() (string, Call, error) { return l.ask(as("ann", "staff"), "gpt", hello()) },
		"another setting": func() (string, Call, error) { return l.ask(as("ann"), "gpt", other) },
	} {
		if text, c, _ := ask(); text == first || c.Cached {
			t.Errorf("%s was given the answer of another request", name)
		}
	}
	l.clock.turn(2 * time.Minute)
	if text, _, _ := l.ask(as("ann"), "gpt", hello()); text == first {
		t.Error("an answer was given again after its time")
	}
	before := f.calls.Load()
	for _, texts := range [][]string{{"a", "bb"}, {"bb", "ccc", "a"}, {"a"}} {
		e, _, err := l.Embed(as("bob"), "gpt", llm.EmbedRequest{Inputs: texts})
		if err != nil || len(e.Vectors) != len(texts) {
			t.Fatal(err)
		}
		for i, s := range texts {
			if e.Vectors[i][0] != float32(len(s)) {
				t.Errorf("%q has the vector %v", s, e.Vectors[i])
			}
		}
	}
	if n := f.calls.Load() - before; n != 2 {
		t.Errorf("%d calls for vectors", n)
	}
}

func TestRetired(t *testing.T) {
	gate := make(chan struct{})
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) {
		return &pieces{list: []llm.Delta{{Text: "a"}, {Text: "b"}}, gate: gate, end: io.EOF}, nil
	}}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one)})
	s, err := l.Chat(as("ann"), "gpt", hello())
	if err != nil {
		t.Fatal(err)
	}
	l.Converge(nil)
	if f.closed.Load() {
		t.Fatal("a provider was closed under a call")
	}
	close(gate)
	if a, err := llm.Collect(s); err != nil || a.Text() != "ab" {
		t.Error(a, err)
	}
	if !f.closed.Load() {
		t.Error("a provider that nobody uses is open")
	}
}

func TestRerank(t *testing.T) {
	f := &fake{rerank: func(int, llm.RerankRequest) (llm.Ranking, error) {
		return llm.Ranking{Results: []llm.Ranked{{Index: 1, Score: 0.5}}, Units: 1}, nil
	}}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "rank", Deployments: at(one), Price: &spec.LLMPrice{Search: 2}, Budget: spec.LLMBudget{USD: 1}})
	r, c, err := l.Rerank(as("ann"), "rank", llm.RerankRequest{Query: "q", Documents: []string{"a", "b"}})
	if err != nil || r.Results[0].Index != 1 || c.Cost.String() != "0.002" || c.Estimated {
		t.Errorf("%+v, %+v, %v", r, c, err)
	}
	if _, _, err := l.Embed(as("ann"), "rank", llm.EmbedRequest{Inputs: []string{"x"}}); !fault.Is(err, fault.Unsupported) {
		t.Error(err)
	}
}

// TestRoutes looks at where calls go, of many.
func TestRoutes(t *testing.T) {
	sayer := func(wait time.Duration) *fake {
		return &fake{script: func(int, llm.Request) (llm.Stream, error) {
			time.Sleep(wait)
			return says("x", 1, 1), nil
		}}
	}
	places := map[string]*fake{one: sayer(0), two: sayer(0), three: sayer(0)}
	three3, one1, zero := 3, 1, 0
	l := newLab(t, places, &spec.LLM{Name: "gpt", Deployments: []spec.LLMDeployment{{At: one, Weight: &three3}, {At: two, Weight: &one1}, {At: three, Weight: &zero}}})
	for range 1000 {
		if _, _, err := l.ask(as("ann"), "gpt", hello()); err != nil {
			t.Fatal(err)
		}
	}
	if n := places[one].calls.Load(); n < 680 || n > 820 || places[three].calls.Load() != 0 {
		t.Errorf("%d of a thousand calls went to the weight of 3, and %d to that of 0", n, places[three].calls.Load())
	}
	places = map[string]*fake{one: sayer(3 * time.Millisecond), two: sayer(0)}
	l = newLab(t, places, &spec.LLM{Name: "gpt", Deployments: at(one, two), Route: "latency"})
	for range 200 {
		if _, _, err := l.ask(as("ann"), "gpt", hello()); err != nil {
			t.Fatal(err)
		}
	}
	if n := places[one].calls.Load(); n > 20 {
		t.Errorf("%d of 200 calls went to the slower one", n)
	}
}
