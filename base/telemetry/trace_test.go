package telemetry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// sink is a collector of traces that remembers the names of spans.
type sink struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans map[string]string // name → trace id, in hex
}

func (s *sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				s.spans[span.Name] = string(span.TraceId)
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansReachACollectorInTheCallersTrace(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{spans: map[string]string{}}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	go server.Serve(l)
	defer server.Stop()

	ctx := context.Background()
	tel, err := New(ctx, Config{OTLP: "http://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Traceparent": {"00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01"}}
	spanCtx, end := tel.Span(tel.Remote(ctx, header), "request")
	_, endInner := tel.Span(spanCtx, "step")
	endInner(errors.New("broken"))
	end(nil)
	closing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := tel.Close(closing); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	want := "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	for _, name := range []string{"request", "step"} {
		if s.spans[name] != want {
			t.Errorf("span %q is in trace %x, want the caller's", name, s.spans[name])
		}
	}
}
