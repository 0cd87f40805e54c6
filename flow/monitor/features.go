package monitor

import (
	"context"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Features measures skew and freshness. All its fields are needed for what the
// monitors ask.
type Features struct {
	Served Served
	// Newest is the time of the newest event of a view; the zero time when it
	// has none.
	Newest func(ctx context.Context, view string) (time.Time, error)
	Clock  clock.Clock
}

// Served is the decisions of an endpoint's live release, and how its features
// are computed from the lake.
type Served interface {
	// Past says how the features of the release are found in the lake; nil when
	// it has none that depend on time.
	Past(ctx context.Context, endpoint string) (*Past, error)
	// Decisions are the latest of a release that were asked before a time, at
	// most limit of them.
	Decisions(ctx context.Context, endpoint, release string, before time.Time, limit int) ([]Decision, error)
}

// Past finds features as a training would find them.
type Past struct {
	Release string
	Inputs  []frame.Column // of rows
	// Time is the column of Inputs that has the time of a row, "" when rows have
	// none of their own.
	Time    string
	Outputs []frame.Column // the features
	// Until is the time up to which the lake has events, those that may still be
	// late included: later decisions cannot be judged.
	Until time.Time
	// Compute gives the features of rows as of times, in microseconds since
	// 1970. The caller releases them.
	Compute func(ctx context.Context, rows frame.Batch, at []int64) (frame.Batch, error)
}

// Decision is what the log has of one. Inputs and Features are JSON objects.
type Decision struct {
	At               time.Time
	Inputs, Features []byte
}

// The bounds of a look at skew.
const (
	maxSkewRows = 1000
	minSkewRows = 20
)

// Look measures what a monitor asks of features.
func (f *Features) Look(ctx context.Context, m *spec.Monitor) ([]Reading, error) {
	var readings []Reading
	var mistakes fault.List
	if asks := slices.DeleteFunc(signalsOf(m), func(s signal) bool { return s.kind != skew }); len(asks) > 0 {
		r, err := f.skew(ctx, m, asks)
		mistakes.Add(err)
		readings = append(readings, r...)
	}
	for _, s := range signalsOf(m) {
		if s.kind != freshness {
			continue
		}
		r, err := f.freshness(ctx, s)
		if err != nil {
			mistakes.Add(err)
			continue
		}
		r.Monitor = m.Name
		readings = append(readings, r)
	}
	return readings, mistakes.Err()
}

// freshness is the age of the newest event of a view. One without any is as
// old as time itself: that it is empty has to be told, too.
func (f *Features) freshness(ctx context.Context, s signal) (Reading, error) {
	newest, err := f.Newest(ctx, s.column)
	if err != nil {
		return Reading{}, err
	}
	if newest.IsZero() {
		newest = time.Unix(0, 0).UTC()
	}
	now := f.Clock.Now()
	age := max(0, now.Sub(newest).Seconds())
	return Reading{Signal: freshness, Column: s.column, Value: age, Threshold: s.above, Fired: age > s.above, Start: newest, End: now}, nil
}
