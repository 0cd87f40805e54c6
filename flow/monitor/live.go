package monitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/spec"
)

// Live counts the decisions of one release as they are made. Observe is called
// from the serving path by many goroutines; it never waits for a Look.
type Live struct {
	release string
	profile *profile.Profile
	clock   clock.Clock

	mu       sync.Mutex
	start    time.Time
	filling  *profile.Tally // the newest rows
	previous *profile.Tally // the window before it
}

// NewLive watches a release against the training profile of its model
// version.
func NewLive(release string, p *profile.Profile, clock clock.Clock) *Live {
	return &Live{release: release, profile: p, clock: clock, filling: profile.NewTally(p), start: clock.Now()}
}

// Observe counts rows that were decided: the model's inputs and outputs.
func (l *Live) Observe(inputs, outputs frame.Batch) error {
	batches := []frame.Batch{inputs}
	if p := PredictionOf(outputs); p != nil {
		defer p.Release()
		batches = append(batches, p)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.filling.Add(l.profile, batches...)
}

// Look measures the latest decisions: those since the window began and, until
// there are enough of them, the window before. Once a window is full the next
// begins.
func (l *Live) Look(m *spec.Monitor) []Reading {
	l.mu.Lock()
	tally := profile.NewTally(l.profile)
	tally.Merge(l.filling)
	if l.previous != nil && tally.Rows < int64(m.Window) {
		tally.Merge(l.previous)
	}
	start := l.start
	if l.filling.Rows >= int64(m.Window) {
		l.previous, l.filling, l.start = l.filling, profile.NewTally(l.profile), l.clock.Now()
	}
	l.mu.Unlock()
	return Look(m, l.profile, Window{Start: start, End: l.clock.Now(), Release: l.release, Tally: tally})
}

// Watcher looks at endpoints on behalf of monitors, at their pace, until ctx
// ends. New readings go to keep.
type Watcher struct {
	Live func(endpoint string) *Live // nil when nothing is served there
	// Features looks at skew and freshness; it may be nil.
	Features func(ctx context.Context, m *spec.Monitor) ([]Reading, error)
	Keep     func(ctx context.Context, readings []Reading) error
	Clock    clock.Clock
	Log      *slog.Logger
}

// Run looks for one monitor every m.Every until ctx ends.
func (w *Watcher) Run(ctx context.Context, m *spec.Monitor) {
	ticker := time.NewTicker(m.Every.Std())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := w.Look(ctx, m); err != nil {
			w.Log.Warn("a look failed", "monitor", m.Name, "error", err)
		}
	}
}

// Look looks once and keeps what it read.
func (w *Watcher) Look(ctx context.Context, m *spec.Monitor) ([]Reading, error) {
	var readings []Reading
	if live := w.Live(m.Watch); live != nil {
		readings = live.Look(m)
	}
	if w.Features != nil {
		more, err := w.Features(ctx, m)
		if err != nil {
			w.Log.Warn("features were not looked at", "monitor", m.Name, "error", err)
		}
		readings = append(readings, more...)
	}
	if len(readings) == 0 {
		return nil, nil
	}
	return readings, w.Keep(ctx, readings)
}
