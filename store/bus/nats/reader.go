package nats

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Reader begins to read a topic: all partitions, or those that are named. A
// topic that is not there is made, so that what comes from now on is kept.
func (b *Bus) Reader(ctx context.Context, name string, o bus.ReadOptions) (bus.Reader, error) {
	if err := checkTopic(name, true); err != nil {
		return nil, err
	}
	t, info, err := b.ensure(ctx, name)
	if err != nil {
		return nil, err
	}
	r := &reader{bus: b, topic: t, sync: b.own.syncer(t), options: o.WithDefaults(), some: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := r.assign(ctx, info); err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	r.stop = stop
	if err := b.keep(r); err != nil {
		stop()
		return nil, err
	}
	go r.run(life)
	return r, nil
}

// reader reads partitions of a topic. Its goroutine, run, pulls events into
// queue, and Next takes them out.
type reader struct {
	bus     *Bus
	topic   *topic
	sync    *syncer // nil: what is delivered is on the disk, or need not be
	options bus.ReadOptions
	numbers []int         // partitions that it reads, in order
	begin   map[int]int64 // where each partition begins
	stop    context.CancelFunc
	some    chan struct{} // a token: queue, trouble or ended changed
	room    chan struct{} // a token: the queue became shorter
	ended   chan struct{}

	mu      sync.Mutex
	queue   []bus.Event
	bytes   int64 // of the bodies in queue
	trouble error // told by the next Next, once; a Gap always
	next    int64 // sequence that comes after the last in queue, ever
	stored  int64 // when the server stored that last one, ns; 0: nothing was read
	closed  bool
	// Of the consumer at present, for Lag.
	consumer jetstream.Consumer
	pulled   int64 // its number of the last message that came into queue
}

// assign asks where to begin in each partition.
func (r *reader) assign(ctx context.Context, info *jetstream.StreamInfo) error {
	names := r.options.Partitions
	if len(names) == 0 {
		for n := range r.topic.partitions {
			names = append(names, r.topic.partition(n))
		}
	}
	for _, name := range names {
		n, identity, ok := bus.Number(name)
		if !ok || n >= r.topic.partitions {
			return fault.New(fault.NotFound, "the topic %s has no partition %q", r.topic.name, name)
		}
		if identity != r.topic.identity {
			return r.gap(name, 0, info, true)
		}
		r.numbers = append(r.numbers, n)
	}
	slices.Sort(r.numbers)
	r.numbers = slices.Compact(r.numbers)
	at := map[string]int64{}
	if r.options.Assigned != nil {
		var err error
		if at, err = r.options.Assigned(ctx, names); err != nil {
			return err
		}
	}
	return r.place(at, info)
}

// place sets where each partition begins, of offsets that may be First or
// Latest.
func (r *reader) place(at map[string]int64, info *jetstream.StreamInfo) error {
	r.begin = map[int]int64{}
	first, end := int64(info.State.FirstSeq), int64(info.State.LastSeq)+1
	for _, n := range r.numbers {
		offset, ok := at[r.topic.partition(n)]
		switch {
		case !ok || offset == bus.First:
			offset = max(first, 1)
		case offset == bus.Latest:
			offset = end
		case offset < 0:
			return fault.New(fault.Invalid, "%d is no offset", offset)
		case offset > end:
			return r.gap(r.topic.partition(n), offset, info, false)
		case offset < first && r.topic.partitions == 1:
			// With several partitions, those that are gone may have been of
			// others: offsets of one partition are not dense.
			return r.gap(r.topic.partition(n), offset, info, false)
		}
		r.begin[n] = offset
	}
	r.next = end
	for _, offset := range r.begin {
		r.next = min(r.next, max(offset, 1))
	}
	return nil
}

func (r *reader) gap(partition string, asked int64, info *jetstream.StreamInfo, wiped bool) error {
	return &bus.Gap{
		Topic: r.topic.name, Partition: partition, Asked: asked,
		First: int64(info.State.FirstSeq), Last: int64(info.State.LastSeq), Wiped: wiped,
	}
}

// Next waits for events.
func (r *reader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	for {
		if ctx.Err() != nil {
			return nil, translate(ctx.Err(), "reading "+r.topic.name)
		}
		events, err := r.take(most)
		if len(events) > 0 && r.sync != nil {
			// A crash must not take back what was dealt with.
			err = r.sync.ensure(context.WithoutCancel(ctx), uint64(events[len(events)-1].Offset))
		}
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			return events, nil
		}
		select {
		case <-ctx.Done():
		case <-r.some:
		}
	}
}

// take returns what is in the queue, or why nothing is going to be.
func (r *reader) take(most int) ([]bus.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		signal(r.some) // for another that waits
		return nil, fault.New(fault.Unavailable, "the reader of %s is closed", r.topic.name)
	}
	n := min(max(most, 1), len(r.queue))
	if n == 0 {
		err := r.trouble
		if _, lasting := errors.AsType[*bus.Gap](err); !lasting {
			r.trouble = nil
		}
		return nil, err
	}
	events := slices.Clone(r.queue[:n])
	clear(r.queue[:n])
	r.queue = r.queue[n:]
	if len(r.queue) == 0 {
		r.queue = nil
	}
	for i := range events {
		r.bytes -= weight(&events[i])
	}
	signal(r.room)
	return events, nil
}

// weight is what an event counts in the buffer.
func weight(e *bus.Event) int64 {
	size := int64(len(e.Body) + len(e.Key) + len(e.ID) + 128)
	for _, h := range e.Headers {
		size += int64(len(h.Name) + len(h.Value) + 32)
	}
	return size
}

// Ack does nothing: events go when they are old.
func (r *reader) Ack(context.Context, []bus.Event) error { return nil }

// Lag counts what the server has for the reader, and what is on its way.
func (r *reader) Lag(ctx context.Context) (int64, error) {
	r.mu.Lock()
	consumer, closed := r.consumer, r.closed
	r.mu.Unlock()
	if closed || consumer == nil {
		return -1, fault.New(fault.Unavailable, "the topic %s is not being read", r.topic.name)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return -1, translate(r.bus.offline(err), "asking how much waits in "+r.topic.name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	onTheWay := max(0, int64(info.Delivered.Consumer)-r.pulled)
	return int64(info.NumPending) + onTheWay + int64(len(r.queue)), nil
}

// Close ends the reader.
func (r *reader) Close() error {
	r.bus.forget(r)
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.queue, r.bytes = nil, 0
	r.mu.Unlock()
	r.stop()
	signal(r.some)
	<-r.ended
	if first && r.options.Lost != nil {
		names := make([]string, len(r.numbers))
		for i, n := range r.numbers {
			names[i] = r.topic.partition(n)
		}
		r.options.Lost(names)
	}
	return nil
}

// push adds an event to the queue.
func (r *reader) push(e bus.Event, at place) {
	r.mu.Lock()
	r.queue = append(r.queue, e)
	r.bytes += weight(&e)
	r.next, r.stored, r.pulled = at.sequence+1, at.nanos, at.consumed
	r.mu.Unlock()
	signal(r.some)
}

// skip notes a message that is none of the reader's.
func (r *reader) skip(at place) {
	r.mu.Lock()
	r.next, r.stored, r.pulled = at.sequence+1, at.nanos, at.consumed
	r.mu.Unlock()
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	if _, lasting := errors.AsType[*bus.Gap](r.trouble); !lasting {
		r.trouble = err
	}
	r.mu.Unlock()
	signal(r.some)
}

// awaitRoom waits until the queue is at most half full.
func (r *reader) awaitRoom(ctx context.Context) bool {
	for {
		r.mu.Lock()
		full := r.bytes > r.options.Buffer/2
		r.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-r.room:
		}
	}
}

// receive takes a message of a pull into the queue, if it is the reader's.
func (r *reader) receive(m *nats.Msg, at place) {
	n := r.topic.partitionOf(m.Subject)
	if r.topic.foreign {
		n = 0
	}
	begin, mine := r.begin[n]
	if !mine || at.sequence < begin {
		r.skip(at)
		return
	}
	e := event(m, at)
	e.Partition = r.topic.partition(n)
	r.push(bus.Bound(e, r.options.MaxEvent), at)
}
