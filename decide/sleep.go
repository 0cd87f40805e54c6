package decide

import (
	"context"
	"time"

	"github.com/leat-ai/leat/flow/deploy"
)

// How long waking may take, and how long an endpoint that could not wake
// answers with the reason before it tries again: loading a large model that is
// damaged, for each request, would be work without end.
const (
	wakeTime   = 2 * time.Minute
	wakeAgain  = 2 * time.Second
	mostAsleep = 16 // endpoints put to sleep for one that wakes
)

// wake compiles the path of an endpoint that sleeps, once for all who ask, and
// holds it. It does not end with the request of the one who happened to ask
// first.
func (r *Router) wake(at *route) (*served, error) {
	at.changing.Lock()
	defer at.changing.Unlock()
	s := at.live.Load()
	switch {
	case s == nil:
		return nil, noPath(at.endpoint)
	case s.path != nil && s.path.take(): // somebody else woke it
		return s, nil
	case s.failed != nil && r.deps.Clock.Now().Before(s.retry):
		return nil, s.failed
	}
	next := &served{release: s.release, gate: s.gate}
	ctx, cancel := context.WithTimeout(context.Background(), wakeTime)
	defer cancel()
	path, err := r.compile(ctx, s.release)
	if err != nil {
		next.failed, next.retry = err, r.deps.Clock.Now().Add(wakeAgain)
		r.put(at, next)
		return nil, err
	}
	path.take()
	next.path = path
	if !r.put(at, next) {
		path.leave()
		return nil, noPath(at.endpoint)
	}
	r.settle()
	return next, nil
}

// compile is Compile, some at a time.
func (r *Router) compile(ctx context.Context, release deploy.Release) (*Path, error) {
	select {
	case r.waking <- struct{}{}:
		defer func() { <-r.waking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return Compile(ctx, release, r.deps)
}

// settle puts endpoints to sleep until models have room again. It goes round
// them like the hand of a clock: one that was asked since the hand came by last
// is left alone this time (the second-chance algorithm of Corbató, 1968).
func (r *Router) settle() {
	if !r.deps.Models.Full() {
		return
	}
	routes := *r.routes.Load()
	names := r.Endpoints()
	for looks, slept := 0, 0; looks < 2*len(names) && slept < mostAsleep; looks++ {
		at := routes[names[r.turn()%len(names)]]
		if at == nil || !r.sleep(at) {
			continue
		}
		if slept++; !r.deps.Models.Full() {
			return
		}
	}
}

// turn moves the hand.
func (r *Router) turn() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hand++
	return r.hand
}

// sleep lets the path of an endpoint go, unless somebody uses it or has since
// the last look, or it is being changed.
func (r *Router) sleep(at *route) bool {
	s := at.live.Load()
	if s == nil || s.path == nil || s.used.Swap(false) || !at.changing.TryLock() {
		return false
	}
	defer at.changing.Unlock()
	if at.live.Load() != s || !s.path.rest() {
		return false
	}
	return at.live.CompareAndSwap(s, &served{release: s.release, gate: s.gate})
}
