package gateway

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/catalog"
)

// The ledger is written in groups: what happened since the last group, with
// what was spent of every budget, in one transaction, so that a call costs a
// place in a queue.
const (
	flushEvery = 50 * time.Millisecond
	flushSlow  = 2 * time.Second // leases are renewed and given back
	// maxQueued is how many calls wait to be written. What is over is counted,
	// and not kept: a catalog that does not answer holds nobody up.
	maxQueued = 100_000
	maxHeld   = 64 << 20 // bytes of calls that wait for the decision log
	flushMost = 5000     // calls in one transaction
	rowsMost  = 25       // in one statement
)

// books write the ledger.
type books struct {
	g *Gateway

	mu      sync.Mutex
	queue   []Call
	entries []Entry // for the decision log, of calls that need not wait for it
	held    int     // bytes in entries
	dropped int64
	missed  int64 // entries
	wake    chan struct{}
	ended   chan struct{}
	closing chan struct{}
	once    sync.Once

	writing sync.Mutex // one flush at a time
}

func openBooks(g *Gateway) *books {
	b := &books{g: g, wake: make(chan struct{}, 1), ended: make(chan struct{}), closing: make(chan struct{})}
	g.deps.Telemetry.Gauge("leat_llm_ledger_dropped", "Calls of language models that the ledger could not keep.", func() float64 {
		return float64(b.Dropped())
	})
	g.deps.Telemetry.Gauge("leat_llm_records_dropped", "Calls of language models that did not get as far as the decision log.", func() float64 {
		b.mu.Lock()
		defer b.mu.Unlock()
		return float64(b.missed)
	})
	go b.run()
	return b
}

// Dropped is how many calls the ledger could not keep.
func (b *books) Dropped() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// add puts a call into the queue.
func (b *books) add(c Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) >= maxQueued {
		b.dropped++
		return
	}
	b.queue = append(b.queue, c)
	if len(b.queue) == 1 {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// record puts a call into the queue for the decision log. One that does not
// fit is counted.
func (b *books) record(e Entry) {
	size := len(e.Answer) + e.size + 512
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) >= maxQueued || b.held+size > maxHeld {
		b.missed++
		return
	}
	b.entries, b.held = append(b.entries, e), b.held+size
}

// log hands what is queued to the decision log, which counts what it cannot
// take itself.
func (b *books) log(ctx context.Context) {
	b.mu.Lock()
	entries := b.entries
	b.entries, b.held = nil, 0
	b.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		if e.ask != nil {
			e.Question = e.ask()
		}
		if err := b.g.deps.Recorder.Record(ctx, *e); err != nil {
			b.g.deps.Log.Debug("a call of a language model was not recorded", "call", e.Call.ID, "error", err)
		}
		runtime.Gosched() // a group is a burst of work, and calls under way come first
	}
}

// run writes groups until the gateway closes.
func (b *books) run() {
	defer close(b.ended)
	slow := time.NewTicker(flushSlow)
	defer slow.Stop()
	wait := time.Duration(0) // after a failure
	for {
		select {
		case <-b.closing:
			return
		case <-slow.C:
		case <-b.wake:
		}
		select {
		case <-b.closing:
			return
		case <-time.After(flushEvery + wait):
		}
		ctx, cancel := context.WithTimeout(context.Background(), leaseTime/2)
		err := b.flush(ctx, false)
		cancel()
		if err == nil {
			wait = 0
			continue
		}
		wait = min(2*wait+flushEvery, 5*time.Second)
		b.g.deps.Log.Warn("the ledger of language models waits for the catalog", "error", err)
	}
}

// close writes what is left.
func (b *books) close(ctx context.Context) error {
	b.once.Do(func() { close(b.closing) })
	select {
	case <-b.ended:
	case <-ctx.Done():
		return fault.New(fault.Timeout, "the ledger of language models was not written in time")
	}
	for {
		if err := b.flush(ctx, true); err != nil {
			return err
		}
		b.mu.Lock()
		left := len(b.queue)
		b.mu.Unlock()
		if left == 0 {
			return nil
		}
	}
}

// flush writes what happened since the last one.
func (b *books) flush(ctx context.Context, closing bool) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.log(ctx)
	b.mu.Lock()
	n := min(len(b.queue), flushMost)
	group := b.queue[:n:n]
	b.mu.Unlock()
	accounts := b.g.budgets.begin(closing)
	levels := b.g.levels(closing)
	if n == 0 && len(accounts.entries) == 0 && len(levels) == 0 {
		return nil
	}
	spent := sums(group)
	err := b.g.deps.DB.Write(ctx, func(t catalog.Tx) error {
		if err := accounts.write(ctx, t); err != nil {
			return err
		}
		if err := b.writeLevels(ctx, t, levels); err != nil {
			return err
		}
		if err := b.writeCalls(ctx, t, group); err != nil {
			return err
		}
		return b.writeSpend(ctx, t, spent)
	})
	accounts.done(err)
	if err != nil {
		return err
	}
	b.g.wrote(levels)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue[:0:0], b.queue[n:]...)
	if len(b.queue) > 0 {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

const (
	callColumns = `id, space, llm, caller, at, cost, details`
	callCount   = 7
)

// details are what the ledger keeps of a call in one column.
type details struct {
	Operation  Operation  `json:"operation"`
	Served     string     `json:"served,omitempty"`
	Deployment string     `json:"deployment,omitempty"`
	Model      string     `json:"model,omitempty"`
	Via        string     `json:"via,omitempty"`
	Input      int        `json:"input"`
	Cached     int        `json:"cached,omitempty"`
	CacheWrite int        `json:"cache_write,omitempty"`
	Output     int        `json:"output"`
	Reasoning  int        `json:"reasoning,omitempty"`
	Units      int        `json:"units,omitempty"`
	Estimated  bool       `json:"estimated,omitempty"`
	Unpriced   bool       `json:"unpriced,omitempty"`
	FromCache  bool       `json:"from_cache,omitempty"`
	Attempts   int        `json:"attempts"`
	Fallback   string     `json:"fallback,omitempty"`
	FirstUS    int64      `json:"first_us"`
	DurationUS int64      `json:"duration_us"`
	Finish     llm.Finish `json:"finish,omitempty"`
	Error      string     `json:"error,omitempty"`
}

func (c *Call) details() (string, error) {
	u := &c.Usage
	text, err := json.Marshal(details{
		Operation: c.Operation, Served: c.Served, Deployment: c.Deployment, Model: c.Model, Via: c.Via,
		Input: u.Input, Cached: u.CachedInput, CacheWrite: u.CacheWrite, Output: u.Output, Reasoning: u.Reasoning, Units: c.Units,
		Estimated: c.Estimated, Unpriced: c.Unpriced, FromCache: c.Cached, Attempts: c.Attempts, Fallback: c.Fallback,
		FirstUS: c.First.Microseconds(), DurationUS: c.Duration.Microseconds(), Finish: c.Finish, Error: c.Error,
	})
	return string(text), err
}

func (c *Call) values(space string, args []any) ([]any, error) {
	text, err := c.details()
	return append(args, c.ID, space, c.LLM, c.Caller, catalog.Micros(c.At), int64(c.Cost), text), err
}

func (b *books) writeCalls(ctx context.Context, t catalog.Tx, group []Call) error {
	args := make([]any, 0, rowsMost*callCount)
	for len(group) > 0 {
		n := min(len(group), rowsMost)
		args = args[:0]
		for i := range n {
			var err error
			if args, err = group[i].values(b.g.deps.Space, args); err != nil {
				return fault.Wrap(err, fault.Internal, "a call cannot be written")
			}
		}
		if _, err := t.Exec(ctx, insertCalls(n), args...); err != nil {
			return err
		}
		group = group[n:]
		runtime.Gosched()
	}
	return nil
}

func insertCalls(n int) string {
	row := "(?" + strings.Repeat(", ?", callCount-1) + ")"
	return "INSERT INTO llm_calls (" + callColumns + ") VALUES " + row + strings.Repeat(", "+row, n-1) + " ON CONFLICT (id) DO NOTHING"
}

// spentKey names a row of what was spent.
type spentKey struct {
	day                     int64
	llm, caller, deployment string
	operation               Operation
}

type spentSum struct {
	calls, failed         int64
	input, cached, output int64
	cost                  Money
}

func sums(group []Call) map[spentKey]spentSum {
	all := map[spentKey]spentSum{}
	for i := range group {
		c := &group[i]
		key := spentKey{catalog.Micros(c.At.UTC().Truncate(24 * time.Hour)), c.LLM, c.Caller, c.Deployment, c.Operation}
		s := all[key]
		s.calls++
		if c.Error != "" {
			s.failed++
		}
		s.input, s.cached, s.output = s.input+int64(c.Usage.Input), s.cached+int64(c.Usage.CachedInput), s.output+int64(c.Usage.Output)
		s.cost = s.cost.plus(c.Cost)
		all[key] = s
	}
	return all
}

func (b *books) writeSpend(ctx context.Context, t catalog.Tx, all map[spentKey]spentSum) error {
	for k, s := range all {
		if _, err := t.Exec(ctx, `INSERT INTO llm_spend (space, day, llm, caller, deployment, operation, calls, failed, input, cached, output, cost)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (space, day, llm, caller, deployment, operation) DO UPDATE SET
			calls = llm_spend.calls + excluded.calls, failed = llm_spend.failed + excluded.failed, input = llm_spend.input + excluded.input,
			cached = llm_spend.cached + excluded.cached, output = llm_spend.output + excluded.output, cost = llm_spend.cost + excluded.cost`,
			b.g.deps.Space, k.day, k.llm, k.caller, k.deployment, string(k.operation), s.calls, s.failed, s.input, s.cached, s.output, int64(s.cost)); err != nil {
			return err
		}
	}
	return nil
}
