package resilience

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"

	"github.com/leat-ai/leat/base/fault"
)

// Limiter bounds how much runs at once, how much waits for it, and for how
// long. It is safe for many goroutines.
type Limiter struct {
	name    string
	gate    bulkhead.Bulkhead[struct{}]
	queue   int64
	wait    time.Duration
	waiting atomic.Int64
	running atomic.Int64
}

// NewLimiter makes a limiter of at most running things at once and queued
// waiting ones, none of which waits longer than wait. With queued or wait 0
// nothing waits. name is what is overloaded in its faults, such as "the
// endpoint fraud".
func NewLimiter(name string, running, queued int, wait time.Duration) (*Limiter, error) {
	if running < 1 || queued < 0 || wait < 0 {
		return nil, fault.New(fault.Invalid, "a limit of %d running and %d waiting for %s is not one", running, queued, wait).
			Hint("let at least one run")
	}
	return &Limiter{name: name, gate: bulkhead.New[struct{}](uint(running)), queue: int64(queued), wait: wait}, nil
}

// Acquire waits for room. After nil the caller calls Release once; an
// Overloaded fault says that there was none, a Timeout or Canceled one that
// the context ended first.
func (l *Limiter) Acquire(ctx context.Context) error {
	if l.gate.TryAcquirePermit() {
		l.running.Add(1)
		return nil
	}
	if l.waiting.Add(1) > l.queue || l.wait == 0 {
		l.waiting.Add(-1)
		return l.full()
	}
	err := l.gate.AcquirePermitWithMaxWait(ctx, l.wait)
	l.waiting.Add(-1)
	switch {
	case err == nil:
		l.running.Add(1)
		return nil
	case errors.Is(err, bulkhead.ErrFull):
		return l.full()
	}
	return fault.Wrap(err, fault.KindOf(ctx.Err()), "%s had no room in time", l.name)
}

// Release makes room for another.
func (l *Limiter) Release() {
	l.running.Add(-1)
	l.gate.ReleasePermit()
}

// Load returns how many run and how many wait, for metrics.
func (l *Limiter) Load() (running, waiting int) {
	return int(l.running.Load()), int(l.waiting.Load())
}

func (l *Limiter) full() error {
	return fault.New(fault.Overloaded, "%s has as much to do as it may", l.name).
		Hint("try again in a second, or raise its limit")
}
