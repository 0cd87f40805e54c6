package limit_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide/limit"
)

var start = time.Unix(1_800_000_000, 0)

// TestRateHoldsOnAverage asks with requests of any size at any pace, and
// counts: in any run of the clock no caller gets more rows than the rate, the
// burst and the one request that may overdraw.
func TestRateHoldsOnAverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.5, 1000).Draw(t, "rate")
		r, now, admitted, largest := limit.NewRate(rate), start, 0, 0
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(-10, 300).Draw(t, "pause")) * time.Millisecond)
			n := rapid.IntRange(1, 500).Draw(t, "rows")
			err := r.Take("caller", n, now)
			if err == nil {
				admitted, largest = admitted+n, max(largest, n)
				continue
			}
			wait, ok := limit.After(err)
			if !ok || wait <= 0 || !fault.Is(err, fault.Limited) {
				t.Fatalf("refused with %v", err)
			}
		}
		elapsed := max(0, now.Sub(start).Seconds()) + 0.011*200 // the clock may have gone back
		if most := elapsed*rate + max(1, rate) + float64(largest); float64(admitted) > most {
			t.Fatalf("%d rows in %.3f s at %g/s", admitted, elapsed, rate)
		}
	})
}

func TestWhoWaitsAsToldIsAdmitted(t *testing.T) {
	r, now := limit.NewRate(10), start
	for range 50 {
		err := r.Take("a", 7, now)
		if wait, refused := limit.After(err); refused {
			now = now.Add(wait)
			if err := r.Take("a", 7, now); err != nil {
				t.Fatalf("after waiting %s: %v", wait, err)
			}
		}
	}
}

func TestCallersDoNotShareABucket(t *testing.T) {
	r := limit.NewRate(1)
	if err := r.Take("a", 100, start); err != nil {
		t.Fatal(err)
	}
	if err := r.Take("a", 1, start); !fault.Is(err, fault.Limited) {
		t.Errorf("a is over its rate: %v", err)
	}
	if err := r.Take("b", 1, start); err != nil {
		t.Errorf("b is not: %v", err)
	}
}

func TestCallersAreForgottenNotGathered(t *testing.T) {
	r := limit.NewRate(1)
	if err := r.Take("first", 100, start); err != nil {
		t.Fatal(err)
	}
	for i := range limit.MaxCallers {
		if err := r.Take(fmt.Sprint(i), 1, start); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Take("first", 1, start); err != nil {
		t.Errorf("a caller pushed out by %d others is still known: %v", limit.MaxCallers, err)
	}
}

func TestSlotsBoundWhatRunsAndWhatWaits(t *testing.T) {
	s, ctx := limit.NewSlots(3), t.Context()
	var running, most, refused atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			_, err := s.Enter(ctx)
			if fault.Is(err, fault.Overloaded) {
				refused.Add(1)
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Leave()
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); {
				m = most.Load()
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d ran at once", most.Load())
	}
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	s := limit.NewSlots(1)
	if _, err := s.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error)
	go func() { _, err := s.Enter(ctx); waits <- err }()
	select {
	case err := <-waits:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if _, err := s.Enter(t.Context()); !fault.Is(err, fault.Overloaded) {
		t.Errorf("the queue is full: %v", err)
	}
	cancel()
	if err := <-waits; !fault.Is(err, fault.Canceled) {
		t.Errorf("who waited and left: %v", err)
	}
	s.Leave()
	if _, err := s.Enter(t.Context()); err != nil {
		t.Errorf("the slot is free: %v", err)
	}
}
