package gateway

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/catalog"
)

// Find returns a call of the ledger. One that has just ended is there.
func (g *Gateway) Find(ctx context.Context, id string) (Call, error) {
	list, err := g.list(ctx, ` AND id = ?`, []any{id}, 1)
	if err != nil {
		return Call{}, err
	}
	if len(list) == 0 {
		return Call{}, fault.New(fault.NotFound, "no call of a language model has the id %q", id)
	}
	return list[0], nil
}

// Select says which calls are listed. Zero fields choose all.
type Select struct {
	LLM, Caller string
	Before      string // only calls with smaller ids: the next page
	Limit       int    // 50 when 0, 1000 at most
}

// Calls lists calls, the latest first.
func (g *Gateway) Calls(ctx context.Context, s Select) ([]Call, error) {
	var where strings.Builder
	var args []any
	for _, f := range [...]struct{ condition, value string }{{"llm = ?", s.LLM}, {"caller = ?", s.Caller}, {"id < ?", s.Before}} {
		if f.value != "" {
			where.WriteString(" AND " + f.condition)
			args = append(args, f.value)
		}
	}
	return g.list(ctx, where.String(), args, min(cmp.Or(s.Limit, 50), 1000))
}

func (g *Gateway) list(ctx context.Context, where string, args []any, limit int) (list []Call, err error) {
	if err := g.books.flush(ctx, false); err != nil {
		return nil, err
	}
	args = append(append([]any{g.deps.Space}, args...), limit)
	err = g.deps.DB.Read(ctx, func(t catalog.Tx) (err error) {
		list, err = catalog.Collect(ctx, t, scanCall, `SELECT `+callColumns+` FROM llm_calls WHERE space = ?`+where+` ORDER BY id DESC LIMIT ?`, args...)
		return err
	})
	return list, err
}

func scanCall(r *sql.Rows) (c Call, err error) {
	var space, text string
	var at int64
	if err := r.Scan(&c.ID, &space, &c.LLM, &c.Caller, &at, &c.Cost, &text); err != nil {
		return c, err
	}
	var d details
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return c, fault.Wrap(err, fault.Corrupt, "the call %s of the ledger cannot be read", c.ID)
	}
	c.At, c.First, c.Duration = catalog.Time(at), time.Duration(d.FirstUS)*time.Microsecond, time.Duration(d.DurationUS)*time.Microsecond
	c.Operation, c.Served, c.Deployment, c.Model, c.Via = d.Operation, d.Served, d.Deployment, d.Model, d.Via
	c.Usage = llm.Usage{Input: d.Input, CachedInput: d.Cached, CacheWrite: d.CacheWrite, Output: d.Output, Reasoning: d.Reasoning}
	c.Units, c.Estimated, c.Unpriced, c.Cached = d.Units, d.Estimated, d.Unpriced, d.FromCache
	c.Attempts, c.Fallback, c.Finish, c.Error = d.Attempts, d.Fallback, d.Finish, d.Error
	return c, nil
}

// Spent is what was spent in a part of the ledger.
type Spent struct {
	Day         time.Time // zero where it is not asked for by days
	LLM         string
	Caller      string
	Deployment  string
	Calls       int64
	Failed      int64
	Input       int64 // tokens
	CachedInput int64 // of Input
	Output      int64
	Cost        Money
}

// By says what sums are made by; any of its fields may be set.
type By struct{ Day, LLM, Caller, Deployment bool }

// Spend sums what was spent since a time, which counts from the beginning of
// its day (UTC). The dearest comes first; by days, the latest.
func (g *Gateway) Spend(ctx context.Context, since time.Time, by By) ([]Spent, error) {
	if err := g.books.flush(ctx, false); err != nil {
		return nil, err
	}
	columns, groups := make([]string, 4), []string(nil)
	for i, c := range [...]struct {
		on         bool
		name, none string
	}{{by.Day, "day", "0"}, {by.LLM, "llm", "''"}, {by.Caller, "caller", "''"}, {by.Deployment, "deployment", "''"}} {
		columns[i] = c.none
		if c.on {
			columns[i] = c.name
			groups = append(groups, c.name)
		}
	}
	statement := `SELECT ` + strings.Join(columns, ", ") + `, CAST(SUM(calls) AS BIGINT), CAST(SUM(failed) AS BIGINT), CAST(SUM(input) AS BIGINT), CAST(SUM(cached) AS BIGINT),
		CAST(SUM(output) AS BIGINT), CAST(SUM(cost) AS BIGINT) FROM llm_spend WHERE space = ? AND day >= ?`
	if len(groups) > 0 {
		statement += ` GROUP BY ` + strings.Join(groups, ", ")
	} else {
		statement += ` HAVING COUNT(*) > 0`
	}
	from := catalog.Micros(since.UTC().Truncate(24 * time.Hour))
	var all []Spent
	err := g.deps.DB.Read(ctx, func(t catalog.Tx) (err error) {
		all, err = catalog.Collect(ctx, t, func(r *sql.Rows) (s Spent, err error) {
			var day int64
			err = r.Scan(&day, &s.LLM, &s.Caller, &s.Deployment, &s.Calls, &s.Failed, &s.Input, &s.CachedInput, &s.Output, &s.Cost)
			s.Day = catalog.Time(day)
			return s, err
		}, statement, g.deps.Space, from)
		return err
	})
	slices.SortStableFunc(all, func(a, b Spent) int {
		return cmp.Or(b.Day.Compare(a.Day), cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Calls, a.Calls), strings.Compare(a.LLM, b.LLM), strings.Compare(a.Caller, b.Caller))
	})
	return all, err
}

// Bounds of the ledger: calls are kept so long and so many. What was spent on
// a day is kept.
const (
	keepCalls = 30 * 24 * time.Hour
	mostCalls = 2_000_000
)

// Tidy lets go of old calls. It is to be called now and then.
func (g *Gateway) Tidy(ctx context.Context) error {
	oldest := newID(g.deps.Clock.Now().Add(-keepCalls))[:10]
	return g.deps.DB.Write(ctx, func(t catalog.Tx) error {
		if _, err := t.Exec(ctx, `DELETE FROM llm_calls WHERE space = ? AND id < ?`, g.deps.Space, oldest); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `DELETE FROM llm_calls WHERE id < (SELECT id FROM llm_calls ORDER BY id DESC LIMIT 1 OFFSET ?)`, mostCalls)
		return err
	})
}

// Status is how an LLM does.
type Status struct {
	Name        string
	Description string
	Fallback    []string
	Deployments []DeploymentStatus
	Budget      *BudgetStatus // nil: there is none
}

// DeploymentStatus is how a deployment does, as this replica sees it.
type DeploymentStatus struct {
	At       string
	Weight   int
	State    string        // ready, or cooling
	Until    time.Time     // when it is asked again; zero where it is ready
	Running  int           // calls under way
	First    time.Duration // average time to the first piece; 0 before any
	Errors   float64       // share of calls that fail
	LastKind string        // of the fault of the last failure, since it worked
	Priced   bool
}

// BudgetStatus is the present span of a budget, of all replicas.
type BudgetStatus struct {
	USD      Money
	Every    time.Duration
	Per      string
	Since    time.Time
	Callers  []BudgetSpent
	Unpriced bool // calls are refused, for no price is known
}

// BudgetSpent is what was spent of a budget.
type BudgetSpent struct {
	Caller          string // "" where all share it
	Spent, Reserved Money
}

// Status tells how every LLM does, by name.
func (g *Gateway) Status(ctx context.Context) ([]Status, error) {
	if err := g.books.flush(ctx, false); err != nil {
		return nil, err
	}
	now := g.deps.Clock.Now()
	g.mu.RLock()
	var all []*model
	for _, m := range g.models {
		all = append(all, m)
	}
	g.mu.RUnlock()
	slices.SortFunc(all, func(a, b *model) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	list := make([]Status, len(all))
	for i, m := range all {
		list[i] = m.status(now)
		if m.budget <= 0 {
			continue
		}
		b, err := g.budgetStatus(ctx, m, now)
		if err != nil {
			return nil, err
		}
		list[i].Budget = b
	}
	return list, nil
}

func (m *model) status(now time.Time) Status {
	s := Status{Name: m.spec.Name, Description: m.spec.Description, Fallback: m.spec.Fallback}
	for _, d := range m.deployments {
		d.mu.Lock()
		one := DeploymentStatus{At: d.At, Weight: d.weight, State: "ready", Running: int(d.running.Load()), First: d.first, Errors: d.errors, LastKind: d.last, Priced: d.priced}
		if now.Before(d.until) {
			one.State, one.Until = "cooling", d.until
		}
		d.mu.Unlock()
		s.Deployments = append(s.Deployments, one)
	}
	return s
}

func (g *Gateway) budgetStatus(ctx context.Context, m *model, now time.Time) (*BudgetStatus, error) {
	b := m.spec.Budget
	since := now.Truncate(b.Every.Std())
	s := &BudgetStatus{USD: m.budget, Every: b.Every.Std(), Per: b.Per, Since: since, Unpriced: !m.priced}
	err := g.deps.DB.Read(ctx, func(t catalog.Tx) (err error) {
		s.Callers, err = catalog.Collect(ctx, t, func(r *sql.Rows) (x BudgetSpent, err error) {
			return x, r.Scan(&x.Caller, &x.Spent, &x.Reserved)
		}, `SELECT b.caller, b.settled + CAST(COALESCE(SUM(l.spent), 0) AS BIGINT), CAST(COALESCE(SUM(l.reserved), 0) AS BIGINT) FROM llm_budgets b
			LEFT JOIN llm_leases l ON l.space = b.space AND l.llm = b.llm AND l.caller = b.caller AND l.since = b.since
			WHERE b.space = ? AND b.llm = ? AND b.since = ? GROUP BY b.caller, b.settled ORDER BY 2 DESC LIMIT 1000`,
			g.deps.Space, m.spec.Name, catalog.Micros(since))
		return err
	})
	return s, err
}

var _ llm.Stream = (*stream)(nil)
