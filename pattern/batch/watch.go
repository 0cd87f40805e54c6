package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/flow/monitor"
)

// Watch is told what a run decided, so that a drift within its rows shows.
type Watch interface {
	// Profile returns the training profile of what a release serves, or nil
	// when there is none to compare with.
	Profile(ctx context.Context, release string) (*profile.Profile, error)
	// Conclude is given the counts of a run: its windows in the order of the
	// rows. It may be called again for the same run.
	Conclude(ctx context.Context, endpoint string, windows []monitor.Window) error
}

// windows is into how many parts a run's rows are cut for its watch.
const windows = 10

// tallies counts the rows of one chunk, by window of the whole run.
type tallies struct {
	profile *profile.Profile // nil: nothing is counted
	total   int64            // rows of the run
	counts  map[int]*profile.Tally
}

// seen counts rows that begin at a position of the source.
func (t *tallies) seen(at int64, inputs, output frame.Batch) error {
	if t.profile == nil {
		return nil
	}
	said := monitor.PredictionOf(output)
	if said != nil {
		defer said.Release()
	}
	for from := int64(0); from < inputs.NumRows(); {
		w := (at + from) * windows / t.total
		to := min(inputs.NumRows(), ceil((w+1)*t.total, windows)-at)
		if err := t.count(int(w), from, to, inputs, said); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

func (t *tallies) count(window int, from, to int64, batches ...frame.Batch) error {
	tally := t.counts[window]
	if tally == nil {
		tally = profile.NewTally(t.profile)
		if t.counts == nil {
			t.counts = map[int]*profile.Tally{}
		}
		t.counts[window] = tally
	}
	var parts []frame.Batch
	for _, b := range batches {
		if b == nil {
			continue
		}
		part := b.NewSlice(from, to)
		defer part.Release()
		parts = append(parts, part)
	}
	return tally.Add(t.profile, parts...)
}

// concluded puts the counts of all chunks together, window by window.
func concluded(p *profile.Profile, release string, start, end time.Time, parts []part) []monitor.Window {
	list := make([]monitor.Window, windows)
	for i := range list {
		list[i] = monitor.Window{
			Name: fmt.Sprintf("%d/%d", i+1, windows), Start: start, End: end, Release: release, Tally: profile.NewTally(p),
		}
	}
	for _, part := range parts {
		for w, tally := range part.Tallies {
			list[w].Tally.Merge(tally)
		}
	}
	return list
}
