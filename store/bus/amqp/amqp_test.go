package amqp_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/amqp"
	"github.com/leat-ai/leat/store/bus/bustest"
)

func open(t testing.TB, s *testserver.RabbitMQServer, secret string) *amqp.Bus {
	t.Helper()
	b, err := amqp.Open(t.Context(), amqp.Config{Server: s.Address, Secret: func(context.Context) (string, error) { return secret, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	s := testserver.RabbitMQ(t)
	bustest.Run(t, bustest.Options{
		Open: func(t *testing.T) bus.Bus { return open(t, s, s.Secret) },
		Restart: func(*testing.T) { // the broker ends with the whole test
			s.Stop(t)
			time.Sleep(200 * time.Millisecond)
			s.Start(t)
		},
		NoLag: true, // AMQP does not tell
	})
}

// TestKept: what was accepted for nobody yet is there when the broker comes
// back, though the queue was made by the writer that named it.
func TestKept(t *testing.T) {
	s := testserver.RabbitMQ(t)
	b := open(t, s, s.Secret)
	w, err := b.Writer(t.Context(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), make([]bus.Event, 30)); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	s.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var r bus.Reader
	for r == nil {
		if r, err = b.Reader(ctx, "kept", bus.ReadOptions{}); err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 30; {
		events, err := r.Next(ctx, 100)
		if err != nil && ctx.Err() != nil {
			t.Fatalf("%d of 30 events were kept: %v", n, err)
		}
		n += len(events)
	}
}

// TestSlowWay: a reader whose calls each wait shorter than a connection takes
// comes back all the same.
func TestSlowWay(t *testing.T) {
	s := testserver.RabbitMQ(t)
	var dials atomic.Int32
	conns := make(chan net.Conn, 10)
	b, err := amqp.Open(t.Context(), amqp.Config{
		Server: s.Address, Secret: func(context.Context) (string, error) { return s.Secret, nil },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				select {
				case <-time.After(400 * time.Millisecond):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				conns <- conn
			}
			return conn, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, err := b.Reader(t.Context(), "far", bus.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = (<-conns).Close()
	w, err := b.Writer(t.Context(), "far")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), make([]bus.Event, 1)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		events, err := r.Next(ctx, 10)
		cancel()
		if len(events) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the reader connected %d times and read nothing: %v", dials.Load()-2, err)
		}
	}
}

func TestLetIn(t *testing.T) {
	s := testserver.RabbitMQ(t)
	for _, secret := range []string{"guest:wrong", "guest"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := open(t, s, secret).Reader(ctx, "q", bus.ReadOptions{})
		cancel()
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

// TestInflight: no more than so many messages are not settled.
func TestInflight(t *testing.T) {
	s := testserver.RabbitMQ(t)
	b, err := amqp.Open(t.Context(), amqp.Config{Server: s.Address, Inflight: 10, Secret: func(context.Context) (string, error) { return s.Secret, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w, err := b.Writer(t.Context(), "bounded")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), make([]bus.Event, 30)); err != nil {
		t.Fatal(err)
	}
	r, err := b.Reader(t.Context(), "bounded", bus.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []bus.Event
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		events, err := r.Next(ctx, 100)
		cancel()
		if err != nil {
			break
		}
		got = append(got, events...)
	}
	if len(got) != 10 {
		t.Fatalf("%d are not settled", len(got))
	}
	for len(got) < 30 {
		if err := r.Ack(t.Context(), got[len(got)-1:]); err != nil {
			t.Fatal(err)
		}
		events, err := r.Next(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
	}
}
