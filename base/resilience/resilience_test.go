package resilience_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
)

var down = fault.New(fault.Unavailable, "down")

func caller(t *testing.T, c resilience.Config) *resilience.Caller {
	t.Helper()
	if c.First == 0 {
		c.First, c.Longest = time.Microsecond, time.Millisecond
	}
	made, err := resilience.NewCaller("the neighbour", c)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestRetriesWhatMayPass(t *testing.T) {
	for _, test := range []struct {
		fails error
		times int
		want  int // calls
		kind  fault.Kind
	}{
		{down, 2, 3, ""},
		{down, 9, 4, fault.Unavailable},
		{fault.New(fault.Limited, "slow down"), 1, 2, ""},
		{fault.New(fault.Invalid, "wrong"), 9, 1, fault.Invalid},
		{errors.New("a defect"), 9, 1, fault.Internal},
	} {
		calls := 0
		_, err := resilience.Get(t.Context(), caller(t, resilience.Config{}), func(context.Context) (int, error) {
			if calls++; calls <= test.times {
				return 0, test.fails
			}
			return 7, nil
		})
		if calls != test.want || fault.KindOf(err) != test.kind {
			t.Errorf("%v: %d calls and %v, want %d and %q", test.fails, calls, err, test.want, test.kind)
		}
	}
}

func TestGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := caller(t, resilience.Config{First: time.Hour, Longest: 2 * time.Hour})
	err := c.Do(ctx, func(context.Context) error {
		cancel()
		return down
	})
	if !errors.Is(err, down) {
		t.Errorf("got %v, want what the call said", err)
	}
	if err := c.Do(ctx, func(context.Context) error { return nil }); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func TestBreaker(t *testing.T) {
	c := caller(t, resilience.Config{Attempts: 1, Failures: 3, Open: 50 * time.Millisecond})
	calls := 0
	answer := error(down)
	do := func() error {
		return c.Do(t.Context(), func(context.Context) error { calls++; return answer })
	}
	for range 10 {
		if err := do(); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	if calls != 3 {
		t.Errorf("a neighbour that is down was asked %d times, want 3", calls)
	}
	if fault.HintOf(do()) == "" {
		t.Error("an open breaker gives no hint")
	}
	answer = nil
	deadline := time.Now().Add(time.Minute)
	for do() != nil {
		if time.Now().After(deadline) {
			t.Fatal("the breaker never closed again")
		}
		time.Sleep(time.Millisecond)
	}
}

// With a neighbour that is down, many callers together retry less often than
// each alone would.
func TestBudget(t *testing.T) {
	c := caller(t, resilience.Config{Attempts: 50, Budget: 0.1, Failures: 1 << 30, First: time.Millisecond, Longest: 2 * time.Millisecond})
	var calls atomic.Int64
	var wg sync.WaitGroup
	const callers = 100
	for range callers {
		wg.Go(func() {
			err := c.Do(t.Context(), func(context.Context) error { calls.Add(1); time.Sleep(5 * time.Millisecond); return down })
			if !errors.Is(err, down) {
				t.Errorf("got %v, want what the call said", err)
			}
		})
	}
	wg.Wait()
	if n := calls.Load(); n > callers*25 {
		t.Errorf("%d calls for %d callers: the budget did not hold", n, callers)
	}
}

func TestLimiter(t *testing.T) {
	l, err := resilience.NewLimiter("the endpoint", 2, 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan error)
	go func() { got <- l.Acquire(t.Context()) }()
	for {
		if _, waiting := l.Load(); waiting == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := l.Acquire(t.Context()); !fault.Is(err, fault.Overloaded) {
		t.Errorf("got %v, want Overloaded: the queue is full", err)
	}
	l.Release()
	if err := <-got; err != nil {
		t.Errorf("who waited got %v, want room", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Acquire(ctx); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if running, waiting := l.Load(); running != 2 || waiting != 0 {
		t.Errorf("%d run and %d wait, want 2 and 0", running, waiting)
	}
}

func TestValidate(t *testing.T) {
	bad := resilience.Config{Attempts: -1, First: time.Hour, Longest: time.Second, Budget: 2, Failures: -1, Open: -1}
	n := 0
	fault.Each(bad.Validate(), func(error) { n++ })
	if n != 5 {
		t.Errorf("%d mistakes found, want 5: %v", n, bad.Validate())
	}
}
