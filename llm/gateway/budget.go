package gateway

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/catalog"
)

// Budgets are kept by reservation. A budget lies in the catalog; a replica
// takes parts of it, leases, and reserves and settles within them in memory,
// so that a call costs no write. What is promised:
//
//   - Over all replicas the leases never add up to more than the budget, and
//     on a replica what is spent and reserved never to more than its lease. A
//     call whose provider counts more than the worst case that was reserved
//     takes the rest beyond; it is the only thing that can.
//   - What was spent is in the catalog within the time between two flushes
//     (flushEvery). A crash loses the spending of that time and of the calls
//     under way, and gives back what else it had leased when the lease
//     expires (leaseTime).
//   - A replica holds no more than a 64th of a budget beyond what it uses, and
//     gives it back when it is idle. So a call is refused for want of budget
//     only where less than that, for each other replica, is left.
//   - A replica that cannot renew its leases refuses calls with budgets when
//     they expire.
const (
	leaseTime  = 30 * time.Second
	renewEvery = 10 * time.Second
	leasePart  = 64
	// drySpell is how long a budget that had nothing left is not asked again.
	drySpell = 500 * time.Millisecond
	// idleTime is after how long without a call a lease is given back, and
	// forgetAfter when what remains of it is forgotten here.
	idleTime    = 3 * time.Second
	forgetAfter = 10 * time.Minute
)

// budgetKey names a budget in one span of time.
type budgetKey struct {
	llm, caller string
	since       int64 // microseconds
}

// account is a replica's part of a budget. What is free is
// leased - spent - reserved.
type account struct {
	key   budgetKey
	until time.Time // end of the span

	mu       sync.Mutex
	cap      Money
	leased   Money
	spent    Money // of leased
	reserved Money
	flushed  Money   // what the catalog's lease says is spent
	waiting  int     // how many wait for a larger lease
	wanted   float64 // what they need; a sum that no Money need hold
	expires  time.Time
	used     time.Time
	dry      time.Time // until then nothing is to be had
	failed   error     // of the last attempt to lease more
	// busy is closed when who speaks with the catalog about the account is
	// done; nil when nobody does.
	busy     chan struct{}
	changes  uint64 // counts what changed,
	recorded uint64 // and how much of that the catalog knows
}

func (a *account) free() Money { return a.leased - a.spent - a.reserved }

// budgets are the accounts of a replica.
type budgets struct {
	db             catalog.Database
	space, replica string
	now            func() time.Time

	mu sync.Mutex
	by map[budgetKey]*account
}

func newBudgets(d Deps, replica string) *budgets {
	return &budgets{db: d.DB, space: d.Space, replica: replica, now: d.Clock.Now, by: map[budgetKey]*account{}}
}

// account returns the account of a budget at a time.
func (b *budgets) account(name, who string, limit Money, every time.Duration, now time.Time) *account {
	since := now.Truncate(every)
	key := budgetKey{name, who, catalog.Micros(since)}
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.by[key]
	if !ok {
		a = &account{key: key, until: since.Add(every)}
		b.by[key] = a
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cap != limit { // there may be more than there was
		a.dry, a.failed = time.Time{}, nil
	}
	a.cap, a.used = limit, now
	return a
}

// reserve holds an amount, or refuses with a Limited fault. ctx bounds the
// wait for the catalog, which is asked where the lease does not do.
func (b *budgets) reserve(ctx context.Context, a *account, amount Money) error {
	for asked := false; ; asked = true {
		done, err := b.try(ctx, a, amount, asked)
		if err != nil || done == nil {
			return err
		}
		var over error
		select {
		case <-done:
		case <-ctx.Done():
			over = fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the budget was not asked in time")
		}
		a.mu.Lock()
		a.waiting--
		a.wanted -= float64(amount)
		a.mu.Unlock()
		if over != nil {
			return over
		}
	}
}

// try holds an amount of the lease. Where the lease does not do it returns
// what to wait for before the next try; who has asked before is refused where
// that was of no use.
func (b *budgets) try(ctx context.Context, a *account, amount Money, asked bool) (<-chan struct{}, error) {
	now := b.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = now
	valid := now.Before(a.expires)
	if valid && a.free() >= amount {
		a.reserved += amount
		a.changes++
		if a.busy == nil && a.free() < a.part()/2 && now.After(a.dry) {
			b.ask(ctx, a) // before somebody has to wait for it
		}
		return nil, nil
	}
	if amount > a.cap || a.busy == nil && (asked && a.failed != nil || valid && now.Before(a.dry)) {
		return nil, a.refusal(now)
	}
	a.waiting++
	a.wanted += float64(amount)
	if a.busy == nil {
		b.ask(ctx, a)
	}
	return a.busy, nil
}

// ask leases more, beside. a.mu is held.
func (b *budgets) ask(ctx context.Context, a *account) {
	a.busy, a.failed = make(chan struct{}), nil
	go b.grow(context.WithoutCancel(ctx), a)
}

// part is how much is leased beyond what is needed.
func (a *account) part() Money { return a.cap / leasePart }

// refusal says why nothing could be reserved. a.mu is held.
func (a *account) refusal(now time.Time) error {
	if a.failed != nil && !fault.Is(a.failed, fault.Limited) {
		return fault.Wrap(a.failed, fault.Unavailable, "the budget of LLM %q cannot be asked for", a.key.llm)
	}
	whose := ""
	if a.key.caller != "" {
		whose = " of " + a.key.caller
	}
	return fault.New(fault.Limited, "LLM %q", a.key.llm).
		Because(&llm.Refusal{Status: fault.Limited.HTTP(), Code: "insufficient_quota", Type: "budget", RetryAfter: max(a.until.Sub(now), time.Second), Final: true,
			Message: "the budget of $" + a.cap.String() + whose + " does not hold the worst case of this call"}).
		Hint("ask for a shorter answer, wait for %s, or raise the budget", a.until.UTC().Format(time.RFC3339))
}

// settle ends a reservation with what was spent.
func (a *account) settle(amount, spent Money) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reserved -= amount
	a.spent = a.spent.plus(spent)
	a.changes++
}

// entry is what the catalog is told of an account, taken before the
// transaction, which may have to be run again.
type entry struct {
	account                 *account
	leased, spent, reserved Money
	flushed, want, cap      Money
	changes                 uint64
	expires                 time.Time
	end                     bool // the lease is given back
	lost                    bool // others took it back: it had expired
}

// entry takes down an account. a.mu is held, and a.busy is the caller's.
func (a *account) entry(expires time.Time) entry {
	return entry{account: a, leased: a.leased, spent: a.spent, reserved: a.reserved, flushed: a.flushed,
		cap: a.cap, changes: a.changes, expires: expires}
}

// grow leases more from the catalog. a.busy is the caller's.
func (b *budgets) grow(ctx context.Context, a *account) {
	ctx, cancel := context.WithTimeout(ctx, leaseTime/3)
	defer cancel()
	a.mu.Lock()
	e := a.entry(b.now().Add(leaseTime))
	e.want = max(0, Money(min(a.wanted, float64(a.cap)))-a.free()) + a.part()
	a.mu.Unlock()
	var leased Money
	err := b.db.Write(ctx, func(t catalog.Tx) (err error) {
		leased, err = b.lease(ctx, t, &e)
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.failed = err
	} else {
		a.written(e)
		before := e.leased
		if e.lost {
			before = e.spent - e.flushed + e.reserved
		}
		if a.leased = leased; leased-before < e.want {
			a.dry, a.failed = b.now().Add(drySpell), errDry
		}
	}
	close(a.busy)
	a.busy = nil
}

var errDry = fault.New(fault.Limited, "the budget has nothing left")

// written notes that the catalog has an entry. a.mu is held.
func (a *account) written(e entry) {
	a.recorded, a.expires = e.changes, e.expires
	a.flushed = e.spent
	if e.lost { // what was flushed before is settled
		a.spent -= e.flushed
		a.flushed -= e.flushed
		a.leased = a.spent + a.reserved
	}
}

// lease adds to this replica's lease of a budget as much of what is wanted as
// there is, and returns the whole lease.
func (b *budgets) lease(ctx context.Context, t catalog.Tx, e *entry) (Money, error) {
	id := b.id(e.account)
	if _, err := t.Exec(ctx, `INSERT INTO llm_budgets (space, llm, caller, since, settled) VALUES (?, ?, ?, ?, 0)
		ON CONFLICT (space, llm, caller, since) DO UPDATE SET settled = llm_budgets.settled`, id...); err != nil {
		return 0, err
	}
	if err := b.reclaim(ctx, t, id); err != nil {
		return 0, err
	}
	var settled, others Money
	if err := t.Row(ctx, `SELECT settled FROM llm_budgets`+which, id, &settled); err != nil {
		return 0, err
	}
	leases, err := catalog.Collect(ctx, t, func(r *sql.Rows) (l lease, err error) {
		return l, r.Scan(&l.replica, &l.amount, &l.spent)
	}, `SELECT replica, amount, spent FROM llm_leases`+which, id...)
	if err != nil {
		return 0, err
	}
	e.lost = e.leased > 0 || e.spent > 0
	for _, l := range leases {
		if l.replica == b.replica {
			e.lost = false
		} else {
			others += max(l.amount, l.spent)
		}
	}
	mine, spent := e.leased, e.spent
	if e.lost {
		spent -= e.flushed
		mine = spent + e.reserved
	}
	left := e.cap - settled - others - max(mine, spent)
	mine += min(e.want, max(0, left))
	return mine, b.put(ctx, t, id, mine, spent, e.reserved, e.expires)
}

// lease is one replica's part of a budget.
type lease struct {
	replica       string
	amount, spent Money
}

// which picks the rows of a budget by its id.
const which = ` WHERE space = ? AND llm = ? AND caller = ? AND since = ?`

func (b *budgets) id(a *account) []any { return []any{b.space, a.key.llm, a.key.caller, a.key.since} }

// put writes this replica's lease.
func (b *budgets) put(ctx context.Context, t catalog.Tx, id []any, amount, spent, reserved Money, expires time.Time) error {
	_, err := t.Exec(ctx, `INSERT INTO llm_leases (space, llm, caller, since, replica, amount, spent, reserved, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (space, llm, caller, since, replica) DO UPDATE
		SET amount = excluded.amount, spent = excluded.spent, reserved = excluded.reserved, expires_at = excluded.expires_at`,
		append(slices.Clip(id), b.replica, int64(amount), int64(spent), int64(reserved), catalog.Micros(expires))...)
	return err
}

// reclaim takes back what expired leases of others did not spend.
func (b *budgets) reclaim(ctx context.Context, t catalog.Tx, id []any) error {
	const expired = which + ` AND expires_at < ? AND replica <> ?`
	args := append(slices.Clip(id), catalog.Micros(b.now()), b.replica)
	var spent Money
	if err := t.Row(ctx, `SELECT COALESCE(SUM(spent), 0) FROM llm_leases`+expired, args, &spent); err != nil {
		return err
	}
	n, err := t.Exec(ctx, `DELETE FROM llm_leases`+expired, args...)
	if err != nil || n == 0 {
		return err
	}
	return settled(ctx, t, id, spent)
}

// settled adds to what is spent of a budget for good.
func settled(ctx context.Context, t catalog.Tx, id []any, spent Money) error {
	_, err := t.Exec(ctx, `UPDATE llm_budgets SET settled = settled + ?`+which, append([]any{int64(spent)}, id...)...)
	return err
}

// flush is one writing of the accounts that changed: begin, write in a
// transaction, which may run more than once, and done.
type flush struct {
	b       *budgets
	entries []entry
}

// begin takes down what is to be written: what was spent of each lease, for
// how long it lasts, and what of it goes back.
func (b *budgets) begin(closing bool) *flush {
	f := &flush{b: b}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, a := range b.by {
		a.mu.Lock()
		switch idle := a.reserved == 0 && a.waiting == 0 && a.busy == nil; {
		case idle && a.leased == 0 && a.spent == 0 && now.Sub(a.used) > forgetAfter:
			delete(b.by, key)
		case a.busy == nil && (a.due(now) || closing && a.leased > 0):
			a.busy, a.failed = make(chan struct{}), nil
			if beyond := a.free() - 2*a.part(); beyond > 0 {
				a.leased -= beyond
			}
			e := a.entry(now.Add(leaseTime))
			if e.end = idle && (closing || now.Sub(a.used) > idleTime || now.After(a.until)); e.end {
				a.expires = time.Time{} // nobody reserves in what is given back
			}
			f.entries = append(f.entries, e)
		}
		a.mu.Unlock()
	}
	return f
}

// due tells whether an account is to be written now. a.mu is held.
func (a *account) due(now time.Time) bool {
	idle := a.reserved == 0 && now.Sub(a.used) > idleTime
	return a.changes != a.recorded || a.leased > 0 && (idle || now.After(a.expires.Add(renewEvery-leaseTime)))
}

func (f *flush) write(ctx context.Context, t catalog.Tx) error {
	for i := range f.entries {
		if err := f.b.write(ctx, t, &f.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// write writes one account. A lease that others took back, because it had
// expired, begins anew with what was spent since.
func (b *budgets) write(ctx context.Context, t catalog.Tx, e *entry) error {
	id := b.id(e.account)
	if e.end {
		n, err := t.Exec(ctx, `DELETE FROM llm_leases`+which+` AND replica = ?`, append(slices.Clip(id), b.replica)...)
		if err != nil {
			return err
		}
		spent := e.spent
		if n == 0 {
			spent -= e.flushed
		}
		return settled(ctx, t, id, spent)
	}
	n, err := t.Exec(ctx, `UPDATE llm_leases SET amount = ?, spent = ?, reserved = ?, expires_at = ?`+which+` AND replica = ?`,
		append(append([]any{int64(e.leased), int64(e.spent), int64(e.reserved), catalog.Micros(e.expires)}, id...), b.replica)...)
	if err != nil {
		return err
	}
	if e.lost = n == 0; e.lost {
		spent := e.spent - e.flushed
		return b.put(ctx, t, id, spent+e.reserved, spent, e.reserved, e.expires)
	}
	return nil
}

// done ends a flush. What was not written is written next time.
func (f *flush) done(err error) {
	for _, e := range f.entries {
		a := e.account
		a.mu.Lock()
		switch {
		case err != nil:
		case e.end: // nobody spent of it meanwhile: what is not there needs a lease
			a.leased, a.spent, a.flushed, a.expires = 0, a.spent-e.spent, 0, time.Time{}
			a.recorded = e.changes
		default:
			a.written(e)
		}
		close(a.busy)
		a.busy = nil
		a.mu.Unlock()
	}
}
