package track

import (
	"context"
	"fmt"
)

// MaxPairsKept is how many tags a run has at most.
const MaxPairsKept = maxPairsKept

// Kept is how many bytes searches of runs keep.
func (t *Track) Kept() int64 {
	t.Runs.index.mu.Lock()
	defer t.Runs.index.mu.Unlock()
	return t.Runs.index.used
}

// Fill gives a run n more tags at once.
func (t *Track) Fill(ctx context.Context, id string, n int) error {
	_, err := t.Runs.change(ctx, id, func(r *Run) error {
		var more Pairs
		for i := range n {
			more = append(more, Pair{Key: fmt.Sprint("t", i)})
		}
		r.Tags = r.Tags.withAll(more)
		return nil
	})
	return err
}
