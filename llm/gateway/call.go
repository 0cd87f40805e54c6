package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

func via(ctx context.Context) string {
	what, _ := ctx.Value(viaKey{}).(string)
	return what
}

// call is a call on its way.
type call struct {
	g     *Gateway
	ctx   context.Context // of the whole call
	end   context.CancelFunc
	span  func(error) // ends the span; nil: there is none
	who   Caller
	named *model
	work  workload
	// question makes the JSON of what is asked, for the record.
	question func() string

	mu       sync.Mutex
	info     Call
	entered  []entered
	price    Price // of the deployment that was asked last
	answered bool  // an answer is given out, and what it took is not known yet
	lost     spent // what attempts took that gave no answer
	hidden   bool  // a record that must be could not be made
	said     int   // bytes of the answer that were given out
	pieces   int   // of the answer that were given out
	counted  bool  // the provider said what was used
	answer   strings.Builder
	finished bool
}

// entered is an LLM whose limits and budget a call counts against.
type entered struct {
	model   *model
	gate    gate
	account *account // nil: no budget
	amount  Money    // reserved in it
	before  Money    // what attempts had cost when it was entered, which it does not pay
}

// begin finds the LLM and asks whether the caller may use it.
func (g *Gateway) begin(ctx context.Context, name string, op Operation) (*call, error) {
	m, err := g.find(ctx, name)
	if err != nil {
		return nil, err
	}
	who, what := g.deps.Who(ctx), via(ctx)
	if what == "" {
		if err := m.admits(who); err != nil {
			return nil, err
		}
	}
	now := g.deps.Clock.Now()
	c := &call{g: g, who: who, named: m, info: Call{ID: newID(now), At: now, Operation: op, LLM: m.spec.Name, Caller: who.Name, Via: what}}
	if g.deps.Telemetry.Tracing() {
		ctx, c.span = g.deps.Telemetry.Span(ctx, string(op)+" "+m.spec.Name,
			slog.String("gen_ai.operation.name", string(op)), slog.String("gen_ai.request.model", m.spec.Name), slog.String("leat.llm.call", c.info.ID))
	}
	c.ctx, c.end = context.WithTimeout(ctx, m.spec.Timeouts.Total.Std())
	return c, nil
}

// enter admits the call to an LLM's limits, and reserves its worst case there
// and in the budgets that it counts against already.
func (c *call) enter(m *model) error {
	now := c.g.deps.Clock.Now()
	gate, left, no := m.meters.enter(m.spec.Limits, c.who.Name, c.work.guess, now)
	if m == c.named {
		c.info.Limits = left
	}
	if no != nil {
		return fault.New(fault.Limited, "LLM %q", m.spec.Name).Because(no).
			Hint("wait for %s, or ask who runs this for a higher limit", no.RetryAfter.Round(time.Second))
	}
	e := entered{model: m, gate: gate}
	err := c.reserve(&e, now)
	if err != nil {
		gate.leave(0)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entered = append(c.entered, e)
	return nil
}

// reserve holds the worst case of an LLM in its own budget, and in those of
// the LLMs that this one stands in for.
func (c *call) reserve(e *entered, now time.Time) error {
	m := e.model
	if err := c.cover(m); err != nil {
		return err
	}
	if m.budget <= 0 {
		return nil
	}
	if !m.priced {
		return unpriced(m.spec)
	}
	who := ""
	if m.spec.Budget.Per == "caller" {
		who = c.who.Name
	}
	a := c.g.budgets.account(m.spec.Name, who, m.budget, m.spec.Budget.Every.Std(), now)
	worst := m.worst(c.work)
	if err := c.g.budgets.reserve(c.ctx, a, worst); err != nil {
		return err
	}
	e.account, e.amount, e.before = a, worst, c.lost.cost
	return nil
}

// cover holds the worst case of one more attempt at an LLM, beside what those
// before it took, in every budget that the call counts against already.
func (c *call) cover(m *model) error {
	worst := m.worst(c.work)
	for i := range c.entered {
		e := &c.entered[i]
		if e.account == nil {
			continue
		}
		if !m.priced {
			return unpriced(m.spec)
		}
		if more := (c.lost.cost - e.before).plus(worst) - e.amount; more > 0 {
			if err := c.g.budgets.reserve(c.ctx, e.account, more); err != nil {
				return err
			}
			e.amount += more
		}
	}
	return nil
}

func unpriced(s *spec.LLM) error {
	return fault.New(fault.Rejected, "no price is known for every deployment of LLM %q, and it counts against a budget", s.Name).
		Hint("add a price to the LLM or to its deployments")
}

// patience is how long a call waits for a deployment that asked not to be
// called.
const patience = 10 * time.Second

// attempts asks deployments until one answers: those of the LLM that was
// named, then its fallbacks.
func attempts[T any](c *call, ask func(context.Context, Provider, *model, *deployment) (T, error)) (T, error) {
	result, why, err := tryModel(c, c.named, ask)
	if err == nil || why == "" {
		return result, err
	}
	for _, name := range c.named.spec.Fallback {
		m, unknown := c.g.find(c.ctx, name)
		if unknown != nil || m == c.named {
			continue
		}
		c.mu.Lock()
		c.info.Fallback = why
		c.mu.Unlock()
		next, again, failed := tryModel(c, m, ask)
		if failed == nil {
			return next, nil
		}
		if again == "" {
			return next, failed
		}
		if !errors.Is(failed, errNotEntered) {
			err = failed
		}
	}
	return result, err
}

// errNotEntered marks that a fallback was not asked, because its limits or a
// budget did not let the call in.
var errNotEntered = errors.New("the fallback was not asked")

// tryModel asks the deployments of one LLM. why is the reason for which
// another LLM may be asked, "" where that is of no use.
func tryModel[T any](c *call, m *model, ask func(context.Context, Provider, *model, *deployment) (T, error)) (result T, why string, err error) {
	if err := c.enter(m); err != nil {
		if m == c.named {
			return result, "", err
		}
		return result, whyUnavailable, errors.Join(errNotEntered, err)
	}
	m.retries.call()
	var t tried
	for n := 0; ; n++ {
		d, wait := m.pick(&t, c.g.deps.Clock.Now())
		if d == nil {
			wait, err = c.none(m, &t, wait, err)
			if wait == 0 || n >= m.spec.Attempts || !m.retries.take() || !c.sleep(wait) {
				return result, whyUnavailable, err
			}
			continue
		}
		result, err = attempt(c, m, d, ask)
		if err == nil {
			return result, "", nil
		}
		v, reason, blame := judge(c.ctx, err)
		c.blame(m, d, err, blame)
		if v != tryAgain {
			return result, reason, err
		}
		if useless(err) {
			t.never = append(t.never, d)
		} else {
			t.again = append(t.again, d)
		}
		if n+1 >= m.spec.Attempts || !m.retries.take() || !c.pause(m, &t, n) {
			return result, reason, err
		}
		if c.cover(m) != nil { // no budget for another try: the failure is what to tell
			return result, reason, err
		}
	}
}

// attempt asks one deployment. One that took the question and gave no answer
// is counted here; who gives an answer counts at the call's end.
func attempt[T any](c *call, m *model, d *deployment, ask func(context.Context, Provider, *model, *deployment) (T, error)) (T, error) {
	c.mu.Lock()
	c.info.Attempts++
	c.info.Served, c.info.Deployment, c.info.Unpriced = m.spec.Name, d.At, !d.priced
	c.price = d.price
	c.mu.Unlock()
	p, err := d.enter(c.ctx)
	if err != nil {
		var none T
		return none, fault.Wrap(err, fault.Unavailable, "%s cannot be asked", d.At)
	}
	var w way
	result, err := ask(w.watch(c.ctx), p, m, d)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered = err == nil; !c.answered && w.reached(err) {
		c.lose()
	}
	return result, err
}

// blame notes what a failed attempt says about its deployment.
func (c *call) blame(m *model, d *deployment, err error, blame bool) {
	if !blame {
		d.passed()
		return
	}
	cool := m.spec.Cooldown.Std()
	wait := min(llm.RetryAfter(err), 10*time.Minute)
	if wait == 0 && fault.Is(err, fault.Limited) {
		wait = cool
	}
	d.broke(c.g.deps.Clock.Now(), err, wait, cool)
	c.g.deps.Log.Debug("a language model failed", "llm", m.spec.Name, "deployment", d.At, "error", err)
}

// none says what to do where no deployment is ready: how long to wait, or 0
// with the error.
func (c *call) none(m *model, t *tried, wait time.Duration, last error) (time.Duration, error) {
	if len(t.never) == len(m.deployments) {
		return 0, last
	}
	err := last
	if err == nil {
		err = fault.New(fault.Unavailable, "LLM %q", m.spec.Name).
			Because(&llm.Refusal{Status: fault.Unavailable.HTTP(), RetryAfter: max(wait, time.Second), Message: "every deployment is left alone for now, because it failed or asked for it"}).
			Hint("try again in %s", max(wait, time.Second).Round(time.Second))
	}
	if wait > patience || len(m.spec.Fallback) > 0 && m == c.named {
		return 0, err
	}
	return wait, err
}

// pause waits before another attempt, where that goes to a deployment that was
// asked before: longer each time, and never the same.
func (c *call) pause(m *model, t *tried, n int) bool {
	if len(t.again)+len(t.never) < len(m.deployments) {
		return true
	}
	const first = 50 * time.Millisecond
	wait := time.Duration(float64(first<<min(n, 6)) * (0.5 + rand.Float64()))
	return c.sleep(wait)
}

// sleep waits, and tells whether the call goes on.
func (c *call) sleep(d time.Duration) bool {
	if until, ok := c.ctx.Deadline(); ok && time.Until(until) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// used notes what the provider counts. The last word counts.
func (c *call) used(u llm.Usage, units int) {
	const most = 1 << 40 // a provider that lies breaks no sum
	bound := func(n int) int { return min(max(n, 0), most) }
	c.counted = true
	c.info.Usage = llm.Usage{Input: bound(u.Input), CachedInput: bound(u.CachedInput), CacheWrite: bound(u.CacheWrite), Output: bound(u.Output), Reasoning: bound(u.Reasoning)}
	c.info.Units = bound(units)
}

// finish ends the call: what it really cost is settled, and it goes into the
// ledger. It returns the error with what is known of the call in its chain. It
// is safe to call twice; the first counts.
func (c *call) finish(err error) error {
	c.mu.Lock()
	if c.finished {
		c.mu.Unlock()
		return err
	}
	c.finished = true
	now := c.g.deps.Clock.Now()
	c.info.Duration = now.Sub(c.info.At)
	if err != nil {
		c.info.Error = string(fault.KindOf(err))
	}
	c.count(err)
	c.info.Cost = c.price.Of(c.info.Usage, c.info.Units).plus(c.lost.cost)
	c.info.Usage = c.info.Usage.Add(c.lost.usage)
	c.info.Units += c.lost.units
	for _, e := range c.entered {
		e.gate.leave(c.info.Usage.Input + c.info.Usage.Output)
		if e.account != nil {
			e.account.settle(e.amount, c.info.Cost-e.before)
		}
	}
	info := c.info
	c.mu.Unlock()
	c.g.tell.call(c.named, &info)
	if failed := c.record(info); failed != nil && err == nil {
		err = failed
		info.Error = string(fault.KindOf(err))
	}
	c.g.books.add(info)
	if c.span != nil {
		c.span(err)
	}
	c.end()
	if err != nil {
		return &Failed{Call: info, Err: err}
	}
	return nil
}

// count estimates what an answer took, where the provider did not say it: what
// was given out of it; where that is nothing, as of an attempt that failed.
// c.mu is held.
func (c *call) count(err error) {
	if c.counted || c.info.Cached || !c.answered {
		return
	}
	if err != nil && c.pieces == 0 {
		c.lose()
		return
	}
	c.info.Estimated = true
	c.info.Usage = llm.Usage{Input: max(1, c.work.asked), Output: max(tokensIn(c.said), c.pieces)}
	c.info.Units = c.work.units
}

// record hands the call to the decision log: at once where there is no answer
// without a record, and otherwise with the next group.
func (c *call) record(info Call) error {
	if !c.recorded() {
		return nil
	}
	e := Entry{Call: info, Answer: c.answer.String(), ask: c.question, size: c.work.most.Input}
	if !c.mustRecord() {
		c.g.books.record(e)
		return nil
	}
	e.Required = true
	if c.question != nil {
		e.Question = c.question()
	}
	err := c.g.deps.Recorder.Record(context.WithoutCancel(c.ctx), e)
	if c.hidden = err != nil; c.hidden {
		c.g.deps.Log.Error("a call of a language model could not be recorded", "llm", info.LLM, "call", info.ID, "error", err)
	}
	return fault.Wrap(err, fault.Unavailable, "the call could not be recorded, and LLM %q gives no answer without a record", info.LLM)
}

// scope says whose answers may be given again: those of the same caller with
// the same groups, asked for in the same way.
func (c *call) scope() string {
	return cmp.Or(c.info.Via, "-") + "\x00" + c.who.Name + "\x00" + strings.Join(c.who.Groups, "\x00")
}
