package stream_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/catalog"
)

// poison is an event that is no transaction.
func poison(i int, body string) bus.Event {
	return bus.Event{ID: fmt.Sprint("p", i), Key: []byte("k"), Time: day, Headers: []bus.Header{{Name: "from", Value: "till"}}, Body: []byte(body)}
}

// Each poisoned event comes to the dead letters once, with its reason, its
// place and its attempts, and the others are not touched.
func TestPoison(t *testing.T) {
	w := newWorld(t, 1)
	w.model.fail = func(row map[string]any) error {
		switch row["amount"] {
		case 13.0:
			return fault.New(fault.Internal, "the model broke")
		case 14.0:
			return fault.New(fault.Invalid, "the model has no use for it")
		}
		return nil
	}
	streams, stop := w.start(fraud(func(s *spec.Stream) { s.Attempts = 3 }))
	defer stop()
	w.publish("transactions", txn(1, "a", 1), poison(1, `{"txn_id": `), txn(2, "a", 13), txn(3, "a", 14), poison(2, `{"txn_id":"x","at":"2026-03-01T00:00:00Z","amount":"much"}`),
		poison(3, `{"customer":"a","at":"2026-03-01T00:00:00Z","amount":1}`), poison(4, `{"txn_id":"y","customer":"a","amount":1}`), txn(4, "a", 2))
	if got := w.read("scored", 2); len(got) != 2 {
		t.Errorf("published %+v", got)
	}
	until(t, "all are dead", func() bool { return status(t, streams).Dead == 6 })
	want := map[string][3]any{ // by event: stage, kind, attempts
		"p1": {"decode", fault.Invalid, 1}, "t000002": {"decide", fault.Internal, 3}, "t000003": {"decide", fault.Invalid, 1},
		"p2": {"decode", fault.Invalid, 1}, "p3": {"id", fault.Invalid, 1}, "y": {"time", fault.Invalid, 1},
	}
	letters, err := streams.Dead(context.Background(), "fraud-live", 0, 100)
	if err != nil || len(letters) != len(want) {
		t.Fatalf("%d letters and %v", len(letters), err)
	}
	for _, d := range letters {
		if got := [3]any{d.Stage, d.Kind, d.Attempts}; got != want[d.Event] || d.Reason == "" || d.Partition != "0" || d.Body != nil {
			t.Errorf("letter %+v, want %v", d, want[d.Event])
		}
	}
	one, err := streams.Letter(context.Background(), "fraud-live", letters[0].ID)
	if err != nil || string(one.Body) != `{"txn_id": ` || one.Offset != letters[0].Offset || len(one.Headers) != 1 || one.Headers[0].Value != "till" {
		t.Errorf("letter %+v, %v", one, err)
	}
}

// A dead letter that was mended is decided, under its own id and once; one
// that was not is a dead letter again.
func TestReplay(t *testing.T) {
	w := newWorld(t, 2)
	streams, stop := w.start(fraud())
	defer stop()
	ctx := context.Background()
	w.publish("transactions", poison(1, `{"txn_id":"t9","customer":"a","at":"2026-03-01T00:00:00Z","amount":"much"}`), poison(2, `nothing`), txn(1, "a", 1))
	until(t, "both are dead", func() bool { return status(t, streams).DeadLetters == 2 })
	letters, err := streams.Dead(ctx, "fraud-live", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range letters {
		if d.Event == "p1" {
			if err := streams.Edit(ctx, "fraud-live", d.ID, []byte(`{"txn_id":"t9","customer":"a","at":"2026-03-01T00:00:00Z","amount":500}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := streams.Replay(ctx, "fraud-live", nil); n != 2 || err != nil {
		t.Fatalf("%d letters are tried again, %v", n, err)
	}
	got := w.read("scored", 2)
	if len(got) != 2 || got[0].ID != "t9" && got[1].ID != "t9" {
		t.Errorf("published %+v", got)
	}
	until(t, "one is dead again", func() bool {
		again, err := streams.Dead(ctx, "fraud-live", 0, 100)
		return err == nil && len(again) == 1 && again[0].Event == "p2" && !again[0].Replay && again[0].ID > letters[1].ID
	})
	if n, err := streams.Drop(ctx, "fraud-live", nil); n != 1 || err != nil {
		t.Errorf("%d letters were dropped, %v", n, err)
	}
	if st := status(t, streams); st.DeadLetters != 0 || st.DeadBytes != 0 {
		t.Errorf("%d letters of %d bytes are left", st.DeadLetters, st.DeadBytes)
	}
}

// Full dead letters stop the stream, which says so; nothing is dropped, and
// with room it goes on where it was.
func TestFullDeadLettersStop(t *testing.T) {
	w := newWorld(t, 1)
	streams, stop := w.start(fraud(func(s *spec.Stream) { s.Dead.Max, s.Batch = 3, 1 }))
	defer stop()
	for i := range 5 {
		w.publish("transactions", poison(i, "bad"))
	}
	w.publish("transactions", txn(1, "a", 1))
	until(t, "the stream stands still", func() bool { return status(t, streams).State == stream.Full })
	if st := status(t, streams); st.DeadLetters != 3 || st.Hint == "" || st.Decided != 0 {
		t.Errorf("status %+v", st)
	}
	if _, err := streams.Drop(context.Background(), "fraud-live", nil); err != nil {
		t.Fatal(err)
	}
	w.read("scored", 1)
	until(t, "the rest are dead", func() bool { st := status(t, streams); return st.DeadLetters == 2 && st.Dead == 5 })
}

// Late events go aside and are counted; which are late does not depend on how
// events were batched.
func TestLate(t *testing.T) {
	for _, batch := range []int{1, 1000} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			w := newWorld(t, 1)
			w.publish("transactions", txn(100, "a", 1), txn(95, "a", 2), txn(80, "a", 3), txn(120, "b", 4), txn(109, "a", 5), txn(110, "a", 6))
			streams, stop := w.start(fraud(func(s *spec.Stream) {
				s.Lateness, s.Late, s.Batch = spec.Duration(10*time.Second), "nats://late", batch
			}))
			defer stop()
			if got := w.events("late", 2); len(got) != 2 || got[0].ID != "t000080" || got[1].ID != "t000109" || len(got[0].Body) == 0 {
				t.Errorf("late: %+v", got)
			}
			w.read("scored", 4)
			until(t, "all are counted", func() bool { st := status(t, streams); return st.Late == 2 && st.Decided == 4 })
			if st := status(t, streams); !st.Watermark.Equal(day.Add(110 * time.Second)) {
				t.Errorf("watermark %v", st.Watermark)
			}
		})
	}
}

// An event from the far future makes no others late.
func TestFutureIsPoison(t *testing.T) {
	w := newWorld(t, 1)
	streams, stop := w.start(fraud(func(s *spec.Stream) { s.Lateness = spec.Duration(time.Second) }))
	defer stop()
	future := txnAt("t9", "a", day.AddDate(1000, 0, 0), 1)
	future.Time = day
	w.publish("transactions", txn(1, "a", 1), future, txn(2, "a", 1))
	w.read("scored", 2)
	until(t, "it is dead", func() bool { return status(t, streams).DeadLetters == 1 })
}

// A schema may change under way: a new field is passed over, a missing one is
// NULL, and a value of another type is a dead letter.
func TestSchemaChange(t *testing.T) {
	w := newWorld(t, 1)
	streams, stop := w.start(fraud(func(s *spec.Stream) {
		s.Schema = append(s.Schema, frame.Column{Name: "country", Type: frame.String})
	}))
	defer stop()
	w.publish("transactions", txn(1, "a", 1),
		poison(1, `{"txn_id":"n1","customer":"a","at":"2026-03-01T00:00:00Z","amount":1,"country":"CH","channel":{"kind":"web"}}`),
		poison(2, `{"txn_id":"n2","customer":"a","at":"2026-03-01T00:00:00Z","amount":{"value":1}}`), txn(2, "a", 1))
	if got := w.read("scored", 3); len(got) != 3 {
		t.Errorf("published %+v", got)
	}
	until(t, "the changed type is dead", func() bool { return status(t, streams).DeadLetters == 1 })
}

// An event of 10 MB is one like others; one that is larger than what is taken
// is a dead letter without its body.
func TestLargeEvents(t *testing.T) {
	w := newWorld(t, 1)
	streams, stop := w.start(fraud())
	defer stop()
	pad := strings.Repeat("x", 10<<20)
	w.publish("transactions",
		poison(1, `{"txn_id":"large","customer":"a","at":"2026-03-01T00:00:00Z","amount":1,"pad":"`+pad+`"}`),
		bus.Event{ID: "larger", Time: day, Body: make([]byte, 17<<20)}, txn(1, "a", 1))
	w.read("scored", 2)
	until(t, "the larger is dead", func() bool { return status(t, streams).DeadLetters == 1 })
}

func TestPauseAndSeek(t *testing.T) {
	w := newWorld(t, 1)
	streams, stop := w.start(fraud())
	defer stop()
	ctx := context.Background()
	w.publish("transactions", txn(1, "a", 1), txn(2, "a", 1))
	w.read("scored", 2)
	if _, err := streams.Pause(ctx, "fraud-live", "me"); err != nil {
		t.Fatal(err)
	}
	until(t, "it is paused", func() bool { return status(t, streams).State == stream.Paused })
	w.publish("transactions", txn(3, "a", 1))
	sought, err := streams.Seek(ctx, "fraud-live", stream.Place{Offset: bus.First}, "me")
	if err != nil || !sought.Again || sought.Partitions != 1 {
		t.Fatalf("sought %+v, %v", sought, err)
	}
	time.Sleep(100 * time.Millisecond)
	if n := len(w.events("scored", 2)); n != 2 {
		t.Errorf("%d events were published while the stream was paused", n)
	}
	if _, err := streams.Resume(ctx, "fraud-live", "me"); err != nil {
		t.Fatal(err)
	}
	got := w.read("scored", 5)
	ids := map[string]bool{}
	for _, e := range got {
		ids[e.Decided] = true
	}
	if len(got) != 5 || len(ids) != 5 || !ids["fraud/stream/fraud-live~1/t000001"] || got[4].message != "t000003~1" {
		t.Errorf("published %+v", got)
	}
	if _, err := streams.Seek(ctx, "fraud-live", stream.Place{Offset: bus.First, Time: day.Add(3 * time.Second)}, "me"); err != nil {
		t.Fatal(err)
	}
	if got := w.read("scored", 6); got[5].ID != "t000003" {
		t.Errorf("from its time on came %+v", got[5:])
	}
	if _, err := streams.Pause(ctx, "fraud-love", "me"); !fault.Is(err, fault.NotFound) || fault.HintOf(err) != `did you mean "fraud-live"?` {
		t.Errorf("a stream that is not there: %v, %s", err, fault.HintOf(err))
	}
}

// An event id is decided once whatever the message it comes in, also by a
// stream that began anew, and whether real time was first.
func TestKnownIDs(t *testing.T) {
	w := newWorld(t, 1)
	w.deps = func(d *stream.Deps) { d.Answered = answered{"t000005"} }
	_, stop := w.start(fraud())
	twice := func(i int, message string) bus.Event { e := txn(i, "a", 1); e.ID = message; return e }
	w.publish("transactions", twice(1, "m1"), twice(1, "m2"), twice(2, "m3"))
	w.read("scored", 2)
	stop()
	streams, stop := w.start(fraud())
	defer stop()
	w.publish("transactions", twice(1, "m4"), twice(5, "m5"), twice(3, "m6"))
	if got := w.read("scored", 3); len(got) != 3 || got[2].ID != "t000003" {
		t.Errorf("published %+v", got)
	}
	until(t, "all are counted", func() bool { return status(t, streams).Counts == stream.Counts{Decided: 3, Known: 3} })
	if by, ok := streams.Decided("fraud", "t000002"); !ok || by != "fraud-live" {
		t.Errorf("%q has decided it, %v", by, ok)
	}
	if _, ok := streams.Decided("fraud", "t000009"); ok {
		t.Error("what did not come was decided")
	}
}

type answered []string

func (a answered) Answered(context.Context, string, []string) (map[string]bool, error) {
	found := map[string]bool{}
	for _, key := range a {
		found[key] = true
	}
	return found, nil
}

// Of two servers that claim one partition only one commits at any time, and
// when it is gone the other goes on, wherever the wall clocks are.
func TestTwoServersClaimOnePartition(t *testing.T) {
	w := newWorld(t, 1)
	var skew atomic.Int64
	as := func(owner string) func() {
		w.deps = func(d *stream.Deps) {
			d.Owner, d.Shared, d.Lease, d.Backoff = owner, true, 300*time.Millisecond, time.Millisecond
			d.Clock = skewed{&skew}
		}
		_, stop := w.start(fraud())
		return stop
	}
	first := as("first")
	w.publish("transactions", txn(0, "a", 1))
	w.read("scored", 1)
	skew.Store(int64(-time.Hour)) // a step of the wall clock neither frees a partition nor keeps it
	second := as("second")
	defer second()
	for i := 1; i < 200; i++ {
		w.publish("transactions", txn(i, "a", 1))
		if i == 100 {
			skew.Store(int64(time.Hour))
			first()
		}
	}
	got := w.read("scored", 200)
	if len(got) != 200 {
		t.Errorf("%d events were published, want 200", len(got))
	}
	until(t, "all is committed once", func() bool { return counted(t, w.db) == 200 })
}

// skewed is a wall clock that steps.
type skewed struct{ by *atomic.Int64 }

func (s skewed) Now() time.Time { return time.Now().Add(time.Duration(s.by.Load())).UTC() }

// A slow target slows the source: what is in memory is a few batches, however
// much waits.
func TestSlowTarget(t *testing.T) {
	w := newWorld(t, 1)
	var taken, given atomic.Int64
	w.reading = func() func([]bus.Event) []bus.Event {
		return func(events []bus.Event) []bus.Event { taken.Add(int64(len(events))); return events }
	}
	w.writing = func(_ string, events []bus.Event) error {
		time.Sleep(20 * time.Millisecond)
		if ahead := taken.Load() - given.Load(); ahead > 5*10 {
			t.Errorf("%d events are in memory", ahead)
		}
		given.Add(int64(len(events)))
		return nil
	}
	for i := range 20 {
		var events []bus.Event
		for k := range 50 {
			events = append(events, txn(i*50+k, "a", 1))
		}
		w.publish("transactions", events...)
	}
	streams, stop := w.start(fraud(func(s *spec.Stream) { s.Batch = 10 }))
	defer stop()
	w.read("scored", 1000)
	until(t, "all is counted", func() bool { return status(t, streams).Decided == 1000 })
}

// What a target refuses goes to the dead letters, the rest is published.
func TestRefused(t *testing.T) {
	w := newWorld(t, 1)
	w.writing = func(_ string, events []bus.Event) error {
		for i, e := range events {
			if e.ID == "t000002" {
				return &bus.Refused{Index: i, Err: fault.New(fault.TooLarge, "it is too large")}
			}
		}
		return nil
	}
	streams, stop := w.start(fraud())
	defer stop()
	w.publish("transactions", txn(1, "a", 1), txn(2, "a", 1), txn(3, "a", 1))
	w.read("scored", 2)
	until(t, "it is dead", func() bool { return status(t, streams).DeadLetters == 1 })
}

// Where no broker shares partitions out, a lease does. An owner that hangs
// longer than that is fenced: what it commits when it comes back is refused,
// and nothing is decided twice.
func TestHungOwnerIsFenced(t *testing.T) {
	w := newWorld(t, 1)
	w.divided = []string{"0"}
	clean := w.db
	stuck := &stall{Database: clean}
	as := func(owner string) (*stream.Streams, func()) {
		w.deps = func(d *stream.Deps) {
			d.Owner, d.Shared, d.Lease, d.Backoff = owner, true, 500*time.Millisecond, time.Millisecond
		}
		return w.start(fraud())
	}
	w.db = stuck
	_, stopFirst := as("first")
	defer stopFirst()
	w.publish("transactions", txn(0, "a", 1))
	w.read("scored", 1)
	w.db = clean
	second, stop := as("second")
	defer stop()
	until(t, "the second waits", func() bool { return status(t, second).State == stream.Waiting })
	stuck.hang.Lock()
	for i := 1; i < 50; i++ {
		w.publish("transactions", txn(i, "a", 1))
	}
	until(t, "the second has taken over", func() bool { return counted(t, clean) == 50 })
	stuck.hang.Unlock()
	for i := 50; i < 100; i++ {
		w.publish("transactions", txn(i, "a", 1))
	}
	if got := w.read("scored", 100); len(got) != 100 {
		t.Errorf("%d events were published, want 100", len(got))
	}
	until(t, "all is committed once", func() bool { return counted(t, clean) == 100 })
}

// stall is a catalog whose writes hang while somebody holds it.
type stall struct {
	catalog.Database
	hang sync.Mutex
}

func (s *stall) Write(ctx context.Context, f func(catalog.Tx) error) error {
	s.hang.Lock()
	s.hang.Unlock() //nolint:staticcheck // it only waits
	return s.Database.Write(ctx, f)
}
