package amqp

import (
	"context"
	"sync"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// delivery is a message that is not settled.
type delivery struct {
	receiver *amqp.Receiver
	message  *amqp.Message
	timer    *time.Timer // until it is given back; nil unless it is to be
}

type reader struct {
	bus     *Bus
	topic   string
	options bus.ReadOptions

	run     context.Context // ends with the reader
	stop    context.CancelFunc
	closing sync.Once

	mu        sync.Mutex // of what follows
	link      *link
	receiver  *amqp.Receiver
	credit    int64 // that the broker has and not used
	size      int64 // of a message, on average
	dialing   *dialing
	attempt   int // that failed, since the last that did not
	unsettled map[int64]*delivery
	next      int64
	changed   chan struct{} // closed when something was settled, and made anew
}

// Reader opens a queue. Its options' group says nothing: readers of a queue
// compete.
func (b *Bus) Reader(ctx context.Context, topic string, o bus.ReadOptions) (bus.Reader, error) {
	if topic == "" {
		return nil, fault.New(fault.Invalid, "the address names no queue")
	}
	r := &reader{bus: b, topic: topic, options: o.WithDefaults(), size: 64 << 10, unsettled: map[int64]*delivery{}, changed: make(chan struct{})}
	r.run, r.stop = context.WithCancel(context.Background()) // it lives longer than the call
	if err := b.keep(r); err != nil {
		r.stop()
		return nil, err
	}
	if _, err := r.open(ctx); err != nil {
		_ = r.Close() // nothing was read
		return nil, err
	}
	return r, nil
}

// dialing is an attempt to connect. It goes on when the call that began it
// ends: calls that each wait shorter than a connection takes get one too.
type dialing struct {
	done chan struct{} // closed with the attempt; what follows is set before
	err  error
}

// open returns the receiver, and waits for a new connection where there is
// none. A failure is told once, and the next call begins another attempt.
func (r *reader) open(ctx context.Context) (*amqp.Receiver, error) {
	for {
		r.mu.Lock()
		receiver, d := r.receiver, r.dialing
		if receiver == nil && d == nil && r.run.Err() == nil {
			d = &dialing{done: make(chan struct{})}
			r.dialing = d
			go r.dial(d, r.attempt)
		}
		r.mu.Unlock()
		if receiver != nil {
			return receiver, nil
		}
		if d == nil {
			return nil, r.over(ctx)
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		r.mu.Lock()
		if r.dialing == d {
			r.dialing = nil
		}
		r.mu.Unlock()
		if d.err != nil {
			return nil, d.err
		}
	}
}

// dial connects, after a pause when it failed before, so that who calls again
// at once does not keep the broker busy.
func (r *reader) dial(d *dialing, attempt int) {
	defer close(d.done)
	if attempt > 0 {
		select {
		case <-time.After(pause(attempt)):
		case <-r.run.Done():
		}
	}
	l, receiver, err := r.attach(r.run)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && r.run.Err() != nil { // Close does not see it any more
		l.close()
		err = r.run.Err()
	}
	if err != nil {
		r.attempt++
		d.err = err
		return
	}
	r.link, r.receiver, r.credit, r.attempt = l, receiver, 0, 0
}

func (r *reader) attach(ctx context.Context) (*link, *amqp.Receiver, error) {
	l, err := r.bus.dial(ctx, r.topic)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	receiver, err := l.session.NewReceiver(ctx, r.topic, &amqp.ReceiverOptions{Credit: -1, SourceDurability: l.durable})
	if err != nil {
		l.close()
		return nil, nil, brokerFault(err, "%.200q cannot be read", r.topic)
	}
	return l, receiver, nil
}

// broken lets a connection go, with what was received on it: the broker
// delivers it again.
func (r *reader) broken(receiver *amqp.Receiver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.receiver != receiver || receiver == nil {
		return
	}
	r.link.close()
	r.link, r.receiver = nil, nil
	for handle, d := range r.unsettled {
		if d.receiver == receiver {
			delete(r.unsettled, handle)
		}
	}
}

// maxCredit bounds the messages that are on their way.
const maxCredit = 4000

// ask gives the broker credit for as many messages as may be buffered. It
// returns what to wait for when too many are not settled.
func (r *reader) ask(receiver *amqp.Receiver) (wait <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	room := int64(r.bus.config.Inflight - len(r.unsettled))
	want := min(maxCredit, max(8, r.options.Buffer/max(r.size, 256)), room)
	if room <= 0 {
		return r.changed, nil
	}
	if more := want - r.credit; more > want/4 || r.credit == 0 {
		if err := receiver.IssueCredit(uint32(more)); err != nil {
			return nil, err
		}
		r.credit += more
	}
	return nil, nil
}

// Next returns messages that the broker sent.
func (r *reader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.run, cancel)()
	if err := r.over(ctx); err != nil {
		return nil, err
	}
	receiver, err := r.open(ctx)
	if err != nil {
		if over := r.over(ctx); over != nil {
			return nil, over
		}
		return nil, err
	}
	wait, err := r.ask(receiver)
	if wait != nil {
		select {
		case <-wait:
			_, err = r.ask(receiver)
		case <-ctx.Done():
		}
	}
	if err == nil {
		err = r.over(ctx)
	}
	var m *amqp.Message
	if err == nil {
		m, err = receiver.Receive(ctx, nil)
	}
	if err != nil {
		if over := r.over(ctx); over != nil {
			return nil, over
		}
		r.broken(receiver)
		return nil, brokerFault(err, "%.200q cannot be read at present", r.topic)
	}
	events := []bus.Event{r.take(receiver, m)}
	for len(events) < most {
		if m = receiver.Prefetched(); m == nil {
			break
		}
		events = append(events, r.take(receiver, m))
	}
	_, _ = r.ask(receiver) // the next call finds what is wrong
	return events, nil
}

// over tells whether there is nothing more to wait for.
func (r *reader) over(ctx context.Context) error {
	if r.run.Err() != nil {
		return fault.New(fault.Canceled, "the reader was closed")
	}
	return ctx.Err()
}

func (r *reader) take(receiver *amqp.Receiver, m *amqp.Message) bus.Event {
	e := event(m)
	size := int64(len(e.Body)) + 512
	e = bus.Bound(e, r.options.MaxEvent)
	m.Data, m.Value = nil, nil // the event has them
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size += (size - r.size) / 16
	if size > r.size {
		r.size = size // at once, so that large ones do not pile up
	}
	r.credit--
	r.next++
	e.Partition, e.Offset = r.topic, r.next
	r.unsettled[r.next] = &delivery{receiver: receiver, message: m}
	return e
}

// settled takes a delivery out of those that wait.
func (r *reader) settled(handle int64) *delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.unsettled[handle]
	if d == nil {
		return nil // it is settled, or was received on a connection that broke
	}
	delete(r.unsettled, handle)
	close(r.changed)
	r.changed = make(chan struct{})
	return d
}

// Ack settles messages as accepted.
func (r *reader) Ack(ctx context.Context, events []bus.Event) error {
	for _, e := range events {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := r.settled(e.Offset)
		if d == nil {
			continue
		}
		if d.timer != nil {
			d.timer.Stop()
		}
		if err := d.receiver.AcceptMessage(ctx, d.message); err != nil {
			r.broken(d.receiver)
			return brokerFault(err, "the broker was not told what is dealt with, and delivers it again")
		}
	}
	return nil
}

// Reject gives messages back after a time; the broker counts that as an
// attempt. Those of a reader that is closed before are given back at once.
func (r *reader) Reject(ctx context.Context, events []bus.Event, after time.Duration) error {
	for _, e := range events {
		if after <= 0 {
			if err := r.give(ctx, e.Offset); err != nil {
				return err
			}
			continue
		}
		r.mu.Lock()
		if d := r.unsettled[e.Offset]; d != nil && d.timer == nil {
			d.timer = time.AfterFunc(after, func() {
				ctx, cancel := context.WithTimeout(r.run, closeTimeout)
				defer cancel()
				_ = r.give(ctx, e.Offset) // a connection that broke has given it back
			})
		}
		r.mu.Unlock()
	}
	return nil
}

func (r *reader) give(ctx context.Context, handle int64) error {
	d := r.settled(handle)
	if d == nil {
		return nil
	}
	if err := d.receiver.ModifyMessage(ctx, d.message, &amqp.ModifyMessageOptions{DeliveryFailed: true}); err != nil {
		return brokerFault(err, "an event could not be given back")
	}
	return nil
}

// Lag is not told by AMQP.
func (r *reader) Lag(context.Context) (int64, error) { return -1, nil }

// Close lets the queue go; what is not settled is delivered to others.
func (r *reader) Close() error {
	r.closing.Do(func() {
		r.stop()
		r.mu.Lock()
		l, d := r.link, r.dialing
		r.link, r.receiver = nil, nil
		for _, d := range r.unsettled {
			if d.timer != nil {
				d.timer.Stop()
			}
		}
		r.mu.Unlock()
		if d != nil {
			<-d.done // it ends with r.run
		}
		if l != nil {
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			// What was settled goes before it. The link is not closed by itself:
			// RabbitMQ does not answer that.
			_ = l.session.Close(ctx)
			l.close()
		}
		r.bus.forget(r)
	})
	return nil
}
