// Package mqtt is the bus of an MQTT 5 broker: a queue.
//
// A reader subscribes with quality of service 1 in a session that the broker
// keeps while the reader is away (Config.Expiry), and acknowledges an event
// when Ack says so, in the order in which events came, as MQTT wants it: an
// acknowledged event behind one that is not waits. Readers of a group share
// the topic's messages (a shared subscription); each needs a Config.Client of
// its own that stays the same, for the broker knows a session by it. What was
// published before a group's first reader is gone: MQTT keeps no log.
//
// How many events are not acknowledged is bounded by the receive maximum
// (Config.Inflight), the bytes that wait to be taken by ReadOptions.Buffer: no
// more is read from the connection meanwhile. A connection that breaks is made again; what the broker then delivers a second time is known
// by its packet and not returned twice.
//
// IDs, keys and times of events are user properties (leat-id, leat-key,
// leat-time), other headers too; Content-Type is MQTT's own. The attributes of
// a CloudEvent in binary mode give an event its ID.
package mqtt

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Config says which broker to speak to.
type Config struct {
	// Servers are host:port of a broker, or of several that share sessions.
	Servers []string
	// TLS is how the broker is checked; nil: it is spoken to without.
	TLS *tls.Config
	// Dial connects, where not every address may be dialled; nil: the system.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Secret returns "user:password" whenever a connection is made; nil: the
	// broker asks for none.
	Secret func(ctx context.Context) (string, error)
	// Client names this process to the broker; the host's name when empty.
	Client string
	// Expiry is how long the broker keeps the session of a reader that is away;
	// 7 days when 0.
	Expiry time.Duration
	// Inflight bounds the events that are not acknowledged; 4096 when 0. More do
	// not come from Next before some are.
	Inflight int
	// Parallel bounds the events that a writer has under way; 32 when 0. Events
	// of one key go one after the other.
	Parallel int
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if len(c.Servers) == 0 {
		l.Add(fault.New(fault.Invalid, "MQTT needs a broker").Hint("write mqtt://host:1883/topic or mqtts://host:8883/topic"))
	}
	for _, s := range c.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			l.Add(fault.New(fault.Invalid, "%.200q is not host:port of a broker", s))
		}
	}
	if c.Inflight < 0 || c.Inflight > 65535 || c.Parallel < 0 || c.Parallel > 1024 {
		l.Add(fault.New(fault.Invalid, "inflight is between 1 and 65535, parallel between 1 and 1024"))
	}
	if c.Expiry < 0 || c.Expiry > 365*24*time.Hour {
		l.Add(fault.New(fault.Invalid, "sessions are kept for a year at the most"))
	}
	return l.Err()
}

// Parse reads options: client, expiry, inflight, parallel.
func Parse(options map[string]string) (Config, error) {
	var c Config
	var l fault.List
	for name, value := range options {
		var err error
		switch name {
		case "client":
			c.Client = value
		case "expiry":
			c.Expiry, err = time.ParseDuration(value)
		case "inflight":
			c.Inflight, err = strconv.Atoi(value)
		case "parallel":
			c.Parallel, err = strconv.Atoi(value)
		default:
			l.Add(fault.New(fault.Invalid, "MQTT has no option %.60q", name).Hint("the options are client, expiry, inflight and parallel"))
		}
		if err != nil {
			l.Add(fault.New(fault.Invalid, "the option %s of MQTT cannot be %.60q", name, value))
		}
	}
	return c, l.Err()
}

// Bus is a broker.
type Bus struct {
	config Config
	urls   []*url.URL

	mu     sync.Mutex
	closed bool
	open   map[interface{ Close() error }]bool
	slots  map[string]bool // of readers of the same group and topic, whose sessions have names of their own
}

var _ bus.Bus = (*Bus)(nil)

// Open returns a bus. It connects when somebody reads or writes.
func Open(_ context.Context, c Config) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Client == "" {
		c.Client, _ = os.Hostname() // "" is a name as well
	}
	if c.Expiry == 0 {
		c.Expiry = 7 * 24 * time.Hour
	}
	if c.Inflight == 0 {
		c.Inflight = 4096
	}
	if c.Parallel == 0 {
		c.Parallel = 32
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	b := &Bus{config: c, open: map[interface{ Close() error }]bool{}, slots: map[string]bool{}}
	for _, s := range c.Servers {
		b.urls = append(b.urls, &url.URL{Scheme: "mqtt", Host: s})
	}
	return b, nil
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

func (b *Bus) forget(c interface{ Close() error }, session string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
	delete(b.slots, session)
}

// session names the session of a reader: the same after a restart, another
// for each that is open at the same time.
func (b *Bus) session(group, topic string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := sha256.Sum256([]byte(b.config.Client + "\x00" + group + "\x00" + topic))
	for slot := 0; ; slot++ {
		name := fmt.Sprintf("leat-%s-%d", hex.EncodeToString(h[:8]), slot)
		if !b.slots[name] {
			b.slots[name] = true
			return name
		}
	}
}

const (
	keepAlive      = 30 // seconds
	connectTimeout = 10 * time.Second
	firstPause     = 20 * time.Millisecond
	longestPause   = 5 * time.Second
)

// client is the part of a connection's configuration that readers and writers
// share.
func (b *Bus) client(id string, shut func() <-chan struct{}, connect func(*paho.Connect)) autopaho.ClientConfig {
	alive := new(pinger)
	c := autopaho.ClientConfig{
		ServerUrls: b.urls, KeepAlive: keepAlive, ConnectTimeout: connectTimeout,
		ReconnectBackoff: func(attempt int) time.Duration {
			if attempt == 0 {
				return 0
			}
			return min(longestPause, firstPause<<min(attempt, 10))
		},
		AttemptConnection: func(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
			conn, err := b.dial(ctx, u.Host)
			if err != nil {
				return nil, err
			}
			return packets.NewThreadSafeConn(newGate(conn, shut, alive)), nil
		},
		ConnectPacketBuilder: func(c *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			connect(c)
			return c, b.login(c)
		},
	}
	c.ClientID, c.PingHandler = id, alive
	c.PacketTimeout = connectTimeout
	return c
}

func (b *Bus) dial(ctx context.Context, host string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := b.config.Dial(ctx, "tcp", host)
	if err != nil || b.config.TLS == nil {
		return conn, err
	}
	t := b.config.TLS.Clone()
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(host) // Validate has seen it
	}
	safe := tls.Client(conn, t)
	if err := safe.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // nothing was said on it
		return nil, err
	}
	return safe, nil
}

// login adds the user and the password as they are now.
func (b *Bus) login(c *paho.Connect) error {
	if b.config.Secret == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout) // the library has none here
	defer cancel()
	secret, err := b.config.Secret(ctx)
	if err != nil {
		return err
	}
	user, password, _ := strings.Cut(secret, ":")
	c.Username, c.UsernameFlag = user, true
	c.Password, c.PasswordFlag = []byte(password), true
	return nil
}

// checkTopic refuses what cannot be a topic or, of readers, a filter.
func checkTopic(topic string, reads bool) error {
	if topic == "" || len(topic) > 65535 || strings.ContainsRune(topic, 0) || strings.HasPrefix(topic, "$") || !reads && strings.ContainsAny(topic, "+#") {
		return fault.New(fault.Invalid, "%.200q cannot be a topic of MQTT", topic)
	}
	return nil
}
