package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

// TestHangUpOnAWholeAnswer asks for answers that come at once, and goes away
// before they do: the budget must fill all the same.
func TestHangUpOnAWholeAnswer(t *testing.T) {
	ctx, hangUp := context.WithCancel(as("ann"))
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) {
		hangUp()
		<-ctx.Done()
		return nil, fault.Wrap(ctx.Err(), fault.Canceled, "the answer")
	}}
	l := newLab(t, map[string]*fake{one: f}, budgeted(0.15))
	r := upTo(10)
	r.Stream = false
	_, c, err := l.ask(ctx, "gpt", r)
	if !fault.Is(err, fault.Canceled) || c.Cost != 10*cent || !c.Estimated || c.Usage.Output != 10 {
		t.Errorf("%+v, %v", c, err)
	}
	if spent, reserved := l.quiet("gpt"); spent != 10*cent || reserved != 0 {
		t.Errorf("%s spent, %s reserved", spent, reserved)
	}
	if _, _, err := l.ask(as("ann"), "gpt", r); !fault.Is(err, fault.Limited) || f.calls.Load() != 1 {
		t.Errorf("the budget did not fill: %v", err)
	}
}

// quiet is sum after what is leased beside is there: an account about which
// somebody speaks with the catalog is not written.
func (l *lab) quiet(name string) (spent, reserved Money) {
	(&play{}).settled(l.budgets)
	return l.sum(name)
}

// cut is a provider that takes questions and is then silent.
func cut(n int) *fake {
	never := make(chan struct{})
	return &fake{script: func(i int, _ llm.Request) (llm.Stream, error) {
		if i < n {
			return &pieces{list: []llm.Delta{{}, {Text: "late"}}, gate: never, end: io.EOF}, nil
		}
		return says("x", 100, 1), nil
	}}
}

// long is an LLM whose questions cost a cent for each token, and whose
// answers cost nothing, and a question of 100 tokens.
func long(usd float64) (*spec.LLM, llm.Request) {
	r := llm.Request{Messages: []llm.Message{llm.Text(llm.User, strings.Repeat("word", 96))}, MaxTokens: 1, Stream: true}
	return &spec.LLM{Name: "gpt", Deployments: at(one), Price: &spec.LLMPrice{Input: 10_000}, Budget: spec.LLMBudget{USD: usd}, Attempts: 3,
		Timeouts: spec.LLMTimeouts{First: spec.Duration(20 * time.Millisecond)}}, r
}

// TestAttemptsArePaid cuts attempts that the provider had taken: each has read
// the question, and all of them are settled.
func TestAttemptsArePaid(t *testing.T) {
	for _, c := range []struct {
		name string
		cuts int
		want int // tokens of input
	}{{"none", 0, 100}, {"two", 2, 300}, {"all", 3, 300}} {
		t.Run(c.name, func(t *testing.T) {
			s, r := long(100)
			l := newLab(t, map[string]*fake{one: cut(c.cuts)}, s)
			_, call, err := l.ask(as("ann"), "gpt", r)
			if (err == nil) != (c.cuts < 3) || call.Attempts != min(c.cuts+1, 3) {
				t.Fatalf("%+v, %v", call, err)
			}
			if call.Usage.Input != c.want || call.Cost != Money(c.want)*cent || call.Estimated != (c.cuts > 0) {
				t.Errorf("%+v", call)
			}
			if spent, reserved := l.quiet("gpt"); spent != call.Cost || reserved != 0 {
				t.Errorf("%s spent, %s reserved", spent, reserved)
			}
		})
	}
}

// TestRetryNeedsBudget has a budget for one worst case, and not for a lost
// attempt beside it.
func TestRetryNeedsBudget(t *testing.T) {
	s, r := long(5)
	f := cut(1)
	l := newLab(t, map[string]*fake{one: f}, s)
	worst := l.models["gpt"].worst(chatWork(&r, 1))
	if worst > 5*Dollar || worst+100*cent <= 5*Dollar {
		t.Fatalf("the worst case is %s", worst)
	}
	_, call, err := l.ask(as("ann"), "gpt", r)
	if !fault.Is(err, fault.Timeout) || f.calls.Load() != 1 || call.Cost != 100*cent {
		t.Errorf("%d calls, %+v, %v", f.calls.Load(), call, err)
	}
	if spent, reserved := l.quiet("gpt"); spent != 100*cent || reserved != 0 {
		t.Errorf("%s spent, %s reserved", spent, reserved)
	}
}

// TestFallbackPaysItsOwn holds that the budget of a fallback does not pay the
// attempts before it, and that of the LLM that was named pays all.
func TestFallbackPaysItsOwn(t *testing.T) {
	s, r := long(100)
	s.Attempts, s.Fallback = 1, []string{"other"}
	other, _ := long(100)
	other.Name, other.Deployments = "other", at(two)
	l := newLab(t, map[string]*fake{one: cut(1), two: cut(0)}, s, other)
	if _, _, err := l.ask(as("ann"), "gpt", r); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Money{"gpt": 200 * cent, "other": 100 * cent} {
		if spent, reserved := l.quiet(name); spent != want || reserved != 0 {
			t.Errorf("%s has spent %s and reserved %s", name, spent, reserved)
		}
	}
}

// TestRefusedIsNotPaid holds that nobody pays an attempt that was refused.
func TestRefusedIsNotPaid(t *testing.T) {
	s, r := long(100)
	l := newLab(t, map[string]*fake{one: {script: func(n int, _ llm.Request) (llm.Stream, error) {
		if n < 2 {
			return nil, refused(fault.Unavailable, 500, 0, false)
		}
		return says("x", 100, 1), nil
	}}}, s)
	if _, c, err := l.ask(as("ann"), "gpt", r); err != nil || c.Cost != 100*cent || c.Attempts != 3 || c.Estimated {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestWay asks a server that takes the request, and one that is not there.
func TestWay(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	ask := func() (*way, error) {
		var w way
		r, err := http.NewRequestWithContext(w.watch(t.Context()), http.MethodPost, server.URL, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Client().Do(r)
		if err == nil {
			_ = answer.Body.Close()
			t.Fatal("it answered")
		}
		return &w, err
	}
	if w, err := ask(); !w.reached(err) {
		t.Errorf("a request that was taken and cut did not reach anybody: %v", err)
	}
	server.Close()
	if w, err := ask(); w.reached(err) {
		t.Errorf("a request without a connection reached somebody: %v", err)
	}
}

// TestNothingWithoutARecord reads streams whose record cannot be made, of the
// provider and out of the cache.
func TestNothingWithoutARecord(t *testing.T) {
	f := &fake{script: func(n int, _ llm.Request) (llm.Stream, error) {
		p := &pieces{list: []llm.Delta{{Text: "a"}, {Text: "b"}, {Finish: llm.FinishStop}}, end: io.EOF}
		if n == 2 {
			p.list, p.end = p.list[:2], fault.New(fault.Unavailable, "reset")
		}
		return p, nil
	}}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one), Record: "required", Cache: spec.Duration(time.Minute)})
	full := fault.New(fault.Full, "no space")
	for i, c := range []struct {
		name   string
		record error
		want   string
		cached bool
		kind   fault.Kind
	}{
		{"no record", full, "", false, fault.Unavailable},
		{"a record", nil, "ab", false, ""},
		{"no record, from the cache", full, "", true, fault.Unavailable},
		{"a record, from the cache", nil, "ab", true, ""},
		{"it breaks, and no record", full, "", false, fault.Unavailable},
	} {
		l.records.err = c.record
		if i == 4 {
			l.clock.turn(2 * time.Minute)
		}
		text, call, err := l.ask(as("ann"), "gpt", hello())
		if text != c.want || fault.KindOf(err) != c.kind || call.Cached != c.cached {
			t.Errorf("%s: %q, %+v, %v", c.name, text, call, err)
		}
		if e := l.records.entries[len(l.records.entries)-1]; len(l.records.entries) != i+1 || !e.Required || e.Answer != "ab" {
			t.Errorf("%s: %d records, the last %+v", c.name, len(l.records.entries), e)
		}
	}
	// A piece that is out is one of an answer that is recorded.
	l.clock.turn(2 * time.Minute)
	l.records.err = nil
	s, err := l.Chat(as("ann"), "gpt", hello())
	if err != nil {
		t.Fatal(err)
	}
	if d, err := s.Next(); err != nil || d.Text != "a" || len(l.records.entries) != 6 {
		t.Errorf("%+v, %v with %d records", d, err, len(l.records.entries))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
