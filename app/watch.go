package app

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
)

// watch is told of every decision: it counts it for the metrics, and its rows
// against the training profile of the version that decided.
type watch struct {
	app      *App
	rows     telemetry.Counter
	failed   telemetry.Counter
	latency  telemetry.Histogram
	fired    telemetry.Counter
	values   telemetry.GaugeVec
	profiles sync.Map // release id → *profile.Profile; nil value: the version has none

	mu     sync.RWMutex
	served map[string]*watched // by endpoint
}

// watched is what is counted of an endpoint's live release.
type watched struct {
	release  string
	live     *monitor.Live // nil when its version has no profile
	counters sync.Map      // pattern → *bound
}

// bound are the instruments of one endpoint and pattern.
type bound struct {
	rows, failed telemetry.BoundCounter
	latency      telemetry.BoundHistogram
}

func newWatch(a *App) *watch {
	return &watch{
		app:     a,
		rows:    a.tel.Counter("leat_decisions_total", "Rows decided, failed ones included.", "endpoint", "pattern"),
		failed:  a.tel.Counter("leat_decision_errors_total", "Rows that got an error instead of a decision.", "endpoint", "pattern"),
		latency: a.tel.Histogram("leat_decision_seconds", "Time from the arrival of a request to its answer.", "endpoint", "pattern"),
		fired:   a.tel.Counter("leat_signals_fired_total", "Readings of monitors over their threshold.", "monitor", "signal"),
		values:  a.tel.GaugeVec("leat_signal", "The latest reading of a monitor's signal.", "monitor", "signal"),
		served:  map[string]*watched{},
	}
}

// Decided is called by the decision path for every request.
func (w *watch) Decided(o decide.Observation) {
	w.mu.RLock()
	of := w.served[o.Endpoint]
	w.mu.RUnlock()
	if of == nil {
		return
	}
	b := of.bound(w, o)
	b.rows.Add(float64(o.Rows))
	b.failed.Add(float64(o.Failed))
	b.latency.Observe(o.Latency)
	if of.live == nil || of.release != o.Release || o.Pattern == decide.Batch || o.Inputs == nil || o.Output == nil {
		return // a batch looks at its own rows in their order
	}
	if err := of.live.Observe(o.Inputs, o.Output); err != nil {
		w.app.log.Warn("decisions were not watched", "endpoint", o.Endpoint, "error", err)
	}
}

func (of *watched) bound(w *watch, o decide.Observation) *bound {
	if b, ok := of.counters.Load(o.Pattern); ok {
		return b.(*bound)
	}
	p := string(o.Pattern)
	b, _ := of.counters.LoadOrStore(o.Pattern, &bound{
		w.rows.With(o.Endpoint, p), w.failed.With(o.Endpoint, p), w.latency.With(o.Endpoint, p)})
	return b.(*bound)
}

// follow begins to watch the live release of an endpoint.
func (w *watch) follow(ctx context.Context, endpoint string) error {
	release, err := w.app.router.Release(endpoint)
	if fault.Is(err, fault.NotFound) {
		w.mu.Lock()
		delete(w.served, endpoint)
		w.mu.Unlock()
		return nil
	}
	if err != nil {
		return err
	}
	w.mu.RLock()
	same := w.served[endpoint] != nil && w.served[endpoint].release == release.ID
	w.mu.RUnlock()
	if same {
		return nil
	}
	of := &watched{release: release.ID}
	p, err := w.profile(ctx, release)
	if err != nil {
		return err
	}
	if p != nil {
		of.live = monitor.NewLive(release.ID, p, w.app.clock)
	}
	w.mu.Lock()
	w.served[endpoint] = of
	w.mu.Unlock()
	return nil
}

// maxProfile bounds the bytes of a training profile.
const maxProfile = 64 << 20

// profile reads the training profile of the version that a release serves.
// nil means that it has none.
func (w *watch) profile(ctx context.Context, r deploy.Release) (*profile.Profile, error) {
	if p, ok := w.profiles.Load(r.ID); ok {
		return p.(*profile.Profile), nil
	}
	if len(r.Content.Variants) == 0 {
		return nil, nil // an assistant was not trained
	}
	variant := r.Content.Variants[0]
	v, err := w.app.registry.Version(ctx, variant.Model, variant.ID)
	if err != nil || v.Profile == "" {
		return nil, err
	}
	text, err := w.app.blobs.ReadAll(ctx, blob.Digest(v.Profile), maxProfile)
	if err != nil {
		return nil, err
	}
	p := new(profile.Profile)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the training profile of %s version %d cannot be read", v.Model, v.Number)
	}
	w.profiles.Store(r.ID, p)
	return p, nil
}

// live returns what is counted of an endpoint now, or nil.
func (w *watch) live(endpoint string) *monitor.Live {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if of := w.served[endpoint]; of != nil {
		return of.live
	}
	return nil
}

// keep stores readings and shows them as metrics.
func (w *watch) keep(ctx context.Context, readings []monitor.Reading) error {
	for _, r := range readings {
		w.values.Set(r.Value, r.Monitor, r.Name())
	}
	return w.app.signals.Keep(ctx, readings)
}

// batchWatch is the watch as batch runs see it.
type batchWatch struct{ app *App }

func (b batchWatch) Profile(ctx context.Context, release string) (*profile.Profile, error) {
	r, err := b.app.releases.Release(ctx, release)
	if err != nil {
		return nil, err
	}
	return b.app.watch.profile(ctx, r)
}

// Conclude looks at the windows of a run for each monitor of its endpoint.
func (b batchWatch) Conclude(ctx context.Context, endpoint string, windows []monitor.Window) error {
	if len(windows) == 0 {
		return nil
	}
	list, err := b.app.resources.List(ctx, b.app.config.Env)
	if err != nil {
		return err
	}
	release, err := b.app.releases.Release(ctx, windows[0].Release)
	if err != nil {
		return err
	}
	p, err := b.app.watch.profile(ctx, release)
	if err != nil || p == nil {
		return err
	}
	var readings []monitor.Reading
	for _, m := range spec.All[*spec.Monitor](list) {
		if m.Watch != endpoint {
			continue
		}
		for _, w := range windows {
			readings = append(readings, monitor.Look(m, p, w)...)
		}
	}
	return b.app.watch.keep(ctx, readings)
}
