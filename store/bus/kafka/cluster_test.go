package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/kafka"
)

func cluster(t *testing.T, more ...kfake.Opt) []string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(3)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func administrator(t *testing.T, brokers []string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func write(t *testing.T, b bus.Bus, topic string, n int, prefix string) {
	t.Helper()
	w, err := b.Writer(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range n {
		if err := w.Write(t.Context(), []bus.Event{{ID: fmt.Sprint(prefix, i), Key: fmt.Append(nil, i), Body: fmt.Append(nil, prefix, i)}}); err != nil {
			t.Fatal(err)
		}
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

// TestMadeAnew deletes a topic that is read, and makes another of its name.
func TestMadeAnew(t *testing.T) {
	brokers := cluster(t)
	admin, b := administrator(t, brokers), open(t, brokers)
	defer b.Close()
	write(t, b, "again", 30, "old")
	r, err := b.Reader(t.Context(), "again", bus.ReadOptions{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	known := map[string]int64{}
	for _, e := range read(t, r, 30) {
		known[e.Partition] = e.Offset + 1
	}
	if _, err := admin.DeleteTopic(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
	write(t, b, "again", 60, "new")
	if gap := gapOf(t, r); !gap.Wiped || known[gap.Partition] != gap.Asked {
		t.Errorf("the gap is %+v", *gap)
	}
	assigned := func(context.Context, []string) (map[string]int64, error) { return known, nil }
	anew, err := b.Reader(t.Context(), "again", bus.ReadOptions{Group: "g2", Assigned: assigned})
	if err != nil {
		t.Fatal(err)
	}
	defer anew.Close()
	for _, e := range read(t, anew, 60) {
		if _, old := known[e.Partition]; old || string(e.Body[:3]) != "new" {
			t.Fatalf("%q came of %s", e.Body, e.Partition)
		}
	}
}

// TestTruncated removes the oldest events of a partition before they are read.
func TestTruncated(t *testing.T) {
	brokers := cluster(t)
	admin, b := administrator(t, brokers), open(t, brokers)
	defer b.Close()
	w, err := b.Writer(t.Context(), "cut")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var events []bus.Event
	for i := range 20 {
		events = append(events, bus.Event{Key: []byte("k"), Body: fmt.Append(nil, i)})
	}
	if err := w.Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	all, err := b.Reader(t.Context(), "cut", bus.ReadOptions{Group: "all"})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	first := read(t, all, 20)[0]
	number, _, _ := bus.Number(first.Partition)
	var cut kadm.Offsets
	cut.Add(kadm.Offset{Topic: "cut", Partition: int32(number), At: 10})
	if _, err := admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	for _, asked := range []int64{5, 99} {
		at := func(context.Context, []string) (map[string]int64, error) {
			return map[string]int64{first.Partition: asked}, nil
		}
		r, err := b.Reader(t.Context(), "cut", bus.ReadOptions{Group: fmt.Sprint("late", asked), Assigned: at})
		if err != nil {
			t.Fatal(err)
		}
		if gap := gapOf(t, r); gap.Wiped || gap.Asked != asked || gap.First != 10 || gap.Last != 19 || gap.Partition != first.Partition {
			t.Errorf("a reader from %d is told %+v", asked, *gap)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSecrets identifies itself in each way, and not.
func TestSecrets(t *testing.T) {
	brokers := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "leat", "right"), kfake.Superuser("PLAIN", "$ConnectionString", "Endpoint=sb://hub/;Key=a:b"),
		kfake.Superuser("SCRAM-SHA-256", "leat256", "right"), kfake.Superuser("SCRAM-SHA-512", "leat512", "right"))
	for _, c := range []struct {
		name, mechanism, secret string
		right                   bool
	}{
		{"plain", "", "leat:right\n", true},
		{"event hubs", "plain", "Endpoint=sb://hub/;Key=a:b", true},
		{"scram 256", "scram-sha-256", "leat256:right", true},
		{"scram 512", "scram-sha-512", "leat512:right", true},
		{"wrong password", "plain", "leat:wrong", false},
		{"wrong mechanism", "scram-sha-512", "leat:right", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			secret := func(context.Context) (string, error) { return c.secret, nil }
			b, err := kafka.Open(t.Context(), kafka.Config{Brokers: brokers, SASL: c.mechanism, Secret: secret})
			switch {
			case c.right && err != nil:
				t.Fatal(err)
			case c.right:
				write(t, b, "secret", 1, "e")
				_ = b.Close()
			case err == nil: // the broker within the process hangs up without a word
				t.Error("it was let in")
			}
		})
	}
}

// TestOpen is what it says of clusters that it cannot use.
func TestOpen(t *testing.T) {
	forbidden := func(context.Context, string, string) (net.Conn, error) {
		return nil, fault.New(fault.Forbidden, "this host may not be dialled")
	}
	if _, err := kafka.Open(t.Context(), kafka.Config{Brokers: []string{"198.51.100.7:9092"}, Dial: forbidden}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a host that is not allowed: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := kafka.Open(ctx, kafka.Config{Brokers: []string{"127.0.0.1:1"}}); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
		t.Errorf("a cluster that is away: %v", err)
	}
	for _, c := range []kafka.Config{{}, {Brokers: []string{"a:1"}, SASL: "magic"}, {Brokers: []string{"a:1"}, SASL: "plain"}, {Brokers: []string{"a:1"}, Topics: kafka.Topics{Partitions: -1}}} {
		if _, err := kafka.Open(t.Context(), c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	b := open(t, cluster(t))
	defer b.Close()
	for _, topic := range []string{"", "a/b", ".", "..", "a b", "a\n"} {
		if _, err := b.Writer(t.Context(), topic); !fault.Is(err, fault.Invalid) {
			t.Errorf("the topic %q: %v", topic, err)
		}
	}
}

// TestPartitionsAsJava puts keys where the Java client does: murmur2 of the
// key, without its sign, modulo the partitions.
func TestPartitionsAsJava(t *testing.T) {
	// murmur2 of these keys by the tests of Kafka's own client.
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "abc": 479470107} {
		brokers := cluster(t)
		b := open(t, brokers)
		w, err := b.Writer(t.Context(), "java")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(t.Context(), []bus.Event{{Key: []byte(key), Body: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		r, err := b.Reader(t.Context(), "java", bus.ReadOptions{Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		n, _, _ := bus.Number(read(t, r, 1)[0].Partition)
		if want := int(hash&0x7fffffff) % 5; n != want {
			t.Errorf("the key %s is in partition %d, not %d", key, n, want)
		}
		_ = b.Close()
	}
}
