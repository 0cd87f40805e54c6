package bustest

import (
	"testing"
	"time"

	"github.com/leat-ai/leat/store/bus"
)

func (s *suite) testAcked(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(10)...)
	r := s.reader(t, b, topic, bus.ReadOptions{Group: "acked"})
	got := collect(t, r, 10)
	if err := r.Ack(soon(t), got); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	nothing(t, s.reader(t, b, topic, bus.ReadOptions{Group: "acked"}), 300*time.Millisecond)
}

func (s *suite) testUnacked(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(10)...)
	r := s.reader(t, b, topic, bus.ReadOptions{Group: "unacked"})
	got := collect(t, r, 10)
	if err := r.Ack(soon(t), got[:4]); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	dealt := map[string]bool{}
	for _, e := range got[:4] {
		dealt[string(e.Body)] = true
	}
	again := collect(t, s.reader(t, b, topic, bus.ReadOptions{Group: "unacked"}), 6)
	distinct(t, again, 6)
	for _, e := range again {
		if dealt[string(e.Body)] {
			t.Errorf("%q was acknowledged and came again", e.Body)
		}
	}
}

func (s *suite) testReject(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, numbered(3)...)
	r := s.reader(t, b, topic, bus.ReadOptions{Group: "reject"})
	rejecter, ok := r.(bus.Rejecter)
	if !ok {
		t.Skip("the broker has no way to give an event back: the reader is no Rejecter")
	}
	got := collect(t, r, 3)
	if err := rejecter.Reject(soon(t), got[1:2], 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := r.Ack(soon(t), []bus.Event{got[0], got[2]}); err != nil {
		t.Fatal(err)
	}
	again := collect(t, r, 1)
	if string(again[0].Body) != string(got[1].Body) {
		t.Errorf("%q came again, not %q", again[0].Body, got[1].Body)
	}
	if first, second := got[1].Attempt, again[0].Attempt; first > 0 && second <= first {
		t.Errorf("attempt %d came after attempt %d", second, first)
	}
	if err := r.Ack(soon(t), again); err != nil {
		t.Fatal(err)
	}
	nothing(t, r, 100*time.Millisecond)
}
