package mqtt

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// ackPause is how often acknowledgements are sent.
const ackPause = 5 * time.Millisecond

// delivery is an event that the broker has not been told about.
type delivery struct {
	handle   int64
	client   *paho.Client // of the connection on which it came last
	packet   *paho.Publish
	hash     uint64
	size     int64
	event    *bus.Event // nil once Next returned it
	acked    bool
	reported bool // the broker was told
}

type reader struct {
	bus     *Bus
	options bus.ReadOptions
	filter  string
	name    string // of the session
	manager *autopaho.ConnectionManager
	stop    context.CancelFunc
	seed    maphash.Seed

	closing sync.Once
	closed  chan struct{}

	mu         sync.Mutex // of what follows
	changed    chan struct{}
	order      []*delivery          // as they came on this connection, until they are reported
	byPacket   map[uint16]*delivery // the last of each packet, reported or not
	byHandle   map[int64]*delivery  // those that Next returned and Ack did not name
	ready      []*delivery          // for Next
	held       int64                // bytes of those
	next       int64                // handle
	connection *paho.Client         // the present one; nil while there is none
	subscribed bool
	failed     error // why there is no subscription
}

// told is the session with an ear on what is acknowledged.
type told struct {
	*state.State
	reader *reader
}

// Ack sends the acknowledgement of a packet.
func (t told) Ack(p *packets.Publish) error {
	err := t.State.Ack(p)
	if err == nil {
		t.reader.reportedPacket(p.PacketID)
	}
	return err
}

// Reader subscribes to a topic, which may have MQTT's wildcards.
func (b *Bus) Reader(ctx context.Context, topic string, o bus.ReadOptions) (bus.Reader, error) {
	if err := checkTopic(topic, true); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	r := &reader{
		bus: b, options: o, filter: topic, name: b.session(o.Group, topic), seed: maphash.MakeSeed(), closed: make(chan struct{}),
		changed: make(chan struct{}), byPacket: map[uint16]*delivery{}, byHandle: map[int64]*delivery{},
	}
	if o.Group != "" {
		r.filter = "$share/" + shareName(o.Group) + "/" + topic
	}
	if err := b.keep(r); err != nil {
		b.forget(r, r.name)
		return nil, err
	}
	if err := r.connect(ctx); err != nil {
		_ = r.Close() // nothing was read
		return nil, err
	}
	return r, nil
}

// shareName makes a group a name that a shared subscription may have.
func shareName(group string) string {
	out := []byte(group)
	for i, c := range out {
		if c == '/' || c == '+' || c == '#' || c == 0 {
			out[i] = '_'
		}
	}
	return string(out)
}

// full is what makes the gate shut: nil while there is room for more.
func (r *reader) full() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held < r.options.Buffer {
		return nil
	}
	return r.changed
}

// connect begins the connection and waits for the first subscription.
func (r *reader) connect(ctx context.Context) error {
	c := r.bus.client(r.name, r.full, func(p *paho.Connect) {
		most := uint16(r.bus.config.Inflight)
		p.Properties = &paho.ConnectProperties{ReceiveMaximum: &most}
		expiry := uint32(r.bus.config.Expiry / time.Second)
		p.Properties.SessionExpiryInterval = &expiry
	})
	var lastError error
	var mu sync.Mutex
	c.SessionExpiryInterval = uint32(r.bus.config.Expiry / time.Second)
	c.EnableManualAcknowledgment, c.SendAcksInterval = true, ackPause
	c.Session = told{state.NewInMemory(), r}
	c.OnPublishReceived = []func(paho.PublishReceived) (bool, error){r.received}
	c.OnConnectError = func(err error) { mu.Lock(); lastError = err; mu.Unlock() }
	run, stop := context.WithCancel(context.Background()) // it lives longer than the call
	r.stop = stop
	c.OnConnectionUp = func(m *autopaho.ConnectionManager, a *paho.Connack) {
		if a.SessionPresent {
			// What waits in the session comes before the answer to a
			// subscription, and may be more than the buffer holds.
			r.resumed()
		}
		go r.subscribe(run, m)
	}
	c.OnConnectionDown = func() bool { r.down(); return true }
	manager, err := autopaho.NewConnection(run, c)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the broker cannot be connected to")
	}
	r.manager = manager
	for {
		r.mu.Lock()
		done, failed, changed := r.subscribed, r.failed, r.changed
		r.mu.Unlock()
		if done || failed != nil {
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			mu.Lock()
			defer mu.Unlock()
			return connectFault(ctx, lastError)
		}
	}
}

func connectFault(ctx context.Context, last error) error {
	if refused, ok := errors.AsType[*autopaho.ConnackError](last); ok {
		switch refused.ReasonCode {
		case packets.ConnackNotAuthorized, packets.ConnackBadUsernameOrPassword:
			return fault.New(fault.Unavailable, "the broker lets nobody in with this user and password").Hint("the secret is USER:PASSWORD")
		}
	}
	if last != nil {
		return fault.Wrap(last, fault.Unavailable, "the broker does not answer")
	}
	return fault.Wrap(ctx.Err(), fault.Unavailable, "the broker does not answer")
}

// wake tells those who wait that something changed; the lock is held.
func (r *reader) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// subscribe asks for the topic, until the broker says yes or no, or the
// connection is gone: the next one subscribes again.
func (r *reader) subscribe(run context.Context, m *autopaho.ConnectionManager) {
	for {
		ctx, cancel := context.WithTimeout(run, connectTimeout)
		ack, err := m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: r.filter, QoS: 1}}})
		cancel()
		r.mu.Lock()
		switch {
		case err == nil:
			r.subscribed, r.failed = true, nil
			r.wake()
		case ack != nil && len(ack.Reasons) > 0 && ack.Reasons[0] >= 0x80:
			r.failed = fault.New(fault.Unavailable, "the broker refuses to be read from: reason %d", ack.Reasons[0]).
				Hint("may the user read this topic, and does the broker share subscriptions?")
			r.wake()
		}
		failed := r.failed
		r.mu.Unlock()
		if err == nil || failed != nil || errors.Is(err, autopaho.ConnectionDownError) || run.Err() != nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-run.Done():
			return
		}
	}
}

// resumed notes that the broker knows the session, and events may come.
func (r *reader) resumed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribed = true
	r.wake()
}

// down forgets what the connection had under way: the broker delivers again
// what was not reported.
func (r *reader) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connection, r.order = nil, nil
	for _, d := range r.ready {
		delete(r.byPacket, d.packet.PacketID) // nobody saw it
	}
	r.ready, r.held = nil, 0
	r.wake()
}

// received takes a message. It never waits: the receive maximum bounds how
// many there are. The library is not called under the lock: it calls Ack of
// the session, which takes it, under one of its own.
func (r *reader) received(p paho.PublishReceived) (bool, error) {
	if r.accept(p) {
		return true, p.Client.Ack(p.Packet)
	}
	return true, nil
}

// accept notes a message, and tells whether it was acknowledged before.
func (r *reader) accept(p paho.PublishReceived) (acked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.known(p)
	if d == nil {
		e := bus.Bound(event(p.Packet), r.options.MaxEvent)
		r.next++
		e.Offset = r.next
		size := int64(len(p.Packet.Payload)) + 256
		d = &delivery{handle: r.next, hash: maphash.Bytes(r.seed, p.Packet.Payload), event: &e, size: size}
		r.ready = append(r.ready, d)
		r.held += size
		r.wake()
	}
	p.Packet.Payload = nil // the event has it
	d.client, d.packet, d.reported = p.Client, p.Packet, false
	r.connection = p.Client
	if p.Packet.QoS == 0 {
		return false
	}
	r.byPacket[p.Packet.PacketID] = d
	r.order = append(r.order, d)
	return d.acked
}

// known finds the delivery that a message repeats: one that was returned, or
// even acknowledged, on a connection that broke.
func (r *reader) known(p paho.PublishReceived) *delivery {
	d := r.byPacket[p.Packet.PacketID]
	if d == nil || d.client == p.Client || p.Packet.QoS == 0 || !p.Packet.Duplicate() || d.event != nil {
		return nil
	}
	if d.hash != maphash.Bytes(r.seed, p.Packet.Payload) {
		return nil
	}
	return d
}

// reportedPacket notes that the broker was told of a packet.
func (r *reader) reportedPacket(id uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.byPacket[id]; d != nil {
		d.reported = true
	}
	n := 0
	for n < len(r.order) && r.order[n].reported {
		n++
	}
	r.order = r.order[n:]
	r.wake()
}

// Next returns events that the broker delivered.
func (r *reader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.mu.Lock()
		events, changed, failed := r.take(max(1, most)), r.changed, r.failed
		r.mu.Unlock()
		switch {
		case r.isClosed():
			return nil, fault.New(fault.Canceled, "the reader was closed")
		case len(events) > 0:
			return events, nil
		case failed != nil:
			return nil, failed
		}
		select {
		case <-changed:
		case <-r.closed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *reader) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// take hands out what is ready; the lock is held.
func (r *reader) take(most int) []bus.Event {
	n := min(most, len(r.ready))
	if n == 0 || r.isClosed() {
		return nil
	}
	events := make([]bus.Event, n)
	for i, d := range r.ready[:n] {
		events[i] = *d.event
		d.event = nil
		r.held -= d.size
		r.byHandle[d.handle] = d
	}
	r.ready = r.ready[n:]
	r.wake()
	return events
}

// Ack lets the broker forget events. The broker is told a little later, and
// in the order in which they came; one that it delivers again meanwhile is not
// returned again.
func (r *reader) Ack(ctx context.Context, events []bus.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, d := range r.settle(events) {
		_ = d.client.Ack(d.packet) // of a connection that is just going: it comes again, and is known
	}
	return nil
}

// acknowledged is a packet and the connection that it came on.
type acknowledged struct {
	client *paho.Client
	packet *paho.Publish
}

// settle notes what is dealt with, and returns what the broker can be told of.
func (r *reader) settle(events []bus.Event) (tell []acknowledged) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		d := r.byHandle[e.Offset]
		if d == nil {
			continue // it was acknowledged before
		}
		delete(r.byHandle, e.Offset)
		d.acked = true
		if d.client == r.connection && r.connection != nil {
			tell = append(tell, acknowledged{d.client, d.packet})
		}
	}
	return tell
}

// Lag is not told by MQTT.
func (r *reader) Lag(context.Context) (int64, error) { return -1, nil }

// flush waits until the broker was told of what is acknowledged and may be
// told.
func (r *reader) flush() {
	deadline := time.After(2 * time.Second)
	for {
		r.mu.Lock()
		waits := r.connection != nil && len(r.order) > 0 && r.order[0].acked
		changed := r.changed
		r.mu.Unlock()
		if !waits {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			return
		}
	}
}

// Close ends the connection; the broker keeps the session.
func (r *reader) Close() error {
	r.closing.Do(func() {
		close(r.closed)
		if r.manager != nil {
			r.flush()
			ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
			defer cancel()
			_ = r.manager.Disconnect(ctx) // the broker notices anyway
		}
		if r.stop != nil {
			r.stop()
		}
		r.bus.forget(r, r.name)
	})
	return nil
}
