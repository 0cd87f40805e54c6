package resilience_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
)

// The neighbour says when to come back: a retry waits so long, not as long as
// the backoff says, which here is for ever.
func TestRetryWaitsAsItWasAsked(t *testing.T) {
	c := caller(t, resilience.Config{First: time.Hour, Longest: 2 * time.Hour})
	calls := 0
	began := time.Now()
	err := c.Do(t.Context(), func(context.Context) error {
		if calls++; calls == 1 {
			return resilience.After(fault.New(fault.Limited, "slow down"), 30*time.Millisecond)
		}
		return nil
	})
	if err != nil || calls != 2 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("%d calls after %s: %v", calls, time.Since(began), err)
	}
}

func TestFinalIsNotTriedAgain(t *testing.T) {
	c := caller(t, resilience.Config{})
	calls := 0
	err := c.Do(t.Context(), func(context.Context) error {
		calls++
		return resilience.Final(resilience.After(down, time.Hour))
	})
	if calls != 1 || !errors.Is(err, down) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("%d calls: %v", calls, err)
	}
	if resilience.Final(nil) != nil || resilience.After(nil, 1) != nil {
		t.Error("no error became one")
	}
}
