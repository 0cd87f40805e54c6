// Package nats is the bus of NATS JetStream: within the process, or a server
// or cluster elsewhere.
//
// Start runs a server inside of the process and (*Server).Open is the bus on
// it; Open connects to others. A topic is a subject, which a stream of its own
// keeps (one that somebody else made is used as it is). Events with an ID carry
// it as Nats-Msg-Id, so that the server publishes it once within the stream's
// window of duplicates; the key and the time of an event are headers too.
//
// A topic with several partitions has the subjects TOPIC.0, TOPIC.1, … in one
// stream, chosen by the FNV-1a hash of the key, as the server's own subject
// mapping {{partition(n,…)}} does. What others publish to TOPIC itself counts
// to partition 0. The offsets are the stream's sequences, which all its
// partitions share. The broker does not share partitions out: a Bus is a
// bus.Divider.
//
// A reader pulls through a consumer that lives in the server's memory and
// that it makes anew whenever the connection, the consumer or the order of
// sequences breaks, behind the last event that it got: the catalog is the
// ledger, so the server keeps none. Each time it looks whether the stream still
// has what comes next, and says so with a *bus.Gap when it has not.
//
// What is acknowledged is on the disk. The server within the process is not
// told to flush, which it would do for every message by itself: writers and
// readers share a syncer, which flushes once for all that wait. Elsewhere, and
// where others may publish too, a writer publishes what many goroutines wrote
// as one atomic batch, and the server flushes as it is configured.
package nats

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leat-ai/leat/base/fault"
)

// Config says which server to speak to, and how topics are that the bus makes.
type Config struct {
	// Servers are the addresses of a server or of several of a cluster,
	// nats://host:port or tls://host:port.
	Servers []string
	// Secret returns the secret of this client whenever it connects: a
	// "user:password", a token, the seed of an nkey, or the text of a
	// credentials file. nil: the servers ask for none.
	Secret func(ctx context.Context) (string, error)
	// Dial connects, where not every address may be dialled; nil: the system.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is how servers are checked; nil: by the system's roots, where they
	// speak TLS.
	TLS *tls.Config
	// RequireTLS refuses servers that do not speak TLS.
	RequireTLS bool
	Topics
}

// Topics says how a topic is made that is not there yet.
type Topics struct {
	Partitions int           // 1 when 0
	Replicas   int           // 1 when 0
	Age        time.Duration // how long events are kept; 7 days when 0
	Bytes      int64         // how large a topic may be; no bound of its own when 0
	Dedupe     time.Duration // how long IDs are remembered; 30 s when 0
}

// The bounds of Topics.
const (
	defaultAge    = 7 * 24 * time.Hour
	defaultDedupe = 30 * time.Second
	maxPartitions = 1024
)

func (t Topics) withDefaults() Topics {
	t.Partitions, t.Replicas = max(t.Partitions, 1), max(t.Replicas, 1)
	if t.Age <= 0 {
		t.Age = defaultAge
	}
	if t.Dedupe <= 0 {
		t.Dedupe = defaultDedupe
	}
	t.Dedupe = min(t.Dedupe, t.Age)
	return t
}

// or returns what is said, and of others what is not.
func (t Topics) or(others Topics) Topics {
	return Topics{
		Partitions: cmp.Or(t.Partitions, others.Partitions), Replicas: cmp.Or(t.Replicas, others.Replicas), Age: cmp.Or(t.Age, others.Age),
		Bytes: cmp.Or(t.Bytes, others.Bytes), Dedupe: cmp.Or(t.Dedupe, others.Dedupe),
	}
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var mistakes fault.List
	if len(c.Servers) == 0 {
		mistakes.Add(fault.New(fault.Invalid, "no NATS server is named").Hint("write nats://host:4222"))
	}
	for _, s := range c.Servers {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			mistakes.Add(fault.New(fault.Invalid, "this is no address of a NATS server").Hint("write nats://host:4222 or tls://host:4222"))
		} else if u.User != nil {
			mistakes.Add(fault.New(fault.Invalid, "the address of %s holds a secret", u.Host).Hint("name the secret by a reference"))
		}
	}
	if err := c.validate(); err != nil {
		mistakes.Add(err)
	}
	return mistakes.Err()
}

func (t Topics) validate() error {
	if t.Partitions < 0 || t.Partitions > maxPartitions {
		return fault.New(fault.Invalid, "a topic has 1 to %d partitions, not %d", maxPartitions, t.Partitions)
	}
	if t.Replicas < 0 || t.Replicas > 5 {
		return fault.New(fault.Invalid, "a topic has 1 to 5 replicas, not %d", t.Replicas)
	}
	return nil
}

// Bus speaks to a server. It is safe for many goroutines.
type Bus struct {
	config Config
	conn   *nats.Conn
	js     jetstream.JetStream
	own    *Server // nil: elsewhere

	mu      sync.Mutex
	closed  bool
	open    map[closer]bool
	again   chan struct{} // closed when the connection goes or comes back, and made anew
	gone    chan struct{} // closed with the connection
	trouble error         // why the last try to connect was refused
}

type closer interface{ Close() error }

// Open connects to a server. One that does not answer is an Unavailable fault;
// once connected, the bus connects again by itself, for ever.
func Open(ctx context.Context, c Config) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &dialer{dial: c.Dial}
	options, err := c.options(ctx, d)
	if err != nil {
		return nil, err
	}
	b, err := connect(ctx, c, strings.Join(c.Servers, ","), options)
	if refused := d.refusal(); err != nil && refused != nil {
		return nil, refused // the client says only that no server is there
	}
	return b, err
}

// connect opens the connection in the background, so that the context bounds
// the wait.
func connect(ctx context.Context, c Config, address string, options []nats.Option) (*Bus, error) {
	c.Topics = c.withDefaults()
	b := &Bus{config: c, open: map[closer]bool{}, again: make(chan struct{}), gone: make(chan struct{})}
	options = append(options,
		nats.Name("leat"), nats.MaxReconnects(-1), nats.CustomReconnectDelay(delay), nats.ReconnectBufSize(-1),
		nats.PingInterval(20*time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(10*time.Second), nats.DrainTimeout(5*time.Second),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectHandler(func(*nats.Conn) { b.changed() }), nats.DisconnectErrHandler(func(*nats.Conn, error) { b.changed() }),
		nats.ClosedHandler(func(*nats.Conn) { close(b.gone) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.mu.Lock(); b.trouble = err; b.mu.Unlock() }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // whoever asked is told
	)
	type result struct {
		conn *nats.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := nats.Connect(address, options...)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, translate(r.err, "connecting to NATS")
		}
		b.conn = r.conn
	case <-ctx.Done():
		go func() {
			if r := <-done; r.conn != nil {
				r.conn.Close()
			}
		}()
		return nil, translate(ctx.Err(), "connecting to NATS")
	}
	js, err := jetstream.New(b.conn, jetstream.WithPublishAsyncMaxPending(maxBatch), jetstream.WithPublishAsyncTimeout(commitTimeout),
		jetstream.WithDefaultTimeout(10*time.Second))
	if err != nil {
		b.conn.Close()
		return nil, translate(err, "using JetStream")
	}
	b.js = js
	return b, nil
}

// delay is how long to wait before the n-th round of connecting: doubled from
// 50 ms to 4 s, and half of it by chance, so that clients do not come back all
// at once.
func delay(round int) time.Duration {
	d := min(50*time.Millisecond<<min(round, 10), 4*time.Second)
	return d/2 + rand.N(d/2)
}

// options are those of connecting to another process.
func (c Config) options(ctx context.Context, d *dialer) ([]nats.Option, error) {
	var all []nats.Option
	if c.Dial != nil {
		all = append(all, nats.SetCustomDialer(d))
	}
	if c.TLS != nil || c.RequireTLS {
		all = append(all, nats.Secure(c.TLS))
	}
	if c.Secret == nil {
		return all, nil
	}
	auth, err := credentials(ctx, c.Secret)
	if err != nil {
		return nil, err
	}
	return append(all, auth), nil
}

// dialer dials for the client, and keeps why an address may not be dialled.
type dialer struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	refused atomic.Pointer[fault.Error]
}

// Dial connects within the time that a connection may take.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := d.dial(ctx, network, address)
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Forbidden {
		d.refused.Store(f)
	}
	return conn, err
}

func (d *dialer) refusal() error {
	if f := d.refused.Load(); f != nil {
		return f
	}
	return nil
}

func (b *Bus) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.again)
	b.again = make(chan struct{})
}

// change returns a channel that is closed when the connection goes or comes
// back: what was asked before is not answered any more.
func (b *Bus) change() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.again
}

// Positioned is true: topics are logs.
func (b *Bus) Positioned() bool { return true }

// Close closes what is left open, and the connection.
func (b *Bus) Close() error {
	b.mu.Lock()
	left := b.open
	first := !b.closed
	b.closed, b.open = true, map[closer]bool{}
	b.mu.Unlock()
	var all []error
	for c := range left {
		all = append(all, c.Close())
	}
	if first {
		b.conn.Close()
	}
	<-b.gone
	return errors.Join(all...)
}

// keep remembers what Close closes.
func (b *Bus) keep(c closer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fault.New(fault.Unavailable, "the bus is closed")
	}
	b.open[c] = true
	return nil
}

func (b *Bus) forget(c closer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
}

// Parse reads how topics are made from options: partitions, replicas, keep (a
// duration), bytes, dedupe (a duration).
func Parse(options map[string]string) (Topics, error) {
	var t Topics
	var mistakes fault.List
	for name, value := range options {
		var err error
		switch name {
		case "partitions":
			t.Partitions, err = strconv.Atoi(value)
		case "replicas":
			t.Replicas, err = strconv.Atoi(value)
		case "keep":
			t.Age, err = time.ParseDuration(value)
		case "bytes":
			t.Bytes, err = strconv.ParseInt(value, 10, 64)
		case "dedupe":
			t.Dedupe, err = time.ParseDuration(value)
		default:
			err = fault.New(fault.Invalid, "unknown")
		}
		if err != nil {
			mistakes.Add(fault.New(fault.Invalid, "the option %s=%s of NATS is not understood", name, value).
				Hint("options are partitions=8, replicas=3, keep=168h, bytes=10000000000, dedupe=30s"))
		}
	}
	mistakes.Add(t.validate())
	return t, mistakes.Err()
}
