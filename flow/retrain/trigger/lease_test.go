package trigger_test

import (
	"context"
	"testing"
	"time"

	"github.com/leat-ai/leat/flow/retrain/trigger"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

// slow is a starter whose first start does not end before its context.
type slow struct{ began chan struct{} }

func (s slow) Start(ctx context.Context, _ spec.Kind, _, _, _ string) error {
	s.began <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// TestLeaseLastsAsLongAsItsHolder: a start that lasts stays with who took it
// on, and passes to another soon after that one is gone.
func TestLeaseLastsAsLongAsItsHolder(t *testing.T) {
	t.Parallel()
	db := open(t)
	now := &turned{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	second, first := newHouse(t, db, now), slow{make(chan struct{}, 1)}
	config := second.Config
	config.Starter = first
	holder := trigger.New(config)
	ctx, die := context.WithCancel(t.Context())
	defer die()
	if err := holder.Tell(ctx, landed(1, 100)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = holder.Run(ctx); close(ended) }()
	<-first.began
	due := func() (at int64) {
		err := db.Read(t.Context(), func(tx catalog.Tx) error {
			return tx.Row(t.Context(), `SELECT MIN(due_at) FROM trigger_starts WHERE state = 'waiting'`, nil, &at)
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for range 2 { // longer than one lease, in all
		was := due()
		now.turn(4 * time.Second)
		for limit := time.Now().Add(time.Minute); due() == was; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatal("the lease is not renewed")
			}
		}
	}
	if left := catalog.Time(due()).Sub(now.Now()); left <= 0 {
		t.Errorf("the lease ended %v ago", -left)
	}
	die()
	<-ended
	now.turn(7 * time.Second)
	second.until(t, second.quiet(t, db))
	if len(second.started) != 1 {
		t.Errorf("after the holder is gone: %v", second.started)
	}
}
