package work_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/work"
)

// TestFailureIsSeenBeforeItIsTold: who listens to ends of runs may take long to
// be told, on a full disk for instance; that a run failed is seen at once, and
// it can be tried again once it was told.
func TestFailureIsSeenBeforeItIsTold(t *testing.T) {
	var mended, told atomic.Bool
	seen := make(chan struct{})
	e, err := work.Open(t.Context(), work.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "work.db"),
		Ended: func(ctx context.Context, r work.Ended) error {
			if r.Err == nil {
				return nil
			}
			select {
			case <-seen:
			case <-ctx.Done():
				return ctx.Err()
			}
			told.Store(true)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	work.Define(e, "job", func(_ context.Context, r *work.Run, _ string) (string, error) {
		return work.Step(r, "only", work.StepOptions{}, func(context.Context, *work.Progress) (string, error) {
			if mended.Load() {
				return "done", nil
			}
			return "", fault.New(fault.Full, "no room")
		})
	})
	if err := e.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := run(t, e, "job", "x", "", work.ID("one"))
	if st.State != work.Failed || !fault.Is(st.Err(), fault.Full) {
		t.Errorf("%s: %v", st.State, st.Err())
	}
	mended.Store(true)
	close(seen)
	if err := e.Retry(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if !told.Load() {
		t.Error("the run goes on although its end was not told")
	}
	if st := wait(t, e, "one"); st.State != work.Succeeded {
		t.Errorf("in the end %s: %v", st.State, st.Err())
	}
}
