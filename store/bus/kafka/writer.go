package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

const (
	// batchOverhead is what a batch and a record have beside key, body and
	// headers, at most.
	batchOverhead = 512
	// maxBuffered bounds what waits to be published, in bytes.
	maxBuffered = 32 << 20
	// deliveryTimeout is how long publishing is tried.
	deliveryTimeout = 30 * time.Second
)

// Headers of ours; what begins like them is no event's own.
const (
	headerPrefix = "leat-"
	headerID     = "leat-id"
)

func reserved(name string) bool {
	return len(name) >= len(headerPrefix) && strings.EqualFold(name[:len(headerPrefix)], headerPrefix)
}

// Writer begins to publish to a topic, which is made when it is not there.
func (b *Bus) Writer(ctx context.Context, topic string) (bus.Writer, error) {
	if _, err := b.ensure(ctx, topic); err != nil {
		return nil, err
	}
	w := &writer{bus: b, topic: topic}
	return w, b.keep(w)
}

// writer publishes to a topic. The client collects what many goroutines write.
type writer struct {
	bus   *Bus
	topic string

	mu      sync.Mutex
	closed  bool
	writing sync.WaitGroup // added to under mu, while not closed
}

// Write publishes events and waits for the replicas in sync.
func (w *writer) Write(ctx context.Context, events []bus.Event) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return fault.New(fault.Unavailable, "the writer is closed")
	}
	w.writing.Add(1)
	w.mu.Unlock()
	defer w.writing.Done()
	// What is on its way when the time is over may be published or not, and is
	// then written again by whoever wrote it: the same that a crash brings.
	trying, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	for round := 0; ; round++ {
		err := w.publish(trying, events)
		if !isMissing(err) || round == 3 {
			return w.failure(ctx, err)
		}
		// Somebody deleted the topic, of which the client still knows the ID.
		w.bus.client.PurgeTopicsFromProducing(w.topic)
		if _, err := w.bus.ensure(trying, w.topic); err != nil {
			return err
		}
	}
}

// publish publishes events once; the client tries again what may pass.
func (w *writer) publish(ctx context.Context, events []bus.Event) error {
	records := make([]*kgo.Record, len(events))
	for i := range events {
		r, err := w.bus.record(&events[i], w.topic)
		if err != nil {
			return &bus.Refused{Index: i, Err: err}
		}
		records[i] = r
	}
	return w.bus.client.ProduceSync(ctx, records...).FirstErr()
}

func isMissing(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}

// failure says what an error of publishing means.
func (w *writer) failure(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return translate(ctx.Err(), "publishing to "+w.topic)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries):
		return fault.New(fault.Unavailable, "Kafka does not take events of %s", w.topic).Because(err)
	}
	if _, ok := errors.AsType[*bus.Refused](err); ok {
		return err
	}
	return translate(err, "publishing to "+w.topic)
}

// Close waits for what is being written.
func (w *writer) Close() error {
	w.bus.forget(w)
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.writing.Wait()
	return nil
}

// record makes a record of an event.
func (b *Bus) record(e *bus.Event, topic string) (*kgo.Record, error) {
	if err := bus.CheckHeaders(e.Headers); err != nil {
		return nil, err
	}
	r := &kgo.Record{Topic: topic, Value: e.Body, Timestamp: e.Time}
	if len(e.Key) > 0 {
		r.Key = e.Key
	}
	size := int64(len(e.Key) + len(e.Body))
	add := func(name, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		size += int64(len(name) + len(value) + 10)
	}
	for _, h := range e.Headers {
		if !reserved(h.Name) {
			add(h.Name, h.Value)
		}
	}
	if e.ID != "" {
		add(headerID, e.ID)
	}
	if size > b.config.MaxEvent {
		return nil, fault.New(fault.TooLarge, "an event has %d bytes; the topic takes %d", size, b.config.MaxEvent).
			Hint("raise max_event, and max.message.bytes of the topic, or keep large bodies elsewhere")
	}
	return r, nil
}

// event makes an event of a record, apart from the name of its partition.
func event(r *kgo.Record) bus.Event {
	e := bus.Event{Key: r.Key, Body: r.Value, Time: r.Timestamp.UTC(), Offset: r.Offset}
	if len(e.Key) == 0 {
		e.Key = nil
	}
	for _, h := range r.Headers {
		value := strings.ToValidUTF8(string(h.Value), "\uFFFD")
		switch {
		case h.Key == headerID:
			e.ID = value
		case !reserved(h.Key):
			same := func(o bus.Header) bool { return strings.EqualFold(o.Name, h.Key) }
			e.Headers = append(slices.DeleteFunc(e.Headers, same), bus.Header{Name: h.Key, Value: value}) // the last counts
		}
	}
	return e
}
