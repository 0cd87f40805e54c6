// Package limit bounds what an endpoint takes on: rows per second for each
// caller (Rate), requests at the same time (Slots).
//
// Both answer at once, or nearly: who is over a rate is told when to come
// back, who finds every slot taken waits in a short queue or is refused. A
// refusal is a fault that After finds the waiting time in. Memory is bounded
// by the number of callers kept (MaxCallers), not by who asks.
package limit

import (
	"container/list"
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// MaxCallers is how many callers a Rate remembers. The one that was silent
// for longest is forgotten first; when it comes back it finds a full bucket.
const MaxCallers = 10_000

// Later says when to come back; it is the cause of a refusal.
type Later struct{ Wait time.Duration }

// Error says how long to wait.
func (l *Later) Error() string { return "try again in " + l.Wait.String() }

// After returns how long who got a refusal should wait, and whether err is
// one that says so.
func After(err error) (time.Duration, bool) {
	if l, ok := errors.AsType[*Later](err); ok {
		return l.Wait, true
	}
	return 0, false
}

// Rate is a token bucket for each caller that holds a second's worth. A
// request is admitted while the bucket is not empty, however many rows it
// has, and what it takes beyond is owed: so the rate holds on average and no
// size of request is impossible. It is safe for many goroutines.
type Rate struct {
	perSecond float64
	burst     float64

	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  *list.List // of *bucket, the last one to ask in front
}

type bucket struct {
	caller string
	tokens float64
	at     time.Time
}

// NewRate returns the limiter of a rate in rows per second; it must be more
// than 0.
func NewRate(perSecond float64) *Rate {
	return &Rate{
		perSecond: perSecond, burst: math.Max(1, perSecond),
		buckets: map[string]*list.Element{}, recent: list.New(),
	}
}

// Take admits n rows of a caller, or refuses them with a Limited fault. A nil
// Rate admits everything.
func (r *Rate) Take(caller string, n int, now time.Time) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(caller, now)
	if elapsed := now.Sub(b.at); elapsed > 0 { // a clock that goes back earns nothing
		b.tokens = math.Min(r.burst, b.tokens+elapsed.Seconds()*r.perSecond)
		b.at = now
	}
	if b.tokens < 1 && b.tokens < float64(n) {
		return r.refuse(b)
	}
	b.tokens -= float64(n)
	return nil
}

func (r *Rate) refuse(b *bucket) error {
	seconds := math.Min((1-b.tokens)/r.perSecond, 3600)
	wait := time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	return fault.New(fault.Limited, "more than %g rows per second", r.perSecond).
		Because(&Later{max(wait, time.Millisecond)}).Hint("wait, or ask for a higher limit of the endpoint")
}

func (r *Rate) bucket(caller string, now time.Time) *bucket {
	if e, known := r.buckets[caller]; known {
		r.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if r.recent.Len() >= MaxCallers {
		last := r.recent.Back()
		delete(r.buckets, r.recent.Remove(last).(*bucket).caller)
	}
	b := &bucket{caller: caller, tokens: r.burst, at: now}
	r.buckets[caller] = r.recent.PushFront(b)
	return b
}

// Slots bounds how many requests are worked on at once. Some more may wait.
// It is safe for many goroutines.
type Slots struct {
	taken   chan struct{}
	waiting atomic.Int64
	queue   int64
}

// NewSlots returns n slots with a queue of at most n waiting.
func NewSlots(n int) *Slots { return &Slots{taken: make(chan struct{}, n), queue: int64(n)} }

// Enter takes a slot, waiting for one while ctx lasts, and says how long that
// was. A full queue is an Overloaded fault; leave the slot with Leave after
// nil, and only then. A nil Slots has room for everybody.
func (s *Slots) Enter(ctx context.Context) (waited time.Duration, err error) {
	if s == nil {
		return 0, nil
	}
	select {
	case s.taken <- struct{}{}:
		return 0, nil
	default:
	}
	if s.waiting.Add(1) > s.queue {
		s.waiting.Add(-1)
		return 0, overloaded(nil)
	}
	defer s.waiting.Add(-1)
	begin := time.Now()
	select {
	case s.taken <- struct{}{}:
		return time.Since(begin), nil
	case <-ctx.Done():
		if fault.Is(ctx.Err(), fault.Canceled) {
			return time.Since(begin), fault.Wrap(ctx.Err(), fault.Canceled, "the caller went away while the request waited")
		}
		return time.Since(begin), overloaded(ctx.Err())
	}
}

// Leave gives a slot back.
func (s *Slots) Leave() {
	if s != nil {
		<-s.taken
	}
}

func overloaded(cause error) error {
	return fault.New(fault.Overloaded, "too many requests at once").
		Because(errors.Join(&Later{time.Second}, cause)).Hint("come back in a second, or send several rows in one request")
}
