package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // messages that clients packed
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/guard/identity"
)

// GRPC is the listener of gRPC beside the HTTP server of the same process. A
// call passes what a request passes: the same keys and principals, the same
// bounds, counts and traces; a panic behind it is an answer too. Services are
// added with Handle before Start. grpc.health.v1.Health is there by itself.
//
// Who calls is known before a message of theirs is read.
type GRPC struct {
	server   *Server
	listen   string
	grpc     *grpc.Server
	health   *health.Server
	open     map[string]bool // full names of methods that need no key
	streams  map[string]bool // full names of methods that go on
	listener net.Listener
	reading  time.Duration // that a message may take to arrive
	calls    [codes.Unauthenticated + 1]telemetry.BoundCounter
	working  atomic.Int64 // calls and messages of streams that are worked on
	taken    chan struct{}
	done     chan struct{}
	stop     sync.Once
}

// Bounds of gRPC that HTTP has no like of.
const (
	streamsEach  = 128              // calls at one time over one connection
	reading      = 60 * time.Second // a message may take to arrive, as in HTTP
	headerBytes  = 64 << 10
	handshake    = 10 * time.Second
	idleFor      = 5 * time.Minute // a connection without calls
	pingEach     = time.Minute
	pingWithin   = 20 * time.Second
	pingsAllowed = 10 * time.Second // between two pings of a client
	lastWords    = 200 * time.Millisecond
)

// NewGRPC returns a listener that does not listen yet. What may be listened on
// is what s's Config allows.
func NewGRPC(s *Server, listen string) (*GRPC, error) {
	c := s.config
	c.Listen = listen
	if err := c.Validate(); err != nil {
		return nil, err
	}
	g := &GRPC{
		server: s, listen: listen, open: map[string]bool{}, streams: map[string]bool{},
		health: health.NewServer(), reading: reading, taken: make(chan struct{}, c.Connections), done: make(chan struct{}),
	}
	counter := s.tel.Counter("leat_grpc_requests_total", "Calls by the name of their status.", "code")
	for code := range g.calls {
		g.calls[code] = counter.With(codes.Code(code).String())
	}
	options, err := g.options(c)
	if err != nil {
		return nil, err
	}
	g.grpc = grpc.NewServer(options...)
	g.Handle(healthpb.Health_ServiceDesc, g.health, "Check", "List", "Watch")
	return g, nil
}

func (g *GRPC) options(c Config) ([]grpc.ServerOption, error) {
	options := []grpc.ServerOption{
		grpc.InTapHandle(g.arrived),
		grpc.MaxRecvMsgSize(int(c.MaxBody)),
		grpc.MaxConcurrentStreams(streamsEach),
		grpc.MaxHeaderListSize(headerBytes),
		grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleFor, Time: pingEach, Timeout: pingWithin}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsAllowed, PermitWithoutStream: true}),
		// A goroutine that is used again has the stack that the way of a request
		// needs; to grow it each time would be a third of a call.
		grpc.NumStreamWorkers(uint32(4 * runtime.GOMAXPROCS(0))),
	}
	t, err := c.certificate()
	if t != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(t)))
	}
	return options, err
}

// Handle adds a service. open names methods that anybody may call: health, and
// nothing that tells of data.
func (g *GRPC) Handle(service grpc.ServiceDesc, impl any, open ...string) {
	for _, method := range open {
		g.open["/"+service.ServiceName+"/"+method] = true
	}
	var all []grpc.StreamDesc
	for _, s := range service.Streams {
		g.streams["/"+service.ServiceName+"/"+s.StreamName] = true
		s.Handler = g.guarded("/"+service.ServiceName+"/"+s.StreamName, s.Handler)
		all = append(all, s)
	}
	for _, m := range service.Methods {
		s := single(m)
		s.Handler = g.guarded("/"+service.ServiceName+"/"+m.MethodName, s.Handler)
		all = append(all, s)
	}
	service.Streams, service.Methods = all, nil
	g.grpc.RegisterService(&service, impl)
	g.health.SetServingStatus(service.ServiceName, healthpb.HealthCheckResponse_SERVING)
}

// single makes a method of one message and one answer a stream of these: on
// the wire they are the same, and the library reads the message of a stream
// only when it is asked to, which is once the caller is known.
func single(m grpc.MethodDesc) grpc.StreamDesc {
	return grpc.StreamDesc{StreamName: m.MethodName, Handler: func(impl any, s grpc.ServerStream) error {
		answer, err := m.Handler(impl, s.Context(), func(message any) error {
			err := s.RecvMsg(message)
			if err == io.EOF {
				return fault.New(fault.Invalid, "the call has no message")
			}
			return err
		}, nil)
		if err != nil {
			return err
		}
		return s.SendMsg(answer)
	}}
}

// Methods lists the full names of what can be called, and whether anybody may.
func (g *GRPC) Methods() map[string]bool {
	methods := map[string]bool{}
	for service, info := range g.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			name := "/" + service + "/" + m.Name
			methods[name] = g.open[name]
		}
	}
	return methods
}

// arrival is the context of a call whose message has a time to arrive. How long
// the call then takes is not for it to say, as a deadline would.
type arrival struct {
	context.Context
	timer *time.Timer
	late  atomic.Bool
	end   context.CancelFunc
}

// Err is that of a deadline when the message was late: the library tells it to
// the caller.
func (a *arrival) Err() error {
	if a.late.Load() {
		return context.DeadlineExceeded
	}
	return a.Context.Err()
}

type arrivalKey struct{}

// arrived is told of each call before anything else. One that is no stream has
// its message within a time; call ends what is begun here.
func (g *GRPC) arrived(ctx context.Context, info *tap.Info) (context.Context, error) {
	if g.streams[info.FullMethodName] {
		return ctx, nil
	}
	a := &arrival{}
	a.Context, a.end = context.WithCancel(ctx)
	a.timer = time.AfterFunc(g.reading, func() { a.late.Store(true); a.end() })
	return context.WithValue(a, arrivalKey{}, a), nil
}

// close ends the wait for a message.
func (a *arrival) close() {
	if a != nil {
		a.timer.Stop()
		a.end()
	}
}

// guarded is a method behind what every call passes. The library has a place
// for this, an interceptor, but does not call it for every kind of method; a
// method that is its own guard cannot be reached around it.
func (g *GRPC) guarded(method string, next grpc.StreamHandler) grpc.StreamHandler {
	return func(impl any, s grpc.ServerStream) error { return g.call(method, impl, s, next) }
}

func (g *GRPC) call(method string, impl any, s grpc.ServerStream, next grpc.StreamHandler) (err error) {
	ctx := s.Context()
	wait, _ := ctx.Value(arrivalKey{}).(*arrival)
	defer wait.close()
	ctx, traced := g.traced(ctx, method)
	defer func() {
		if p := recover(); p != nil {
			g.server.tel.Log().Error("a call panicked", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "something went wrong inside the server").Hint("the server's log has the details")
		}
		traced(err)
		if wait := retryAfter(err); wait > 0 {
			s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", fmt.Sprint(wait.Milliseconds())))
		}
		err = statusOf(err)
		g.calls[min(status.Code(err), codes.Unauthenticated)].Add(1)
	}()
	select {
	case g.taken <- struct{}{}:
		defer func() { <-g.taken }()
	default:
		return fault.New(fault.Overloaded, "more than %d calls at the same time", cap(g.taken))
	}
	p, err := g.caller(ctx, g.open[method])
	if err != nil {
		return err
	}
	w := &working{ServerStream: s, ctx: identity.With(ctx, p), of: &g.working, wait: wait}
	defer w.rest()
	return next(impl, w)
}

// caller says who calls, as Server.principal does of a request.
func (g *GRPC) caller(ctx context.Context, open bool) (identity.Principal, error) {
	if err := g.server.addressed(header(ctx, ":authority")); err != nil {
		return identity.Principal{}, err
	}
	if open {
		return identity.Principal{}, nil
	}
	return g.server.authenticate(ctx, header(ctx, "authorization"), header(ctx, "api-key"))
}

// header is a value of the metadata that came with a call.
func header(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// traced begins the span of a call, in the trace that the caller began.
func (g *GRPC) traced(ctx context.Context, method string) (context.Context, func(error)) {
	if !g.server.tel.Tracing() {
		return ctx, func(error) {}
	}
	h := http.Header{}
	for _, name := range []string{"Traceparent", "Tracestate"} {
		if v := header(ctx, strings.ToLower(name)); v != "" {
			h.Set(name, v)
		}
	}
	return g.server.tel.Span(g.server.tel.Remote(ctx, h), method)
}

// working is a call that says when it waits for a message: a stream that does
// is idle.
type working struct {
	grpc.ServerStream
	ctx  context.Context //nolint:containedctx // the library's interface asks for it
	of   *atomic.Int64
	busy bool
	wait *arrival // nil for a stream
}

// Context carries the principal.
func (w *working) Context() context.Context { return w.ctx }

// RecvMsg waits for the next message.
func (w *working) RecvMsg(m any) error {
	w.rest()
	err := w.ServerStream.RecvMsg(m)
	if err == nil {
		w.busy = true
		w.of.Add(1)
		if w.wait != nil {
			w.wait.timer.Stop()
		}
	}
	return err
}

func (w *working) rest() {
	if w.busy {
		w.busy = false
		w.of.Add(-1)
	}
}

// Start listens, and serves until Stop. It returns once connections are
// accepted.
func (g *GRPC) Start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", g.listen)
	if err != nil {
		return fault.New(fault.Unavailable, "cannot listen on %s for gRPC", g.listen).Because(err).
			Hint("stop what uses the port, choose another with --grpc host:port, or none with --grpc off")
	}
	g.listener = netutil.LimitListener(l, g.server.config.Connections)
	go func() {
		defer close(g.done)
		if err := g.grpc.Serve(g.listener); err != nil {
			g.server.tel.Log().Error("gRPC stopped", "error", err)
		}
	}()
	return nil
}

// Address is host:port of the listener, once started.
func (g *GRPC) Address() string { return g.listener.Addr().String() }

// Stop accepts no more, waits for what is worked on until ctx ends, and
// closes. A stream on which nothing is worked is cut off. It is safe to call
// twice and without Start.
func (g *GRPC) Stop(ctx context.Context) error {
	g.stop.Do(func() {
		if g.listener == nil {
			g.grpc.Stop()
			return
		}
		g.health.Shutdown()
		graceful := make(chan struct{})
		go func() { g.grpc.GracefulStop(); close(graceful) }()
		g.drain(ctx, graceful)
		g.grpc.Stop()
		<-graceful
		<-g.done
	})
	return nil
}

// drain returns when all calls have ended, or nothing but idle streams is
// left, or ctx ends.
func (g *GRPC) drain(ctx context.Context, graceful <-chan struct{}) {
	ticker := time.NewTicker(lastWords / 10)
	defer ticker.Stop()
	idle := time.Duration(0)
	for idle < lastWords {
		select {
		case <-graceful:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if idle += lastWords / 10; g.working.Load() > 0 {
			idle = 0
		}
	}
}

// statusOf is an error as gRPC tells it. What the library itself found keeps
// its status.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	_, one := errors.AsType[*fault.Error](err)
	_, many := errors.AsType[*fault.Many](err)
	if s, ok := status.FromError(err); ok && !one && !many {
		return s.Err()
	}
	return status.Error(codes.Code(fault.KindOf(err).GRPC()), Sentence(err))
}
