package work

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
)

// StepOptions says how often and how long a step may be tried. The zero value
// tries once, without a time limit.
type StepOptions struct {
	Retries    int           // further attempts after a retryable fault
	Backoff    time.Duration // wait before the second attempt, doubled each time, with jitter; 200 ms when 0
	MaxBackoff time.Duration // bound of one wait; 30 s when 0
	Timeout    time.Duration // of one attempt
}

// maxRetries bounds what a caller may ask for.
const maxRetries = 100

// Step runs f as the step of a name, or returns what it returned when it
// finished in an earlier life of the run. T is kept as JSON. The context of f
// ends when the run is cancelled, when the engine closes and at the timeout.
//
// f is tried again, after a growing jittered wait, while its fault is of a
// retryable kind and attempts are left. An error of Step is to be returned
// from the run at once; it fails the run, and Retry begins again at this step.
//
// Names are unique in a run: a second step of a name is an Internal fault.
func Step[T any](r *Run, name string, opts StepOptions, f func(ctx context.Context, p *Progress) (T, error)) (T, error) {
	s, err := r.enterStep(name)
	if err != nil {
		return *new(T), err
	}
	p := &Progress{step: s}
	return runStep(r.ctx, r, s, stepID{name: name}, opts, p, f)
}

// ParallelOptions bounds a Parallel.
type ParallelOptions struct {
	StepOptions
	Workers int // steps at a time; 1 when 0
}

// Parallel runs one step per item, several at a time, and returns what they
// returned in the order of the items. The steps are kept one by one under
// "name/index"; a run that goes on does only those that are missing. All of
// them share one Progress and one line of the run's status. The first error
// stops the others.
func Parallel[I, T any](r *Run, name string, items []I, opts ParallelOptions, f func(ctx context.Context, p *Progress, index int, item I) (T, error)) ([]T, error) {
	s, err := r.enterStep(name)
	if err != nil {
		return nil, err
	}
	s.split(len(items))
	results := make([]T, len(items))
	group, ctx := errgroup.WithContext(r.ctx)
	group.SetLimit(max(opts.Workers, 1))
	for i, item := range items {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			id := stepID{name: fmt.Sprintf("%s/%06d", name, i), group: name}
			var err error
			results[i], err = runStep(ctx, r, s, id, opts.StepOptions, &Progress{step: s, part: true},
				func(ctx context.Context, p *Progress) (T, error) { return f(ctx, p, i, item) })
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := context.Cause(r.ctx); err != nil {
		return nil, err
	}
	s.finish(r.engine.clock.Now())
	return results, nil
}

// stepID names a step; group is the Parallel that it is part of, or "".
type stepID struct{ name, group string }

func runStep[T any](ctx context.Context, r *Run, s *stepState, id stepID, opts StepOptions, p *Progress, f func(context.Context, *Progress) (T, error)) (T, error) {
	var value T
	if o, ok := r.finished(id.name); ok {
		s.replayed(o)
		return value, fault.Wrap(json.Unmarshal(o.Value, &value), fault.Corrupt,
			"step %q of run %q was kept in another form", id.name, r.id)
	}
	o := outcome{Group: id.group, Started: r.engine.clock.Now()}
	s.begin(o.Started)
	ctx, end := r.engine.span(ctx, "step "+id.name)
	value, attempts, err := attempt(ctx, r, s, opts, p, f)
	end(err)
	if err != nil {
		err = within(err, id.name)
		s.fail(r.engine.clock.Now(), err)
		return value, err
	}
	if o.Value, err = encode(value); err != nil {
		return value, err
	}
	o.Ended, o.Attempts = r.engine.clock.Now(), attempts
	o.Done, o.Unit = p.counted()
	if err := r.keep(id.name, o); err != nil {
		s.fail(o.Ended, err)
		return value, err
	}
	s.end(o)
	return value, nil
}

// attempt calls f until it succeeds, fails for good or the budget is spent,
// and returns how often it was called.
func attempt[T any](ctx context.Context, r *Run, s *stepState, opts StepOptions, p *Progress, f func(context.Context, *Progress) (T, error)) (T, int, error) {
	budget := min(opts.Retries, maxRetries)
	wait := opts.Backoff
	if wait <= 0 {
		wait = 200 * time.Millisecond
	}
	ceiling := opts.MaxBackoff
	if ceiling <= 0 {
		ceiling = 30 * time.Second
	}
	for n := 1; ; n++ {
		value, err := once(ctx, r, opts.Timeout, p, f)
		if cause := context.Cause(ctx); cause != nil {
			return value, n, cause
		}
		if err == nil || n > budget || !fault.KindOf(err).Retryable() {
			return value, n, err
		}
		s.retrying(err)
		p.reset()
		r.engine.log.Info("a step is tried again", "run", r.id, "step", s.name, "attempt", n, "error", err)
		// Between half and the whole wait, so that many runs that failed
		// together do not come back together.
		pause := time.NewTimer(wait/2 + rand.N(wait/2+1))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return value, n, context.Cause(ctx)
		}
		wait = min(2*wait, ceiling)
	}
}

func once[T any](ctx context.Context, r *Run, timeout time.Duration, p *Progress, f func(context.Context, *Progress) (T, error)) (value T, err error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	defer r.recovered(&err)
	return f(ctx, p)
}

// within notes the step in which an error happened, keeping its kind and hint.
func within(err error, step string) error {
	return fault.New(fault.KindOf(err), "step %q failed", step).Because(err).Hint("%s", fault.HintOf(err))
}

func (r *Run) finished(name string) (outcome, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := r.memo[name]
	return o, ok
}
