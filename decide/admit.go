package decide

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide/limit"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
)

// gate is what bounds an endpoint. It outlives the releases of one endpoint
// while they have the same limits, so that a deploy gives nobody a new
// allowance.
type gate struct {
	limits spec.Limits
	rate   *limit.Rate
	slots  *limit.Slots
}

func newGate(l spec.Limits) *gate {
	g := &gate{limits: l}
	if l.Rate > 0 {
		g.rate = limit.NewRate(float64(l.Rate))
	}
	n := l.Concurrency
	if n <= 0 {
		n = defaultConcurrency
	}
	g.slots = limit.NewSlots(n)
	return g
}

// interactive tells whether somebody waits for the answer: limits are for
// them. A batch or stream paces itself, and its size is that of its data.
func interactive(p Pattern) bool { return p != Batch && p != Stream }

// permit checks who asks. The answer does not depend on anything but the
// release and the principal.
func permit(r *deploy.Release, p identity.Principal) error {
	verb, does := "score", "score with"
	if r.Content.Assistant != nil {
		verb, does = "ask", "ask"
	}
	if !p.May(verb, r.Endpoint) {
		return fault.New(fault.Forbidden, "%s may not %s %s", p.Name, does, r.Endpoint).
			Hint("a key needs the grant \"%s:%s\"", verb, r.Endpoint)
	}
	allow := r.Content.Allow
	if len(allow) == 0 || p.In(allow) || p.In([]string{identity.RunGroup}) || p.May("*", "*") {
		return nil
	}
	return fault.New(fault.Forbidden, "%s is in none of the groups that may %s %s", p.Name, does, r.Endpoint).
		Hint("its resource lists them under allow")
}

// enter admits a request, and says how long it waited, or says why not. After
// nil the caller calls leave once, when the answer is made.
func (g *gate) enter(ctx context.Context, path *Path, q *Request) (waited time.Duration, err error) {
	rows := int(q.Rows.NumRows())
	if most := path.MaxRows(); rows > most {
		return 0, fault.New(fault.TooLarge, "%d rows in one request, %d are allowed", rows, most).
			Hint("send fewer rows at a time, or score the table with a batch")
	}
	caller := q.Principal.Name
	if g.limits.Per == "endpoint" {
		caller = ""
	}
	// The slot first: who is refused for it has not used up their rate.
	if waited, err = g.slots.Enter(ctx); err != nil {
		return waited, err
	}
	if err := g.rate.Take(caller, rows, path.deps.Clock.Now()); err != nil {
		g.slots.Leave()
		return waited, err
	}
	return waited, nil
}

func (g *gate) leave() { g.slots.Leave() }

// within bounds a request's time, unless it is bounded more tightly.
func (p *Path) within(ctx context.Context) (context.Context, func()) {
	at := time.Now().Add(p.Timeout())
	if tighter, ok := ctx.Deadline(); ok && !tighter.After(at) {
		return ctx, func() {}
	}
	d := &deadline{Context: ctx, at: at}
	return d, d.end
}

// admit runs the whole path behind the gate.
func (p *Path) admit(ctx context.Context, g *gate, q Request) (*Answer, error) {
	if q.Rows == nil {
		return nil, fault.New(fault.Internal, "a request without rows")
	}
	if err := permit(&p.release, q.Principal); err != nil {
		return nil, err
	}
	if !interactive(q.Pattern) {
		return p.decide(ctx, q)
	}
	ctx, end := p.within(ctx)
	defer end()
	waited, err := g.enter(ctx, p, &q)
	if err != nil {
		return nil, err
	}
	defer g.leave()
	a, err := p.decide(ctx, q)
	if err == nil {
		a.Waited = waited
	}
	return a, err
}
