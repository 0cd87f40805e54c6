package amqp

import (
	"context"
	"errors"
	"sync"

	"github.com/Azure/go-amqp"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

type writer struct {
	bus   *Bus
	topic string

	use    sync.RWMutex // read-held by each Write, so that Close waits for them
	closed bool

	mu     sync.Mutex
	link   *link
	sender *amqp.Sender
}

// Writer sends to a queue. It connects at the first Write.
func (b *Bus) Writer(_ context.Context, topic string) (bus.Writer, error) {
	if topic == "" {
		return nil, fault.New(fault.Invalid, "the address names no queue")
	}
	w := &writer{bus: b, topic: topic}
	return w, b.keep(w)
}

func (w *writer) open(ctx context.Context) (*amqp.Sender, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sender != nil {
		return w.sender, nil
	}
	l, err := w.bus.dial(ctx, w.topic)
	if err != nil {
		return nil, err
	}
	mode := amqp.SenderSettleModeUnsettled // what is sent is answered
	sender, err := l.session.NewSender(ctx, w.topic, &amqp.SenderOptions{SettlementMode: &mode, TargetDurability: l.durable})
	if err != nil {
		l.close()
		return nil, brokerFault(err, "%.200q cannot be written", w.topic)
	}
	w.link, w.sender = l, sender
	return sender, nil
}

func (w *writer) broken(sender *amqp.Sender) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sender == sender && sender != nil {
		w.link.close()
		w.link, w.sender = nil, nil
	}
}

// window is how many messages are sent before the broker's first answer.
const window = 1000

// Write sends events and returns when the broker has accepted all of them.
func (w *writer) Write(ctx context.Context, events []bus.Event) error {
	w.use.RLock()
	defer w.use.RUnlock()
	if w.closed {
		return fault.New(fault.Unavailable, "a writer is used that was closed")
	}
	messages := make([]*amqp.Message, len(events))
	for i, e := range events {
		m, err := message(e)
		if err != nil {
			return &bus.Refused{Index: i, Err: err}
		}
		messages[i] = m
	}
	if len(messages) == 0 {
		return ctx.Err()
	}
	sender, err := w.open(ctx)
	if err != nil {
		return err
	}
	if most := sender.MaxMessageSize(); most > 0 {
		for i, e := range events {
			if uint64(len(e.Body)) > most {
				return &bus.Refused{Index: i, Err: fault.New(fault.TooLarge, "the event has %d bytes; the broker takes %d", len(e.Body), most)}
			}
		}
	}
	for at := 0; at < len(messages); at += window {
		if err := w.send(ctx, sender, messages[at:min(at+window, len(messages))]); err != nil {
			return err
		}
	}
	return nil
}

// send sends some messages, one behind the other, and waits for the answers.
func (w *writer) send(ctx context.Context, sender *amqp.Sender, messages []*amqp.Message) error {
	receipts := make([]amqp.SendReceipt, len(messages))
	for i, m := range messages {
		receipt, err := sender.SendWithReceipt(ctx, m, nil)
		if err != nil {
			return w.failed(ctx, sender, err)
		}
		receipts[i] = receipt
	}
	for i := range receipts {
		state, err := receipts[i].Wait(ctx)
		if err != nil {
			return w.failed(ctx, sender, err)
		}
		if err := judge(state); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) failed(ctx context.Context, sender *amqp.Sender, err error) error {
	w.broken(sender)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return brokerFault(err, "the broker does not take the events")
}

// judge says what the broker made of a message.
func judge(state amqp.DeliveryState) error {
	switch s := state.(type) {
	case *amqp.StateAccepted:
		return nil
	case *amqp.StateRejected:
		if s.Error == nil {
			return fault.New(fault.Unavailable, "the broker rejects an event")
		}
		return brokerFault(errors.Join(s.Error), "the broker rejects an event")
	}
	return fault.New(fault.Unavailable, "the broker gives an event back").Hint("does the queue exist, and has it room?")
}

// Close waits for what is being written.
func (w *writer) Close() error {
	w.use.Lock()
	defer w.use.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.link != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		_ = w.link.session.Close(ctx) // everything is answered
		w.link.close()
		w.link, w.sender = nil, nil
	}
	w.bus.forget(w)
	return nil
}
