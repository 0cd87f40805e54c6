package window

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// us is a length of time in the tests, where a microsecond is long.
func us(n int) spec.Duration { return spec.Duration(time.Duration(n) * time.Microsecond) }

func drawView(t *rapid.T) spec.FeatureView {
	v := spec.FeatureView{Name: "v", Entity: spec.Names{"key"}, Source: "s", Timestamp: "at"}
	v.Lateness = us(rapid.SampledFrom([]int{0, 0, 3, 20, 100}).Draw(t, "lateness"))
	if rapid.IntRange(0, 3).Draw(t, "ttl?") == 0 {
		v.TTL = us(200)
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "features") {
		v.Features = append(v.Features, spec.FeatureDef{Name: fmt.Sprintf("f%d", i), Aggregate: drawAggregate(t)})
	}
	return v
}

func drawAggregate(t *rapid.T) *spec.Aggregate {
	a := &spec.Aggregate{}
	number := func() string {
		return rapid.SampledFrom([]string{"amount", "amount", "n", "flag", "amount * 2"}).Draw(t, "of")
	}
	value := func() string { return rapid.SampledFrom([]string{"amount", "n", "text", "flag"}).Draw(t, "of") }
	switch rapid.SampledFrom(spec.Ops()).Draw(t, "op") {
	case spec.OpCount:
		a.Count = rapid.SampledFrom([]string{spec.Every, "amount", "text"}).Draw(t, "of")
	case spec.OpSum:
		a.Sum = number()
	case spec.OpAvg:
		a.Avg = number()
	case spec.OpStddev:
		a.Stddev = number()
	case spec.OpQuantile:
		a.Quantile, a.Q = number(), rapid.SampledFrom([]float64{0.01, 0.5, 0.95}).Draw(t, "q")
	case spec.OpMin:
		a.Min = value()
	case spec.OpMax:
		a.Max = value()
	case spec.OpFirst:
		a.First = value()
	case spec.OpLast:
		a.Last = value()
	case spec.OpDistinct:
		a.Distinct = value()
	}
	a.Where = rapid.SampledFrom([]string{"", "", "amount > 0", "text = 'a'"}).Draw(t, "where")
	switch rapid.IntRange(0, 5).Draw(t, "window") {
	case 0:
		a.Tumbling = us(rapid.SampledFrom([]int{7, 30}).Draw(t, "tumbling"))
	case 1:
		a.Session = us(rapid.SampledFrom([]int{1, 5, 15}).Draw(t, "session"))
	case 2:
		a.Slide = us(rapid.SampledFrom([]int{4, 10}).Draw(t, "slide"))
		a.Window = spec.Durations{a.Slide * 2, a.Slide * 5}
	case 3:
	default:
		a.Window = spec.Durations{us(rapid.SampledFrom([]int{1, 10, 25}).Draw(t, "length")), us(60)}
	}
	return a
}

func pointer[T any](t *rapid.T, g *rapid.Generator[T]) *T {
	if rapid.IntRange(0, 4).Draw(t, "null?") == 0 {
		return nil
	}
	v := g.Draw(t, "value")
	return &v
}

func drawNumber() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.2, 0.3, 12.34, 1e16, -1e16, 1e-300, 1e300, -1e300, math.MaxFloat64, -math.MaxFloat64,
			math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1e160, 1e-170, 1 << 53}),
		rapid.Map(rapid.IntRange(-100, 100), func(n int) float64 { return float64(n) / 100 }),
		rapid.Map(rapid.IntRange(-100, 100), func(n int) float64 { return float64(n) / 100 }),
		rapid.Float64(),
	)
}

func drawEvent(t *rapid.T, i int) event {
	return event{
		key:    rapid.SampledFrom([]string{"x", "y"}).Draw(t, "key"),
		at:     int64(rapid.IntRange(-40, 160).Draw(t, "at")),
		amount: pointer(t, drawNumber()),
		n:      pointer(t, rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64())),
		text:   pointer(t, rapid.SampledFrom([]string{"a", "b", "", "ü", "a much longer text"})),
		flag:   pointer(t, rapid.Bool()),
		id:     fmt.Sprint("event ", i),
	}
}

// arrivals draws events in an order in which each comes at most the lateness
// after its time, some of them twice.
func arrivals(t *rapid.T, lateness int64) []event {
	n := rapid.IntRange(0, rapid.SampledFrom([]int{20, 60, 200}).Draw(t, "most")).Draw(t, "events")
	all := make([]event, n)
	due := map[string]int64{}
	for i := range all {
		all[i] = drawEvent(t, i)
		due[all[i].id] = all[i].at
		if lateness > 0 {
			due[all[i].id] += int64(rapid.IntRange(0, int(lateness)).Draw(t, "delay"))
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return int(due[a.id] - due[b.id]) })
	return all
}

// world runs a state beside the list of all events that it was given.
type world struct {
	*rapid.T
	plan      *Plan
	state     *State
	seen      []event
	watermark int64
}

// TestAgreesWithNaive feeds random events to random views, in any order within
// the lateness and in any batches, and asks all the while: whatever happens in
// between, the answers are those of looking at all events.
func TestAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawView(t)
		p, err := Compile(v, source)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{T: t, plan: p, state: NewState(p, Bounds{}), watermark: -1000}
		rest := arrivals(t, p.lateness)
		for len(rest) > 0 {
			n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
			w.feed(rest[:n])
			rest = rest[n:]
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				w.step()
			}
		}
		w.check(w.watermark + 1)
		w.check(w.watermark + 500)
	})
}

func (w *world) feed(events []event) {
	if len(w.seen) > 0 && rapid.IntRange(0, 3).Draw(w.T, "twice?") == 0 {
		again := w.seen[rapid.IntRange(0, len(w.seen)-1).Draw(w.T, "again")]
		if again.at >= w.watermark-w.plan.lateness && again.at >= w.watermark-w.plan.keep {
			events = append(slices.Clone(events), again)
		}
	}
	batch := batchOf(events)
	defer batch.Release()
	if rapid.Bool().Draw(w.T, "observe") {
		w.observe(events)
	} else if _, err := w.state.Add(batch, idsOf(events)); err != nil {
		w.Fatal(err)
	}
	w.see(events)
}

func (w *world) see(events []event) {
	for _, e := range events {
		if !slices.ContainsFunc(w.seen, func(s event) bool { return s.id == e.id }) {
			w.seen = append(w.seen, e)
		}
		w.watermark = max(w.watermark, e.at)
	}
}

// observe adds events and compares what each of them saw.
func (w *world) observe(events []event) {
	batch := batchOf(events)
	defer batch.Release()
	values, added, err := w.state.Observe(batch, idsOf(events))
	if err != nil || len(added.Late) > 0 {
		w.Fatal(err, added)
	}
	before := slices.Clone(w.seen)
	for i, e := range events {
		same(w.T, w.plan, "observed", e.at, shown(values, i), expected(w.plan, of(before, e.key), e.at))
		if !slices.ContainsFunc(before, func(s event) bool { return s.id == e.id }) {
			before = append(before, e)
		}
	}
	release(values)
}

// step does one of the things that may happen between two batches.
func (w *world) step() {
	switch rapid.IntRange(0, 4).Draw(w.T, "step") {
	case 0:
		w.state.Advance(w.watermark)
	case 1:
		w.restore()
	case 2:
		w.state.collectStrings()
	default:
		w.check(w.watermark - w.plan.lateness + int64(rapid.IntRange(0, 120).Draw(w.T, "as of")))
	}
}

// restore goes on with a state that was made of the bytes of this one, some of
// them by way of what changed.
func (w *world) restore() {
	next := NewState(w.plan, Bounds{})
	var all []KeyState
	if err := w.state.Each(func(k KeyState) error { all = append(all, k); return nil }); err != nil {
		w.Fatal(err)
	}
	for _, k := range all {
		if err := next.Load(k); err != nil {
			w.Fatal(err)
		}
	}
	next.Advance(w.state.least + w.plan.lateness)
	i := 0
	if err := next.Each(func(k KeyState) error {
		if !bytes.Equal(k.State, all[i].State) {
			w.Fatalf("the bytes of %q change from %x to %x on the way", k.Key, all[i].State, k.State)
		}
		i++
		return nil
	}); err != nil {
		w.Fatal(err)
	}
	if size := next.Size(); size.Events != w.state.Size().Events {
		w.Fatalf("%d events are %d after a restart", w.state.Size().Events, size.Events)
	}
	w.state = next
}

// check compares the answers of the state, and of the bytes of its keys, with
// the naive ones.
func (w *world) check(at int64) {
	names := []string{"x", "y", "nobody"}
	keys := keysOf(names...)
	values, err := w.state.Values(keys, []int64{at, at, at})
	if err != nil {
		w.Fatal(err)
	}
	defer release(values)
	stored := map[string][]byte{}
	if err := w.state.Each(func(k KeyState) error { stored[string(k.Key)] = k.State; return nil }); err != nil {
		w.Fatal(err)
	}
	for i, name := range names {
		want := expected(w.plan, of(w.seen, name), at)
		same(w.T, w.plan, "state", at, shown(values, i), want)
		key, _ := frame.AppendKey(nil, keys, i)
		read, err := w.plan.Read(stored[string(key)], at)
		if err != nil {
			w.Fatal(err)
		}
		same(w.T, w.plan, "bytes", at, shown(read, 0), want)
		release(read)
	}
}

// TestSweepAgreesWithNaive asks in the order of time, events having become
// known at any time after they happened.
func TestSweepAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawView(t)
		late := rapid.Bool().Draw(t, "known later")
		if late {
			v.Known = "known"
		}
		p, err := Compile(v, source)
		if err != nil {
			t.Fatal(err)
		}
		s := NewSweep(p, Bounds{})
		for range 2 {
			sweep(t, s, late)
		}
	})
}

// sweep goes over one entity.
func sweep(t *rapid.T, s *Sweep, late bool) {
	delay := int64(0)
	if late {
		delay = 150
	}
	events := of(arrivals(t, delay), "x")
	if !late {
		slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	}
	batch := batchOf(events)
	defer batch.Release()
	if err := s.Load(batch); err != nil {
		t.Fatal(err)
	}
	s.Next()
	s.full = 3 // so that old events are given up all the while
	at := int64(-50)
	for i := range events {
		if err := s.Event(i); err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "ask") {
			at = max(at, int64(rapid.IntRange(-50, 200).Draw(t, "as of")))
			if !late && i+1 < len(events) {
				at = max(min(at, events[i+1].at), s.asked)
			}
			if err := s.Ask(at); err != nil {
				t.Fatal(err)
			}
			s.full = 3
			values, err := s.Take()
			if err != nil {
				t.Fatal(err)
			}
			same(t, s.plan, "sweep", at, shown(values, 0), expected(s.plan, events[:i+1], at))
		}
	}
}

func release[T interface{ Release() }](columns []T) {
	for _, c := range columns {
		c.Release()
	}
}
