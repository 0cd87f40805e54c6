package backends

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/kafka"
	"github.com/leat-ai/leat/store/bus/nats"
)

// BusConfig says which brokers a server has, and what opening others may do.
type BusConfig struct {
	// Brokers are where topics are that are written without a host: at most
	// one nats://host…, or embedded, and one kafka://host…, each with options
	// as a query. nats:// topics are within the process when neither of the
	// first is there.
	Brokers []string
	// Root is the project's folder, in which files stand.
	Root string
	// Folder is where the topics within the process are.
	Folder string
	// Policy says which brokers may be connected to.
	Policy egress.Policy
	// Secret resolves a reference to a secret.
	Secret func(ctx context.Context, reference string) (string, error)
}

// BusOptions are what a resource says of a bus.
type BusOptions struct {
	Secret  string            // a reference; that of the configuration when empty
	Options map[string]string // as in the query of an address
}

// Buses opens buses by the addresses that resources have. It is safe for many
// goroutines.
type Buses struct {
	config   BusConfig
	brokers  map[string]broker // by scheme
	embedded nats.ServerConfig
	listens  bool

	mu     sync.Mutex
	server *nats.Server // nil until somebody needs it
	closed bool
}

// broker is what an address says of one.
type broker struct {
	hosts   []string // none: within the process
	topic   string
	secret  string
	options map[string]string
}

// busKind is one sort of bus: what opens it, and which options it has.
type busKind struct {
	open    func(s *Buses, ctx context.Context, b broker) (bus.Bus, error)
	options []string
}

// busKinds lists the sorts of buses, by scheme.
func busKinds() map[string]busKind {
	return map[string]busKind{
		"nats":  {(*Buses).openNATS, []string{"tls", "ca", "partitions", "replicas", "keep", "bytes", "dedupe"}},
		"kafka": {(*Buses).openKafka, []string{"tls", "ca", "partitions", "replicas", "max_event", "sasl"}},
		"amqp":  {(*Buses).openAMQP, []string{"tls", "ca", "inflight"}},
		"amqps": {(*Buses).openAMQPS, []string{"ca", "inflight"}},
		"mqtt":  {(*Buses).openMQTT, []string{"tls", "ca", "client", "expiry", "inflight", "parallel"}},
		"mqtts": {(*Buses).openMQTTS, []string{"ca", "client", "expiry", "inflight", "parallel"}},
		"file":  {(*Buses).openFile, []string{"follow", "records", "max_file"}},
		"https": {(*Buses).openWebhook, []string{"mode", "source", "type", "parallel"}},
		"http":  {(*Buses).openWebhook, []string{"mode", "source", "type", "parallel"}},
		// Rows go there, not bytes: see Table.
		"postgres": {nil, []string{"id_column"}},
	}
}

// optionsOf returns of a resource's options those that one sort of bus has. A
// stream has options once, for where it reads and where it writes: what only
// another sort has is left out, and what none has is a mistake. The group
// belongs to the reader.
func optionsOf(scheme string, options map[string]string) (map[string]string, error) {
	kinds, known := busKinds(), map[string]string{}
	for name, value := range options {
		some := name == "group"
		for _, k := range kinds {
			some = some || slices.Contains(k.options, name)
		}
		if !some {
			return nil, fault.New(fault.Invalid, "no bus has an option %q", name).
				Hint("%s:// has %s", scheme, strings.Join(kinds[scheme].options, ", "))
		}
		if slices.Contains(kinds[scheme].options, name) {
			known[name] = value
		}
	}
	return known, nil
}

// NewBuses checks the configuration. It starts nothing: a server that has no
// streams needs no bus.
func NewBuses(c BusConfig) (*Buses, error) {
	s := &Buses{config: c, brokers: map[string]broker{}}
	own := "embedded"
	var mistakes fault.List
	for _, address := range c.Brokers {
		scheme, b, err := parseBroker(address)
		switch {
		case err != nil:
			mistakes.Add(err)
			continue
		case scheme == "embedded":
			own, scheme = address, "nats"
		case scheme != "nats" && scheme != "kafka" || len(b.hosts) == 0 || b.topic != "":
			mistakes.Add(fault.New(fault.Invalid, "%q is no broker", withoutQuery(address)).
				Hint("write embedded, nats://host:4222 or kafka://host:9092"))
			continue
		}
		if _, twice := s.brokers[scheme]; twice {
			mistakes.Add(fault.New(fault.Invalid, "two brokers are configured for %s://", scheme).Hint("others can stand in the address of a stream"))
		}
		s.brokers[scheme] = b
	}
	mistakes.Add(s.configureEmbedded(own))
	return s, mistakes.Err()
}

// configureEmbedded reads the options of the bus within the process.
func (s *Buses) configureEmbedded(address string) error {
	_, b, err := parseBroker(address)
	if err != nil {
		return err
	}
	s.embedded.Folder, s.embedded.Listen = s.config.Folder, b.options["listen"]
	s.listens = s.embedded.Listen != ""
	if sync, ok := b.options["sync"]; ok && sync != "always" {
		if s.embedded.Sync, err = time.ParseDuration(sync); err != nil || s.embedded.Sync <= 0 {
			return fault.New(fault.Invalid, "the embedded bus cannot sync %q", sync).Hint("write sync=always or an interval, such as sync=1s")
		}
	}
	s.embedded.Topics, err = nats.Parse(without(b.options, "listen", "sync"))
	if err != nil {
		return err
	}
	checked := s.embedded
	checked.Folder = "any"
	if b.secret != "" {
		checked.Secret = "some" // it is resolved at the start
	}
	return checked.Validate()
}

// Start starts the bus within the process, if others are to connect to it; and
// otherwise when somebody needs it.
func (s *Buses) Start(ctx context.Context) error {
	if !s.listens {
		return nil
	}
	_, err := s.own(ctx)
	return err
}

// own returns the server within the process.
func (s *Buses) own(ctx context.Context) (*nats.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fault.New(fault.Unavailable, "the buses are closed")
	}
	if s.server != nil {
		return s.server, nil
	}
	c := s.embedded
	if reference := s.brokers["nats"].secret; reference != "" {
		secret, err := s.config.Secret(ctx, reference)
		if err != nil {
			return nil, err
		}
		c.Secret = secret
	}
	server, err := nats.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	s.server = server
	return server, nil
}

// Close stops the bus within the process. Those that were opened are to be
// closed before. It is safe to call twice.
func (s *Buses) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

// Bus opens the bus of an address such as nats://topic, kafka://topic or, with
// a broker of its own, nats://host:4222/topic, and returns the topic. Whoever
// asked closes it.
func (s *Buses) Bus(ctx context.Context, address string, o BusOptions) (bus.Bus, string, error) {
	scheme, b, err := busOf(address)
	if err != nil {
		return nil, "", err
	}
	kind, ok := busKinds()[scheme]
	if !ok || kind.open == nil {
		return nil, "", fault.New(fault.Unsupported, "no bus is called %s://", scheme).
			Hint("the buses are %s", strings.Join(slices.Sorted(maps.Keys(busKinds())), ", "))
	}
	options, err := optionsOf(scheme, o.Options)
	if err != nil {
		return nil, "", err
	}
	if known, configured := s.brokers[scheme]; configured && len(b.hosts) == 0 {
		topic, own := b.topic, b.options
		b = known
		b.topic, b.options = topic, merged(b.options, own)
	}
	b.options = merged(b.options, options)
	if o.Secret != "" {
		b.secret = o.Secret
	}
	if b.topic == "" {
		return nil, "", fault.New(fault.Invalid, "%s names no topic", withoutQuery(address))
	}
	opened, err := kind.open(s, ctx, b)
	return opened, b.topic, err
}

// busOf takes the address of a topic apart.
func busOf(address string) (scheme string, b broker, err error) {
	if scheme, topic := edgeOf(address); scheme != "" {
		return scheme, broker{topic: topic}, nil
	}
	return parseBroker(address)
}

func (s *Buses) openNATS(ctx context.Context, b broker) (bus.Bus, error) {
	topics, err := nats.Parse(without(b.options, "listen", "sync", "tls", "ca"))
	if err != nil {
		return nil, err
	}
	if len(b.hosts) == 0 {
		server, err := s.own(ctx)
		if err != nil {
			return nil, err
		}
		return server.OpenTopics(ctx, topics)
	}
	c := nats.Config{Topics: topics, Dial: egress.Dialer{Policy: s.config.Policy, Stall: time.Hour}.DialContext, Secret: s.secret(b.secret)}
	if c.TLS, c.RequireTLS, err = s.tls(b); err != nil {
		return nil, err
	}
	for _, host := range b.hosts {
		c.Servers = append(c.Servers, "nats://"+withPort(host, "4222"))
	}
	return nats.Open(ctx, c)
}

func (s *Buses) openKafka(ctx context.Context, b broker) (bus.Bus, error) {
	if len(b.hosts) == 0 {
		return nil, fault.New(fault.Invalid, "no broker is configured for kafka://%s", b.topic).
			Hint("start with --bus kafka://host:9092, or write kafka://host:9092/%s", b.topic)
	}
	topics, mechanism, err := kafka.Parse(without(b.options, "tls", "ca"))
	if err != nil {
		return nil, err
	}
	c := kafka.Config{
		Topics: topics, SASL: mechanism, Secret: s.secret(b.secret),
		Dial: egress.Dialer{Policy: s.config.Policy, Stall: time.Hour}.DialContext,
	}
	var required bool
	if c.TLS, required, err = s.tls(b); err != nil {
		return nil, err
	}
	if c.TLS == nil && required {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	for _, host := range b.hosts {
		c.Brokers = append(c.Brokers, withPort(host, "9092"))
	}
	return kafka.Open(ctx, c)
}

// secret returns what resolves a reference when it is needed; nil for none.
func (s *Buses) secret(reference string) func(context.Context) (string, error) {
	if reference == "" {
		return nil
	}
	return func(ctx context.Context) (string, error) { return s.config.Secret(ctx, reference) }
}

// tls is how a broker is checked. A broker that the operator did not allow by
// name or network has to speak TLS.
func (s *Buses) tls(b broker) (c *tls.Config, required bool, err error) {
	switch b.options["tls"] {
	case "", "true", "false":
	default:
		return nil, false, fault.New(fault.Invalid, "tls is true or false, not %q", b.options["tls"])
	}
	required = b.options["tls"] == "true" || b.options["ca"] != ""
	for _, host := range b.hosts {
		if !s.config.Policy.AllowsPlain(hostOf(host)) {
			if b.options["tls"] == "false" {
				return nil, false, fault.New(fault.Forbidden, "%s would be spoken to without TLS", hostOf(host)).
					Hint("an operator can allow the host for this server")
			}
			required = true
		}
	}
	if file := b.options["ca"]; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, false, fault.Wrap(err, fault.NotFound, "the certificates of the broker cannot be read")
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, false, fault.New(fault.Invalid, "%s holds no certificate", file)
		}
		return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, true, nil
	}
	return nil, required, nil
}

// parseBroker takes an address apart: SCHEME://TOPIC, or SCHEME://HOST,HOST/TOPIC,
// or SCHEME://HOST:PORT, with options as a query.
func parseBroker(address string) (scheme string, b broker, err error) {
	rest, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", b, fault.New(fault.Invalid, "the options of %s cannot be read", withoutQuery(address)).Hint("write ?name=value&name=value")
	}
	b.options = map[string]string{}
	for name := range values {
		b.options[name] = values.Get(name)
	}
	b.secret = b.options["secret"]
	delete(b.options, "secret")
	scheme, rest, remote := strings.Cut(rest, "://")
	if !remote {
		return scheme, b, nil
	}
	hosts, topic, both := strings.Cut(rest, "/")
	if strings.Contains(hosts, "@") {
		return "", b, fault.New(fault.Invalid, "the address of a broker holds a secret").Hint("name it by a reference, ?secret=env:NAME")
	}
	if both || strings.ContainsAny(hosts, ":,") {
		b.hosts, b.topic = strings.Split(hosts, ","), topic
	} else {
		b.topic = rest
	}
	return scheme, b, nil
}

func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		if _, host, secret := strings.Cut(rest, "@"); secret {
			return scheme + "://" + host
		}
	}
	return address
}

func withPort(host, port string) string {
	if strings.Contains(host[strings.LastIndexByte(host, ']')+1:], ":") {
		return host
	}
	return host + ":" + port
}

func hostOf(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

func without(options map[string]string, names ...string) map[string]string {
	rest := maps.Clone(options)
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}

func merged(a, b map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}
