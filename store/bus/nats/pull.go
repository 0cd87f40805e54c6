package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

const (
	pullEvents  = 8192             // of one pull
	pullExpires = 20 * time.Second // a pull of which nothing came is asked anew
	heartbeat   = 2 * time.Second  // how often the server says that a pull stands
	idle        = 2 * time.Minute  // after which the server forgets a consumer that nobody pulls from
	establish   = 15 * time.Second // how long making a consumer may take
	patience    = 4                // tries in a row that fail before Next is told; within a second
)

// errBroken says that a consumer has to be made anew; nothing was lost.
var errBroken = errors.New("the consumer is gone")

// run reads until the reader is closed or a gap is found.
func (r *reader) run(ctx context.Context) {
	defer close(r.ended)
	for round := 0; ctx.Err() == nil; {
		again := r.bus.change()
		before := r.position()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if _, ok := errors.AsType[*bus.Gap](err); ok {
			r.fail(err)
			<-ctx.Done()
			return
		}
		if r.position() > before || errors.Is(err, errBroken) && round == 0 {
			round = 0
		}
		if !errors.Is(err, errBroken) && round >= patience {
			r.fail(translate(r.bus.offline(err), "reading "+r.topic.name))
		}
		wait := time.NewTimer(delay(round))
		round++
		select {
		case <-ctx.Done():
		case <-wait.C:
		case <-again: // the connection went, or is back
			round = 0
		}
		wait.Stop()
	}
}

func (r *reader) position() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// session makes a consumer behind the last event and pulls until something
// breaks.
func (r *reader) session(life context.Context) (err error) {
	ctx, end := context.WithCancelCause(life)
	defer func() {
		if ctx.Err() != nil && life.Err() == nil {
			err = errBroken // whatever failed did so because the connection went
		}
		end(nil)
	}()
	again := r.bus.change()
	go func() { // a server that is away, or was, forgets the pull
		select {
		case <-again:
			end(errBroken)
		case <-ctx.Done():
		}
	}()
	making, cancel := context.WithTimeout(ctx, establish)
	defer cancel()
	if err := r.check(making); err != nil {
		return err
	}
	consumer, err := r.bus.js.CreateConsumer(making, r.topic.stream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: uint64(r.position()),
		FilterSubjects: r.topic.filter(r.numbers), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
		InactiveThreshold: idle, Description: "leat " + r.options.Group,
	})
	if err != nil {
		return err
	}
	name := consumer.CachedInfo().Name
	defer func() { // the server would forget it by itself, later
		forgetting, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = r.bus.js.DeleteConsumer(forgetting, r.topic.stream, name)
	}()
	r.mu.Lock()
	r.consumer, r.pulled = consumer, 0
	r.mu.Unlock()
	inbox := r.bus.conn.NewInbox()
	sub, err := r.bus.conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })() // it fails when the connection is closed
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the pull is the limit
		return err
	}
	p := &pull{reader: r, sub: sub, inbox: inbox, subject: fmt.Sprintf("$JS.API.CONSUMER.MSG.NEXT.%s.%s", r.topic.stream, name)}
	for {
		if !r.awaitRoom(ctx) {
			return context.Cause(ctx)
		}
		if err := p.once(ctx); err != nil {
			return err
		}
	}
}

// check looks whether the stream still has what comes next: that it is the
// same stream, that it goes on behind what was read, and that what was read
// last is what it has there.
func (r *reader) check(ctx context.Context) error {
	t, info, err := r.bus.find(ctx, r.topic.name)
	next := r.position()
	switch {
	case fault.Is(err, fault.NotFound):
		return r.gap(r.topic.partition(r.numbers[0]), next, &jetstream.StreamInfo{}, true)
	case err != nil:
		return err
	case t.identity != r.topic.identity:
		return r.gap(r.topic.partition(r.numbers[0]), next, info, true)
	case next > int64(info.State.LastSeq)+1:
		return r.gap(r.topic.partition(r.numbers[0]), next, info, false)
	case next < int64(info.State.FirstSeq) && r.topic.partitions == 1:
		return r.gap(r.topic.partition(r.numbers[0]), next, info, false)
	}
	return r.recognize(ctx, info)
}

// recognize looks at the last message that was read: a server that lost the
// end of a stream gives its sequences to other messages.
func (r *reader) recognize(ctx context.Context, info *jetstream.StreamInfo) error {
	r.mu.Lock()
	next, stored := r.next, r.stored
	r.mu.Unlock()
	if stored == 0 || next-1 < int64(info.State.FirstSeq) {
		return nil
	}
	stream, err := r.bus.js.Stream(ctx, r.topic.stream)
	if err != nil {
		return err
	}
	m, err := stream.GetMsg(ctx, uint64(next-1))
	if errors.Is(err, jetstream.ErrMsgNotFound) { // somebody deleted it
		return nil
	}
	if err == nil && m.Time.UnixNano() != stored {
		return r.gap(r.topic.partition(r.numbers[0]), next, info, true)
	}
	return err
}

// pull asks a consumer for messages, again and again.
type pull struct {
	reader   *reader
	sub      *nats.Subscription
	inbox    string
	subject  string
	consumed int64 // the consumer's number of the last message
	single   bool  // the next message is larger than the buffer: it comes alone
}

// once asks for as much as there is room for and takes what comes, until the
// server says that the pull is over.
func (p *pull) once(ctx context.Context) error {
	request := struct {
		Batch     int           `json:"batch"`
		MaxBytes  int64         `json:"max_bytes,omitempty"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{pullEvents, max(p.reader.options.Buffer/2, 1024), pullExpires, heartbeat}
	if p.single {
		request.Batch, request.MaxBytes = 1, 0
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err := p.reader.bus.conn.PublishRequest(p.subject, p.inbox, body); err != nil {
		return err
	}
	for got := 0; got < request.Batch; {
		m, err := p.next(ctx)
		if err != nil {
			return err
		}
		at, isEvent := where(m)
		if isEvent && m.Subject != p.inbox {
			if at.consumed != p.consumed+1 {
				return errBroken // one was lost on the way
			}
			p.consumed = at.consumed
			p.reader.receive(m, at)
			got++
			continue
		}
		if over, err := p.told(m, got); over || err != nil {
			return err
		}
	}
	p.single = false
	return nil
}

// next waits for a message as long as the server should not be silent. The end
// of the session ends the subscription, and with it the wait.
func (p *pull) next(ctx context.Context) (*nats.Msg, error) {
	m, err := p.sub.NextMsg(2*heartbeat + heartbeat/2)
	switch {
	case err == nil:
		return m, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, nats.ErrTimeout):
		return nil, errBroken
	}
	return nil, err
}

// told says whether the pull is over by what the server says about it.
func (p *pull) told(m *nats.Msg, got int) (over bool, err error) {
	code, text := status(m)
	switch {
	case code == 100: // it stands
		return false, nil
	case code == 404, code == 408: // nothing came in time
		return true, nil
	case code == 409 && strings.Contains(text, "maxbytes"):
		p.single = got == 0
		return true, nil
	case code == 409 && strings.Contains(text, "batch completed"):
		return true, nil
	}
	return true, errBroken
}
