package backends

import (
	"context"
	"crypto/tls"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/amqp"
	"github.com/leat-ai/leat/store/bus/file"
	"github.com/leat-ai/leat/store/bus/mqtt"
	"github.com/leat-ai/leat/store/bus/postgres"
	"github.com/leat-ai/leat/store/bus/webhook"
)

// edgeOf is the kind of bus of an address whose topic is the address itself,
// a file or a web address, and the topic; "" for others.
func edgeOf(address string) (scheme, topic string) {
	switch before, rest, remote := strings.Cut(address, "://"); {
	case !remote:
		return "file", address
	case before == "file":
		return "file", rest
	case before == "https" || before == "http":
		return before, address
	}
	return "", ""
}

// FileBodies is the format of the bodies of a source of files whose records
// are read as something else than they are written in the file: "json" for
// CSV. It is "" for all others.
func FileBodies(address string) string {
	if scheme, topic := edgeOf(address); scheme == "file" && file.FormatOf(topic) == file.CSV {
		return "json"
	}
	return ""
}

func (s *Buses) openFile(ctx context.Context, b broker) (bus.Bus, error) {
	c := file.Config{Root: s.config.Root, Format: file.Format(b.options["records"])}
	switch b.options["follow"] {
	case "", "false":
	case "true":
		c.Follow = true
	default:
		return nil, fault.New(fault.Invalid, "follow is true or false, not %q", b.options["follow"])
	}
	if text, ok := b.options["max_file"]; ok {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil || size <= 0 {
			return nil, fault.New(fault.Invalid, "max_file is a number of bytes, not %q", text)
		}
		c.MaxFile = size
	}
	return file.Open(ctx, c)
}

// maxReply bounds what is read of a receiver's answer.
const maxReply = 64 << 10

func (s *Buses) openWebhook(ctx context.Context, b broker) (bus.Bus, error) {
	c := webhook.Config{
		Client: egress.Client(s.config.Policy, egress.Options{MaxBody: maxReply, Redirects: -1}), Secret: s.secret(b.secret),
		Format: webhook.Format(b.options["mode"]), Source: b.options["source"], Type: b.options["type"],
	}
	if text, ok := b.options["parallel"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fault.New(fault.Invalid, "parallel is a number of requests, not %q", text)
		}
		c.Parallel = n
	}
	return webhook.Open(ctx, c)
}

// wire is how a broker at one edge is connected to: by TLS where its scheme,
// its options or the policy say so.
func (s *Buses) wire(b broker, plainPort, safePort string, safe bool) (server string, t *tls.Config, err error) {
	if len(b.hosts) == 0 {
		return "", nil, fault.New(fault.Invalid, "the address names no broker").Hint("write SCHEME://HOST/TOPIC")
	}
	t, required, err := s.tls(b)
	if err != nil {
		return "", nil, err
	}
	if !safe && !required {
		return withPort(b.hosts[0], plainPort), nil, nil
	}
	if t == nil {
		t = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return withPort(b.hosts[0], safePort), t, nil
}

func (s *Buses) dialer() egress.Dialer {
	return egress.Dialer{Policy: s.config.Policy, Stall: time.Hour}
}

func (s *Buses) openAMQP(ctx context.Context, b broker) (bus.Bus, error) {
	return s.amqp(ctx, b, false)
}
func (s *Buses) openAMQPS(ctx context.Context, b broker) (bus.Bus, error) {
	return s.amqp(ctx, b, true)
}

func (s *Buses) amqp(ctx context.Context, b broker, safe bool) (bus.Bus, error) {
	c, err := amqp.Parse(without(b.options, "tls", "ca"))
	if err != nil {
		return nil, err
	}
	if c.Server, c.TLS, err = s.wire(b, "5672", "5671", safe); err != nil {
		return nil, err
	}
	c.Dial, c.Secret = s.dialer().DialContext, s.secret(b.secret)
	return amqp.Open(ctx, c)
}

func (s *Buses) openMQTT(ctx context.Context, b broker) (bus.Bus, error) {
	return s.mqtt(ctx, b, false)
}
func (s *Buses) openMQTTS(ctx context.Context, b broker) (bus.Bus, error) {
	return s.mqtt(ctx, b, true)
}

func (s *Buses) mqtt(ctx context.Context, b broker, safe bool) (bus.Bus, error) {
	c, err := mqtt.Parse(without(b.options, "tls", "ca"))
	if err != nil {
		return nil, err
	}
	server, t, err := s.wire(b, "1883", "8883", safe)
	if err != nil {
		return nil, err
	}
	c.Servers, c.TLS = []string{server}, t
	c.Dial, c.Secret = s.dialer().DialContext, s.secret(b.secret)
	return mqtt.Open(ctx, c)
}

// Table opens the table of an address postgres://host/database/table as what
// rows are written to.
func (s *Buses) Table(ctx context.Context, address string, o BusOptions) (*postgres.Sink, error) {
	url, table, err := postgres.Split(address)
	if err != nil {
		return nil, err
	}
	return postgres.Open(ctx, postgres.Config{
		URL: url, Table: table, ID: o.Options["id_column"], Secret: s.secret(o.Secret), Dial: s.dialer().DialContext,
	})
}
