package memory

import (
	"context"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Reader begins to read a topic, as a member of its group or, where partitions
// are named, alone.
func (b *Bus) Reader(_ context.Context, name string, o bus.ReadOptions) (bus.Reader, error) {
	r := &reader{bus: b, options: o.WithDefaults(), next: map[int]int64{}}
	if err := b.keep(r); err != nil {
		return nil, err
	}
	b.broker.mu.Lock()
	defer b.broker.mu.Unlock()
	r.topic = b.broker.topic(name)
	r.group = r.topic.groups[o.Group]
	if r.group == nil || len(o.Partitions) > 0 {
		r.group = &group{owners: make([]*reader, len(r.topic.logs))}
	}
	if len(o.Partitions) == 0 {
		r.topic.groups[o.Group] = r.group
	}
	r.group.members = append(r.group.members, r)
	r.topic.wake()
	return r, nil
}

type reader struct {
	bus     *Bus
	topic   *topic
	group   *group
	options bus.ReadOptions
	// What follows is guarded by the broker's lock.
	next   map[int]int64 // offset to read next of each partition that it has
	turn   int           // the partition to begin with
	closed bool
}

// Next hands partitions over, takes those that are free, and returns events.
func (r *reader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	broker := r.bus.broker
	for {
		if err := ctx.Err(); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "reading %s", r.topic.name)
		}
		if err := r.settle(ctx); err != nil {
			return nil, err
		}
		broker.mu.Lock()
		events, err := r.take(most)
		changed := r.topic.changed
		broker.mu.Unlock()
		if len(events) > 0 || err != nil {
			return events, err
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// settle lets partitions go that others want, and takes those that are free.
// What it calls is called without the lock.
func (r *reader) settle(ctx context.Context) error {
	broker := r.bus.broker
	broker.mu.Lock()
	lost, free := r.moves()
	broker.mu.Unlock()
	if len(lost) > 0 {
		if r.options.Lost != nil {
			r.options.Lost(names(lost))
		}
		r.release(lost)
	}
	if len(free) == 0 {
		return nil
	}
	at := map[string]int64{}
	if r.options.Assigned != nil {
		var err error
		if at, err = r.options.Assigned(ctx, names(free)); err != nil {
			r.release(free)
			return err
		}
	}
	broker.mu.Lock()
	defer broker.mu.Unlock()
	for _, p := range free {
		next, ok := at[strconv.Itoa(p)]
		switch {
		case !ok || next == bus.First:
			next = 0
		case next == bus.Latest:
			next = int64(len(r.topic.logs[p]))
		}
		r.next[p] = next
	}
	return nil
}

// moves lists partitions that others wait for, and those that are free for
// this reader, which it owns from now on. The lock is held.
func (r *reader) moves() (lost, free []int) {
	for p, owner := range r.group.owners {
		wanted := r.group.wanted(p)
		if len(r.options.Partitions) > 0 && !slices.Contains(r.options.Partitions, strconv.Itoa(p)) {
			continue
		}
		switch {
		case owner == r && wanted != r:
			lost = append(lost, p)
			delete(r.next, p)
		case owner == nil && wanted == r && !r.closed:
			free = append(free, p)
			r.group.owners[p] = r
		}
	}
	return lost, free
}

func (r *reader) release(partitions []int) {
	r.bus.broker.mu.Lock()
	defer r.bus.broker.mu.Unlock()
	for _, p := range partitions {
		if r.group.owners[p] == r {
			r.group.owners[p] = nil
		}
		delete(r.next, p)
	}
	r.topic.wake()
}

// take returns events that are there; the lock is held.
func (r *reader) take(most int) ([]bus.Event, error) {
	if r.closed {
		return nil, fault.New(fault.Unavailable, "the reader of %s is closed", r.topic.name)
	}
	var events []bus.Event
	r.turn++
	for i := range r.topic.logs {
		p := (i + r.turn) % len(r.topic.logs)
		next, ok := r.next[p]
		if !ok {
			continue
		}
		log := r.topic.logs[p]
		if next > int64(len(log)) {
			return nil, &bus.Gap{Topic: r.topic.name, Partition: strconv.Itoa(p), Asked: next, Last: int64(len(log)) - 1}
		}
		for _, e := range log[next:min(int64(len(log)), next+int64(most-len(events)))] {
			events = append(events, bus.Bound(e, r.options.MaxEvent))
			r.next[p] = e.Offset + 1
		}
	}
	return events, nil
}

// Ack does nothing: the log forgets nothing.
func (r *reader) Ack(context.Context, []bus.Event) error { return nil }

// Lag counts what waits in the partitions that the reader has.
func (r *reader) Lag(context.Context) (int64, error) {
	r.bus.broker.mu.Lock()
	defer r.bus.broker.mu.Unlock()
	var lag int64
	for p, next := range r.next {
		lag += max(0, int64(len(r.topic.logs[p]))-next)
	}
	return lag, nil
}

// Close leaves the group.
func (r *reader) Close() error {
	r.bus.forget(r)
	r.bus.broker.mu.Lock()
	defer r.bus.broker.mu.Unlock()
	r.closed = true
	r.group.members = slices.DeleteFunc(r.group.members, func(m *reader) bool { return m == r })
	for p, owner := range r.group.owners {
		if owner == r {
			r.group.owners[p] = nil
		}
	}
	r.topic.wake()
	return nil
}

func names(partitions []int) []string {
	all := make([]string, len(partitions))
	for i, p := range partitions {
		all[i] = strconv.Itoa(p)
	}
	return all
}
