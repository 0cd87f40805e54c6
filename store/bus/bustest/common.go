package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

func (s *suite) testRoundTrip(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	at := time.Date(2026, 3, 29, 1, 59, 59, 123_000_000, time.UTC)
	wrote := []bus.Event{
		{ID: "a", Key: []byte("k"), Time: at, Body: []byte(`{"n":1}`), Headers: []bus.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "trace", Value: "a=b; c=d, e"}}},
		{ID: "b", Key: []byte("k"), Time: at.Add(-24 * time.Hour), Body: []byte(" \x00\xff binary \n\r\n")},
		{ID: "c / ü?", Key: []byte("k"), Body: []byte("third"), Headers: []bus.Header{{Name: "text", Value: "Grüße, 世界"}}},
	}
	s.publish(t, b, topic, wrote...)
	got := collect(t, s.reader(t, b, topic, bus.ReadOptions{}), len(wrote))
	if !b.Positioned() {
		slices.SortFunc(got, func(x, y bus.Event) int { return bytes.Compare(y.Body, x.Body) })
		slices.SortFunc(wrote, func(x, y bus.Event) int { return bytes.Compare(y.Body, x.Body) })
	}
	for i := range wrote {
		s.same(t, wrote[i], got[i])
	}
}

func (s *suite) testKeys(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	keys := []string{"plain", "with space", " edge ", "dots.and.>*", "a\r\nb: c", "\x00\x01\xff\xfe", "ключ", string(bytes.Repeat([]byte("k"), 300))}
	var wrote []bus.Event
	for i, key := range keys {
		wrote = append(wrote, bus.Event{ID: fmt.Sprint(i), Key: []byte(key), Body: []byte(key)})
	}
	wrote = append(wrote, bus.Event{ID: "none", Body: []byte("without a key")})
	s.publish(t, b, topic, wrote...)
	for _, e := range collect(t, s.reader(t, b, topic, bus.ReadOptions{}), len(wrote)) {
		if e.ID == "none" || string(e.Body) == "without a key" {
			if len(e.Key) != 0 {
				t.Errorf("the key %q came from nowhere", e.Key)
			}
		} else if !bytes.Equal(e.Key, e.Body) {
			t.Errorf("the key %q came as %q", e.Body, e.Key)
		}
	}
}

func (s *suite) testOrder(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	events := numbered(2000)
	for chunk := range slices.Chunk(events, 300) {
		s.publish(t, b, topic, chunk...)
	}
	got := collect(t, s.reader(t, b, topic, bus.ReadOptions{}), len(events))
	last := map[string]string{}
	for _, e := range got {
		if string(e.Body) <= last[string(e.Key)] {
			t.Fatalf("of the key %q, %q came after %q", e.Key, e.Body, last[string(e.Key)])
		}
		last[string(e.Key)] = string(e.Body)
	}
	distinct(t, got, len(events))
}

// distinct checks that each of n bodies came, and once.
func distinct(t *testing.T, got []bus.Event, n int) {
	t.Helper()
	all := bodies(got)
	slices.Sort(all)
	if all = slices.Compact(all); len(all) != n || len(got) != n {
		t.Errorf("%d events came, %d of them different, of %d", len(got), len(all), n)
	}
}

func (s *suite) testManyWriters(t *testing.T, b bus.Bus) {
	const writers, each, size = 8, 20, 3
	topic := s.topic(t)
	w, err := b.Writer(soon(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range each {
				var events []bus.Event
				for k := range size {
					id := fmt.Sprintf("%d-%04d", i, j*size+k)
					events = append(events, bus.Event{ID: id, Key: fmt.Appendf(nil, "w%d", i), Body: []byte(id)})
				}
				if err := w.Write(soon(t), events); err != nil {
					t.Errorf("writer %d: %v", i, err)
					return
				}
			}
		})
	}
	group.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := collect(t, s.reader(t, b, topic, bus.ReadOptions{}), writers*each*size)
	distinct(t, got, writers*each*size)
	if !b.Positioned() {
		return
	}
	last := map[string]string{}
	for _, e := range got {
		writer, _, _ := bytes.Cut(e.Body, []byte("-"))
		if string(e.Body) <= last[string(writer)] {
			t.Fatalf("%q came after %q of the same writer", e.Body, last[string(writer)])
		}
		last[string(writer)] = string(e.Body)
	}
}

func (s *suite) testMax(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(50)...)
	r := s.reader(t, b, topic, bus.ReadOptions{})
	var got []bus.Event
	for len(got) < 50 {
		batch, err := r.Next(soon(t), 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) < 1 || len(batch) > 7 {
			t.Fatalf("next returned %d events when asked for 1 to 7", len(batch))
		}
		got = append(got, batch...)
	}
	distinct(t, got, 50)
}

func (s *suite) testWaits(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(1)...)
	r := s.reader(t, b, topic, bus.ReadOptions{})
	collect(t, r, 1)
	type answer struct {
		events []bus.Event
		err    error
	}
	answers := make(chan answer, 1)
	ctx := soon(t)
	go func() {
		events, err := r.Next(ctx, 100)
		answers <- answer{events, err}
	}()
	select {
	case a := <-answers:
		t.Fatalf("next returned %d events and %v when there were none", len(a.events), a.err)
	case <-time.After(200 * time.Millisecond):
	}
	s.publish(t, b, topic, bus.Event{ID: "late", Key: []byte("k"), Body: []byte("late")})
	a := <-answers
	if a.err != nil || len(a.events) != 1 || string(a.events[0].Body) != "late" {
		t.Errorf("next returned %q, %v", bodies(a.events), a.err)
	}
}

func (s *suite) testLarge(t *testing.T, b bus.Bus) {
	topic, size := s.topic(t), 10<<20
	if s.MaxEvent > 0 {
		size = min(size, s.MaxEvent)
	}
	large := bus.Event{ID: "large", Key: []byte("k"), Body: bytes.Repeat([]byte("0123456789abcde\n"), size/16), Headers: []bus.Header{{Name: "kind", Value: "large"}}}
	small := func(id string) bus.Event { return bus.Event{ID: id, Key: []byte("k"), Body: []byte(id)} }
	s.publish(t, b, topic, small("before"), large, small("after"))
	check := func(r bus.Reader, whole bool) {
		got := collect(t, r, 3)
		i := slices.IndexFunc(got, func(e bus.Event) bool { return string(e.Body) != "before" && string(e.Body) != "after" })
		if i < 0 {
			t.Fatal("the large event did not come")
		}
		if whole {
			s.same(t, large, got[i])
			return
		}
		if e := got[i]; len(e.Body) != 0 || e.Header(bus.HeaderTooLarge) != fmt.Sprint(len(large.Body)) {
			t.Errorf("the event has %d bytes and its size is said to be %q", len(e.Body), e.Header(bus.HeaderTooLarge))
		}
		s.same(t, bus.Event{ID: large.ID, Key: large.Key, Headers: large.Headers}, withoutHeader(got[i], bus.HeaderTooLarge))
	}
	check(s.reader(t, b, topic, bus.ReadOptions{MaxEvent: int64(size) * 2, Buffer: int64(size) / 2}), true)
	if !b.Positioned() {
		topic = s.topic(t)
		s.publish(t, b, topic, small("before"), large, small("after"))
	}
	check(s.reader(t, b, topic, bus.ReadOptions{Group: "other", MaxEvent: int64(size) / 2}), false)
}

func withoutHeader(e bus.Event, name string) bus.Event {
	e.Headers = slices.DeleteFunc(slices.Clone(e.Headers), func(h bus.Header) bool { return h.Name == name })
	return e
}

func (s *suite) testRefused(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	w, err := b.Writer(soon(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, h := range []bus.Header{{Name: "", Value: "x"}, {Name: "a b:", Value: "x"}, {Name: "line\r\nend", Value: "x"}, {Name: "x", Value: "one\r\nInjected: two"}} {
		events := numbered(3)
		events[1].Headers = []bus.Header{h}
		err := w.Write(soon(t), events)
		refused, ok := errors.AsType[*bus.Refused](err)
		if !ok || refused.Index != 1 || !fault.Is(err, fault.Invalid) {
			t.Errorf("the header %q: %q was answered by %v", h.Name, h.Value, err)
		}
	}
	if err := w.Write(soon(t), []bus.Event{{ID: "fine", Body: []byte("fine")}}); err != nil {
		t.Fatal(err)
	}
	r := s.reader(t, b, topic, bus.ReadOptions{})
	if got := collect(t, r, 1); string(got[0].Body) != "fine" {
		t.Errorf("%q was published", got[0].Body)
	}
}

func (s *suite) testContext(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(1)...)
	r := s.reader(t, b, topic, bus.ReadOptions{})
	collect(t, r, 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if events, err := r.Next(ended, 1); len(events) > 0 || !errors.Is(err, context.Canceled) && !fault.Is(err, fault.Canceled) {
		t.Errorf("next returned %d events and %v in an ended context", len(events), err)
	}
	nothing(t, r, 50*time.Millisecond)
	s.publish(t, b, topic, numbered(5)[1:]...)
	for range 3 { // contexts that end while events are on their way
		brief, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		if events, err := r.Next(brief, 1); err == nil {
			t.Logf("%d events came in a microsecond", len(events))
			s.publish(t, b, topic, bus.Event{ID: "again" + events[0].ID, Body: events[0].Body})
		}
		cancel()
	}
	distinct(t, collect(t, r, 4), 4)
}

func (s *suite) testDedupe(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	events := numbered(10)
	s.publish(t, b, topic, events...)
	s.publish(t, b, topic, events[5:]...)                          // a batch of known ones
	s.publish(t, b, topic, events[9])                              // one alone
	s.publish(t, b, topic, append(numbered(12)[8:], events[0])...) // known and new ones mixed
	s.publish(t, b, topic, bus.Event{ID: "twice", Body: []byte("twice")}, bus.Event{ID: "twice", Body: []byte("twice")})
	s.publish(t, b, topic, bus.Event{Body: []byte("no id")}, bus.Event{Body: []byte("no id either")})
	r := s.reader(t, b, topic, bus.ReadOptions{})
	distinct(t, collect(t, r, 15), 15)
	nothing(t, r, 100*time.Millisecond)
}

func (s *suite) testLag(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(30)...)
	r := s.reader(t, b, topic, bus.ReadOptions{})
	await := func(want int64) {
		t.Helper()
		var lag int64
		var err error
		for ctx := soon(t); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			if lag, err = r.Lag(ctx); err == nil && lag == want {
				return
			}
		}
		t.Fatalf("%d events are said to wait, %v; want %d", lag, err, want)
	}
	got := collect(t, r, 10)
	await(20)
	if err := r.Ack(soon(t), got); err != nil {
		t.Fatal(err)
	}
	await(20)
	got = collect(t, r, 20)
	if err := r.Ack(soon(t), got); err != nil {
		t.Fatal(err)
	}
	await(0)
	if !s.Ends {
		s.publish(t, b, topic, bus.Event{ID: "more", Body: []byte("more")})
		await(1)
	}
}

func (s *suite) testBounded(t *testing.T, b bus.Bus) {
	const size, count = 128 << 10, 400 // 50 MiB
	topic := s.topic(t)
	noise := rand.NewChaCha8([32]byte{}) // so that packing does not hide the size
	for i := range count / 20 {
		var events []bus.Event
		for j := range 20 {
			body := make([]byte, size)
			_, _ = noise.Read(body) // never fails
			events = append(events, bus.Event{ID: fmt.Sprint(i, "-", j), Key: fmt.Append(nil, j), Body: body})
		}
		s.publish(t, b, topic, events...)
	}
	before := held()
	r := s.reader(t, b, topic, bus.ReadOptions{Buffer: 2 << 20})
	collect(t, r, 1)
	deadline := time.Now().Add(time.Second) // time to read ahead in
	var most int64
	for time.Now().Before(deadline) {
		most = max(most, held()-before)
		time.Sleep(50 * time.Millisecond)
	}
	if most > 16<<20 {
		t.Errorf("a reader that may buffer 2 MiB holds %d MiB", most>>20)
	}
	t.Logf("a reader that may buffer 2 MiB holds %d KiB", most>>10)
	distinct(t, collect(t, r, count-1), count-1)
}

// held is how many bytes the heap has after what is garbage is gone.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func (s *suite) testClose(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	if s.Publish == nil {
		w, err := b.Writer(soon(t), topic)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Errorf("closing a writer: %v", err)
			}
		}
		if err := w.Write(soon(t), numbered(1)); err == nil {
			t.Error("a closed writer writes")
		}
	}
	s.publish(t, b, topic, numbered(1)...)
	r := s.reader(t, b, topic, bus.ReadOptions{})
	collect(t, r, 1)
	ended := make(chan error, 1)
	if !s.Ends {
		ctx := soon(t)
		go func() {
			_, err := r.Next(ctx, 1)
			ended <- err
		}()
		time.Sleep(20 * time.Millisecond)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("closing a reader: %v", err)
		}
	}
	if !s.Ends {
		if err := <-ended; err == nil || err == io.EOF {
			t.Errorf("closing the reader ended a wait with %v", err)
		}
	}
	if _, err := r.Next(soon(t), 1); err == nil || err == io.EOF {
		t.Errorf("a closed reader returned %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closing the bus: %v", err)
	}
	if _, err := b.Reader(soon(t), topic, bus.ReadOptions{Group: "g"}); err == nil {
		t.Error("a closed bus opens readers")
	}
}

func (s *suite) testGoroutines(t *testing.T, _ bus.Bus) {
	topic := s.topic(t) // one, as a broker within the process has goroutines for each
	run := func() {
		b := s.Open(t)
		s.publish(t, b, topic, numbered(20)...)
		r, err := b.Reader(soon(t), topic, bus.ReadOptions{Group: "leak"})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Ack(soon(t), collect(t, r, 5)); err != nil {
			t.Error(err)
		}
		if s.Publish == nil { // left open, for the bus to close
			if _, err := b.Writer(soon(t), topic); err != nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	run() // what is made once stays
	settle := func(most int, patience time.Duration) int {
		n := runtime.NumGoroutine()
		for deadline := time.Now().Add(patience); n > most && time.Now().Before(deadline); n = runtime.NumGoroutine() {
			time.Sleep(20 * time.Millisecond)
		}
		return n
	}
	before := settle(0, time.Second)
	const rounds = 3
	for range rounds {
		run()
	}
	if after := settle(before, 10*time.Second); after >= before+rounds {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, stacks[:runtime.Stack(stacks, true)])
	}
}
