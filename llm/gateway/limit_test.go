package gateway

import (
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

// TestOneCallerAtFiftyTimesItsQuota has a hundred callers for ten minutes, one
// of whom asks fifty times as often as it may.
func TestOneCallerAtFiftyTimesItsQuota(t *testing.T) {
	const perMinute, minutes, tokens = 60, 10, 100
	for _, l := range []spec.LLMLimits{
		{Requests: perMinute / 60., Per: "caller"},
		{Tokens: perMinute * tokens / 60., Per: "caller"},
	} {
		m, clock := newMeters(), noon()
		admitted, refused := map[int]int{}, map[int]int{}
		ask := func(who int) {
			g, _, no := m.enter(l, fmt.Sprint(who), tokens, clock.Now())
			if no != nil {
				refused[who]++
				return
			}
			admitted[who]++
			g.leave(tokens)
		}
		const step = 20 * time.Millisecond
		for at := time.Duration(0); at < minutes*time.Minute; at += step {
			clock.turn(step)
			ask(0) // fifty times a second
			for who := 1; who < 100; who++ {
				if (at/step)%50 == time.Duration(who%50) {
					ask(who)
				}
			}
		}
		want := float64(perMinute + perMinute*minutes) // what comes at once, and the rate
		if off := math.Abs(float64(admitted[0])-want) / want; off > 0.02 {
			t.Errorf("%+v: %d calls were let in, not %g: off by %.1f %%", l, admitted[0], want, 100*off)
		}
		for who := 1; who < 100; who++ {
			if refused[who] > 0 {
				t.Errorf("caller %d, who keeps to its quota, was refused %d times", who, refused[who])
			}
		}
	}
}

// TestRetryAfterIsRight holds that who comes back when it was told to is let
// in, and a moment before it is not.
func TestRetryAfterIsRight(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := spec.LLMLimits{Per: "caller", Requests: spec.Rate(rapid.Float64Range(1e-4, 10).Draw(r, "requests")), Tokens: spec.Rate(rapid.Float64Range(0.1, 5000).Draw(r, "tokens per second"))}
		m, clock := newMeters(), noon()
		for range 300 {
			n := rapid.IntRange(1, 20_000).Draw(r, "tokens")
			g, left, no := m.enter(l, "ann", n, clock.Now())
			if no == nil {
				g.leave(rapid.IntRange(0, 20_000).Draw(r, "took"))
				continue
			}
			if left.Requests.Remaining > 0 && left.Tokens.Remaining >= int64(n) {
				r.Fatalf("refused with %+v left for %d tokens", left, n)
			}
			almost := no.RetryAfter - time.Millisecond
			if almost > 0 {
				clock.turn(almost)
				if _, _, early := m.enter(l, "ann", n, clock.Now()); early == nil {
					r.Fatalf("let in %s before its time of %s", time.Millisecond, no.RetryAfter)
				}
				clock.turn(no.RetryAfter - almost)
			} else {
				clock.turn(no.RetryAfter)
			}
			if _, _, again := m.enter(l, "ann", n, clock.Now()); again != nil {
				r.Fatalf("told to come back in %s and then again in %s", no.RetryAfter, again.RetryAfter)
			}
		}
	})
}

func TestConcurrency(t *testing.T) {
	gate := make(chan struct{})
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) {
		return &pieces{list: []llm.Delta{{Text: "a"}, {Text: "b"}}, gate: gate, end: io.EOF}, nil
	}}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one), Limits: spec.LLMLimits{Concurrency: 2, Total: &spec.LLMTotal{Concurrency: 3}}})
	open := func(name string) llm.Stream {
		t.Helper()
		s, err := l.Chat(as(name), "gpt", hello())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, _ := open("ann"), open("ann")
	if _, err := l.Chat(as("ann"), "gpt", hello()); !fault.Is(err, fault.Limited) || llm.RetryAfter(err) == 0 {
		t.Errorf("a third call at once: %v", err)
	}
	open("bob")
	if _, err := l.Chat(as("bob"), "gpt", hello()); !fault.Is(err, fault.Limited) {
		t.Errorf("a fourth call of all at once: %v", err)
	}
	_ = first.Close()
	open("bob")
	close(gate)
}

func TestQuotas(t *testing.T) {
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 50, 50), nil }}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one), Limits: spec.LLMLimits{Requests: 1, Tokens: 100}})
	_, c, err := l.ask(as("ann"), "gpt", upTo(100))
	if err != nil || c.Limits.Requests != (Quota{60, 59, time.Second}) || c.Limits.Tokens.Limit != 6000 || c.Limits.Tokens.Remaining >= 6000-100 {
		t.Errorf("%+v, %v", c.Limits, err)
	}
	// What the call did not take was given back: 100 tokens are gone.
	_, c, _ = l.ask(as("ann"), "gpt", upTo(100))
	if want := 6000 - 100 - int64(c.workGuess()); c.Limits.Tokens.Remaining != want {
		t.Errorf("%d tokens are left, not %d", c.Limits.Tokens.Remaining, want)
	}
}

// workGuess is what a call of hello for 100 tokens takes in advance.
func (Call) workGuess() int {
	r := upTo(100)
	return chatWork(&r, 100).guess
}

// TestLimitsOutliveARestart starts a gateway anew on the same catalog.
func TestLimitsOutliveARestart(t *testing.T) {
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 1, 1), nil }}
	s := func() *spec.LLM {
		return &spec.LLM{Name: "gpt", Deployments: at(one), Limits: spec.LLMLimits{Requests: 1. / 60}}
	}
	first := newLab(t, map[string]*fake{one: f}, s())
	if _, _, err := first.ask(as("ann"), "gpt", hello()); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := labOn(t, first.db, first.clock, map[string]*fake{one: f}, s())
	if _, _, err := second.ask(as("ann"), "gpt", hello()); !fault.Is(err, fault.Limited) || llm.RetryAfter(err) != time.Minute {
		t.Errorf("a restart gave a caller more: %v", err)
	}
	if _, _, err := second.ask(as("bob"), "gpt", hello()); err != nil {
		t.Error(err)
	}
}

func TestCallersAreForgotten(t *testing.T) {
	m := newMeters()
	m.bound = 10
	busy, _, _ := m.enter(spec.LLMLimits{Per: "caller", Concurrency: 1}, "busy", 1, noon().Now())
	for i := range 1000 {
		g, _, no := m.enter(spec.LLMLimits{Per: "caller", Concurrency: 1}, fmt.Sprint(i), 1, noon().Now().Add(time.Duration(i)))
		if no != nil {
			t.Fatal(no)
		}
		g.leave(1)
	}
	if len(m.by) > m.bound {
		t.Errorf("%d callers are remembered", len(m.by))
	}
	if _, _, no := m.enter(spec.LLMLimits{Per: "caller", Concurrency: 1}, "busy", 1, noon().Now()); no == nil {
		t.Error("a caller with a call under way was forgotten")
	}
	busy.leave(1)
}

func TestPrices(t *testing.T) {
	known, err := KnownPrices()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]pico{"gpt-5-mini": 250_000, "gpt-5-mini-2025-08-07": 250_000, "openai/gpt-4o": 2_500_000, "claude-sonnet-4-5-20250929": 3_000_000} {
		if p, ok := known.Find(name); !ok || p.Input != want {
			t.Errorf("%s costs %+v", name, p)
		}
	}
	if _, ok := known.Find("llama3"); ok {
		t.Error("a model of nobody has a price")
	}
	cached := 0.0375
	p := priceOf(&spec.LLMPrice{Input: 0.15, Cached: &cached, Output: 0.6})
	if got := p.Of(llm.Usage{Input: 1000, CachedInput: 400, Output: 10}, 0); got.String() != "0.000111" {
		t.Errorf("cost %s", got)
	}
	for _, lie := range []llm.Usage{{Input: -5, Output: -7}, {Input: 3, CachedInput: 9, CacheWrite: 9}, {Input: math.MaxInt, Output: math.MaxInt}} {
		if got := p.Of(lie, -1); got < 0 {
			t.Errorf("%+v costs %s", lie, got)
		}
	}
}

func TestMoneyIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := Money(rapid.Int64Range(-9e15, 9e15).Draw(r, "nano"))
		text, err := m.MarshalJSON()
		if err != nil {
			r.Fatal(err)
		}
		var back Money
		if err := back.UnmarshalJSON(text); err != nil || math.Abs(float64(back-m)) > 1 {
			r.Fatalf("%d is written %s and read %d, %v", m, text, back, err)
		}
	})
}

// TestBoundIsABound compares the worst case with what tokenizers of one byte a
// token, the worst there are, would count.
func TestBoundIsABound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		q := llm.Request{N: rapid.IntRange(0, 5).Draw(r, "n")}
		bytes := 0
		for range rapid.IntRange(0, 5).Draw(r, "messages") {
			text := rapid.String().Draw(r, "text")
			bytes += len(text)
			q.Messages = append(q.Messages, llm.Text(llm.User, text))
		}
		w := chatWork(&q, 100)
		if w.most.Input < bytes || w.most.Output != 100*max(1, q.N) || w.guess > w.most.Input+w.most.Output {
			r.Fatalf("%+v for %d bytes", w, bytes)
		}
	})
}
