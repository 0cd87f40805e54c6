package nats_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/bustest"
	"github.com/leat-ai/leat/store/bus/nats"
)

func dial(t testing.TB, c nats.Config) bus.Bus {
	t.Helper()
	b, err := nats.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestServer is the suite against a server process, which takes messages of
// 1 MiB.
func TestServer(t *testing.T) {
	server := testserver.NATS(t)
	bustest.Run(t, bustest.Options{
		Open: func(t *testing.T) bus.Bus {
			return dial(t, nats.Config{Servers: []string{"nats://" + server.Address}, Topics: nats.Topics{Partitions: 3}})
		},
		Dedupes: true, MaxEvent: 1<<20 - 1024,
		Restart: func(*testing.T) { server.Restart(2 * time.Second) },
	})
}

// TestCluster is the suite against three nodes, of which one goes away under
// load and comes back.
func TestCluster(t *testing.T) {
	nodes := testserver.NATSCluster(t, 3)
	var servers []string
	for _, n := range nodes {
		servers = append(servers, "nats://"+n.Address)
	}
	config := nats.Config{Servers: servers, Topics: nats.Topics{Replicas: 3}}
	awaitLeader(t, config)
	bustest.Run(t, bustest.Options{
		Open:    func(t *testing.T) bus.Bus { return dial(t, config) },
		Dedupes: true, MaxEvent: 1<<20 - 1024,
		Restart: func(*testing.T) {
			for _, n := range nodes {
				n.Restart(time.Second)
			}
		},
	})
}

// awaitLeader waits until a cluster makes topics.
func awaitLeader(t *testing.T, c nats.Config) {
	t.Helper()
	b := dial(t, c)
	defer b.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := b.Writer(ctx, "first")
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the cluster has no leader: %v", err)
		}
	}
}

func write(t *testing.T, b bus.Bus, topic string, n int, prefix string) {
	t.Helper()
	w, err := b.Writer(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var events []bus.Event
	for i := range n {
		events = append(events, bus.Event{ID: fmt.Sprint(prefix, i), Body: fmt.Append(nil, prefix, i)})
	}
	if err := w.Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, r bus.Reader, n int) (events []bus.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(events) < n {
		batch, err := r.Next(ctx, n-len(events))
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(events), n, err)
		}
		events = append(events, batch...)
	}
	return events
}

// gapOf reads until a gap is told.
func gapOf(t *testing.T, r bus.Reader) *bus.Gap {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		events, err := r.Next(ctx, 10)
		if gap, ok := errors.AsType[*bus.Gap](err); ok {
			if !fault.Is(err, fault.Corrupt) {
				t.Errorf("the kind of %v is %s", err, fault.KindOf(err))
			}
			return gap
		}
		if err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		if len(events) > 0 {
			t.Fatalf("%q came instead of a gap", events[0].Body)
		}
	}
}

// TestWiped takes a server's data away while it is read and written.
func TestWiped(t *testing.T) {
	server := testserver.NATS(t)
	b := dial(t, nats.Config{Servers: []string{"nats://" + server.Address}})
	defer b.Close()
	write(t, b, "wiped", 50, "old")
	var known map[string]int64
	assigned := func(context.Context, []string) (map[string]int64, error) { return known, nil }
	r, err := b.Reader(t.Context(), "wiped", bus.ReadOptions{Group: "g", Assigned: assigned})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	events := read(t, r, 50)
	last := events[49]
	w, err := b.Writer(t.Context(), "wiped")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()

	server.Wipe()
	// The writer makes the topic anew; more goes there than was there before.
	var fresh []bus.Event
	for i := range 80 {
		fresh = append(fresh, bus.Event{ID: fmt.Sprint("new", i), Body: fmt.Append(nil, "new", i)})
	}
	until(t, func(ctx context.Context) error { return w.Write(ctx, fresh) })
	gap := gapOf(t, r)
	if !gap.Wiped || gap.Asked != last.Offset+1 || gap.Partition != last.Partition {
		t.Errorf("the gap is %+v; the last event was %s %d", *gap, last.Partition, last.Offset)
	}
	if again := gapOf(t, r); again != gap {
		t.Errorf("the second call tells another gap: %+v", *again)
	}

	// A reader that knows the offset of the old topic begins at the first event
	// of the new one.
	known = map[string]int64{last.Partition: last.Offset + 1}
	anew, err := b.Reader(t.Context(), "wiped", bus.ReadOptions{Group: "g", Assigned: assigned})
	if err != nil {
		t.Fatal(err)
	}
	defer anew.Close()
	if got := read(t, anew, 80); string(got[0].Body) != "new0" || got[0].Partition == last.Partition {
		t.Errorf("%q of %s came first", got[0].Body, got[0].Partition)
	}
	// And one that insists on the old partition is told.
	_, err = b.Reader(t.Context(), "wiped", bus.ReadOptions{Group: "g", Partitions: []string{last.Partition}})
	if gap, ok := errors.AsType[*bus.Gap](err); !ok || !gap.Wiped {
		t.Errorf("a reader of the old partition was answered by %v", err)
	}
}

func until(t *testing.T, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
			t.Fatal(err)
		}
	}
}

// TestBehind asks for what a topic never had, or has no longer.
func TestBehind(t *testing.T) {
	s := start(t, nats.ServerConfig{})
	b := open(t, s)
	defer b.Close()
	write(t, b, "short", 10, "e")
	at := func(offset int64) bus.ReadOptions {
		return bus.ReadOptions{Group: "g", Assigned: func(_ context.Context, p []string) (map[string]int64, error) {
			return map[string]int64{p[0]: offset}, nil
		}}
	}
	_, err := b.Reader(t.Context(), "short", at(12))
	if gap, ok := errors.AsType[*bus.Gap](err); !ok || gap.Asked != 12 || gap.First != 1 || gap.Last != 10 {
		t.Errorf("a reader from offset 12 was answered by %v", err)
	}
	r, err := b.Reader(t.Context(), "short", at(11))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, b, "short", 1, "later")
	if got := read(t, r, 1); got[0].Offset != 11 {
		t.Errorf("the offset %d came", got[0].Offset)
	}
}

// TestAway is what a bus says while its server is away.
func TestAway(t *testing.T) {
	server := testserver.NATS(t)
	b := dial(t, nats.Config{Servers: []string{"nats://" + server.Address}})
	defer b.Close()
	write(t, b, "away", 1, "e")
	w, err := b.Writer(t.Context(), "away")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.Write(ctx, []bus.Event{{ID: "x", Body: []byte("x")}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("writing to a server that is away: %v", err)
	}
	if _, err := b.Reader(ctx, "away", bus.ReadOptions{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("reading from a server that is away: %v", err)
	}
	if _, err := nats.Open(ctx, nats.Config{Servers: []string{"nats://" + server.Address}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("connecting to a server that is away: %v", err)
	}
	server.Start()
	until(t, func(ctx context.Context) error { return w.Write(ctx, []bus.Event{{ID: "x", Body: []byte("x")}}) })
}
