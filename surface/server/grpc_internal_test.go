package server

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leat-ai/leat/base/telemetry"
)

// TestMessagesArriveInTime: a call whose message does not come is ended, one
// that is worked on for longer is not.
func TestMessagesArriveInTime(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{}, nil, tel)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGRPC(s, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.reading = 50 * time.Millisecond
	g.Handle(grpc.ServiceDesc{ServiceName: "test.Slow", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Work", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(new(wrapperspb.StringValue)); err != nil {
				return nil, err
			}
			select {
			case <-time.After(4 * g.reading):
				return wrapperspb.String("done"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}}}, struct{}{})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Stop(context.Background()) })
	c, err := grpc.NewClient(g.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Invoke(t.Context(), "/test.Slow/Work", wrapperspb.String(""), new(wrapperspb.StringValue)); err != nil {
		t.Errorf("a call that takes long: %v", err)
	}
	silent, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/test.Slow/Work")
	if err != nil {
		t.Fatal(err)
	}
	if err := silent.RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a call without a message: %v", err)
	}
}
