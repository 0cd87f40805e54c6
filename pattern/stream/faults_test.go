package stream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/catalog"
)

// chaos fails what streams call, now and then, before or after it was done.
// Once dead nothing is done any more, as for a process that was killed.
type chaos struct {
	mu     sync.Mutex
	random *rand.Rand
	share  float64
	dead   atomic.Bool
}

func (c *chaos) strikes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64() < c.share
}

// calm lets nothing fail from here on.
func (c *chaos) calm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.share = 0
}

func (c *chaos) err(what string) error { return fault.New(fault.Unavailable, "%s failed", what) }

// do runs f between two chances to fail.
func (c *chaos) do(what string, f func() error) error {
	if c.dead.Load() || c.strikes() {
		return c.err(what)
	}
	if err := f(); err != nil {
		return err
	}
	if c.dead.Load() || c.strikes() {
		return c.err(what + ", after it was done,")
	}
	return nil
}

// shaky is a catalog that fails at any commit.
type shaky struct {
	catalog.Database
	chaos *chaos
}

func (s shaky) Write(ctx context.Context, f func(catalog.Tx) error) error {
	return s.chaos.do("a commit", func() error { return s.Database.Write(ctx, f) })
}

func (s shaky) Read(ctx context.Context, f func(catalog.Tx) error) error {
	return s.chaos.do("a read", func() error { return s.Database.Read(ctx, f) })
}

// activity is a view over the transactions of a customer.
func activity(_ context.Context, _ []string) ([]spec.FeatureView, error) {
	return []spec.FeatureView{{
		Name: "activity", Entity: spec.Names{"customer"}, Source: "transactions", Timestamp: "at", Lateness: spec.Duration(time.Hour),
		Features: spec.Features{{Name: "spend", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{spec.Duration(time.Minute)}}}},
	}}, nil
}

// arrival is one event of the trial, and what the offline definition says of
// it.
type arrival struct {
	id, customer string
	at           time.Time
	amount       float64
	spend        float64
	known        bool
}

// offline fills in what the events of a customer came to in the minute before
// each, of those that arrived before it.
func offline(all []arrival) {
	for i := range all {
		for _, b := range all[:i] {
			if b.customer == all[i].customer && b.at.Before(all[i].at) && !b.at.Before(all[i].at.Add(-time.Minute)) {
				all[i].spend += b.amount
				all[i].known = true
			}
		}
	}
}

// Whatever fails and whenever the process dies, the events that were published
// are exactly those that came, each once, and what their windows held is what
// the offline definition says.
func TestExactlyOnceWhateverFails(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := trial{t: t, rt: rt}
		tr.run()
	})
}

type trial struct {
	t  *testing.T
	rt *rapid.T
	w  *world
}

func (tr *trial) arrivals() []arrival {
	n := rapid.IntRange(1, 120).Draw(tr.rt, "events")
	jitter := rapid.IntRange(0, 90).Draw(tr.rt, "jitter")
	all := make([]arrival, n)
	for i := range all {
		at := day.Add(time.Duration(i) * 5 * time.Second).Add(-time.Duration(rapid.IntRange(0, jitter).Draw(tr.rt, "late")) * time.Second)
		all[i] = arrival{id: fmt.Sprintf("t%04d", i), customer: fmt.Sprint("c", rapid.IntRange(0, 3).Draw(tr.rt, "customer")), at: at,
			amount: float64(rapid.IntRange(1, 200).Draw(tr.rt, "amount"))}
	}
	offline(all)
	return all
}

func (tr *trial) run() {
	seed := rapid.Uint64().Draw(tr.rt, "seed")
	w := newWorldIn(tr.t, tr.t.TempDir(), rapid.IntRange(1, 3).Draw(tr.rt, "partitions"))
	defer w.bus.Close()
	tr.w = w
	w.views = activity
	all := tr.arrivals()
	share := rapid.SampledFrom([]float64{0, 0.05, 0.2}).Draw(tr.rt, "faults")
	lives := rapid.IntRange(0, 4).Draw(tr.rt, "kills")
	batch := rapid.SampledFrom([]int{1, 7, 1000}).Draw(tr.rt, "batch")
	clean := w.db
	var now atomic.Pointer[chaos]
	w.writing = func(string, []bus.Event) error {
		if c := now.Load(); c.dead.Load() || c.strikes() {
			return c.err("a publication")
		}
		return nil
	}
	w.wrote = func() error {
		if c := now.Load(); c.dead.Load() || c.strikes() {
			return c.err("a publication, after it was done,")
		}
		return nil
	}
	w.reading = func() func([]bus.Event) []bus.Event { return again(now.Load()) }
	go func() {
		random := rand.New(rand.NewPCG(seed, 2))
		for _, a := range all {
			tr.send(a)
			if random.IntN(10) == 0 { // its producer says it twice, as two messages
				tr.send(a)
			}
		}
	}()
	random := rand.New(rand.NewPCG(seed, 1))
	for life := 0; ; life++ {
		c := &chaos{random: rand.New(rand.NewPCG(seed, uint64(life))), share: share}
		now.Store(c)
		w.db = shaky{clean, c}
		w.deps = func(d *stream.Deps) { d.Drain, d.Backoff = time.Millisecond, time.Millisecond }
		streams, stop := w.start(fraud(func(s *spec.Stream) { s.Update, s.Batch = spec.Names{"activity"}, batch }))
		if life == lives {
			w.tell = func() string {
				st, err := streams.Status(context.Background(), "fraud-live")
				return fmt.Sprintf("%+v %v", st, err)
			}
			tr.check(all, clean)
			c.calm()
			stop()
			return
		}
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		c.dead.Store(true)
		stop()
	}
}

// again delivers some events once more to a reader, as a broker does that did
// not hear of their acknowledgement.
func again(c *chaos) func([]bus.Event) []bus.Event {
	var before []bus.Event
	return func(events []bus.Event) []bus.Event {
		if before != nil && c.strikes() {
			events = append(before, events...)
		}
		before = append([]bus.Event(nil), events[:min(3, len(events))]...)
		return events
	}
}

func (tr *trial) send(a arrival) {
	e := txnAt(a.id, a.customer, a.at, a.amount)
	e.ID = fmt.Sprint(e.ID, "-", sends.Add(1))
	tr.w.publish("transactions", e)
}

var sends atomic.Int64

func (tr *trial) check(all []arrival, clean catalog.Database) {
	got := map[string]scored{}
	for _, e := range tr.w.read("scored", len(all)) {
		if _, twice := got[e.ID]; twice {
			tr.rt.Fatalf("%s was published twice", e.ID)
		}
		got[e.ID] = e
	}
	for _, a := range all {
		e, ok := got[a.id]
		if !ok {
			tr.rt.Fatalf("%s was lost", a.id)
		}
		if e.Seen != a.spend || e.Decided != "fraud/stream/fraud-live/"+a.id {
			tr.rt.Fatalf("%s saw %v, offline says %v; decision %s", a.id, e.Seen, a.spend, e.Decided)
		}
	}
	if len(got) != len(all) {
		tr.rt.Fatalf("%d events were published, %d came", len(got), len(all))
	}
	until(tr.t, "all is committed once", func() bool { return counted(tr.t, clean) == int64(len(all)) })
}

// counted is how many decisions were committed.
func counted(t testing.TB, db catalog.Database) (n int64) {
	err := db.Read(context.Background(), func(tx catalog.Tx) error {
		return tx.Row(context.Background(), `SELECT COALESCE(SUM(decided), 0) FROM stream_partitions`, nil, &n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newWorldIn(t testing.TB, dir string, partitions int) *world {
	return newWorldAt(t, filepath.Join(dir, fmt.Sprint("catalog", sends.Add(1), ".db")), partitions)
}
