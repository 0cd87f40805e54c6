package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

// text is the message of every method.
type text = wrapperspb.StringValue

// door is a service whose methods do what their names say.
type door struct{ read, wait chan struct{} }

func (d *door) desc() grpc.ServiceDesc {
	method := func(name string, do func(ctx context.Context, said string) (string, error)) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(text)
			if err := decode(in); err != nil {
				return nil, err
			}
			d.read <- struct{}{}
			out, err := do(ctx, in.GetValue())
			return wrapperspb.String(out), err
		}}
	}
	who := func(ctx context.Context, _ string) (string, error) {
		p, _ := identity.From(ctx)
		return p.Name, nil
	}
	return grpc.ServiceDesc{ServiceName: "test.Door", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		method("Who", who), method("Open", who),
		method("Panic", func(context.Context, string) (string, error) { panic("the password is hunter2") }),
		method("Fail", func(context.Context, string) (string, error) {
			return "", fault.New(fault.Limited, "too fast").Hint("slow down")
		}),
		method("Wait", func(ctx context.Context, _ string) (string, error) {
			select {
			case <-d.wait:
				return "done", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}),
	}, Streams: []grpc.StreamDesc{{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
		for {
			in := new(text)
			if err := s.RecvMsg(in); err != nil {
				if err == io.EOF {
					return nil
				}
				return err
			}
			if err := s.SendMsg(in); err != nil {
				return err
			}
		}
	}}}}
}

// opened is a door that listens.
func opened(t *testing.T, c server.Config) (*server.GRPC, *door, *telemetry.Telemetry) {
	t.Helper()
	s, tel := made(t, c)
	g, err := server.NewGRPC(s, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{read: make(chan struct{}, 1000), wait: make(chan struct{})}
	g.Handle(d.desc(), struct{}{}, "Open")
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Stop(context.Background()) })
	return g, d, tel
}

func dial(t *testing.T, g *server.GRPC, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	c, err := grpc.NewClient(g.Address(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func call(ctx context.Context, c *grpc.ClientConn, method, said string, pairs ...string) (string, error) {
	out := new(text)
	err := c.Invoke(metadata.AppendToOutgoingContext(ctx, pairs...), "/test.Door/"+method, wrapperspb.String(said), out)
	return out.GetValue(), err
}

func TestCallsNeedKeys(t *testing.T) {
	g, d, _ := opened(t, server.Config{Auth: server.AuthKeys})
	c := dial(t, g)
	for method := range g.Methods() {
		if !strings.HasPrefix(method, "/test.Door/") {
			continue
		}
		for _, pairs := range [][]string{nil, {"authorization", "Bearer leat_bad"}, {"authorization", "Basic leat_good"}, {"api-key", "x"}} {
			s, err := c.NewStream(metadata.AppendToOutgoingContext(t.Context(), pairs...), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
			if err == nil && method == "/test.Door/Open" {
				err = s.CloseSend()
			}
			if err == nil {
				err = s.RecvMsg(new(text)) // without a message: who asks is known before one is read
			}
			if want := method == "/test.Door/Open"; want == (status.Code(err) == codes.Unauthenticated) {
				t.Errorf("%s with %v: %v", method, pairs, err)
			}
			if method == "/test.Door/Open" {
				break
			}
		}
	}
	for _, pairs := range [][]string{{"authorization", "Bearer leat_good"}, {"api-key", "leat_good"}} {
		if who, err := call(t.Context(), c, "Who", "", pairs...); err != nil || who != "ada" {
			t.Errorf("%v: %q, %v", pairs, who, err)
		}
	}
	if len(d.read) != 2 {
		t.Errorf("%d messages were read", len(d.read))
	}
	h := healthpb.NewHealthClient(c)
	if r, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "test.Door"}); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", r, err)
	}
}

func TestCallsWithoutKeysAreLocal(t *testing.T) {
	g, _, _ := opened(t, server.Config{})
	if who, err := call(t.Context(), dial(t, g), "Who", ""); err != nil || who != identity.Local().Name {
		t.Errorf("%q, %v", who, err)
	}
	if _, err := call(t.Context(), dial(t, g, grpc.WithAuthority("evil.example")), "Who", ""); status.Code(err) != codes.PermissionDenied {
		t.Errorf("by a name of somebody else: %v", err)
	}
	s, _ := made(t, server.Config{})
	if _, err := server.NewGRPC(s, "0.0.0.0:0"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("reachable by others without keys: %v", err)
	}
}

func TestCallsThatFail(t *testing.T) {
	g, _, tel := opened(t, server.Config{MaxBody: 1 << 16})
	c := dial(t, g)
	for method, want := range map[string]struct {
		code codes.Code
		text string
	}{
		"Panic": {codes.Internal, "something went wrong inside the server (the server's log has the details)"},
		"Fail":  {codes.ResourceExhausted, "too fast (slow down)"},
		"None":  {codes.Unimplemented, ""},
	} {
		_, err := call(t.Context(), c, method, "")
		if s := status.Convert(err); s.Code() != want.code || want.text != "" && s.Message() != want.text {
			t.Errorf("%s: %v", method, err)
		}
	}
	if _, err := call(t.Context(), c, "Who", strings.Repeat("x", 1<<17)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large message: %v", err)
	}
	packed := dial(t, g, grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	if _, err := call(t.Context(), packed, "Who", strings.Repeat("x", 1<<17)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large message that is small on its way: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, c, "Wait", ""); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the deadline: %v", err)
	}
	if who, err := call(t.Context(), c, "Who", ""); err != nil || who == "" {
		t.Errorf("after the failures: %q, %v", who, err)
	}
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	for _, want := range []string{`leat_grpc_requests_total{code="Internal"} 1`, `leat_grpc_requests_total{code="ResourceExhausted"} 3`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestCallsAreBounded(t *testing.T) {
	g, d, _ := opened(t, server.Config{Connections: 2})
	c := dial(t, g)
	results := make(chan error, 2)
	for range 2 {
		go func() { _, err := call(t.Context(), c, "Wait", ""); results <- err }()
		<-d.read
	}
	if _, err := call(t.Context(), c, "Who", ""); status.Code(err) != codes.Unavailable {
		t.Errorf("a third call: %v", err)
	}
	close(d.wait)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestStopLetsCallsEnd: a call that is worked on is answered, a stream on which
// nothing is does not hold the server up.
func TestStopLetsCallsEnd(t *testing.T) {
	g, d, _ := opened(t, server.Config{})
	c := dial(t, g)
	chat, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Door/Chat")
	if err != nil {
		t.Fatal(err)
	}
	if err := chat.SendMsg(wrapperspb.String("hello")); err != nil {
		t.Fatal(err)
	}
	if out := new(text); chat.RecvMsg(out) != nil || out.GetValue() != "hello" {
		t.Fatal("the stream does not echo")
	}
	waited := make(chan error, 1)
	go func() { _, err := call(t.Context(), c, "Wait", ""); waited <- err }()
	<-d.read
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop(t.Context()) }()
	select {
	case <-stopped:
		t.Fatal("it stopped while a call was worked on")
	case <-time.After(300 * time.Millisecond):
	}
	close(d.wait)
	if err := <-waited; err != nil {
		t.Errorf("the call that was worked on: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := chat.RecvMsg(new(text)); err == nil {
		t.Error("the stream goes on")
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestGRPCOverTLS(t *testing.T) {
	cert, key := certificate(t, t.TempDir())
	g, _, _ := opened(t, server.Config{CertFile: cert, KeyFile: key})
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	if _, err := call(t.Context(), dial(t, g, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots}))), "Who", ""); err != nil {
		t.Error(err)
	}
	if _, err := call(t.Context(), dial(t, g), "Who", ""); err == nil {
		t.Error("it answers without TLS")
	}
}

func TestGRPCPortInUse(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, _ := made(t, server.Config{})
	g, err := server.NewGRPC(s, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "--grpc") {
		t.Errorf("%v", err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
