package stream

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
)

// runner is the life of one stream on this server.
type runner struct {
	deps    Deps
	spec    spec.Stream
	hash    string // of the resource
	ledger  *ledger
	log     *slog.Logger
	report  report
	metrics *metrics
	changed chan struct{} // somebody paused, resumed or sought
	stop    context.CancelFunc
	done    chan struct{}
	session atomic.Pointer[session] // that works, or nil
}

func newRunner(d Deps, m *metrics, s spec.Stream, hash string) *runner {
	r := &runner{
		deps: d, spec: s, hash: hash, metrics: m, log: d.Log.With("stream", s.Name),
		ledger:  &ledger{db: d.DB, clock: d.Clock, stream: s.Name, owner: d.Owner, keep: s.Remember},
		changed: make(chan struct{}, 1), done: make(chan struct{}),
	}
	r.report = report{state: Starting, since: d.Clock.Now(), now: d.Clock.Now, mono: d.Elapsed, lag: -1, newest: map[string]progress{}}
	return r
}

// lasting is how long a session must have worked to be no failure of the start,
// and how long a topic that came to its end is left alone.
const lasting = 5 * time.Second

// run works until ctx ends.
func (r *runner) run(ctx context.Context) {
	defer close(r.done)
	defer r.report.set(Stopped, "", nil)
	for failures := 0; ctx.Err() == nil; {
		begun := r.deps.Elapsed()
		err := r.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if r.deps.Elapsed()-begun > lasting {
			failures = 0
		}
		switch {
		case errors.Is(err, errChanged):
			failures = 0
			continue
		case err == nil:
			r.report.set(Finished, "", nil)
			r.pause(ctx, lasting) // then there may be more
		default:
			r.report.set(Failed, "", err)
			r.log.Warn("a stream failed and begins anew", "error", err)
			r.pause(ctx, r.deps.backoff(failures))
			failures++
		}
	}
}

// pause waits, or until somebody changes something.
func (r *runner) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.changed:
	case <-timer.C:
	}
}

// once runs one session, or waits while the stream is paused.
func (r *runner) once(ctx context.Context) error {
	c, err := r.ledger.control(ctx)
	if err != nil {
		return err
	}
	if c.paused {
		r.report.set(Paused, "", nil)
		r.pause(ctx, look)
		return errChanged
	}
	if r.report.current() != Failed {
		r.report.set(Starting, "", nil)
	}
	s, err := r.open(ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	r.session.Store(s)
	defer r.session.Store(nil)
	r.report.works()
	working, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-r.changed:
			s.end(errChanged)
		case <-working.Done():
		}
	}()
	err = s.work(ctx)
	if fault.Is(err, fault.Conflict) { // whoever took the partition may have done so by a seek
		s.log.Info("a partition went to somebody else", "error", err)
	}
	return err
}

func (r *report) current() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// tell lets the runner look at once at what somebody has changed.
func (r *runner) tell() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}
