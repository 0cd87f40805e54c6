package mqtt

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/fnv"
	"sync"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

type writer struct {
	bus     *Bus
	topic   string
	manager *autopaho.ConnectionManager
	stop    context.CancelFunc

	mu        sync.RWMutex // read-held by each Write, so that Close waits for them
	closed    bool
	lastMu    sync.Mutex
	lastError error
}

// Writer publishes to a topic with quality of service 1.
func (b *Bus) Writer(_ context.Context, topic string) (bus.Writer, error) {
	if err := checkTopic(topic, false); err != nil {
		return nil, err
	}
	w := &writer{bus: b, topic: topic}
	if err := b.keep(w); err != nil {
		return nil, err
	}
	c := b.client("leat-"+rand.Text(), func() <-chan struct{} { return nil }, func(*paho.Connect) {})
	c.CleanStartOnInitialConnection = true
	c.OnConnectError = func(err error) { w.lastMu.Lock(); w.lastError = err; w.lastMu.Unlock() }
	run, stop := context.WithCancel(context.Background()) // it lives longer than the call
	w.stop = stop
	manager, err := autopaho.NewConnection(run, c)
	if err != nil {
		stop()
		b.forget(w, "")
		return nil, fault.Wrap(err, fault.Invalid, "the broker cannot be connected to")
	}
	w.manager = manager
	return w, nil
}

// Write publishes events and returns when the broker has them all. Those of
// one key are published in their order.
func (w *writer) Write(ctx context.Context, events []bus.Event) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fault.New(fault.Unavailable, "a writer is used that was closed")
	}
	lanes := make([][]*paho.Publish, w.bus.config.Parallel)
	for i, e := range events {
		p, err := message(w.topic, e)
		if err != nil {
			return &bus.Refused{Index: i, Err: err}
		}
		lane := i % len(lanes)
		if e.Key != nil {
			h := fnv.New32a()
			_, _ = h.Write(e.Key) // a hash takes everything
			lane = int(h.Sum32() % uint32(len(lanes)))
		}
		lanes[lane] = append(lanes[lane], p)
	}
	if err := w.await(ctx); err != nil {
		return err
	}
	errs := make([]error, len(lanes))
	var group sync.WaitGroup
	for i, lane := range lanes {
		if len(lane) == 0 {
			continue
		}
		group.Go(func() {
			for _, p := range lane {
				if errs[i] = w.publish(ctx, p); errs[i] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// await waits for a connection, but not for ever.
func (w *writer) await(ctx context.Context) error {
	waited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err := w.manager.AwaitConnection(waited)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	w.lastMu.Lock()
	defer w.lastMu.Unlock()
	return connectFault(waited, w.lastError)
}

func (w *writer) publish(ctx context.Context, p *paho.Publish) error {
	answer, err := w.manager.Publish(ctx, p)
	if err == nil || answer != nil && answer.ReasonCode == packets.PubackNoMatchingSubscribers {
		return nil // that nobody reads is no concern of who writes
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, autopaho.ConnectionDownError):
		return fault.New(fault.Unavailable, "the connection with the broker is broken")
	case answer != nil && answer.ReasonCode >= 0x80:
		return fault.New(fault.Unavailable, "the broker does not take the event: reason %d", answer.ReasonCode).Hint("may the user write to this topic?")
	}
	return fault.Wrap(err, fault.Unavailable, "the broker does not take the event")
}

// Close waits for what is being written.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_ = w.manager.Disconnect(ctx) // everything is acknowledged
	w.stop()
	w.bus.forget(w, "")
	return nil
}
