// Package amqp is the bus of AMQP 1.0 brokers, such as Azure Service Bus: a
// queue.
//
// A topic is a node of the broker: a queue, or what it calls a subscription of
// a topic. A reader asks for as many messages as fit into its buffer (credit),
// and settles a message only when Ack says that it is dealt with; one that is
// given back, or whose connection breaks before, is delivered again. Readers
// of one node compete for its messages, whatever their group. A writer sends
// without waiting and returns when the broker has accepted every message.
//
// IDs are the message-id, by which brokers that know duplicates tell them. Keys
// and times are application properties (leat-key, leat-time), other headers
// too; a key of text is Service Bus's partition key as well.
package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Config says which broker to speak to.
type Config struct {
	// Server is host:port.
	Server string
	// TLS is how the broker is checked; nil: it is spoken to without.
	TLS *tls.Config
	// Dial connects, where not every address may be dialled; nil: the system.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Secret lets in, and is asked for whenever a connection is made:
	// "user:password" (SASL PLAIN), or a connection string of Service Bus or
	// Event Hubs ("Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…"),
	// whose tokens are made here and renewed. nil: the broker asks for nobody.
	Secret func(ctx context.Context) (string, error)
	// Inflight bounds the messages that are not settled; 10,000 when 0. More do
	// not come from Next before some are.
	Inflight int
	// Clock is for the times of tokens; the system's when nil.
	Clock clock.Clock
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		l.Add(fault.New(fault.Invalid, "%.200q is not host:port of a broker", c.Server).Hint("write amqp://host:5672/queue or amqps://host/queue"))
	}
	if c.Inflight < 0 || c.Inflight > 1_000_000 {
		l.Add(fault.New(fault.Invalid, "inflight is between 1 and 1000000"))
	}
	return l.Err()
}

// Parse reads options: inflight.
func Parse(options map[string]string) (Config, error) {
	var c Config
	var l fault.List
	for name, value := range options {
		var err error
		switch name {
		case "inflight":
			c.Inflight, err = strconv.Atoi(value)
		default:
			l.Add(fault.New(fault.Invalid, "AMQP has no option %.60q", name).Hint("the option is inflight"))
		}
		if err != nil {
			l.Add(fault.New(fault.Invalid, "the option %s of AMQP cannot be %.60q", name, value))
		}
	}
	return c, l.Err()
}

// Bus is a broker.
type Bus struct {
	config Config

	mu     sync.Mutex
	closed bool
	open   map[interface{ Close() error }]bool
}

var _ bus.Bus = (*Bus)(nil)

// Open returns a bus. It connects when somebody reads or writes.
func Open(_ context.Context, c Config) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Inflight == 0 {
		c.Inflight = 10_000
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	return &Bus{config: c, open: map[interface{ Close() error }]bool{}}, nil
}

// Positioned is false: a broker keeps no log.
func (b *Bus) Positioned() bool { return false }

// Close closes what is left open.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	var left []interface{ Close() error }
	for each := range b.open {
		left = append(left, each)
	}
	b.mu.Unlock()
	var l fault.List
	for _, each := range left {
		l.Add(each.Close())
	}
	return l.Err()
}

func (b *Bus) keep(c interface{ Close() error }) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fault.New(fault.Unavailable, "a bus is used that was closed")
	}
	b.open[c] = true
	return nil
}

func (b *Bus) forget(c interface{ Close() error }) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
}

const (
	connectTimeout = 15 * time.Second
	closeTimeout   = 5 * time.Second
	firstPause     = 50 * time.Millisecond
	longestPause   = 5 * time.Second
)

// link is a connection with its session.
type link struct {
	conn    *amqp.Conn
	session *amqp.Session
	stop    context.CancelFunc // of what renews tokens
	// durable is what sources and targets are asked to be: see durability.
	durable amqp.Durability
}

// durability is how durable the ends of links are at a broker. RabbitMQ (3)
// makes a queue that is named and not there, and makes it as durable as the
// end of the link is: with the protocol's default, none, it goes at a restart
// with all that was accepted, and a durable queue of that name is refused.
// Elsewhere a durable source is a wish for a subscription that outlives the
// reader, which nobody has here.
func durability(conn *amqp.Conn) amqp.Durability {
	if text(conn.Properties()["product"]) == "RabbitMQ" {
		return amqp.DurabilityUnsettledState
	}
	return amqp.DurabilityNone
}

// dial connects and lets itself in; entity is the node that a token is for.
func (b *Bus) dial(ctx context.Context, entity string) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	login, err := b.login(ctx)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(b.config.Server) // Validate has seen it
	socket, err := b.socket(ctx, host)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the broker does not answer")
	}
	conn, err := amqp.NewConn(ctx, socket, &amqp.ConnOptions{HostName: host, SASLType: login.sasl, IdleTimeout: time.Minute})
	if err != nil {
		_ = socket.Close() // nothing was said on it
		return nil, brokerFault(err, "the broker does not let us in")
	}
	l := &link{conn: conn, stop: func() {}, durable: durability(conn)}
	if login.key != nil {
		if l.stop, err = b.renew(ctx, conn, "amqp://"+host+"/"+entity, login.key); err != nil {
			l.close()
			return nil, err
		}
	}
	if l.session, err = conn.NewSession(ctx, nil); err != nil {
		l.close()
		return nil, brokerFault(err, "the broker gives no session")
	}
	return l, nil
}

func (b *Bus) socket(ctx context.Context, host string) (net.Conn, error) {
	conn, err := b.config.Dial(ctx, "tcp", b.config.Server)
	if err != nil || b.config.TLS == nil {
		return conn, err
	}
	t := b.config.TLS.Clone()
	if t.ServerName == "" {
		t.ServerName = host
	}
	safe := tls.Client(conn, t)
	if err := safe.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // nothing was said on it
		return nil, err
	}
	return safe, nil
}

func (l *link) close() {
	l.stop()
	_ = l.conn.Close() // what was settled is settled, and what was not comes again
}

// login is how a connection is let in.
type login struct {
	sasl amqp.SASLType
	key  *sharedKey // nil where SASL is enough
}

func (b *Bus) login(ctx context.Context) (login, error) {
	if b.config.Secret == nil {
		return login{sasl: amqp.SASLTypeAnonymous()}, nil
	}
	secret, err := b.config.Secret(ctx)
	if err != nil {
		return login{}, err
	}
	if key, ok := parseKey(secret); ok {
		return login{sasl: amqp.SASLTypeAnonymous(), key: &key}, nil
	}
	user, password, ok := strings.Cut(secret, ":")
	if !ok {
		return login{}, fault.New(fault.Unavailable, "the secret of the broker is neither USER:PASSWORD nor a connection string")
	}
	return login{sasl: amqp.SASLTypePlain(user, password)}, nil
}

// brokerFault says what an error of the broker or of the way to it means.
func brokerFault(err error, format string, args ...any) error {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		switch e.Condition {
		case amqp.ErrCondUnauthorizedAccess, amqp.ErrCondNotAllowed:
			return fault.New(fault.Unavailable, format, args...).Because(err).Hint("look at the secret and at the user's rights")
		case amqp.ErrCondNotFound:
			return fault.New(fault.Unavailable, format, args...).Because(err).Hint("does the queue exist?")
		}
	}
	return fault.Wrap(err, fault.Unavailable, format, args...)
}

// pause is how long to wait before another attempt.
func pause(attempt int) time.Duration { return min(longestPause, firstPause<<min(attempt, 10)) }
