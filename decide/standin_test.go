package decide_test

import (
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/model"
)

// lastWord serves a model whose results go through f.
func lastWord(t *testing.T, f func(out frame.Batch) (frame.Batch, error)) (*world, *decide.Router, *sum) {
	w := newWorld(t)
	m := &sum{weight: 1, inputs: fraudInputs(), last: f}
	w.models[versionID("m", 1)] = m
	return w, w.serve(nil), m
}

func TestAnswerSaysThatAFallbackServed(t *testing.T) {
	w, router, _ := lastWord(t, func(out frame.Batch) (frame.Batch, error) { return model.WithServedBy(out, "local@3"), nil })
	a := ask(t, router, request(1, 2))
	if a.ServedBy != "local@3" || a.Variant != decide.Fallback {
		t.Errorf("variant %q, served by %q", a.Variant, a.ServedBy)
	}
	if w.records[0].Variant != decide.Fallback || w.noted[0].Variant != decide.Fallback {
		t.Errorf("recorded as %q, observed as %q", w.records[0].Variant, w.noted[0].Variant)
	}
}

func TestModelThatFailsSomeRowsAnswersTheOthers(t *testing.T) {
	_, router, m := lastWord(t, func(out frame.Batch) (frame.Batch, error) {
		errs := make([]error, out.NumRows())
		errs[1] = fault.New(fault.Unavailable, "that branch is away")
		return nil, &model.Partial{Out: model.WithServedBy(out, "other@1"), Errs: errs}
	})
	a := ask(t, router, request(1, 2, 3))
	if a.Errors == nil || a.Errors[0] != nil || !fault.Is(a.Errors[1], fault.Unavailable) || a.Errors[2] != nil {
		t.Errorf("errors %v", a.Errors)
	}
	if scores(a).IsNull(0) || !scores(a).IsNull(1) || m.calls.Load() != 1 || a.ServedBy != "other@1" {
		t.Errorf("%v after %d calls, served by %q", a.Rows, m.calls.Load(), a.ServedBy)
	}
}

// A neighbour that is down says nothing about rows, and is not asked again
// for each part of them.
func TestNeighbourThatIsAwayIsAskedOnce(t *testing.T) {
	_, router, m := lastWord(t, func(frame.Batch) (frame.Batch, error) {
		return nil, fault.New(fault.Unavailable, "away")
	})
	a := ask(t, router, request(1, 2, 3, 4, 5, 6, 7, 8))
	for row, err := range a.Errors {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("row %d: %v", row, err)
		}
	}
	if n := m.calls.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
