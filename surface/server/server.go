// Package server is the front door: the listener, and what every request
// passes before a surface sees it.
//
// A request is given an id, a bounded body and a principal; a panic behind it
// is answered as a problem document and not as a broken connection. The
// surfaces (api/, compat/) register their routes with Handle. Without API keys
// a server listens on loopback only, answers only requests addressed to
// loopback (against DNS rebinding) and none that a browser sends from another
// site.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/guard/identity"
)

// Auth says who may ask.
type Auth string

// The ways of authentication.
const (
	// AuthLocal takes requests without a key as those of the user of this
	// machine. Only a loopback address may be listened on.
	AuthLocal Auth = "local"
	// AuthKeys asks every request for an API key.
	AuthKeys Auth = "keys"
)

// Config says where to listen and how much to take on.
type Config struct {
	Listen      string // host:port; 127.0.0.1:8080 when empty, port 0 picks one
	Auth        Auth   // AuthLocal when empty
	Connections int    // at one time; 1024 when 0
	MaxBody     int64  // bytes of a body, unless a route says less; 32 MiB when 0
	// TLS certificate and key files; plain HTTP when empty.
	CertFile, KeyFile string
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.Auth == "" {
		c.Auth = AuthLocal
	}
	if c.Connections == 0 {
		c.Connections = 1024
	}
	if c.MaxBody == 0 {
		c.MaxBody = 32 << 20
	}
	return c
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var mistakes fault.List
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		mistakes.Add(fault.New(fault.Invalid, "listen address %q", c.Listen).Hint("write host:port, like 127.0.0.1:8080"))
	} else if c.Auth == AuthLocal && !loopback(host) {
		mistakes.Add(fault.New(fault.Forbidden, "%q can be reached from other machines, and no keys are asked for", c.Listen).
			Hint("create a key with `leat keys create` and start with --auth keys"))
	}
	if c.Auth != AuthLocal && c.Auth != AuthKeys {
		mistakes.Add(fault.New(fault.Invalid, "no way of authentication is called %q", c.Auth).Hint("use local or keys"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		mistakes.Add(fault.New(fault.Invalid, "TLS needs both a certificate and a key"))
	}
	return mistakes.Err()
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Authenticator turns a token into a principal: guard/identity's Keys.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (identity.Principal, error)
}

// Server is an HTTP server with its routes.
type Server struct {
	config   Config
	keys     Authenticator
	tel      *telemetry.Telemetry
	mux      *http.ServeMux
	routes   []Route
	large    map[string]int64 // by pattern, bytes of a body where a route takes more than others
	http     *http.Server
	listener net.Listener
	requests telemetry.Counter
	done     chan struct{}
	stop     sync.Once
}

// New returns a server that does not listen yet.
func New(c Config, keys Authenticator, tel *telemetry.Telemetry) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{config: c.withDefaults(), keys: keys, tel: tel, mux: http.NewServeMux(), large: map[string]int64{}, done: make(chan struct{})}
	s.mux.HandleFunc(everythingElse, s.nowhere)
	s.requests = tel.Counter("leat_http_requests_total", "Requests by status class.", "class")
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      10 * time.Minute, // a query may take its time, a client may not hold on for ever
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(tel.Log().Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Route is a registered route.
type Route struct {
	Pattern string // in the pattern language of net/http
	Open    bool   // anybody may call it, without a key
}

// Routes lists what was registered, in that order: the whole of what the
// server can be asked.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// Handle registers a route that asks for a principal, in the pattern language
// of net/http.
func (s *Server) Handle(pattern string, h http.Handler) {
	s.HandleAs(pattern, h, WriteProblem)
}

// HandleAs is Handle for a protocol that has errors of its own shape: refuse
// answers who is not known.
func (s *Server) HandleAs(pattern string, h http.Handler, refuse func(http.ResponseWriter, error)) {
	s.HandleRefused(pattern, h, func(w http.ResponseWriter, _ *http.Request, err error) { refuse(w, err) })
}

// HandleRefused is HandleAs for a protocol whose answer to who is not known
// depends on what was asked.
func (s *Server) HandleRefused(pattern string, h http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) {
	s.routes = append(s.routes, Route{Pattern: pattern})
	s.mux.Handle(pattern, s.authenticated(h, refuse))
}

// HandleLarge is Handle for a route that takes bodies of up to limit bytes,
// more than the others do. Its handler reads them as a stream, and bounds the
// time of that itself.
func (s *Server) HandleLarge(pattern string, limit int64, h http.Handler) {
	s.large[pattern] = limit
	s.Handle(pattern, h)
}

// HandleOpen registers a route that anybody may call: health, and nothing
// that tells of data.
func (s *Server) HandleOpen(pattern string, h http.Handler) {
	s.routes = append(s.routes, Route{Pattern: pattern, Open: true})
	s.mux.Handle(pattern, h)
}

// Handler is the whole server as a handler, for tests and in-process clients.
func (s *Server) Handler() http.Handler {
	return s.guarded(s.counted(s.traced(s.bounded(unhurried(s.mux)))))
}

// Start listens, and serves until Stop. It returns once connections are
// accepted.
func (s *Server) Start(ctx context.Context) error {
	if err := s.loadCertificate(); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return fault.New(fault.Unavailable, "cannot listen on %s", s.config.Listen).Because(err).
			Hint("stop what uses the port, or choose another with --listen host:port")
	}
	s.listener = netutil.LimitListener(l, s.config.Connections)
	go s.serve()
	return nil
}

// loadCertificate reads the files of TLS before anybody can connect: what is
// wrong with them is told to who starts the server, not to its first client.
func (s *Server) loadCertificate() error {
	t, err := s.config.certificate()
	s.http.TLSConfig = t
	return err
}

// certificate reads the files of TLS; nil without any.
func (c Config) certificate() (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the TLS certificate %s with the key %s cannot be used", c.CertFile, c.KeyFile).Because(err).
			Hint("both are PEM files, and the key is the certificate's")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (s *Server) serve() {
	defer close(s.done)
	var err error
	if s.config.CertFile != "" {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		s.tel.Log().Error("the server stopped", "error", err)
	}
}

// URL is the address that clients use, once started.
func (s *Server) URL() string {
	scheme := "http"
	if s.config.CertFile != "" {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String()
}

// Done is closed when the server no longer serves.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop accepts no more, waits for the requests under way until ctx ends, and
// closes. It is safe to call twice and without Start.
func (s *Server) Stop(ctx context.Context) (err error) {
	s.stop.Do(func() {
		if s.listener == nil {
			return
		}
		if err = s.http.Shutdown(ctx); err != nil {
			err = fault.Wrap(s.http.Close(), fault.Internal, "requests were cut off")
		}
		<-s.done
	})
	return err
}
