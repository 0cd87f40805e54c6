package nats

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

const (
	// maxBatch is how many messages go in one atomic batch: as many as a
	// server takes unless it is told otherwise.
	maxBatch = 1000
	// maxBatchBytes bounds a batch, of which the server keeps a copy until it
	// is whole. One message may be larger.
	maxBatchBytes = 8 << 20
	// maxWaiting bounds what waits behind the batch on its way, in bytes.
	maxWaiting = 32 << 20
	// commitTimeout is how long a server may take for a batch.
	commitTimeout = 30 * time.Second
)

// Writer begins to publish to a topic, which is made when it is not there.
func (b *Bus) Writer(ctx context.Context, name string) (bus.Writer, error) {
	if err := checkTopic(name, false); err != nil {
		return nil, err
	}
	t, _, err := b.ensure(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &writer{bus: b, some: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
	w.topic.Store(t)
	if err := b.keep(w); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// writer publishes to a topic. Its goroutine takes all that waits, as one
// batch, while the callers of Write wait for theirs: so the more write, the
// more go to the disk at once, and a lone one waits for nobody.
type writer struct {
	bus   *Bus
	topic atomic.Pointer[topic]
	turn  atomic.Uint32

	mu      sync.Mutex
	waiting []*request
	bytes   int64
	closed  bool
	some    chan struct{} // a token: there is something waiting, or the end
	room    chan struct{} // a token: there may be room
	ended   chan struct{}
}

// request is one Write.
type request struct {
	messages []*nats.Msg
	bytes    int64
	done     chan error
}

// Write publishes events.
func (w *writer) Write(ctx context.Context, events []bus.Event) error {
	if len(events) == 0 {
		return nil
	}
	t, largest := w.topic.Load(), w.bus.conn.MaxPayload()
	if largest <= 0 {
		largest = maxPayload
	}
	r := &request{messages: make([]*nats.Msg, len(events)), done: make(chan error, 1)}
	for i := range events {
		m, err := message(&events[i], t.subject(t.choose(events[i].Key, w.turn.Add(1))), largest)
		if err != nil {
			return &bus.Refused{Index: i, Err: err}
		}
		r.messages[i] = m
		r.bytes += int64(m.Size())
	}
	if err := w.enqueue(ctx, r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return translate(ctx.Err(), "publishing to "+t.name)
	}
}

// enqueue waits for room and adds a request.
func (w *writer) enqueue(ctx context.Context, r *request) error {
	for {
		w.mu.Lock()
		switch {
		case w.closed:
			w.mu.Unlock()
			return fault.New(fault.Unavailable, "the writer is closed")
		case w.bytes == 0 || w.bytes+r.bytes <= maxWaiting:
			w.waiting = append(w.waiting, r)
			w.bytes += r.bytes
			more := w.bytes < maxWaiting
			w.mu.Unlock()
			signal(w.some)
			if more {
				signal(w.room) // for whoever waits too
			}
			return nil
		}
		w.mu.Unlock()
		select {
		case <-w.room:
		case <-ctx.Done():
			return translate(ctx.Err(), "waiting to publish")
		}
	}
}

func signal(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

// Close waits for what is being written.
func (w *writer) Close() error {
	w.bus.forget(w)
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	signal(w.some)
	signal(w.room)
	<-w.ended
	return nil
}

func (w *writer) run() {
	defer close(w.ended)
	for range w.some {
		for batch := w.take(); len(batch) > 0; batch = w.take() {
			w.publish(batch)
		}
		w.mu.Lock()
		ended := w.closed && len(w.waiting) == 0
		w.mu.Unlock()
		if ended {
			return
		}
	}
}

// take removes from what waits as many requests as go together, or one.
func (w *writer) take() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, messages, bytes := 0, 0, int64(0)
	for _, r := range w.waiting {
		if n > 0 && (messages+len(r.messages) > maxBatch || bytes+r.bytes > maxBatchBytes) {
			break
		}
		n++
		messages += len(r.messages)
		bytes += r.bytes
	}
	batch := append([]*request(nil), w.waiting[:n]...)
	clear(w.waiting[:n])
	w.waiting = w.waiting[n:]
	if len(w.waiting) == 0 {
		w.waiting = nil // not the whole of a long past
	}
	w.bytes -= bytes
	signal(w.room)
	return batch
}

// publish publishes requests together and answers them. A request that is too
// large for a batch stands alone and goes in several, one after the other.
func (w *writer) publish(batch []*request) {
	var all []*nats.Msg
	for _, r := range batch {
		all = append(all, r.messages...)
	}
	all = unique(all)
	var err error
	for len(all) > 0 && err == nil {
		n, bytes := 0, 0
		for n < len(all) && n < maxBatch && (n == 0 || bytes+all[n].Size() <= maxBatchBytes) {
			bytes += all[n].Size()
			n++
		}
		err = w.commit(all[:n])
		all = all[n:]
	}
	for _, r := range batch {
		r.done <- err
	}
}

// unique leaves out messages whose ID is among those before them: a batch must
// not hold one twice.
func unique(all []*nats.Msg) []*nats.Msg {
	seen := make(map[string]bool, len(all))
	kept := all[:0]
	for _, m := range all {
		id := ""
		if values := m.Header[headerID]; len(values) > 0 {
			id = values[0]
		}
		if id != "" && seen[id] {
			continue
		}
		seen[id] = true
		kept = append(kept, m)
	}
	return kept
}

// errDuplicate says that a batch holds an ID that the server knows.
var errDuplicate = errors.New("an ID is known")

// commit publishes messages in their order, and returns once the server has
// them. When nobody keeps the subject any more, the topic is made anew and
// the messages go there.
func (w *writer) commit(all []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	gone := w.bus.change()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	t := w.topic.Load()
	err := w.send(ctx, t, all)
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "NATS did not answer; what was published to %s is not known", t.name).Because(err)
	}
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		again, _, found := w.bus.ensure(ctx, t.name)
		if found != nil {
			return found
		}
		if again.identity == t.identity {
			return fault.New(fault.Unavailable, "the topic %s does not answer", t.name)
		}
		w.topic.Store(again)
		err = w.send(ctx, again, all)
	}
	return translate(w.bus.offline(err), "publishing to "+t.name)
}

func (w *writer) send(ctx context.Context, t *topic, all []*nats.Msg) error {
	if s := w.bus.own.syncer(t); s != nil {
		last, err := w.each(ctx, all)
		if err != nil {
			return err
		}
		return s.ensure(ctx, last)
	}
	switch {
	case len(all) == 1:
		_, err := w.ask(ctx, all[0])
		return err
	case t.atomic:
		err := w.atomic(ctx, all)
		if !errors.Is(err, errDuplicate) {
			return err
		}
	}
	_, err := w.each(ctx, all)
	return err
}

// atomic publishes a batch that the server stores as a whole: with one flush
// where it flushes.
func (w *writer) atomic(ctx context.Context, all []*nats.Msg) error {
	id := nuid.Next()
	for i, m := range all {
		header := make(nats.Header, len(m.Header)+3) // the message may be sent again without
		for name, values := range m.Header {
			header[name] = values
		}
		header["Nats-Batch-Id"] = []string{id}
		header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
		part := &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}
		if i < len(all)-1 {
			if err := w.bus.conn.PublishMsg(part); err != nil {
				return err
			}
			continue
		}
		header["Nats-Batch-Commit"] = []string{"1"}
		code, err := w.ask(ctx, part)
		if code == codeDuplicate {
			return errDuplicate
		}
		return err
	}
	return nil
}

// ask publishes a message and waits for what the stream says. code is that of
// JetStream's error.
func (w *writer) ask(ctx context.Context, m *nats.Msg) (code int, err error) {
	answer, err := w.bus.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fault.New(fault.Unavailable, "the server's answer cannot be read").Because(err)
	}
	if ack.Error != nil {
		return int(ack.Error.ErrorCode), ack.Error
	}
	if ack.Seq == 0 {
		return 0, fault.New(fault.Unavailable, "the server did not say where it stored an event")
	}
	return 0, nil
}

// each publishes messages one by one, without waiting in between, and returns
// the highest sequence that one has. It is for servers that know no atomic
// batches or need none, and for batches with an ID that is known, of which the
// server takes the others.
func (w *writer) each(ctx context.Context, all []*nats.Msg) (last uint64, err error) {
	acks := make([]jetstream.PubAckFuture, 0, len(all))
	for _, m := range all {
		future, err := w.bus.js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data},
			jetstream.WithRetryAttempts(0), jetstream.WithStallWait(commitTimeout))
		if err != nil {
			return 0, err
		}
		acks = append(acks, future)
	}
	for _, a := range acks {
		select {
		case ack := <-a.Ok():
			last = max(last, ack.Sequence)
		case failed := <-a.Err():
			err = errors.Join(err, failed)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return last, err
}
