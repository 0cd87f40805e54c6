package bustest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// begin is an Assigned that begins every partition at one offset.
func begin(at int64) func(context.Context, []string) (map[string]int64, error) {
	return func(_ context.Context, partitions []string) (map[string]int64, error) {
		places := map[string]int64{}
		for _, p := range partitions {
			places[p] = at
		}
		return places, nil
	}
}

// places is an Assigned that begins where a map says, and at First elsewhere.
func places(known map[string]int64) func(context.Context, []string) (map[string]int64, error) {
	return func(_ context.Context, partitions []string) (map[string]int64, error) {
		found := map[string]int64{}
		for _, p := range partitions {
			found[p] = bus.First
			if at, ok := known[p]; ok {
				found[p] = at
			}
		}
		return found, nil
	}
}

// advance notes of each partition the offset that comes after some events.
func advance(next map[string]int64, events []bus.Event) {
	for _, e := range events {
		next[e.Partition] = e.Offset + 1
	}
}

func (s *suite) testOffsets(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(300)...)
	var mu sync.Mutex
	var assigned []string
	r := s.reader(t, b, topic, bus.ReadOptions{Assigned: func(ctx context.Context, partitions []string) (map[string]int64, error) {
		mu.Lock()
		assigned = append(assigned, partitions...)
		mu.Unlock()
		return begin(bus.First)(ctx, partitions)
	}})
	last := map[string]int64{}
	for _, e := range collect(t, r, 300) {
		mu.Lock()
		known := slices.Contains(assigned, e.Partition)
		mu.Unlock()
		if !known {
			t.Fatalf("an event came of the partition %q, which was not assigned", e.Partition)
		}
		if before, ok := last[e.Partition]; ok && e.Offset <= before || e.Offset < 0 {
			t.Fatalf("the offset %d came after %d in %q", e.Offset, before, e.Partition)
		}
		last[e.Partition] = e.Offset
	}
}

func (s *suite) testAssigned(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(100)...)
	first := collect(t, s.reader(t, b, topic, bus.ReadOptions{Group: "one", Assigned: begin(bus.First)}), 100)
	distinct(t, first, 100)

	at := map[string]int64{} // somewhere in the middle of each partition
	var behind []string
	for i, e := range first {
		if i < 60 {
			at[e.Partition] = e.Offset + 1
		} else if _, ok := at[e.Partition]; !ok {
			at[e.Partition] = e.Offset // a partition that begins here
		}
	}
	for _, e := range first {
		if e.Offset >= at[e.Partition] {
			behind = append(behind, string(e.Body))
		}
	}
	r := s.reader(t, b, topic, bus.ReadOptions{Group: "two", Assigned: places(at)})
	got := bodies(collect(t, r, len(behind)))
	slices.Sort(got)
	slices.Sort(behind)
	if !slices.Equal(got, behind) {
		t.Errorf("%d events came from the given offsets on; %d others stand there", len(got), len(behind))
	}
	if !s.Ends {
		nothing(t, r, 50*time.Millisecond)
	}
}

func (s *suite) testLatest(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(20)...)
	r := s.reader(t, b, topic, bus.ReadOptions{Assigned: begin(bus.Latest)})
	nothing(t, r, 500*time.Millisecond) // and by then it has looked where the end is
	s.publish(t, b, topic, bus.Event{ID: "new", Key: []byte("k"), Body: []byte("new")})
	if got := collect(t, r, 1); string(got[0].Body) != "new" {
		t.Errorf("%q came from the end on", got[0].Body)
	}
}

func (s *suite) testResume(t *testing.T, b bus.Bus) {
	const total = 500
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(total)...)
	next := map[string]int64{}
	var got []bus.Event
	for len(got) < total { // many readers, each of which reads a little
		r, err := b.Reader(soon(t), topic, bus.ReadOptions{Group: "resume", Assigned: places(next)})
		if err != nil {
			t.Fatal(err)
		}
		events := collect(t, r, min(100, total-len(got)))
		advance(next, events)
		got = append(got, events...)
		if err := r.Ack(soon(t), events[:len(events)/2]); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	distinct(t, got, total)
}

func (s *suite) testAckLog(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(40)...)
	r := s.reader(t, b, topic, bus.ReadOptions{Group: "acks"})
	got := collect(t, r, 40)
	if err := r.Ack(soon(t), got); err != nil {
		t.Fatal(err)
	}
	if err := r.Ack(soon(t), got[:3]); err != nil { // twice, and older ones
		t.Fatal(err)
	}
	if err := r.Ack(soon(t), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := s.reader(t, b, topic, bus.ReadOptions{Group: "acks", Assigned: begin(bus.First)})
	distinct(t, collect(t, again, 40), 40)
}

func (s *suite) testPartitions(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(200)...)
	all := collect(t, s.reader(t, b, topic, bus.ReadOptions{}), 200)
	of := map[string][]string{}
	for _, e := range all {
		of[e.Partition] = append(of[e.Partition], string(e.Body))
	}
	if d, ok := b.(bus.Divider); ok {
		listed, err := d.Partitions(soon(t), topic)
		if err != nil {
			t.Fatal(err)
		}
		for p := range of {
			if !slices.Contains(listed, p) {
				t.Errorf("the partition %q is not among %q", p, listed)
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(of)) {
		r := s.reader(t, b, topic, bus.ReadOptions{Group: "alone", Partitions: []string{p}})
		if got := bodies(collect(t, r, len(of[p]))); !slices.Equal(got, of[p]) {
			t.Errorf("partition %q alone gave %d events in another order or from elsewhere", p, len(got))
		}
		if lag, err := r.Lag(soon(t)); err == nil && lag > 0 {
			t.Errorf("%d events wait behind the last of partition %q", lag, p)
		}
	}
}

// member is one of the readers of a group, with what it read.
type member struct {
	name   string
	reader bus.Reader
	mu     *sync.Mutex
	owned  map[string]string // partition → member; shared
	next   map[string]int64  // shared: the ledger
	seen   map[string]int    // shared: body → times
	mine   int
}

func (m *member) options() bus.ReadOptions {
	return bus.ReadOptions{Group: "shared",
		Assigned: func(_ context.Context, partitions []string) (map[string]int64, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			at := map[string]int64{}
			for _, p := range partitions {
				m.owned[p] = m.name
				at[p] = bus.First
				if next, ok := m.next[p]; ok {
					at[p] = next
				}
			}
			return at, nil
		},
		Lost: func(partitions []string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, p := range partitions {
				if m.owned[p] == m.name {
					delete(m.owned, p)
				}
			}
		},
	}
}

// read takes one batch; what it read is in the ledger before it asks again.
func (m *member) read(ctx context.Context) error {
	events, err := m.reader.Next(ctx, 20)
	if err != nil {
		return err
	}
	m.mu.Lock()
	for _, e := range events {
		if m.owned[e.Partition] != m.name {
			err = fmt.Errorf("%s read of %q, which belongs to %q", m.name, e.Partition, m.owned[e.Partition])
		}
		m.seen[string(e.Body)]++
		m.next[e.Partition] = max(m.next[e.Partition], e.Offset+1)
		m.mine++
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.reader.Ack(ctx, events)
}

// testGroup lets a second reader of a group come while the first reads, and
// the first go. Both keep one ledger, so that each event is read by one.
func (s *suite) testGroup(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	events := make([]bus.Event, 600)
	for i := range events {
		events[i] = bus.Event{ID: fmt.Sprint("g", i), Key: fmt.Append(nil, i), Body: fmt.Appendf(nil, "%06d", i)}
	}
	s.publish(t, b, topic, events[:200]...)
	shared := member{mu: &sync.Mutex{}, owned: map[string]string{}, next: map[string]int64{}, seen: map[string]int{}}
	one, two := shared, shared
	one.name, two.name = "one", "two"
	one.reader = s.reader(t, b, topic, one.options())
	until(t, "the first reads", func(ctx context.Context) (bool, error) {
		return len(shared.seen) >= 200, one.read(ctx)
	})

	two.reader = s.reader(t, b, topic, two.options())
	s.publish(t, b, topic, events[200:400]...)
	until(t, "both read", func(ctx context.Context) (bool, error) {
		err := each(ctx, &one, &two)
		return len(shared.seen) >= 400 && owners(&shared) == 2, err
	})

	if err := one.reader.Close(); err != nil {
		t.Fatal(err)
	}
	s.publish(t, b, topic, events[400:]...)
	until(t, "the second reads alone", func(ctx context.Context) (bool, error) {
		return len(shared.seen) >= 600, two.read(ctx)
	})
	for body, times := range shared.seen {
		if times != 1 {
			t.Errorf("%q was read %d times", body, times)
		}
	}
	if one.mine == 0 || two.mine == 0 {
		t.Errorf("one reader read %d events and the other %d", one.mine, two.mine)
	}
}

// owners counts the members that have partitions.
func owners(m *member) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(slices.Compact(slices.Sorted(maps.Values(m.owned))))
}

// each lets members read for a moment, one after the other.
func each(ctx context.Context, members ...*member) error {
	for _, m := range members {
		brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		err := m.read(brief)
		cancel()
		if err != nil && !passing(err) {
			return err
		}
	}
	return nil
}

// passing tells whether an error only says that nothing came in time or that
// the broker is away.
func passing(err error) bool {
	return fault.Is(err, fault.Timeout) || fault.Is(err, fault.Unavailable) || fault.KindOf(err) == fault.Timeout
}

// until repeats a step until it is done.
func until(t *testing.T, what string, step func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		brief, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		done, err := step(brief)
		stop()
		if err != nil && !passing(err) {
			t.Fatalf("%s: %v", what, err)
		}
		if done {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
