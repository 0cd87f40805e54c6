package nats

import (
	"cmp"
	"context"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/leat-ai/leat/base/fault"
)

// ServerConfig says how the server within the process keeps events.
type ServerConfig struct {
	// Folder is where the topics are. One server uses it at a time.
	Folder string
	// Sync is how often what was written is flushed to the disk. 0: before it
	// is acknowledged, so that a power cut loses nothing that was; otherwise a
	// power cut may lose what was acknowledged within the interval.
	Sync time.Duration
	// Disk bounds the bytes of all topics; three quarters of what is free when 0.
	Disk int64
	// Listen is host:port for others to connect to; nobody can when empty.
	Listen string
	// Secret is what others have to say, "user:password" or a token. Without
	// one the server listens on loopback only.
	Secret string
	Topics
}

// maxPayload is the largest message that the server within the process takes.
const maxPayload = 32 << 20

// Server is a NATS server within the process.
type Server struct {
	server *server.Server
	config ServerConfig
	flush  func(path string) error // to the disk
	once   sync.Once

	mu      sync.Mutex
	syncers map[string]*syncer // by stream and identity; nil: the server flushes, or need not
}

// Validate reports every mistake of the configuration.
func (c ServerConfig) Validate() error {
	var mistakes fault.List
	if c.Folder == "" {
		mistakes.Add(fault.New(fault.Invalid, "the embedded bus has no folder"))
	}
	mistakes.Add(c.validate())
	if c.Replicas > 1 {
		mistakes.Add(fault.New(fault.Invalid, "the embedded bus keeps one replica, not %d", c.Replicas).
			Hint("replicas need a NATS cluster: --bus nats://host:4222"))
	}
	if c.Listen == "" {
		return mistakes.Err()
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		mistakes.Add(fault.New(fault.Invalid, "the embedded bus cannot listen on %q", c.Listen).Hint("write host:port"))
	} else if ip := net.ParseIP(host); c.Secret == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		mistakes.Add(fault.New(fault.Invalid, "the embedded bus would let everybody in at %s", c.Listen).
			Hint("name a secret, or listen on 127.0.0.1"))
	}
	return mistakes.Err()
}

// grouped tells whether the bus itself flushes what it publishes: where nobody
// else publishes, who would have to trust the server's acknowledgement.
func (c ServerConfig) grouped() bool { return c.Sync <= 0 && c.Listen == "" }

func (c ServerConfig) options() *server.Options {
	o := &server.Options{
		ServerName: "leat", JetStream: true, StoreDir: c.Folder, DontListen: c.Listen == "",
		NoSigs: true, NoLog: true, NoSystemAccount: false, MaxPayload: maxPayload,
		SyncAlways: c.Sync <= 0 && !c.grouped(), SyncInterval: cmp.Or(c.Sync, time.Second),
		// Topics are on the disk; what is in memory are the consumers of
		// readers.
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: c.Disk,
	}
	if c.Listen != "" {
		host, port, _ := net.SplitHostPort(c.Listen)
		o.Host = host
		o.Port, _ = strconv.Atoi(port) // it was checked
		if o.Port == 0 {
			o.Port = server.RANDOM_PORT
		}
		if user, password, ok := strings.Cut(c.Secret, ":"); ok {
			o.Username, o.Password = user, password
		} else {
			o.Authorization = c.Secret
		}
	}
	return o
}

// Start starts a server. It is ready when Start returns.
func Start(ctx context.Context, c ServerConfig) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	inner, err := server.NewServer(c.options())
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the embedded bus cannot be made")
	}
	go inner.Start()
	s := &Server{server: inner, config: c, flush: flush}
	if c.grouped() {
		s.syncers = map[string]*syncer{}
	}
	// The server takes connections before it has read its topics: wait for both.
	for !inner.ReadyForConnections(5*time.Millisecond) || !inner.JetStreamEnabled() {
		if ctx.Err() != nil {
			_ = s.Close() // never fails
			return nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the embedded bus does not start")
		}
		if failed := inner.Running() && inner.ReadyForConnections(0) && !inner.JetStreamEnabled(); failed {
			_ = s.Close() // never fails
			return nil, fault.New(fault.Unavailable, "the embedded bus has no place for its topics").
				Hint("look whether the folder can be written and the disk has room")
		}
	}
	return s, nil
}

// Open connects to the server, without the network. The bus is to be closed
// before the server.
func (s *Server) Open(ctx context.Context) (*Bus, error) { return s.OpenTopics(ctx, s.config.Topics) }

// OpenTopics is Open of a bus that makes topics in another way than the
// server's; what is not said is as there.
func (s *Server) OpenTopics(ctx context.Context, topics Topics) (*Bus, error) {
	topics = topics.or(s.config.Topics)
	if err := topics.validate(); err != nil {
		return nil, err
	}
	options := []nats.Option{nats.InProcessServer(s.server)}
	if user, password, ok := strings.Cut(s.config.Secret, ":"); ok {
		options = append(options, nats.UserInfo(user, password))
	} else if s.config.Secret != "" {
		options = append(options, nats.Token(s.config.Secret))
	}
	b, err := connect(ctx, Config{Topics: topics}, "", options)
	if err == nil {
		b.own = s
	}
	return b, err
}

// syncer returns what flushes a topic; nil when nothing has to.
func (s *Server) syncer(t *topic) *syncer {
	if s == nil || s.syncers == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := t.stream + "@" + t.identity
	if s.syncers[key] == nil {
		s.syncers[key] = newSyncer(filepath.Join(s.server.StoreDir(), "$G", "streams", t.stream), s.flush)
	}
	return s.syncers[key]
}

// URL is where others connect, or "".
func (s *Server) URL() string {
	if a, ok := s.server.Addr().(*net.TCPAddr); ok {
		return "nats://" + a.String()
	}
	return ""
}

// Close stops the server after what it acknowledged is on the disk. It is safe
// to call twice.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	})
	return nil
}
