// Package bustest is the suite that every bus passes. A backend's test starts
// its broker, says in Options what it promises, and calls Run.
//
// The cases are one list, in cases: those of every bus, those of logs and
// those of queues. What a transport cannot carry (a file has no headers, a
// webhook no reader to call again) is said in Options, one field each, and
// nothing is left out silently.
package bustest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Options say what the bus under test promises.
type Options struct {
	// Open returns a bus on the broker of the test: every call for the same t
	// or below it reaches the same topics. The suite closes it.
	Open func(t *testing.T) bus.Bus
	// Topic names a topic that nothing was written to yet, and makes it where
	// writing does not. nil: a name of letters and digits.
	Topic func(t *testing.T) string
	// Publish writes events where the bus itself does not write what it
	// reads, as with webhooks. nil: a Writer does.
	Publish func(t *testing.T, topic string, events []bus.Event)
	// Restart stops the broker, waits, and starts it with its data. nil: the
	// broker is no process of its own.
	Restart func(t *testing.T)

	NoKeys      bool // events come without keys, all in one order
	NoHeaders   bool // events come without headers
	NoTimes     bool // events come without the producer's time
	NoIDs       bool // events come without their producer's ID
	Dedupes     bool // an ID that was published already is suppressed
	Groups      bool // the broker shares partitions among readers of a group
	Ends        bool // topics end: Next returns io.EOF
	NoLag       bool // the broker does not tell how many events wait
	NoLatest    bool // a log that cannot be begun at Latest
	Resident    bool // the broker's events are in the memory of this process
	NoRedeliver bool // a queue whose unacknowledged events its sender keeps
	// MaxEvent is the largest body that the broker takes; 0: more than 10 MiB.
	MaxEvent int
}

// patience bounds how long anything may take. It is long because the machine
// may be busy.
const patience = 90 * time.Second

// suite is what a case has at hand.
type suite struct {
	Options
	topicNumber int
}

// testCase is one promise. only says which sort of bus makes it.
type testCase struct {
	name string
	run  func(*suite, *testing.T, bus.Bus)
	when bool
}

func (s *suite) cases(log bool) []testCase {
	return []testCase{
		{"what is written is read", (*suite).testRoundTrip, true},
		{"keys may be any bytes", (*suite).testKeys, !s.NoKeys},
		{"order is kept per key", (*suite).testOrder, log},
		{"of many writers nothing is lost", (*suite).testManyWriters, s.Publish == nil},
		{"next returns no more than asked for", (*suite).testMax, true},
		{"next waits for the first event only", (*suite).testWaits, !s.Ends},
		{"a large event comes whole, or is named", (*suite).testLarge, true},
		{"what cannot be written is refused", (*suite).testRefused, s.Publish == nil && !s.NoHeaders},
		{"an ended context loses nothing", (*suite).testContext, !s.Ends},
		{"an ID is published once", (*suite).testDedupe, s.Dedupes},
		{"lag counts what waits", (*suite).testLag, !s.NoLag},
		{"what is read ahead is bounded", (*suite).testBounded, !s.Resident},
		{"close is safe twice, and ends a wait", (*suite).testClose, true},
		{"closing leaves no goroutine", (*suite).testGoroutines, true},
		{"the broker may restart under load", (*suite).testRestart, s.Restart != nil},

		{"log: offsets rise", (*suite).testOffsets, log},
		{"log: a reader begins where it is told", (*suite).testAssigned, log},
		{"log: latest is what comes from now on", (*suite).testLatest, log && !s.NoLatest && !s.Ends},
		{"log: a reader goes on where another ended", (*suite).testResume, log},
		{"log: acks move nothing", (*suite).testAckLog, log},
		{"log: named partitions are read alone", (*suite).testPartitions, log},
		{"log: readers of a group share and hand over", (*suite).testGroup, log && s.Groups},

		{"queue: what is acknowledged is gone", (*suite).testAcked, !log && !s.NoRedeliver},
		{"queue: what is not comes again", (*suite).testUnacked, !log && !s.NoRedeliver},
		{"queue: what is given back comes again", (*suite).testReject, !log},
	}
}

// Run runs the suite. It looks at the heap and at the goroutines of the whole
// process, so nothing may run beside it: it panics in a parallel test.
func Run(t *testing.T, o Options) {
	t.Setenv("LEAT_BUSTEST", "alone") // what no test may do that has, or is in, a Parallel
	s := &suite{Options: o}
	probe := o.Open(t)
	log := probe.Positioned()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.cases(log) {
		if !c.when {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b := o.Open(t)
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Errorf("closing the bus: %v", err)
				}
			})
			c.run(s, t, b)
		})
	}
}

// topic names a topic of its own for a case.
func (s *suite) topic(t *testing.T) string {
	t.Helper()
	if s.Topic != nil {
		return s.Topic(t)
	}
	s.topicNumber++
	return fmt.Sprintf("topic%d%d", s.topicNumber, rand.Uint32())
}

// soon is a context that ends when nothing happens for long.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// publish writes events, with a writer that is closed afterwards.
func (s *suite) publish(t *testing.T, b bus.Bus, topic string, events ...bus.Event) {
	t.Helper()
	if s.Publish != nil {
		s.Publish(t, topic, events)
		return
	}
	w, err := b.Writer(soon(t), topic)
	if err != nil {
		t.Fatalf("a writer of %s: %v", topic, err)
	}
	if err := w.Write(soon(t), events); err != nil {
		t.Fatalf("writing %d events: %v", len(events), err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("closing the writer: %v", err)
	}
}

// reader opens a reader that ends with the test.
func (s *suite) reader(t *testing.T, b bus.Bus, topic string, o bus.ReadOptions) bus.Reader {
	t.Helper()
	if o.Group == "" {
		o.Group = "group-" + topic
	}
	r, err := b.Reader(soon(t), topic, o)
	if err != nil {
		t.Fatalf("a reader of %s: %v", topic, err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("closing the reader: %v", err)
		}
	})
	return r
}

// collect reads n events; fewer where the topic ends.
func collect(t *testing.T, r bus.Reader, n int) []bus.Event {
	t.Helper()
	var got []bus.Event
	ctx := soon(t)
	for len(got) < n {
		batch, err := r.Next(ctx, n-len(got))
		if err == io.EOF {
			t.Fatalf("the topic ended after %d of %d events", len(got), n)
		}
		if fault.Is(err, fault.Unavailable) && ctx.Err() == nil {
			continue // a reader comes back by itself
		}
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(got), n, err)
		}
		if len(batch) == 0 || len(batch) > n-len(got) {
			t.Fatalf("next returned %d events when asked for 1 to %d", len(batch), n-len(got))
		}
		got = append(got, batch...)
	}
	return got
}

// nothing checks that no event comes for a moment.
func nothing(t *testing.T, r bus.Reader, moment time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	batch, err := r.Next(ctx, 10)
	if len(batch) > 0 {
		t.Errorf("%d events came, the first with the body %.60q; there were none left", len(batch), batch[0].Body)
	} else if err != io.EOF && !fault.Is(err, fault.Timeout) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for nothing ended with %v", err)
	}
}

// numbered makes n events whose bodies and IDs are their numbers.
func numbered(n int) []bus.Event {
	events := make([]bus.Event, n)
	for i := range events {
		events[i] = bus.Event{
			ID: fmt.Sprintf("id-%06d", i), Key: fmt.Appendf(nil, "key-%d", i%7), Body: fmt.Appendf(nil, "body-%06d", i),
		}
	}
	return events
}

// bodies lists what events hold.
func bodies(events []bus.Event) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = string(e.Body)
	}
	return all
}

// same compares what was written with what came, without their places.
func (s *suite) same(t *testing.T, wrote, got bus.Event) {
	t.Helper()
	if !s.NoIDs && wrote.ID != "" && got.ID != wrote.ID {
		t.Errorf("the ID is %q, not %q", got.ID, wrote.ID)
	}
	if !s.NoKeys && !bytes.Equal(got.Key, wrote.Key) {
		t.Errorf("the key is %q, not %q", got.Key, wrote.Key)
	}
	if sha256.Sum256(got.Body) != sha256.Sum256(wrote.Body) {
		t.Errorf("the body is %.60q (%d bytes), not %.60q (%d bytes)", got.Body, len(got.Body), wrote.Body, len(wrote.Body))
	}
	if !s.NoTimes && !wrote.Time.IsZero() && got.Time.Sub(wrote.Time).Abs() >= time.Millisecond {
		t.Errorf("the time is %v, not %v", got.Time, wrote.Time)
	}
	if s.NoHeaders {
		return
	}
	for _, h := range wrote.Headers {
		if v := got.Header(h.Name); v != h.Value {
			t.Errorf("the header %s is %q, not %q", h.Name, v, h.Value)
		}
	}
	for _, h := range got.Headers {
		if strings.HasPrefix(strings.ToLower(h.Name), "leat-") {
			t.Errorf("the header %s is not the producer's", h.Name)
		}
	}
}
