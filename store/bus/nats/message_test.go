package nats

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// text draws what may stand in a header's value and comes back: no edge of
// white space.
func text(t *rapid.T, label string) string {
	return strings.TrimSpace(rapid.StringMatching(`[ -~äß世]{0,40}`).Draw(t, label))
}

func TestMessagesKeepTheirEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := bus.Event{
			ID:   rapid.String().Draw(t, "id"),
			Key:  rapid.SliceOf(rapid.Byte()).Draw(t, "key"),
			Body: rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
			Time: time.Unix(0, rapid.Int64Range(0, 1<<61).Draw(t, "time")).UTC(),
		}
		names := rapid.SliceOfDistinct(rapid.StringMatching(`[A-Za-z][A-Za-z0-9_-]{0,20}`), strings.ToLower).Draw(t, "headers")
		for _, name := range names {
			if !reserved(name) {
				e.Headers = append(e.Headers, bus.Header{Name: name, Value: text(t, name)})
			}
		}
		m, err := message(&e, "topic", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range m.Header {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n") || strings.ContainsAny(name, "\r\n:") {
					t.Fatalf("the header %q: %q would be two", name, v)
				}
			}
		}
		got := event(m, place{sequence: 7})
		if got.ID != e.ID || string(got.Key) != string(e.Key) || string(got.Body) != string(e.Body) || !got.Time.Equal(e.Time) || got.Offset != 7 {
			t.Fatalf("%+v came as %+v", e, got)
		}
		for _, h := range e.Headers {
			if got.Header(h.Name) != h.Value {
				t.Fatalf("the header %s: %q came as %q", h.Name, h.Value, got.Header(h.Name))
			}
		}
		if len(got.Headers) != len(e.Headers) {
			t.Fatalf("%d headers came as %d", len(e.Headers), len(got.Headers))
		}
	})
}

// TestHeadersOfTheServer does not let an event's headers command the server.
func TestHeadersOfTheServer(t *testing.T) {
	e := bus.Event{ID: "id", Headers: []bus.Header{{Name: "Nats-Rollup", Value: "all"}, {Name: "nats-msg-id", Value: "other"}, {Name: "LEAT-KEY", Value: "k"}, {Name: "fine", Value: "v"}}}
	m, err := message(&e, "topic", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Header) != 2 || m.Header.Get(headerID) != "id" || m.Header.Get("fine") != "v" {
		t.Errorf("the message has the headers %v", m.Header)
	}
}

func TestWhatIsTooLargeIsNotPublished(t *testing.T) {
	for name, e := range map[string]bus.Event{
		"body":    {Body: make([]byte, 2000)},
		"headers": {Headers: []bus.Header{{Name: "x", Value: strings.Repeat("y", 1<<16)}}},
		"key":     {Key: make([]byte, 1<<16)},
	} {
		limit := int64(1000)
		if name != "body" {
			limit = 1 << 20
		}
		if _, err := message(&e, "topic", limit); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhere(t *testing.T) {
	want := place{delivered: 1, sequence: 22, consumed: 3, nanos: 1700000000000000000, pending: 5}
	for _, reply := range []string{
		"$JS.ACK.stream.consumer.1.22.3.1700000000000000000.5",
		"$JS.ACK.domain.hash.stream.consumer.1.22.3.1700000000000000000.5",
		"$JS.ACK._.hash.stream.consumer.1.22.3.1700000000000000000.5.random",
	} {
		if got, ok := where(&nats.Msg{Reply: reply}); !ok || got != want {
			t.Errorf("%s is %+v", reply, got)
		}
	}
	for _, reply := range []string{"", "$JS.ACK", "_INBOX.a.b.c.d.e.f.g.h", "$JS.ACK.s.c.x.22.3.4.5", "$JS.ACK.s.c.1.22.3.4"} {
		if got, ok := where(&nats.Msg{Reply: reply}); ok {
			t.Errorf("%q is said to be %+v", reply, got)
		}
	}
}

func FuzzWhere(f *testing.F) {
	f.Add("$JS.ACK.stream.consumer.1.22.3.1700000000000000000.5")
	f.Fuzz(func(_ *testing.T, reply string) { where(&nats.Msg{Reply: reply}) })
}

func TestTopicNames(t *testing.T) {
	for _, name := range []string{"a", "orders.new", "ü.b", "a_b-c", "orders/new"} {
		if err := checkTopic(name, false); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\nb", "$JS.API.x", "_INBOX.x", "a.*", "a.>", ">", strings.Repeat("a", 201)} {
		if err := checkTopic(name, false); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := checkTopic("a.*.>", true); err != nil {
		t.Error(err)
	}
	seen := map[string]string{}
	for _, name := range []string{"a.b", "a-b", "a_b", "a=2db", "ab", "a/b", "A.b"} {
		stream := streamName(name)
		if other, twice := seen[stream]; twice || strings.ContainsAny(stream, ".*> /\\") {
			t.Errorf("%q and %q have the stream %q", name, other, stream)
		}
		seen[stream] = name
	}
}

// TestPartitionsAsTheServerMaps puts keys where the server's subject mapping
// {{partition(n,1)}} does.
func TestPartitionsAsTheServerMaps(t *testing.T) {
	three := &topic{name: "t", partitions: 3}
	if got := three.choose([]byte("0"), 9); got != int(890022063%3) { // FNV-1a of "0" is 0x350ca8af
		t.Errorf("the key 0 is in partition %d", got)
	}
	for p := range 3 {
		if three.partitionOf(three.subject(p)) != p {
			t.Errorf("partition %d is read as %d", p, three.partitionOf(three.subject(p)))
		}
	}
	for _, subject := range []string{"t", "t.7", "t.x", "t."} {
		if n := three.partitionOf(subject); n != 0 {
			t.Errorf("%q is in partition %d", subject, n)
		}
	}
}
