package gateway

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

// MaxCallers is how many callers of one LLM the limits remember. The one that
// was silent for longest is forgotten first; when it comes back it finds full
// buckets.
const MaxCallers = 10_000

// window is how much of a rate may come at once: a minute's worth, as
// providers count.
const window = time.Minute

// longestWait bounds what a caller is told to wait.
const longestWait = 365 * 24 * time.Hour

// rates are the bounds of one caller, or of all callers together.
type rates struct {
	requests, tokens float64 // a second; 0 for no bound
	running          int     // 0 for no bound
}

func ratesOf(l spec.LLMLimits) rates {
	return rates{float64(l.Requests), float64(l.Tokens), l.Concurrency}
}

func totalOf(t *spec.LLMTotal) rates {
	if t == nil {
		return rates{}
	}
	return rates{float64(t.Requests), float64(t.Tokens), t.Concurrency}
}

// bucket is a token bucket. Its level may be below zero: a call that took more
// than was thought owes the rest.
type bucket struct {
	level float64
	at    time.Time
}

// fill brings the level up to now. An untouched bucket is full.
func (b *bucket) fill(rate float64, now time.Time) {
	size := capacity(rate)
	if b.at.IsZero() {
		b.level = size
	} else if since := now.Sub(b.at).Seconds(); since > 0 {
		b.level += rate * since
	}
	b.level = min(b.level, size)
	b.at = now
}

// wait is how long until n can be taken: a call that is larger than the whole
// bucket waits until that is full, and owes the rest.
func (b *bucket) wait(rate, n float64) time.Duration {
	missing := min(n, capacity(rate)) - b.level
	if missing <= 1e-9 {
		return 0
	}
	return time.Duration(math.Ceil(min(missing/rate, longestWait.Seconds()) * float64(time.Second)))
}

func (b *bucket) quota(rate float64) Quota {
	size := capacity(rate)
	return Quota{
		Limit: int64(size), Remaining: int64(max(0, b.level)),
		Reset: time.Duration(max(0, size-b.level) / rate * float64(time.Second)),
	}
}

// capacity is what a bucket holds: a minute's worth, and at least one call.
func capacity(rate float64) float64 { return max(1, rate*window.Seconds()) }

// meter is what one caller takes of an LLM, or all together.
type meter struct {
	mu               sync.Mutex
	requests, tokens bucket
	running          int
	used, saved      time.Time // when it was used last, and of what use the catalog knows
}

// take admits a call of n tokens whole or not at all. A refusal says when to
// come back.
func (m *meter) take(r rates, n int, now time.Time) (Limits, *llm.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = now
	var left Limits
	var wait time.Duration
	var what string
	if r.running > 0 && m.running >= r.running {
		wait, what = time.Second, "calls at once"
	}
	if r.requests > 0 {
		m.requests.fill(r.requests, now)
		if w := m.requests.wait(r.requests, 1); w > wait {
			wait, what = w, "requests"
		}
	}
	if r.tokens > 0 {
		m.tokens.fill(r.tokens, now)
		if w := m.tokens.wait(r.tokens, float64(n)); w > wait {
			wait, what = w, "tokens"
		}
	}
	if wait == 0 {
		m.running++
	}
	if r.requests > 0 {
		if wait == 0 {
			m.requests.level--
		}
		left.Requests = m.requests.quota(r.requests)
	}
	if r.tokens > 0 {
		if wait == 0 {
			m.tokens.level -= float64(n)
		}
		left.Tokens = m.tokens.quota(r.tokens)
	}
	if wait > 0 {
		return left, &llm.Refusal{Status: fault.Limited.HTTP(), Code: "rate_limit_exceeded", Type: what, RetryAfter: wait,
			Message: "the limit of " + what + " is reached"}
	}
	return left, nil
}

// settle ends a call. It gives back what the call did not take of n tokens, or
// takes what it took beyond.
func (m *meter) settle(r rates, n, took int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
	if r.tokens > 0 {
		m.tokens.level += float64(n - took)
	}
}

// undo takes a call back as if it had not come.
func (m *meter) undo(r rates, n int) {
	m.settle(r, n, 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.requests > 0 {
		m.requests.level++
	}
}

// meters are those of the callers of one LLM.
type meters struct {
	mu    sync.Mutex
	all   meter
	by    map[string]*meter
	bound int // MaxCallers
}

func newMeters() *meters { return &meters{by: map[string]*meter{}, bound: MaxCallers} }

// of returns the meter of a caller.
func (m *meters) of(who string) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, ok := m.by[who]
	if !ok {
		if len(m.by) >= m.bound {
			m.forget()
		}
		one = &meter{}
		m.by[who] = one
	}
	return one
}

// forget drops a tenth of the callers: those who were silent for longest and
// have no call under way.
func (m *meters) forget() {
	type idle struct {
		who string
		at  time.Time
	}
	var all []idle
	for who, one := range m.by {
		one.mu.Lock()
		if one.running == 0 {
			all = append(all, idle{who, one.used})
		}
		one.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b idle) int { return a.at.Compare(b.at) })
	for _, one := range all[:min(len(all), max(1, m.bound/10))] {
		delete(m.by, one.who)
	}
}

// gate is a call that was admitted by one or two meters.
type gate struct {
	tokens int // that were taken in advance
	passed [2]passed
}

type passed struct {
	by    *meter // nil: none
	rates rates
}

// enter admits a call of a caller, or returns a refusal that says when to come
// back. What is left is that of the caller's own limits.
func (m *meters) enter(l spec.LLMLimits, who string, tokens int, now time.Time) (gate, Limits, *llm.Refusal) {
	mine, all := ratesOf(l), totalOf(l.Total)
	g := gate{tokens: tokens}
	if l.Per == "llm" {
		all = tightest(mine, all)
	} else {
		g.passed[0] = passed{m.of(who), mine}
	}
	g.passed[1] = passed{&m.all, all}
	var left Limits
	for i, p := range g.passed {
		if p.by == nil {
			continue
		}
		now, no := p.by.take(p.rates, tokens, now)
		if i == 0 || l.Per == "llm" {
			left = now
		}
		if no != nil {
			if first := g.passed[0]; i == 1 && first.by != nil {
				first.by.undo(first.rates, tokens)
			}
			return gate{}, left, no
		}
	}
	return g, left, nil
}

// tightest joins two sets of bounds on the same.
func tightest(a, b rates) rates {
	return rates{lower(a.requests, b.requests), lower(a.tokens, b.tokens), lower(a.running, b.running)}
}

// lower is the smaller bound, where 0 is none.
func lower[N int | float64](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// leave ends a call that took so many tokens.
func (g gate) leave(took int) {
	for _, p := range g.passed {
		if p.by != nil {
			p.by.settle(p.rates, g.tokens, took)
		}
	}
}
