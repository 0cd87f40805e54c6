package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
	membus "github.com/leat-ai/leat/store/bus/memory"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// patience bounds how long anything may take; the machine may be busy.
const patience = 60 * time.Second

func openCatalog(t testing.TB, path string) *catalog.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// world is what streams of a test share: a broker, a catalog, a model.
type world struct {
	t      testing.TB
	broker *membus.Broker
	bus    *membus.Bus
	db     catalog.Database
	model  *model
	views  func(ctx context.Context, names []string) ([]spec.FeatureView, error)
	deps   func(*stream.Deps)

	divided []string                                     // partitions that nobody shares out
	tell    func() string                                // of the stream, where something does not come
	wrote   func() error                                 // after one
	writing func(topic string, events []bus.Event) error // before a publication; nil: nothing fails
	reading func() func([]bus.Event) []bus.Event         // makes what changes what a reader gives
}

func newWorld(t testing.TB, partitions int) *world {
	return newWorldAt(t, filepath.Join(t.TempDir(), "catalog.db"), partitions)
}

func newWorldAt(t testing.TB, file string, partitions int) *world {
	broker := membus.New(membus.Config{Partitions: partitions})
	w := &world{t: t, broker: broker, bus: broker.Open(), db: openCatalog(t, file), model: &model{}}
	t.Cleanup(func() { _ = w.bus.Close() })
	return w
}

// start runs streams, as a server does, until the function that it returns.
func (w *world) start(list ...spec.Stream) (*stream.Streams, func()) {
	w.t.Helper()
	d := stream.Deps{
		DB: w.db, Topics: topics{w}, Decider: w.model, Views: w.views,
		Codec: func(_ context.Context, s spec.Stream) (codec.Codec, error) {
			return codec.New(codec.Config{Format: s.Format, Columns: codec.Columns(s.Schema, nil)})
		},
	}
	if w.deps != nil {
		w.deps(&d)
	}
	all := stream.New(d)
	var resources []spec.Resource
	for _, s := range list {
		r, err := spec.Of(&s)
		if err != nil {
			w.t.Fatal(err)
		}
		resources = append(resources, r)
	}
	all.Converge(resources)
	return all, sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := all.Close(ctx); err != nil {
			w.t.Error(err)
		}
	})
}

// fraud is the stream that most tests use.
func fraud(change ...func(*spec.Stream)) spec.Stream {
	s := spec.Stream{
		Name: "fraud-live", From: "nats://transactions", Score: "fraud", To: "nats://scored", ID: "txn_id", Key: "customer", Timestamp: "at", Format: "json",
		Schema: spec.Columns{{Name: "txn_id", Type: frame.String}, {Name: "customer", Type: frame.String}, {Name: "at", Type: frame.Timestamp}, {Name: "amount", Type: frame.Double}},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// txn is the i-th transaction: second i of a day.
func txn(i int, customer string, amount float64) bus.Event {
	return txnAt(fmt.Sprintf("t%06d", i), customer, day.Add(time.Duration(i)*time.Second), amount)
}

func txnAt(id, customer string, at time.Time, amount float64) bus.Event {
	body, err := json.Marshal(map[string]any{"txn_id": id, "customer": customer, "at": at.Format(time.RFC3339Nano), "amount": amount})
	if err != nil {
		panic(err)
	}
	return bus.Event{ID: "m-" + id, Key: []byte(customer), Time: at, Body: body}
}

func (w *world) publish(topic string, events ...bus.Event) {
	w.t.Helper()
	writer, err := w.bus.Writer(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.Write(context.Background(), events); err != nil {
		w.t.Fatal(err)
	}
}

// scored is a published event as its readers see it.
type scored struct {
	ID       string  `json:"txn_id"`
	Score    float64 `json:"score"`
	Decision string  `json:"decision"`
	Decided  string  `json:"decision_id"`
	Release  string  `json:"release"`
	Amount   float64 `json:"amount"`
	Seen     float64 `json:"seen"`
	message  string
	key      string
}

// read reads everything that a topic has until there are n events with
// different messages, and a little longer to see whether there are more.
func (w *world) read(topic string, n int) []scored {
	w.t.Helper()
	events := w.events(topic, n)
	all := make([]scored, len(events))
	for i, e := range events {
		if err := json.Unmarshal(e.Body, &all[i]); err != nil {
			w.t.Fatalf("%s: %v", e.Body, err)
		}
		all[i].message, all[i].key = e.ID, string(e.Key)
	}
	return all
}

func (w *world) events(topic string, n int) (all []bus.Event) {
	w.t.Helper()
	r, err := w.bus.Reader(context.Background(), topic, bus.ReadOptions{Group: fmt.Sprint("test-", reads.Add(1))})
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	deadline := time.Now().Add(patience)
	for {
		wait := 50 * time.Millisecond
		if len(all) < n {
			wait = time.Until(deadline)
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		events, err := r.Next(ctx, 1000)
		cancel()
		if err != nil {
			if len(all) < n {
				if w.tell != nil {
					w.t.Log(w.tell())
				}
				w.t.Fatalf("%d events of %d came to %s: %v", len(all), n, topic, err)
			}
			return all
		}
		all = append(all, events...)
	}
}

var reads atomic.Int64

// until waits for a condition.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to it that %s", what)
		}
	}
}

func status(t testing.TB, s *stream.Streams) stream.Status {
	t.Helper()
	st, err := s.Status(context.Background(), "fraud-live")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// topics joins the broker to streams, with faults where the world has them.
type topics struct{ w *world }

func (x topics) Source(_ context.Context, _ spec.Stream, from string) (stream.Source, error) {
	return source{x.w, name(from)}, nil
}

func (x topics) Target(ctx context.Context, _ spec.Stream, to string) (stream.Target, error) {
	writer, err := x.w.bus.Writer(ctx, name(to))
	return &target{x.w, name(to), writer}, err
}

func name(address string) string { return address[len("nats://"):] }

type source struct {
	w     *world
	topic string
}

func (s source) Positioned() bool                             { return true }
func (s source) Partitions(context.Context) ([]string, error) { return s.w.divided, nil }
func (s source) Close() error                                 { return nil }
func (s source) Reader(ctx context.Context, o bus.ReadOptions) (bus.Reader, error) {
	r, err := s.w.bus.Reader(ctx, s.topic, o)
	if err != nil || s.w.reading == nil {
		return r, err
	}
	return &reader{r, s.w.reading()}, nil
}

type reader struct {
	bus.Reader
	change func([]bus.Event) []bus.Event
}

func (r *reader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	events, err := r.Reader.Next(ctx, most)
	if err == nil {
		events = r.change(events)
	}
	return events, err
}

type target struct {
	w     *world
	topic string
	bus.Writer
}

func (t *target) Publish(ctx context.Context, p stream.Publication) error {
	if t.w.writing != nil {
		if err := t.w.writing(t.topic, p.Events); err != nil {
			return err
		}
	}
	if err := t.Write(ctx, p.Events); err != nil || t.w.wrote == nil {
		return err
	}
	return t.w.wrote()
}

// model decides by the amount: more than 100 is for review. With a view it
// answers what that found as well.
type model struct {
	mu      sync.Mutex
	decided map[string]int // how often, by decision key
	fail    func(row map[string]any) error
	down    error
}

func (m *model) Decide(_ context.Context, endpoint string, q decide.Request) (*decide.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	n := int(q.Rows.NumRows())
	a := &decide.Answer{Release: "r1", IDs: make([]string, n)}
	amounts := q.Rows.Column(frame.Index(q.Rows.Schema(), "amount")).(*array.Float64)
	score, decision := array.NewFloat64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	seen := array.NewFloat64Builder(memory.DefaultAllocator)
	for i := range n {
		if m.decided == nil {
			m.decided = map[string]int{}
		}
		a.IDs[i] = endpoint + "/" + q.Run + "/" + q.Keys[i]
		if m.fail != nil {
			if err := m.fail(map[string]any{"key": q.Keys[i], "amount": amounts.Value(i)}); err != nil {
				if a.Errors == nil {
					a.Errors = make([]error, n)
				}
				a.Errors[i] = err
			}
		}
		if a.Errors == nil || a.Errors[i] == nil {
			m.decided[q.Keys[i]]++
		}
		score.Append(amounts.Value(i) / 100)
		if amounts.Value(i) > 100 {
			decision.Append("review")
		} else {
			decision.Append("pass")
		}
		if found := q.Asked.Found["activity"]; found != nil && found[0].IsValid(i) {
			seen.Append(found[0].(*array.Float64).Value(i))
		} else {
			seen.AppendNull()
		}
	}
	columns := []frame.Column{{Name: "score", Type: frame.Double}, {Name: "decision", Type: frame.String}, {Name: "seen", Type: frame.Double}}
	a.Rows = array.NewRecordBatch(frame.SchemaOf(columns), []arrow.Array{score.NewArray(), decision.NewArray(), seen.NewArray()}, int64(n))
	return a, nil
}

func (m *model) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func TestScoresEvents(t *testing.T) {
	w := newWorld(t, 3)
	_, stop := w.start(fraud())
	defer stop()
	for i := range 100 {
		w.publish("transactions", txn(i, fmt.Sprint("c", i%7), float64(i*2)))
	}
	got := w.read("scored", 100)
	if len(got) != 100 {
		t.Fatalf("%d events were published, want 100", len(got))
	}
	for _, e := range got {
		want := "pass"
		if e.Amount > 100 {
			want = "review"
		}
		if e.Decision != want || e.message != e.ID || e.Release != "r1" || e.Decided != "fraud/stream/fraud-live/"+e.ID || e.Score != e.Amount/100 || e.key == "" {
			t.Errorf("published %+v", e)
		}
	}
}

func TestRoutesAndSteps(t *testing.T) {
	w := newWorld(t, 1)
	streams, stop := w.start(fraud(func(s *spec.Stream) {
		s.Steps = []spec.StreamStep{{Where: "amount > 10"}, {Map: map[string]string{"amount": "amount * 2", "cents": "cast(amount * 100 as int)"}}}
		s.Route = []spec.Route{{When: "decision = 'review' and cents > 10000", To: "nats://reviews"}, {When: "decision = 'review'", To: "nats://small"}}
	}))
	defer stop()
	w.publish("transactions", txn(1, "a", 5), txn(2, "a", 20), txn(3, "a", 60), txn(4, "a", 200))
	if got := w.read("scored", 1); len(got) != 1 || got[0].ID != "t000002" || got[0].Amount != 40 {
		t.Errorf("scored: %+v", got)
	}
	if got := w.read("small", 1); len(got) != 1 || got[0].ID != "t000003" {
		t.Errorf("small: %+v", got)
	}
	if got := w.read("reviews", 1); len(got) != 1 || got[0].ID != "t000004" {
		t.Errorf("reviews: %+v", got)
	}
	until(t, "all is counted", func() bool { return status(t, streams).Counts == stream.Counts{Decided: 3, Filtered: 1} })
}

// What is away is waited for, and the status says so.
func TestWaitsForWhatIsAway(t *testing.T) {
	w := newWorld(t, 1)
	w.model.down = fault.New(fault.Unavailable, "the model server is away")
	streams, stop := w.start(fraud())
	defer stop()
	w.publish("transactions", txn(1, "a", 5))
	until(t, "the stream says that it waits", func() bool {
		st := status(t, streams)
		return st.State == stream.Retrying && st.Why != ""
	})
	w.model.set(func() { w.model.down = nil })
	w.read("scored", 1)
	until(t, "it runs", func() bool { return status(t, streams).State == stream.Running })
}
