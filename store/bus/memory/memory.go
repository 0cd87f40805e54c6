// Package memory is a bus within the process, for tests of what reads and
// writes events: a log with partitions, IDs that are published once, and
// groups of readers that hand partitions over. Nothing of it is durable.
//
// New makes a broker, and Open a bus on it, as often as a test has clients.
package memory

import (
	"context"
	"hash/fnv"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Config says what a broker is like.
type Config struct {
	Partitions int // of each topic; 1 when 0
}

// Broker keeps topics in memory.
type Broker struct {
	partitions int

	mu     sync.Mutex
	topics map[string]*topic
}

// New makes a broker without topics.
func New(c Config) *Broker {
	return &Broker{partitions: max(c.Partitions, 1), topics: map[string]*topic{}}
}

// topic is a log. Its broker's lock guards it.
type topic struct {
	name    string
	logs    [][]bus.Event
	ids     map[string]bool
	next    int // the partition of the next event without a key
	groups  map[string]*group
	changed chan struct{} // closed when events or owners change, and made anew
}

// group is who shares a topic's partitions.
type group struct {
	members []*reader
	owners  []*reader // who reads each partition at present; nil: nobody
}

// wanted is who should read a partition.
func (g *group) wanted(partition int) *reader {
	if len(g.members) == 0 {
		return nil
	}
	return g.members[partition%len(g.members)]
}

func (t *topic) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// topic finds or makes a topic; the lock is held.
func (b *Broker) topic(name string) *topic {
	t, ok := b.topics[name]
	if !ok {
		t = &topic{name: name, logs: make([][]bus.Event, b.partitions), ids: map[string]bool{}, groups: map[string]*group{}, changed: make(chan struct{})}
		b.topics[name] = t
	}
	return t
}

// Wipe forgets a topic's events, as a broker does that lost its data.
func (b *Broker) Wipe(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topic(name)
	t.logs, t.ids = make([][]bus.Event, b.partitions), map[string]bool{}
	t.wake()
}

// Bus is a client of a Broker.
type Bus struct {
	broker *Broker

	mu     sync.Mutex
	closed bool
	open   map[interface{ Close() error }]bool
}

// Open returns a client.
func (b *Broker) Open() *Bus { return &Bus{broker: b, open: map[interface{ Close() error }]bool{}} }

// Positioned is true: topics are logs.
func (b *Bus) Positioned() bool { return true }

// Close closes readers and writers that are left.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	left := b.open
	b.open = map[interface{ Close() error }]bool{}
	b.mu.Unlock()
	for each := range left {
		_ = each.Close() // never fails
	}
	return nil
}

func (b *Bus) keep(c interface{ Close() error }) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return closedFault()
	}
	b.open[c] = true
	return nil
}

func (b *Bus) forget(c interface{ Close() error }) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
}

func closedFault() error { return fault.New(fault.Unavailable, "the bus is closed") }

// Writer begins to publish to a topic.
func (b *Bus) Writer(_ context.Context, topic string) (bus.Writer, error) {
	w := &writer{bus: b, topic: topic}
	return w, b.keep(w)
}

type writer struct {
	bus    *Bus
	topic  string
	mu     sync.Mutex
	closed bool
}

// Write appends events to their partitions.
func (w *writer) Write(ctx context.Context, events []bus.Event) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.KindOf(err), "publishing to %s", w.topic)
	}
	for i := range events {
		if err := bus.CheckHeaders(events[i].Headers); err != nil {
			return &bus.Refused{Index: i, Err: err}
		}
	}
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return closedFault()
	}
	broker := w.bus.broker
	broker.mu.Lock()
	defer broker.mu.Unlock()
	t := broker.topic(w.topic)
	for _, e := range events {
		t.append(e)
	}
	t.wake()
	return nil
}

func (t *topic) append(e bus.Event) {
	if e.ID != "" {
		if t.ids[e.ID] {
			return
		}
		t.ids[e.ID] = true
	}
	p := t.next % len(t.logs)
	if e.Key == nil {
		t.next++
	} else {
		h := fnv.New32a()
		_, _ = h.Write(e.Key) // never fails
		p = int(h.Sum32() % uint32(len(t.logs)))
	}
	e.Partition, e.Offset = bus.Partition(p, ""), int64(len(t.logs[p]))
	t.logs[p] = append(t.logs[p], e)
}

// Close ends the writer.
func (w *writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.bus.forget(w)
	return nil
}
