// Package kafka is the bus of Kafka, and of what speaks its protocol, such as
// Event Hubs.
//
// Open connects to a cluster. Readers of a group share the partitions of a
// topic by the cooperative assignment of Kafka's own groups, but begin where
// Assigned says and nowhere else: what Ack commits to Kafka tells its tools how
// far a group is, and no reader begins there. Writers are idempotent and wait
// for all replicas in sync; keys choose partitions by murmur2, as Kafka's Java
// client does, so both put a key into the same one.
//
// The ID of an event is the header leat-id. Kafka suppresses no duplicates
// beyond those of a writer's own retries.
package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/leat-ai/leat/base/fault"
)

// Config says which cluster to speak to, and how topics are that the bus makes.
type Config struct {
	Brokers []string // host:port of some of the brokers
	// SASL is plain, scram-sha-256, scram-sha-512 or oauthbearer; when empty,
	// plain where there is a secret.
	SASL string
	// Secret returns the secret of this client whenever it connects:
	// "user:password", the connection string of an Event Hubs namespace, or the
	// token of oauthbearer. nil: the cluster asks for none.
	Secret func(ctx context.Context) (string, error)
	// Dial connects, where not every address may be dialled; nil: the system.
	// It does not speak TLS.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config // nil: without TLS
	Topics
}

// Topics says how a topic is made that is not there yet, and what it takes.
type Topics struct {
	Partitions int   // as the cluster does when 0
	Replicas   int   // as the cluster does when 0
	MaxEvent   int64 // largest event, as the cluster's message.max.bytes; 1,000,000 when 0
}

const (
	defaultMaxEvent = 1_000_000
	largestMaxEvent = 256 << 20
)

// Parse reads Topics and the name of the SASL mechanism from options:
// partitions, replicas, max_event, sasl.
func Parse(options map[string]string) (t Topics, mechanism string, err error) {
	var mistakes fault.List
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		var err error
		switch name {
		case "partitions":
			t.Partitions, err = strconv.Atoi(value)
		case "replicas":
			t.Replicas, err = strconv.Atoi(value)
		case "max_event":
			t.MaxEvent, err = strconv.ParseInt(value, 10, 64)
		case "sasl":
			mechanism = strings.ToLower(value)
		default:
			err = fault.New(fault.Invalid, "unknown")
		}
		if err != nil {
			mistakes.Add(fault.New(fault.Invalid, "the option %s=%s of Kafka is not understood", name, value).
				Hint("options are partitions=8, replicas=3, max_event=1000000, sasl=scram-sha-512"))
		}
	}
	return t, mechanism, mistakes.Err()
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var mistakes fault.List
	if len(c.Brokers) == 0 {
		mistakes.Add(fault.New(fault.Invalid, "no Kafka broker is named").Hint("write kafka://host:9092"))
	}
	switch c.SASL {
	case "", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer":
	default:
		mistakes.Add(fault.New(fault.Invalid, "%q is no way to identify oneself to Kafka", c.SASL).
			Hint("write sasl=plain, scram-sha-256, scram-sha-512 or oauthbearer"))
	}
	if c.SASL != "" && c.Secret == nil {
		mistakes.Add(fault.New(fault.Invalid, "sasl=%s needs a secret", c.SASL))
	}
	if c.Partitions < 0 || c.Partitions > 10_000 || c.Replicas < 0 || c.Replicas > 32 {
		mistakes.Add(fault.New(fault.Invalid, "a topic cannot have %d partitions of %d replicas", c.Partitions, c.Replicas))
	}
	if c.MaxEvent < 0 || c.MaxEvent > largestMaxEvent {
		mistakes.Add(fault.New(fault.Invalid, "max_event is 1 to %d bytes, not %d", largestMaxEvent, c.MaxEvent))
	}
	return mistakes.Err()
}

// Bus speaks to a cluster. It is safe for many goroutines.
type Bus struct {
	config Config
	client *kgo.Client // writes and asks; each reader has its own
	admin  *kadm.Client

	mu     sync.Mutex
	closed bool
	open   map[closer]bool
}

type closer interface{ Close() error }

// answers is how long a cluster may take to answer when a bus is opened.
const answers = 15 * time.Second

// Open connects to a cluster; one that does not answer is an Unavailable
// fault. Once connected, it connects again by itself.
func Open(ctx context.Context, c Config) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.MaxEvent = cmp.Or(c.MaxEvent, defaultMaxEvent)
	b := &Bus{config: c, open: map[closer]bool{}}
	client, err := kgo.NewClient(append(b.options(),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(int32(c.MaxEvent+batchOverhead)), kgo.AllowIdempotentProduceCancellation(),
		kgo.MaxBufferedBytes(int(max(maxBuffered, 2*c.MaxEvent))), kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
	)...)
	if err != nil {
		return nil, translate(err, "connecting to Kafka")
	}
	asking, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	if err := client.Ping(asking); err != nil {
		client.Close()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return nil, fault.New(fault.Unavailable, "Kafka does not answer").Because(err)
		}
		return nil, translate(err, "connecting to Kafka")
	}
	b.client, b.admin = client, kadm.NewClient(client)
	return b, nil
}

// options are those of every client.
func (b *Bus) options() []kgo.Opt {
	all := []kgo.Opt{
		kgo.SeedBrokers(b.config.Brokers...), kgo.ClientID("leat"),
		kgo.RetryBackoffFn(delay), kgo.DialTimeout(10 * time.Second), kgo.MetadataMinAge(500 * time.Millisecond),
	}
	dial := b.config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	all = append(all, kgo.Dialer(secured(dial, b.config.TLS)))
	if b.config.Secret != nil {
		all = append(all, kgo.SASL(b.config.mechanism()))
	}
	return all
}

// delay is how long to wait before the n-th try: doubled from 50 ms to 3 s,
// and a part of it by chance.
func delay(n int) time.Duration {
	d := min(50*time.Millisecond<<min(n, 10), 3*time.Second)
	return d/2 + time.Duration(time.Now().UnixNano())%(d/2)
}

// secured adds TLS to a way to dial.
func secured(dial func(context.Context, string, string) (net.Conn, error), c *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	if c == nil {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		own := c.Clone()
		if own.ServerName == "" {
			own.ServerName, _, _ = net.SplitHostPort(address) // what cannot be split was not dialled
		}
		client := tls.Client(conn, own)
		if err := client.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return client, nil
	}
}

// mechanism asks for the secret whenever a connection is made.
func (c Config) mechanism() sasl.Mechanism {
	user := func(ctx context.Context) (string, string, error) {
		text, err := c.Secret(ctx)
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, "Endpoint=sb://") { // of Event Hubs
			return "$ConnectionString", text, err
		}
		name, password, _ := strings.Cut(text, ":")
		return name, password, err
	}
	scramAuth := func(ctx context.Context) (scram.Auth, error) {
		name, password, err := user(ctx)
		return scram.Auth{User: name, Pass: password}, err
	}
	switch c.SASL {
	case "scram-sha-256":
		return scram.Sha256(scramAuth)
	case "scram-sha-512":
		return scram.Sha512(scramAuth)
	case "oauthbearer":
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := c.Secret(ctx)
			return oauth.Auth{Token: strings.TrimSpace(token)}, err
		})
	}
	return plain.Plain(func(ctx context.Context) (plain.Auth, error) {
		name, password, err := user(ctx)
		return plain.Auth{User: name, Pass: password}, err
	})
}

// Positioned is true: topics are logs.
func (b *Bus) Positioned() bool { return true }

// Close closes what is left open, and the connections.
func (b *Bus) Close() error {
	b.mu.Lock()
	left := b.open
	b.closed, b.open = true, map[closer]bool{}
	b.mu.Unlock()
	var all []error
	for c := range left {
		all = append(all, c.Close())
	}
	b.client.Close()
	return errors.Join(all...)
}

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

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// ensure looks a topic up, and makes it when it is not there and the cluster
// lets us.
func (b *Bus) ensure(ctx context.Context, topic string) (kadm.TopicDetail, error) {
	if !topicName.MatchString(topic) || topic == "." || topic == ".." {
		return kadm.TopicDetail{}, fault.New(fault.Invalid, "%.100q cannot be a topic of Kafka", topic).
			Hint("use letters, digits, dots, underscores and hyphens, 249 at most")
	}
	detail, err := b.find(ctx, topic)
	if !fault.Is(err, fault.NotFound) {
		return detail, err
	}
	partitions, replicas := int32(cmp.Or(b.config.Partitions, -1)), int16(cmp.Or(b.config.Replicas, -1))
	var configs map[string]*string
	if b.config.MaxEvent > defaultMaxEvent {
		size := strconv.FormatInt(b.config.MaxEvent+batchOverhead, 10)
		configs = map[string]*string{"max.message.bytes": &size}
	}
	made, err := b.admin.CreateTopic(ctx, partitions, replicas, configs, topic)
	if err = errors.Join(err, made.Err); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return kadm.TopicDetail{}, translate(err, "making the topic "+topic)
	}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) { // until the brokers know it
		detail, err = b.find(ctx, topic)
		if !fault.Is(err, fault.NotFound) {
			return detail, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return detail, translate(ctx.Err(), "making the topic "+topic)
		}
	}
}

// find looks a topic up; NotFound when there is none.
func (b *Bus) find(ctx context.Context, topic string) (kadm.TopicDetail, error) {
	all, err := b.admin.ListTopics(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, translate(err, "asking for the topic "+topic)
	}
	detail, ok := all[topic]
	if !ok || errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
		return detail, fault.New(fault.NotFound, "Kafka has no topic %s", topic)
	}
	return detail, translate(detail.Err, "asking for the topic "+topic)
}

// identity is what tells a topic from one of the same name that was made later;
// "" where the cluster does not say.
func identity(d kadm.TopicDetail) string {
	if d.ID == (kadm.TopicID{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(d.ID[:6])
}

// translate makes a fault of an error of the client or of a broker. What may
// pass is Unavailable.
func translate(err error, doing string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	kind := fault.Unavailable
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.KindOf(err), "%s", doing)
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		kind = fault.Unauthenticated
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		kind = fault.Forbidden
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		kind = fault.TooLarge
	case errors.Is(err, kerr.InvalidTopicException), errors.Is(err, kerr.InvalidReplicationFactor), errors.Is(err, kerr.InvalidPartitions),
		errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidConfig):
		kind = fault.Invalid
	}
	return fault.New(kind, "%s", doing).Because(err)
}
