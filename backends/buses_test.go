package backends_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/bus"
)

func buses(t *testing.T, allowed string, brokers ...string) (*backends.Buses, string) {
	t.Helper()
	policy, err := egress.Parse(allowed)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "bus")
	secrets := func(_ context.Context, reference string) (string, error) {
		if reference != "env:TOKEN" {
			return "", fault.New(fault.NotFound, "no secret is called %s", reference)
		}
		return "only-for-tests", nil
	}
	b, err := backends.NewBuses(backends.BusConfig{Brokers: brokers, Folder: folder, Policy: policy, Secret: secrets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, folder
}

// through writes an event to an address and reads it from there.
func through(t *testing.T, b *backends.Buses, address string, o backends.BusOptions) {
	t.Helper()
	opened, topic, err := b.Bus(t.Context(), address, o)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	defer opened.Close()
	w, err := opened.Writer(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), []bus.Event{{ID: "1", Body: []byte("hello")}}); err != nil {
		t.Fatal(err)
	}
	r, err := opened.Reader(t.Context(), topic, bus.ReadOptions{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if events, err := r.Next(ctx, 1); err != nil || string(events[0].Body) != "hello" {
		t.Errorf("%s: %v came, %v", address, events, err)
	}
}

func TestEmbeddedBusStartsWhenItIsNeeded(t *testing.T) {
	b, folder := buses(t, "")
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("a server without streams has a folder for them: %v", err)
	}
	through(t, b, "nats://orders.new", backends.BusOptions{Options: map[string]string{"partitions": "3", "sasl": "of another bus", "group": "mine"}})
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Bus(t.Context(), "nats://orders.new", backends.BusOptions{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("closed buses open: %v", err)
	}
}

func TestBrokersElsewhere(t *testing.T) {
	server := testserver.NATS(t, "--auth", "only-for-tests")
	address := "nats://" + server.Address
	private, _ := buses(t, "", address+"?secret=env:TOKEN")
	if _, _, err := private.Bus(t.Context(), "nats://orders", backends.BusOptions{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a broker at a private address was answered by %v", err)
	}
	allowed, folder := buses(t, "127.0.0.1", address+"?secret=env:TOKEN")
	through(t, allowed, "nats://orders", backends.BusOptions{})
	through(t, allowed, address+"/others", backends.BusOptions{Secret: "env:TOKEN"})
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Error("the bus within the process started, though another is configured")
	}
	unknown, _ := buses(t, "127.0.0.1", address)
	if _, _, err := unknown.Bus(t.Context(), "nats://orders", backends.BusOptions{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a client without a secret was answered by %v", err)
	}
	if _, _, err := allowed.Bus(t.Context(), "nats://198.51.100.7:4222/x?tls=false", backends.BusOptions{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a public broker without TLS was answered by %v", err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, brokers := range [][]string{
		{"redis://host"}, {"nats://topic"}, {"nats://a:1", "embedded"}, {"nats://user:password@host:4222"}, {"embedded?sync=soon"},
		{"embedded?listen=0.0.0.0:4222"}, {"embedded?replicas=3"}, {"embedded?what=1"}, {"kafka://host:9092/topic"}, {"nats://host:1?%zz"},
	} {
		if _, err := backends.NewBuses(backends.BusConfig{Brokers: brokers}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q was answered by %v", brokers, err)
		}
	}
	b, _ := buses(t, "")
	for address, kind := range map[string]fault.Kind{
		"kafka://orders": fault.Invalid, "smoke://orders": fault.Unsupported, "nats://": fault.Invalid,
		"nats://orders?partitions=x": fault.Invalid, "nats://a..b": fault.Invalid,
	} {
		opened, topic, err := b.Bus(t.Context(), address, backends.BusOptions{})
		if err == nil {
			_, err = opened.Writer(t.Context(), topic)
			_ = opened.Close()
		}
		if !fault.Is(err, kind) {
			t.Errorf("%s was answered by %v", address, err)
		}
	}
	if _, _, err := b.Bus(t.Context(), "nats://orders", backends.BusOptions{Options: map[string]string{"partitoins": "3"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a misspelt option was answered by %v", err)
	}
}
