package decide_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
)

// many makes n endpoints live, each with a model of its own, and returns a
// router that has a place for each.
func (w *world) many(n int) *decide.Router {
	w.t.Helper()
	r := decide.NewRouter(w, w.deps())
	w.t.Cleanup(r.Close)
	for i := 1; i <= n; i++ {
		release := w.deploy(i, nil)
		release.Endpoint = endpointName(i)
		w.live[release.Endpoint] = release
		if err := r.Place(context.Background(), release.Endpoint); err != nil {
			w.t.Fatal(err)
		}
	}
	return r
}

func endpointName(i int) string { return fmt.Sprintf("e%04d", i) }

func (w *world) holds() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

// asks asks an endpoint for one row, and returns the score.
func asks(r *decide.Router, endpoint string) (float64, error) {
	a, err := r.Decide(context.Background(), endpoint, request(2))
	if err != nil {
		return 0, err
	}
	defer a.Close()
	return scores(a).Value(0), nil
}

func TestEndpointsSleepUntilAsked(t *testing.T) {
	w := newWorld(t)
	r := w.many(50)
	if w.holds() != 0 {
		t.Fatalf("%d models are held before anybody asked", w.holds())
	}
	if names := r.Endpoints(); len(names) != 50 {
		t.Fatalf("%d endpoints", len(names))
	}
	if release, err := r.Release("e0007"); err != nil || release.Endpoint != "e0007" || w.holds() != 0 {
		t.Errorf("Release = %v, %v, and %d models are held", release, err, w.holds())
	}
	if _, err := asks(r, "e0007"); err != nil || w.holds() != 1 {
		t.Errorf("%v, and %d models are held", err, w.holds())
	}
	r.Close()
	if w.holds() != 0 {
		t.Errorf("%d models are held after Close", w.holds())
	}
}

// Any number of endpoints, asked in any order by many at a time, answer as each
// alone would, and hold no more models than there is room for, give or take
// those that are just waking or answering.
func TestManyEndpointsInLittleRoom(t *testing.T) {
	const endpoints, room, callers = 300, 10, 8
	w := newWorld(t)
	w.room = room
	r := w.many(endpoints)
	want := make([]float64, endpoints+1)
	for i := 1; i <= endpoints; i++ {
		got, err := asks(r, endpointName(i))
		if err != nil {
			t.Fatal(err)
		}
		want[i] = got
	}
	var most atomic.Int64
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 7))
			for range 500 {
				i := 1 + random.IntN(endpoints)
				if got, err := asks(r, endpointName(i)); err != nil || got != want[i] {
					t.Errorf("%s: %v, %v instead of %v", endpointName(i), got, err, want[i])
					return
				}
				most.Store(max(most.Load(), int64(w.holds())))
			}
		})
	}
	group.Wait()
	if limit := int64(room + 2*callers); most.Load() > limit {
		t.Errorf("%d models were held at a time, %d are enough", most.Load(), limit)
	}
	if w.compiled < 2*endpoints {
		t.Errorf("%d paths were compiled: nobody slept", w.compiled)
	}
}

// What is asked all the time stays awake while others come and go.
func TestBusyEndpointsStayAwake(t *testing.T) {
	w := newWorld(t)
	w.room = 8
	r := w.many(100)
	busy := func() {
		for i := 1; i <= 3; i++ {
			if _, err := asks(r, endpointName(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	busy()
	before := w.compiled
	for i := 10; i < 100; i++ {
		busy()
		if _, err := asks(r, endpointName(i)); err != nil {
			t.Fatal(err)
		}
	}
	if again := w.compiled - before - 90; again > 9 {
		t.Errorf("busy endpoints were compiled %d times again", again)
	}
}

// A sleeper whose model is damaged says so, and does not load it anew for each
// request.
func TestWhatCannotWakeSaysWhy(t *testing.T) {
	w := newWorld(t)
	r := w.many(2)
	healthy := w.models[versionID("m", 2)]
	delete(w.models, versionID("m", 2))
	for range 20 {
		if _, err := asks(r, "e0002"); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("%v, want Corrupt", err)
		}
	}
	if w.compiled != 1 {
		t.Errorf("it was tried %d times", w.compiled)
	}
	w.models[versionID("m", 2)] = healthy
	w.clock.forward(time.Minute)
	if _, err := asks(r, "e0002"); err != nil {
		t.Errorf("healed, and still %v", err)
	}
}

// A release that replaces another one wakes its endpoint; requests on the way
// end with what they began with.
func TestSleepersAreReplacedAndRetired(t *testing.T) {
	w := newWorld(t)
	w.room = 2
	r := w.many(5)
	next := w.deploy(9, nil)
	next.Endpoint = "e0003"
	w.live["e0003"] = next
	if err := r.Refresh(t.Context(), "e0003"); err != nil {
		t.Fatal(err)
	}
	if path, err := r.Path("e0003"); err != nil || path.Release().Number != 9 {
		t.Errorf("%v", err)
	}
	delete(w.live, "e0004")
	if err := r.Refresh(t.Context(), "e0004"); err != nil {
		t.Fatal(err)
	}
	if _, err := asks(r, "e0004"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a retired endpoint: %v", err)
	}
}
