package gateway

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/llm"
)

// How a deployment is judged. Averages are exponential, over about the last
// 1/weight calls.
const (
	timeWeight  = 0.2 // of the newest time to the first token
	errorWeight = 0.1 // of the newest outcome
	// coolAfter is how many calls in a row fail before a deployment is left
	// alone, and longestCool how long that is at most: it doubles each time.
	coolAfter   = 3
	longestCool = time.Minute
)

// deployment is one place that serves a model, and how it does.
type deployment struct {
	Deployment
	weight int
	price  Price
	priced bool
	calls  [2]telemetry.BoundCounter // good, failed

	open     func(context.Context, Deployment) (Provider, error)
	running  atomic.Int64
	mu       sync.Mutex
	provider *Provider // nil before the first call
	retired  bool
	health
}

// health is how a deployment does. It is guarded by the deployment's mu.
type health struct {
	first   time.Duration // average time to the first piece; 0 before any
	errors  float64       // share of calls that fail
	row     int           // how many failed in a row
	cooled  int           // how often it was left alone in a row
	until   time.Time     // left alone until then
	probing bool          // one call tries whether it is back
	last    string        // the last failure, for people
}

// enter begins a call and returns what makes it.
func (d *deployment) enter(ctx context.Context) (Provider, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.provider == nil {
		p, err := d.open(ctx, d.Deployment)
		if err != nil {
			return Provider{}, err
		}
		d.provider = &p
	}
	d.running.Add(1)
	return *d.provider, nil
}

// leave ends a call. The last one of a deployment that is not in force any
// more closes it.
func (d *deployment) leave() {
	if d.running.Add(-1) == 0 {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.retired {
			d.shut()
		}
	}
}

// retire closes the deployment when its last call has ended.
func (d *deployment) retire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retired = true
	if d.running.Load() == 0 {
		d.shut()
	}
}

// shut closes the provider. d.mu is held. A failure to close is nobody's.
func (d *deployment) shut() {
	if p := d.provider; p != nil {
		d.provider = nil
		if p.Close != nil {
			_ = p.Close()
		}
	}
}

// ready tells whether the deployment may be asked, and for how long not. Who
// is the first after a pause is the one that tries.
func (d *deployment) ready(now time.Time) (bool, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case now.Before(d.until):
		return false, d.until.Sub(now)
	case d.cooled > 0 && d.probing:
		return false, time.Second
	}
	return true, 0
}

// begin notes that the deployment was chosen.
func (d *deployment) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.probing = d.cooled > 0
}

// worked notes a call whose first piece came.
func (d *deployment) worked(first time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first == 0 {
		d.first = first
	}
	d.first += time.Duration(timeWeight * float64(first-d.first))
	d.errors -= errorWeight * d.errors
	d.row, d.cooled, d.probing, d.until, d.last = 0, 0, false, time.Time{}, ""
	d.calls[0].Add(1)
}

// broke notes a call that failed by the deployment's fault. wait is how long
// the provider asked to be left alone, 0 where it did not.
func (d *deployment) broke(now time.Time, err error, wait, cool time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors += errorWeight * (1 - d.errors)
	d.row++
	d.last = string(fault.KindOf(err))
	if wait == 0 && (d.row >= coolAfter || d.probing) {
		wait = min(cool<<min(d.cooled, 8), max(longestCool, cool))
		wait = time.Duration(float64(wait) * (0.75 + 0.5*rand.Float64()))
	}
	if until := now.Add(wait); wait > 0 && until.After(d.until) {
		d.until = until
		d.cooled++
	}
	d.probing = false
	d.calls[1].Add(1)
}

// passed notes a call that says nothing about the deployment.
func (d *deployment) passed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.probing = false
}

// score is what a call there is expected to cost in time: the smaller the
// better. A deployment that nobody has asked yet is the best, so that it is.
func (d *deployment) score() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return float64(d.first) * float64(d.running.Load()+1) / math.Max(0.05, 1-d.errors)
}

// tried are the deployments that a call was at: those that may be asked again
// where no other is left, and those that may not.
type tried struct{ again, never []*deployment }

// pick chooses the deployment for the next attempt of a call: by weight, or
// the better of two that are drawn by weight; those that were tried already
// only where no other is left, and those of weight 0 only where no other is
// ready. A nil deployment comes with how long none is to be asked.
func (m *model) pick(t *tried, now time.Time) (*deployment, time.Duration) {
	candidates := make([]*deployment, 0, 8)
	soonest := time.Duration(math.MaxInt64)
	for round := range 2 {
		for _, d := range m.deployments {
			if slices.Contains(t.never, d) || slices.Contains(t.again, d) != (round == 1) {
				continue
			}
			if ok, wait := d.ready(now); ok {
				candidates = append(candidates, d)
			} else {
				soonest = min(soonest, wait)
			}
		}
		if len(candidates) > 0 {
			break
		}
	}
	if len(candidates) == 0 {
		return nil, soonest
	}
	at := draw(candidates)
	chosen := candidates[at]
	if rest := slices.Delete(candidates, at, at+1); m.spec.Route == "latency" && len(rest) > 0 {
		if other := rest[draw(rest)]; other.score() < chosen.score() && (other.weight > 0 || chosen.weight == 0) {
			chosen = other
		}
	}
	chosen.begin()
	return chosen, 0
}

// draw chooses one by weight; where all weights are 0, any.
func draw(from []*deployment) int {
	sum := 0
	for _, d := range from {
		sum += d.weight
	}
	if sum == 0 {
		return rand.IntN(len(from))
	}
	drawn := rand.IntN(sum)
	for i, d := range from {
		if drawn -= d.weight; drawn < 0 {
			return i
		}
	}
	return 0
}

// retries bounds how many attempts are repeated: so many for each call, and
// some in hand. It keeps a provider that is down from being asked many times
// as much as one that is up.
type retries struct {
	mu    sync.Mutex
	level float64
}

const (
	retryShare = 0.2
	retryMost  = 10
)

func newRetries() *retries { return &retries{level: retryMost} }

func (r *retries) call() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.level = min(retryMost, r.level+retryShare)
}

func (r *retries) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.level < 1 {
		return false
	}
	r.level--
	return true
}

// verdict is what a failed attempt means for its call.
type verdict int

const (
	giveUp   verdict = iota // the caller's mistake, or its time is over
	tryAgain                // here or at another deployment of the model
	fallBack                // of no use at another deployment, but at another model
)

// Reasons for which a fallback is asked.
const (
	whyUnavailable = "unavailable"
	whyContext     = "context"
	whyFilter      = "filter"
)

// judge says what a failed attempt means, and whether it is the deployment's
// fault.
func judge(ctx context.Context, err error) (v verdict, why string, blame bool) {
	refusal, refused := llm.RefusalOf(err)
	switch kind := fault.KindOf(err); {
	case ctx.Err() != nil:
		return giveUp, "", false
	case kind == fault.TooLarge && refused:
		return fallBack, whyContext, false
	case kind == fault.Rejected && refused:
		return fallBack, whyFilter, false
	case kind.Retryable() || kind == fault.NotFound || kind == fault.Canceled || kind == fault.Internal || kind == fault.Corrupt:
		return tryAgain, whyUnavailable, true
	case kind == fault.Unsupported: // this provider cannot do what is asked; another may
		return tryAgain, whyUnavailable, false
	case refused && !refusal.Final: // the provider asks for it
		return tryAgain, whyUnavailable, false
	}
	return giveUp, "", false
}

// useless tells whether the same deployment need not be asked again. A key
// that it does not know may be one that was just replaced: the next attempt
// has the new one.
func useless(err error) bool {
	if fault.Is(err, fault.Unsupported) {
		return true
	}
	refusal, refused := llm.RefusalOf(err)
	return refused && refusal.Final && refusal.Status != http.StatusUnauthorized
}
