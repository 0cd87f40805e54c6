// Package webhook is the bus that ends at somebody else's HTTP server: events
// are posted to an address, as CloudEvents or as plain JSON, and signed.
//
// A topic is the address. There is nothing to read: events come in through
// surface/compat/cloudevents. A Write returns when the receiver took every
// event (2xx). One that answers 408, 429 or 5xx, or does not answer, is asked
// again with growing, jittered pauses within a budget, not before the time
// that its Retry-After says; in the end the fault is Unavailable and the
// caller writes again later. Any other 4xx is a *bus.Refused: the event is not
// one that the receiver takes. Credentials that are refused (401, 403, 407)
// say nothing about the event: that is Unavailable too.
//
// Requests have the headers of Standard Webhooks: webhook-id is the same
// whenever an event is sent again, so that a receiver knows it, and with a
// secret webhook-signature is its signature (base/signature). What was
// delivered is remembered for a while, and not sent again when a Write is
// repeated that failed at another event. Order is kept per key; events of
// different keys are sent side by side.
package webhook

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
	"github.com/leat-ai/leat/store/bus"
)

// Format is how events stand in requests.
type Format string

// The formats.
const (
	Binary     Format = "binary"     // CloudEvents: attributes in headers, the event's body as it is
	Structured Format = "structured" // CloudEvents: one JSON object
	Batch      Format = "batch"      // CloudEvents: an array of them, several events a request
	JSON       Format = "json"       // the event's body, and nothing else
)

// Config says how events are sent.
type Config struct {
	// Client dials. It is what keeps requests from where they may not go, so it
	// has no default; it does not follow redirects.
	Client *http.Client
	// Secret is what requests are signed with, asked for each time; nil or an
	// empty one: they are not signed.
	Secret func(ctx context.Context) (string, error)
	// Format of the requests; Binary when empty.
	Format Format
	// Source and Type are the attributes of events that come without their own
	// (headers ce-source and ce-type); "leat" and "leat.event" when empty.
	Source, Type string
	// Headers are sent along.
	Headers map[string]string
	// Timeout bounds one request; 30 s when 0.
	Timeout time.Duration
	// Attempts bounds how often one request is made in a Write; 4 when 0.
	Attempts int
	// First is the first pause between attempts; 500 ms when 0.
	First time.Duration
	// Parallel bounds the requests at one time; 8 when 0.
	Parallel int
	// BatchBytes and BatchEvents bound a request of Batch; 512 KiB and 100.
	BatchBytes, BatchEvents int
	// Clock stamps signatures; the system's when nil.
	Clock clock.Clock
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if c.Client == nil {
		l.Add(fault.New(fault.Internal, "a webhook has no client to be sent with"))
	}
	switch c.Format {
	case "", Binary, Structured, Batch, JSON:
	default:
		l.Add(fault.New(fault.Invalid, "webhooks know no format %.40q", string(c.Format)).Hint("use binary, structured, batch or json"))
	}
	if c.Timeout < 0 || c.First < 0 || c.Parallel < 0 || c.Parallel > 256 || c.BatchBytes < 0 || c.BatchEvents < 0 {
		l.Add(fault.New(fault.Invalid, "times and bounds of a webhook must not be negative, and requests at one time be 256 at the most"))
	}
	for name, value := range c.Headers {
		if err := bus.CheckHeaders([]bus.Header{{Name: name, Value: value}}); err != nil {
			l.Add(err)
		}
	}
	return l.Err()
}

func (c Config) withDefaults() Config {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&c.Parallel, 8)
	set(&c.BatchBytes, 512<<10)
	set(&c.BatchEvents, 100)
	if c.Format == "" {
		c.Format = Binary
	}
	if c.Source == "" {
		c.Source = "leat"
	}
	if c.Type == "" {
		c.Type = "leat.event"
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.First == 0 {
		c.First = 500 * time.Millisecond
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	return c
}

// Bus sends to any address.
type Bus struct {
	config Config
	mu     sync.Mutex
	closed bool
}

var _ bus.Bus = (*Bus)(nil)

// Open returns a bus of webhooks.
func Open(_ context.Context, c Config) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Bus{config: c.withDefaults()}, nil
}

// Positioned is false: nothing is kept.
func (b *Bus) Positioned() bool { return false }

// Reader is not there: it is an Unsupported fault.
func (b *Bus) Reader(context.Context, string, bus.ReadOptions) (bus.Reader, error) {
	return nil, fault.New(fault.Unsupported, "nothing can be read from a webhook").Hint("read webhook://NAME, to which others post")
}

// Writer sends to an address. It is not asked before there is an event.
func (b *Bus) Writer(_ context.Context, topic string) (bus.Writer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fault.New(fault.Internal, "a bus is used that was closed")
	}
	u, err := url.Parse(topic)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, fault.New(fault.Invalid, "the address of a webhook is not understood").
			Hint("write https://HOST/PATH; a password belongs into the secret")
	}
	caller, err := resilience.NewCaller("the webhook at "+u.Host, resilience.Config{
		Attempts: b.config.Attempts, First: b.config.First, Longest: max(b.config.First, 30*time.Second)})
	if err != nil {
		return nil, err
	}
	return &writer{config: b.config, url: strings.TrimSuffix(u.String(), "#"), host: u.Host, caller: caller, done: newRecent()}, nil
}

// Close ends idle connections. What is being written goes on.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.config.Client.CloseIdleConnections()
	}
	b.closed = true
	return nil
}
