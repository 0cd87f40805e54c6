// Command windows measures the engine of features over windows: twenty
// features of ten thousand entities, whose values are read for each event
// before it is added, on two cores with a partition each. Values are compared
// with a naive computation first.
//
//	go run ./bench/windows
//	go run ./bench/windows -profile /tmp/windows.pprof
package main

import (
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/spec"
)

const (
	partitions = 2
	batchRows  = 1024
	hour       = int64(3_600_000_000)
	span       = 48 * hour // of all events; the second half is timed
)

type sizes struct {
	events, keys, rounds int
	profile              string
}

func main() {
	var s sizes
	flag.IntVar(&s.events, "events", result.Scaled(2_000_000, 100_000), "over two days")
	flag.IntVar(&s.keys, "keys", result.Scaled(10_000, 500), "entities")
	flag.IntVar(&s.rounds, "rounds", 5, "")
	flag.StringVar(&s.profile, "profile", "", "file for a profile of the processor's time")
	flag.Parse()
	if err := run(s); err != nil {
		log.Fatal(err)
	}
}

var columns = []frame.Column{
	{Name: "customer", Type: frame.Int}, {Name: "at", Type: frame.Timestamp}, {Name: "amount", Type: frame.Double},
	{Name: "country", Type: frame.String}, {Name: "merchant", Type: frame.Int},
}

// view has twenty features.
func view() spec.FeatureView {
	all := spec.Durations{spec.Duration(10 * time.Minute), spec.Duration(time.Hour), spec.Duration(24 * time.Hour)}
	return spec.FeatureView{
		Name: "activity", Entity: spec.Names{"customer"}, Source: "events", Timestamp: "at", Lateness: spec.Duration(10 * time.Second),
		Features: spec.Features{
			{Name: "spend", Aggregate: &spec.Aggregate{Sum: "amount", Window: all}},
			{Name: "events", Aggregate: &spec.Aggregate{Count: spec.Every, Window: all}},
			{Name: "mean", Aggregate: &spec.Aggregate{Avg: "amount", Window: all}},
			{Name: "most", Aggregate: &spec.Aggregate{Max: "amount", Window: all}},
			{Name: "countries", Aggregate: &spec.Aggregate{Distinct: "country", Window: all[1:]}},
			{Name: "merchants", Aggregate: &spec.Aggregate{Distinct: "merchant", Window: all[2:]}},
			{Name: "large", Aggregate: &spec.Aggregate{Count: spec.Every, Where: "amount > 100", Window: all[1:]}},
			{Name: "abroad", Aggregate: &spec.Aggregate{Sum: "amount", Where: "country <> 'C0'", Window: all[2:]}},
			{Name: "least", Aggregate: &spec.Aggregate{Min: "amount", Window: all[2:]}},
			{Name: "spread", Aggregate: &spec.Aggregate{Stddev: "amount", Window: all[2:]}},
		},
	}
}

// event is one event; its place in the list is its order.
type event struct {
	customer int64
	at       int64
	amount   float64
	country  int
	merchant int64
}

// events are those of the partitions, in the order of time. A quarter of the
// customers makes half of them.
func events(s sizes) [partitions][]event {
	r := rand.New(rand.NewPCG(1, 2))
	var all [partitions][]event
	at := int64(1_700_000_000_000_000)
	step := float64(span) / float64(s.events)
	for range s.events {
		at += int64(r.ExpFloat64() * step)
		u := r.Float64()
		e := event{customer: int64(float64(s.keys) * u * u), at: at, amount: float64(1+r.IntN(20_000)) / 100,
			country: r.IntN(1 + r.IntN(30)), merchant: int64(r.IntN(500))}
		all[e.customer%partitions] = append(all[e.customer%partitions], e)
	}
	return all
}

func batches(events []event) (all []frame.Batch) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for chunk := range slices.Chunk(events, batchRows) {
		for _, e := range chunk {
			b.Field(0).(*array.Int64Builder).Append(e.customer)
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(e.at))
			b.Field(2).(*array.Float64Builder).Append(e.amount)
			b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("C%d", e.country))
			b.Field(4).(*array.Int64Builder).Append(e.merchant)
		}
		all = append(all, b.NewRecordBatch())
	}
	return all
}

func run(s sizes) error {
	plan, err := window.Compile(view(), columns)
	if err != nil {
		return err
	}
	all := events(s)
	var fed [partitions][]frame.Batch
	for i := range all {
		fed[i] = batches(all[i])
	}
	if err := compare(plan, all[0], fed[0]); err != nil {
		return err
	}
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var rates, times []float64
	var last *measured
	for range s.rounds {
		runtime.GC()
		if last, err = round(plan, fed); err != nil {
			return err
		}
		rates, times = append(rates, last.rate), append(times, last.cpu.Seconds()*1e6)
	}
	return report(s, plan, rates, times, last)
}

// measured is what a round gave.
type measured struct {
	rate   float64 // events a second
	cpu    time.Duration
	states [partitions]*window.State
}

// round fills the windows with the first half and times the second.
func round(plan *window.Plan, fed [partitions][]frame.Batch) (*measured, error) {
	m := &measured{}
	for i := range m.states {
		m.states[i] = window.NewState(plan, window.Bounds{})
	}
	rows := 0
	each := func(timed bool) error {
		var group sync.WaitGroup
		errs := make([]error, partitions)
		for i := range m.states {
			part := fed[i][:len(fed[i])/2]
			if timed {
				part = fed[i][len(fed[i])/2:]
			}
			for _, b := range part {
				rows += int(b.NumRows())
			}
			group.Go(func() { errs[i] = feed(m.states[i], part) })
		}
		group.Wait()
		return errs[0]
	}
	if err := each(false); err != nil {
		return nil, err
	}
	rows = 0
	began, used := time.Now(), processor()
	if err := each(true); err != nil {
		return nil, err
	}
	m.rate = float64(rows) / time.Since(began).Seconds()
	m.cpu = (processor() - used) / time.Duration(rows)
	return m, nil
}

// processor is the time of the processors that this process has taken.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// feed reads the values of each event and adds it, batch by batch.
func feed(s *window.State, batches []frame.Batch) error {
	for _, b := range batches {
		values, _, err := s.Observe(b, nil)
		if err != nil {
			return err
		}
		for _, v := range values {
			v.Release()
		}
		times := b.Column(1).(*array.Timestamp)
		s.Advance(int64(times.Value(times.Len() - 1)))
	}
	return nil
}

func report(s sizes, plan *window.Plan, rates, times []float64, m *measured) error {
	slices.Sort(rates)
	slices.Sort(times)
	var size window.Size
	var stored, keys int
	var states [][]byte
	newest := int64(0)
	for _, state := range m.states {
		held := state.Size()
		size.Keys, size.Events, size.Bytes = size.Keys+held.Keys, size.Events+held.Events, size.Bytes+held.Bytes
		if err := state.Each(func(k window.KeyState) error {
			stored, keys, newest = stored+len(k.State), keys+1, max(newest, k.At)
			states = append(states, k.State)
			return nil
		}); err != nil {
			return err
		}
	}
	read, err := reading(plan, states, newest+1_000_000)
	if err != nil {
		return err
	}
	return result.Keep(result.Entry{Bench: "windows",
		Setup: fmt.Sprintf("%d events of %d entities over 48 h, the second half timed; 20 features, batches of %d, two partitions", s.events, s.keys, batchRows),
		Figures: []result.Figure{
			result.Figure{Name: "events with their values", Value: rates[len(rates)/2], Unit: "events/s", Least: rates[0], Most: rates[len(rates)-1]}.AtLeast(200_000),
			{Name: "processor time of an event", Value: times[len(times)/2], Unit: "µs", Least: times[0], Most: times[len(times)-1]},
			{Name: "memory of an entity", Value: float64(size.Bytes) / float64(size.Keys), Unit: "B", Note: fmt.Sprintf("%.0f events of 24 h each", float64(size.Events)/float64(size.Keys))},
			{Name: "stored bytes of an entity", Value: float64(stored) / float64(keys), Unit: "B"},
			{Name: "values from stored bytes", Value: read.Seconds() * 1e6, Unit: "µs"},
		}})
}

// reading times the values of all entities from their bytes, each.
func reading(plan *window.Plan, states [][]byte, at int64) (time.Duration, error) {
	rows := plan.NewRows(len(states))
	began := time.Now()
	for _, state := range states {
		if _, err := plan.ReadInto(rows, state, at); err != nil {
			return 0, err
		}
	}
	took := time.Since(began) / time.Duration(len(states))
	values, err := rows.Take()
	for _, v := range values {
		v.Release()
	}
	return took, err
}
