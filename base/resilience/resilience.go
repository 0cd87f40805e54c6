// Package resilience keeps a failing or slow neighbour from taking Leat with
// it: calls that are retried within a budget, breakers that stop asking, and
// limiters that bound how much runs and waits at once.
//
// It stands at the bottom of the house (base/). Wrap a dependency's calls in
// a Caller, one for each dependency; guard an entrance with a Limiter. What
// is retried and what counts against a neighbour is decided by the kind of
// the fault alone: Unavailable, Overloaded, Limited and Timeout may pass, a
// mistake of the caller never does. Underneath is failsafe-go; nothing
// outside this package sees it.
package resilience

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/leat-ai/leat/base/fault"
)

// Config sets how a neighbour is called. The zero Config is the default.
type Config struct {
	// Attempts bounds how often one call is made: 0 means 4, 1 means that
	// nothing is retried.
	Attempts int
	// First and Longest are the first and the longest wait between two
	// attempts; waits double and are drawn from half to one and a half times
	// that. 0 means 100 ms and 10 s.
	First, Longest time.Duration
	// Budget is the greatest share of the calls under way that may be
	// retries, three being always allowed: 0 means 0.2. It keeps a neighbour
	// that is down from being asked many times as much as one that is up.
	Budget float64
	// Failures is how many in a row open the breaker: 0 means 10.
	Failures int
	// Open is how long an open breaker refuses before it lets one call try:
	// 0 means 5 s.
	Open time.Duration
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if c.Attempts < 0 || c.Attempts > 100 {
		l.Add(fault.New(fault.Invalid, "attempts are %d; they must be between 1 and 100", c.Attempts))
	}
	if c.First < 0 || c.Longest < 0 || c.Open < 0 {
		l.Add(fault.New(fault.Invalid, "a wait must not be negative"))
	}
	if d := c.withDefaults(); d.First > d.Longest {
		l.Add(fault.New(fault.Invalid, "the first wait of %s is longer than the longest of %s", d.First, d.Longest))
	}
	if c.Budget < 0 || c.Budget > 1 {
		l.Add(fault.New(fault.Invalid, "the budget of retries is %g; it must be between 0 and 1", c.Budget))
	}
	if c.Failures < 0 {
		l.Add(fault.New(fault.Invalid, "the failures that open the breaker are %d; they must be positive", c.Failures))
	}
	return l.Err()
}

func (c Config) withDefaults() Config {
	if c.Attempts == 0 {
		c.Attempts = 4
	}
	if c.First == 0 {
		c.First = 100 * time.Millisecond
	}
	if c.Longest == 0 {
		c.Longest = 10 * time.Second
	}
	if c.Budget == 0 {
		c.Budget = 0.2
	}
	if c.Failures == 0 {
		c.Failures = 10
	}
	if c.Open == 0 {
		c.Open = 5 * time.Second
	}
	return c
}

// Caller makes the calls to one neighbour. It is safe for many goroutines.
type Caller struct {
	name     string
	breaker  circuitbreaker.CircuitBreaker[struct{}]
	executor failsafe.Executor[struct{}]
}

// NewCaller makes a caller; name is the neighbour in its faults, such as
// "the model server". The configuration must be valid.
func NewCaller(name string, c Config) (*Caller, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	breaker := circuitbreaker.NewBuilder[struct{}]().
		HandleIf(func(_ struct{}, err error) bool { return failing(err) }).
		WithFailureThreshold(uint(c.Failures)).WithSuccessThreshold(1).
		WithDelay(c.Open).WithJitterFactor(0.25).Build()
	retry := retrypolicy.NewBuilder[struct{}]().
		HandleIf(func(_ struct{}, err error) bool { return passing(err) }).
		WithMaxAttempts(c.Attempts).WithBudget(budget.NewBuilder().WithMaxRate(c.Budget).Build()).
		ReturnLastFailure()
	if c.First < c.Longest {
		retry.WithBackoff(c.First, c.Longest)
	} else {
		retry.WithDelay(c.First)
	}
	retry.WithJitterFactor(0.5)
	retry.WithDelayFunc(func(e failsafe.ExecutionAttempt[struct{}]) time.Duration {
		if d, ok := errors.AsType[*delayed](e.LastError()); ok {
			return 2 * d.wait // the jitter may take half of it
		}
		return -1 // as the backoff says
	})
	return &Caller{name: name, breaker: breaker, executor: failsafe.With[struct{}](retry.Build(), breaker)}, nil
}

// failing tells whether an error speaks against the neighbour.
func failing(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Overloaded) || fault.Is(err, fault.Timeout)
}

// After says of an error of a call that the neighbour asked not to be called
// again before some time has passed, as Retry-After does. A retry waits so
// long; where the context ends first, or the wait is over a bound of its
// caller, there is none: see Final.
func After(err error, wait time.Duration) error {
	if err == nil || wait <= 0 {
		return err
	}
	return &delayed{err, wait}
}

// Final says of an error of a call that there is no use in calling again,
// whatever its kind. It counts against the neighbour all the same.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &final{err}
}

type delayed struct {
	error
	wait time.Duration
}

func (d *delayed) Unwrap() error { return d.error }

type final struct{ error }

func (f *final) Unwrap() error { return f.error }

// plain takes the marks of this package off an error. They are its outermost:
// one that lies deeper is part of what somebody else said.
func plain(err error) error {
	if d, ok := err.(*delayed); ok { //nolint:errorlint // the outermost
		return plain(d.error)
	}
	if f, ok := err.(*final); ok { //nolint:errorlint // the outermost
		return plain(f.error)
	}
	return err
}

// passing tells whether the same call may succeed soon. An open breaker stays
// open for longer than a retry waits.
func passing(err error) bool {
	if _, done := errors.AsType[*final](err); done {
		return false
	}
	return err != nil && !errors.Is(err, circuitbreaker.ErrOpen) && fault.KindOf(err).Retryable()
}

// Do calls f, again while it fails in a way that may pass. It returns what
// the last call of f did; an Unavailable fault when the breaker is open and f
// was not called. f must be one that may be done twice.
func (c *Caller) Do(ctx context.Context, f func(context.Context) error) error {
	var last error
	err := c.executor.WithContext(ctx).Run(func() error {
		last = f(ctx)
		return last
	})
	switch {
	case err == nil:
		return nil
	case last != nil: // what f said is worth more than that the budget, the breaker or the time ended it
		return plain(last)
	case errors.Is(err, circuitbreaker.ErrOpen):
		return fault.New(fault.Unavailable, "%s failed many times in a row and is not asked for now", c.name).
			Hint("try again in %s", max(c.breaker.RemainingDelay(), time.Second).Round(time.Second))
	case ctx.Err() != nil:
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "%s was not asked in time", c.name)
	}
	return fault.Wrap(err, fault.Internal, "%s could not be asked", c.name)
}

// Get is Do for a function that returns a value.
func Get[T any](ctx context.Context, c *Caller, f func(context.Context) (T, error)) (T, error) {
	var v T
	err := c.Do(ctx, func(ctx context.Context) (err error) {
		v, err = f(ctx)
		return err
	})
	return v, err
}
