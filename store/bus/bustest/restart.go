package bustest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/leat-ai/leat/store/bus"
)

// testRestart writes and reads while the broker goes away and comes back.
// What the writer was told to be published is read, and a reader of a log
// sees each offset once, though it never opened anew.
func (s *suite) testRestart(t *testing.T, b bus.Bus) {
	topic := s.topic(t)
	s.publish(t, b, topic, bus.Event{ID: "first", Key: []byte("k"), Body: []byte("first")})
	// The broker may take partitions away and give them back: the ledger says
	// where to go on.
	var ledger sync.Mutex
	next := map[string]int64{}
	r := s.reader(t, b, topic, bus.ReadOptions{Group: "restart", Assigned: func(ctx context.Context, partitions []string) (map[string]int64, error) {
		ledger.Lock()
		defer ledger.Unlock()
		return places(next)(ctx, partitions)
	}})
	first := collect(t, r, 1)
	ledger.Lock()
	advance(next, first)
	ledger.Unlock()

	var group sync.WaitGroup
	var mu sync.Mutex
	published := map[string]bool{}
	stop := make(chan struct{})
	group.Go(func() { s.load(t, b, topic, stop, func(id string) { mu.Lock(); published[id] = true; mu.Unlock() }) })

	seen := map[string]bool{}
	read := func(ctx context.Context) error {
		events, err := r.Next(ctx, 100)
		if err != nil {
			return err
		}
		ledger.Lock()
		for _, e := range events {
			if at, ok := next[e.Partition]; ok && b.Positioned() && e.Offset < at {
				err = fmt.Errorf("the offset %d of %q came again", e.Offset, e.Partition)
			}
			seen[string(e.Body)], next[e.Partition] = true, e.Offset+1
		}
		ledger.Unlock()
		if err != nil {
			return err
		}
		return r.Ack(ctx, events)
	}
	until(t, "reading before the restart", func(ctx context.Context) (bool, error) { return len(seen) > 20, read(ctx) })
	s.Restart(t)
	before := len(seen)
	until(t, "reading after the restart", func(ctx context.Context) (bool, error) { return len(seen) > before+50, read(ctx) })
	close(stop)
	group.Wait()
	var missing []string
	defer func() {
		if len(missing) > 0 {
			t.Errorf("%d of %d events never came, among them %.20q", len(missing), len(published), missing[:min(20, len(missing))])
		}
	}()
	until(t, "reading all that was published", func(ctx context.Context) (bool, error) {
		missing = nil
		for id := range published {
			if !seen[id] {
				missing = append(missing, id)
			}
		}
		if len(missing) == 0 {
			return true, nil
		}
		return false, read(ctx)
	})
	t.Logf("%d events were published around the restart, %d read", len(published), len(seen))
}

// load writes small batches, each again until it is published.
func (s *suite) load(t *testing.T, b bus.Bus, topic string, stop <-chan struct{}, published func(id string)) {
	w, err := b.Writer(soon(t), topic)
	if err != nil {
		t.Errorf("a writer: %v", err)
		return
	}
	defer w.Close()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		var events []bus.Event
		for j := range 5 {
			id := fmt.Sprintf("%d-%d", i, j)
			events = append(events, bus.Event{ID: id, Key: fmt.Append(nil, j), Body: []byte(id)})
		}
		for ctx := soon(t); ; {
			err := w.Write(ctx, events)
			if err == nil {
				break
			}
			if !passing(err) || ctx.Err() != nil {
				t.Errorf("writing around a restart: %v", err)
				return
			}
		}
		for _, e := range events {
			published(e.ID)
		}
	}
}
