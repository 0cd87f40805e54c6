package gateway

import (
	"context"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// book is what the catalog says of a budget.
type book struct{ settled, leased, spent, reserved Money }

func bookOf(t testing.TB, db *catalog.DB, space string) (b book) {
	t.Helper()
	err := db.Read(context.Background(), func(tx catalog.Tx) error {
		if err := tx.Row(context.Background(), `SELECT COALESCE(SUM(settled), 0) FROM llm_budgets WHERE space = ?`, []any{space}, &b.settled); err != nil {
			return err
		}
		return tx.Row(context.Background(), `SELECT COALESCE(SUM(amount), 0), COALESCE(SUM(spent), 0), COALESCE(SUM(reserved), 0) FROM llm_leases WHERE space = ?`,
			[]any{space}, &b.leased, &b.spent, &b.reserved)
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// budgeted is an LLM with a budget, whose answers cost a cent for each of
// their tokens, and nothing else.
func budgeted(usd float64) *spec.LLM {
	return &spec.LLM{Name: "gpt", Deployments: at(one), Price: &spec.LLMPrice{Output: 10_000}, Budget: spec.LLMBudget{USD: usd}}
}

const cent = Dollar / 100

func upTo(tokens int) llm.Request {
	r := hello()
	r.MaxTokens = tokens
	return r
}

// TestBudgetRace lets a thousand streams at once at a budget that holds a
// tenth of them, on two replicas.
func TestBudgetRace(t *testing.T) {
	const streams, worst, used = 1000, 10, 7
	release := make(chan struct{})
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) {
		return &pieces{gate: release, end: io.EOF, list: []llm.Delta{{Text: "x"}, {Finish: llm.FinishStop}, {Usage: &llm.Usage{Input: 3, Output: used}}}}, nil
	}}
	first := newLab(t, map[string]*fake{one: f}, budgeted(10))
	second := labOn(t, first.db, first.clock, map[string]*fake{one: f}, budgeted(10))
	var let, refusals atomic.Int64
	var all, admitted sync.WaitGroup
	admitted.Add(streams)
	for i := range streams {
		l := []*lab{first, second}[i%2]
		all.Go(func() {
			s, err := l.Chat(as("ann"), "gpt", upTo(worst))
			admitted.Done()
			if err != nil {
				if r, ok := llm.RefusalOf(err); !fault.Is(err, fault.Limited) || !ok || r.Code != "insufficient_quota" || r.RetryAfter != 12*time.Hour {
					t.Errorf("refused with %v", err)
				}
				refusals.Add(1)
				return
			}
			let.Add(1)
			if _, err := llm.Collect(s); err != nil {
				t.Error(err)
			}
		})
	}
	admitted.Wait()
	// What is reserved at once is never more than the budget: 100 calls of 10
	// cents, less what the other replica may hold and not use.
	if n := let.Load(); n > 100 || n < 100-2*100/leasePart-2 {
		t.Errorf("%d calls were let in at once", n)
	}
	close(release)
	all.Wait()
	spent, _ := first.sum("gpt")
	if spent > 10*Dollar {
		t.Errorf("%s is spent", spent)
	}
	for _, l := range []*lab{first, second} {
		if err := l.books.flush(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if b := bookOf(t, first.db, "default"); b.settled+b.spent != Money(let.Load())*used*cent || b.reserved != 0 || b.settled+b.leased > 10*Dollar {
		t.Errorf("the catalog has %+v after %d calls", b, let.Load())
	}
	// What was not used of the reservations is there for others.
	if _, _, err := first.ask(as("ann"), "gpt", upTo(worst)); err != nil {
		t.Error(err)
	}
}

// TestBudgetIsSpentToItsEnd makes calls one after the other until there is
// none left for another one.
func TestBudgetIsSpentToItsEnd(t *testing.T) {
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 0, 1), nil }}
	l := newLab(t, map[string]*fake{one: f}, budgeted(1))
	made := 0
	for {
		if _, _, err := l.ask(as("ann"), "gpt", upTo(1)); err != nil {
			if !fault.Is(err, fault.Limited) {
				t.Fatal(err)
			}
			break
		}
		if made++; made > 100 {
			t.Fatal("more was spent than the budget holds")
		}
		l.clock.turn(time.Second) // what is dry is asked again
	}
	if made != 100 {
		t.Errorf("%d calls of a cent came out of a dollar", made)
	}
	// The next span has a budget of its own.
	l.clock.turn(24 * time.Hour)
	if _, _, err := l.ask(as("ann"), "gpt", upTo(1)); err != nil {
		t.Error(err)
	}
}

// TestBudgetAfterACrash leaves a gateway without closing it, in the middle of
// calls.
func TestBudgetAfterACrash(t *testing.T) {
	never := make(chan struct{})
	f := &fake{script: func(n int, _ llm.Request) (llm.Stream, error) {
		if n < 5 {
			return says("x", 0, 2), nil
		}
		return &pieces{list: []llm.Delta{{Text: "x"}, {}}, gate: never, end: io.EOF}, nil
	}}
	first := newLab(t, map[string]*fake{one: f}, budgeted(1))
	for range 5 {
		if _, _, err := first.ask(as("ann"), "gpt", upTo(10)); err != nil {
			t.Fatal(err)
		}
	}
	for range 9 {
		if _, err := first.Chat(as("ann"), "gpt", upTo(10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.books.flush(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	first.books.once.Do(func() { close(first.books.closing) }) // it writes no more
	second := labOn(t, first.db, first.clock, map[string]*fake{one: f}, budgeted(1))
	if _, err := second.Chat(as("ann"), "gpt", upTo(10)); !fault.Is(err, fault.Limited) {
		t.Fatalf("the reservations of another replica were used: %v", err)
	}
	second.clock.turn(leaseTime + time.Second)
	for i := range 9 { // 10 cents are spent, and 90 there again
		if _, err := second.Chat(as("ann"), "gpt", upTo(10)); err != nil {
			t.Fatalf("call %d after the leases expired: %v", i, err)
		}
	}
	if _, err := second.Chat(as("ann"), "gpt", upTo(10)); !fault.Is(err, fault.Limited) {
		t.Fatalf("what was spent before the crash was forgotten: %v", err)
	}
}

// TestLostLease wakes a replica that slept for longer than its leases last.
func TestLostLease(t *testing.T) {
	gate := make(chan struct{})
	f := &fake{script: func(n int, _ llm.Request) (llm.Stream, error) {
		if n == 1 {
			return &pieces{gate: gate, end: io.EOF, list: []llm.Delta{{Text: "x"}, {Finish: llm.FinishStop}, {Usage: &llm.Usage{Output: 10}}}}, nil
		}
		return says("x", 0, 10), nil
	}}
	first := newLab(t, map[string]*fake{one: f}, budgeted(1))
	if _, _, err := first.ask(as("ann"), "gpt", upTo(10)); err != nil {
		t.Fatal(err)
	}
	s, err := first.Chat(as("ann"), "gpt", upTo(10))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.books.flush(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	first.books.writing.Lock() // it sleeps
	first.clock.turn(leaseTime + time.Second)
	second := labOn(t, first.db, first.clock, map[string]*fake{one: f}, budgeted(1))
	if _, _, err := second.ask(as("ann"), "gpt", upTo(10)); err != nil {
		t.Fatal(err)
	}
	first.books.writing.Unlock()
	close(gate)
	if _, err := llm.Collect(s); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*lab{first, second} {
		if err := l.books.flush(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if b := bookOf(t, first.db, "default"); b.settled+b.spent != 30*cent {
		t.Errorf("the catalog has %+v after three calls of 10 cents", b)
	}
}

func TestBudgetNeedsAPriceAndACatalog(t *testing.T) {
	f := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 1, 1), nil }}
	l := newLab(t, map[string]*fake{one: f}, &spec.LLM{Name: "gpt", Deployments: at(one), Budget: spec.LLMBudget{USD: 1}}, budgetedAs("priced"))
	if _, _, err := l.ask(as("ann"), "gpt", hello()); !fault.Is(err, fault.Rejected) {
		t.Errorf("a call of unknown cost: %v", err)
	}
	if err := l.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.ask(as("ann"), "priced", upTo(1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a call whose cost cannot be reserved: %v", err)
	}
	l.books.once.Do(func() { close(l.books.closing) })
	l.Gateway = noClose(t)
}

func budgetedAs(name string) *spec.LLM {
	s := budgeted(1)
	s.Name = name
	return s
}

// noClose is a gateway for a lab whose own cannot be closed any more.
func noClose(t *testing.T) *Gateway { return newLab(t, nil).Gateway }

// TestFallbackReservesInBoth holds that a call that falls back counts against
// the budget of the LLM that was named, at the price of the one that answers.
func TestFallbackReservesInBoth(t *testing.T) {
	broken := &fake{script: func(int, llm.Request) (llm.Stream, error) { return nil, fault.New(fault.Unavailable, "500") }}
	good := &fake{script: func(int, llm.Request) (llm.Stream, error) { return says("x", 0, 10), nil }}
	cheap := &spec.LLM{Name: "cheap", Deployments: at(one), Price: &spec.LLMPrice{Output: 1000}, Budget: spec.LLMBudget{USD: 0.10}, Fallback: []string{"gpt"}, Attempts: 1}
	l := newLab(t, map[string]*fake{one: broken, two: good}, cheap,
		&spec.LLM{Name: "gpt", Deployments: at(two), Price: &spec.LLMPrice{Output: 10_000}, Budget: spec.LLMBudget{USD: 1}})
	if _, c, err := l.ask(as("ann"), "cheap", upTo(10)); err != nil || c.Cost != 10*cent || c.Served != "gpt" {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, want := range map[string]Money{"cheap": 10 * cent, "gpt": 10 * cent} {
		if spent, reserved := l.sum(name); spent != want || reserved != 0 {
			t.Errorf("%s has spent %s and reserved %s", name, spent, reserved)
		}
	}
	if _, _, err := l.ask(as("ann"), "cheap", upTo(1)); !fault.Is(err, fault.Limited) {
		t.Errorf("over the budget of the LLM that was named: %v", err)
	}
}

// TestBudgetProperty plays calls, settlements, flushes, growing time, crashes
// and new replicas in any order, and holds the books to a plain model: what
// the providers were paid is what is spent, less what a crash may lose, and
// leases never add up to more than the budget.
func TestBudgetProperty(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rapid.Check(t, func(r *rapid.T) {
		p := newPlay(r, t, db)
		r.Repeat(map[string]func(*rapid.T){
			"reserve": p.reserve,
			"settle":  p.settle,
			"flush":   p.flush,
			"wait":    p.wait,
			"crash":   p.crash,
			"":        p.check,
		})
	})
}

// play is a few replicas of budgets, without the gateway around them.
type play struct {
	t        *testing.T
	db       *catalog.DB
	space    string
	clock    *turning
	limit    Money
	replicas []*budgets
	held     []holding
	paid     Money // by settled calls
	lost     Money // of it, on replicas that crashed before a flush
}

type holding struct {
	b      *budgets
	a      *account
	amount Money
}

func newPlay(r *rapid.T, t *testing.T, db *catalog.DB) *play {
	p := &play{t: t, db: db, space: newID(time.Now()), clock: noon(), limit: Money(rapid.IntRange(1, 10_000).Draw(r, "limit"))}
	for range rapid.IntRange(1, 3).Draw(r, "replicas") {
		p.start()
	}
	return p
}

func (p *play) start() {
	p.replicas = append(p.replicas, newBudgets(Deps{DB: p.db, Space: p.space, Clock: p.clock}, newID(p.clock.Now())))
}

func (p *play) one(r *rapid.T) *budgets { return rapid.SampledFrom(p.replicas).Draw(r, "replica") }

func (p *play) reserve(r *rapid.T) {
	b := p.one(r)
	amount := Money(rapid.Int64Range(0, int64(p.limit)).Draw(r, "amount"))
	a := b.account("gpt", "", p.limit, 24*time.Hour, p.clock.Now())
	switch err := b.reserve(context.Background(), a, amount); {
	case err == nil:
		p.held = append(p.held, holding{b, a, amount})
	case !fault.Is(err, fault.Limited):
		p.t.Fatal(err)
	}
}

func (p *play) settle(r *rapid.T) {
	if len(p.held) == 0 {
		r.Skip()
	}
	i := rapid.IntRange(0, len(p.held)-1).Draw(r, "call")
	h := p.held[i]
	p.held = append(p.held[:i:i], p.held[i+1:]...)
	cost := Money(rapid.Int64Range(0, int64(h.amount)).Draw(r, "cost"))
	h.a.settle(h.amount, cost)
	p.paid += cost
}

func (p *play) flush(r *rapid.T) { p.write(p.one(r)) }

func (p *play) write(b *budgets) {
	f := b.begin(false)
	err := p.db.Write(context.Background(), func(t catalog.Tx) error { return f.write(context.Background(), t) })
	f.done(err)
	if err != nil {
		p.t.Fatal(err)
	}
}

// wait lets time pass in which every replica renews its leases.
func (p *play) wait(r *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(r, "times") {
		p.clock.turn(time.Duration(rapid.IntRange(1, 15).Draw(r, "seconds")) * time.Second)
		for _, b := range p.replicas {
			p.settled(b)
			p.write(b)
		}
	}
}

// settled waits for what a replica leases beside.
func (p *play) settled(b *budgets) {
	for _, a := range b.by {
		a.mu.Lock()
		busy := a.busy
		a.mu.Unlock()
		if busy != nil {
			<-busy
		}
	}
}

func (p *play) crash(r *rapid.T) {
	i := rapid.IntRange(0, len(p.replicas)-1).Draw(r, "replica")
	gone := p.replicas[i]
	p.settled(gone)
	for _, a := range gone.by {
		p.lost += a.spent - a.flushed
	}
	var left []holding
	for _, h := range p.held {
		if h.b != gone {
			left = append(left, h)
		}
	}
	p.held = left
	p.replicas = append(p.replicas[:i:i], p.replicas[i+1:]...)
	p.start()
}

func (p *play) check(*rapid.T) {
	var unflushed, reserved Money
	for _, b := range p.replicas {
		p.settled(b)
		for _, a := range b.by {
			if a.free() < 0 {
				p.t.Fatalf("a lease of %d has %d spent and %d reserved", a.leased, a.spent, a.reserved)
			}
			unflushed += a.spent - a.flushed
			reserved += a.reserved
		}
	}
	b := bookOf(p.t, p.db, p.space)
	if b.settled+b.leased > p.limit {
		p.t.Fatalf("leases add up to %d beside %d settled, of %d", b.leased, b.settled, p.limit)
	}
	if b.settled+b.spent+unflushed != p.paid-p.lost {
		p.t.Fatalf("%d is in the books and %d on the way to them; %d was paid and %d of it lost", b.settled+b.spent, unflushed, p.paid, p.lost)
	}
	if p.paid-p.lost+reserved > p.limit {
		p.t.Fatalf("%d spent and %d reserved of %d", p.paid-p.lost, reserved, p.limit)
	}
}
