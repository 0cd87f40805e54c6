package app

import (
	"context"
	"path/filepath"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	questions "github.com/leat-ai/leat/pattern/knowledge"
)

// segment bounds the bytes of a part of the decision log. While one is moved
// into the lake, SQL over decisions waits: so it is small.
const segment = 16 << 20

func (a *App) openRecords(context.Context) (func(context.Context) error, error) {
	w, err := record.Open(record.Options{Dir: filepath.Join(a.config.Home, "records"), SegmentMax: segment})
	if err != nil {
		return nil, err
	}
	a.records = w
	a.sql.records, a.sql.sql.Fresh = w, fresh{w}
	a.tel.Gauge("leat_records_dropped", "Decisions that were not recorded because the queue was full.",
		func() float64 { return float64(w.Stats().Dropped) })
	a.tel.Gauge("leat_records_queued_bytes", "Bytes of decisions that wait to be written.",
		func() float64 { return float64(w.Stats().Queued) })
	return func(context.Context) error { return w.Close() }, nil
}

// openModels makes what keeps models, features, resources and releases.
func (a *App) openModels(context.Context) (func(context.Context) error, error) {
	a.keys = identity.NewKeys(a.catalog, a.clock)
	runtimes, err := a.newRuntimes()
	if err != nil {
		return nil, err
	}
	a.runtimes, a.formats = runtimes, runtimes.Formats()
	a.registry = registry.New(a.catalog, a.blobs, a.formats, a.clock)
	a.registry.Memory(a.config.ModelMemory)
	a.releases = deploy.New(a.catalog, a.clock)
	a.resources = resources.New(a.catalog, a.clock)
	a.features = a.newTables()
	a.signals = monitor.NewSignals(a.catalog, a.fired)
	a.watch = newWatch(a)
	if err := a.openWebhooks(); err != nil {
		return nil, err
	}
	return func(context.Context) error { return a.registry.Close() }, nil
}

// maxAwake is how many endpoints are ready at a start; others wake when they
// are asked, so that a start takes no longer for having many.
const maxAwake = 32

// openDecisions compiles the path of every endpoint that has a live release.
// One that cannot be compiled is logged and left out: the others serve.
func (a *App) openDecisions(ctx context.Context) (func(context.Context) error, error) {
	a.router = decide.NewRouter(a.releases, decide.Deps{
		Models: a.registry, Features: featureCompiler{a}, Assistants: a.assistants, Recorder: assistantRecorder{a.records},
		Observer: a.watch, Clock: a.clock, Log: a.log,
	})
	a.driver = questions.NewDriver(a.router)
	a.serving = newServing(a.router)
	endpoints, err := a.releases.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	for i, name := range endpoints {
		if i >= maxAwake {
			err = a.place(ctx, name)
		} else {
			err = a.serve(ctx, name)
		}
		if err != nil {
			a.log.Error("an endpoint cannot be served", "endpoint", name, "error", err)
		}
	}
	return func(context.Context) error { a.router.Close(); return nil }, nil
}

// runRecorder records a run once, whichever of its lives comes to it: a kill
// between the record and the end of its step repeats the step.
type runRecorder struct{ app *App }

// Run meets batch.Recorder.
func (r runRecorder) Run(ctx context.Context, run record.Run) error {
	if _, err := (decisions(r)).Find(ctx, run.ID); err == nil {
		return nil
	}
	return r.app.records.Run(ctx, run)
}

// serve puts the live release of an endpoint in place, and watches it.
func (a *App) serve(ctx context.Context, endpoint string) error {
	if err := a.serving.Refresh(ctx, endpoint); err != nil {
		return err
	}
	return a.watch.follow(ctx, endpoint)
}

// place makes an endpoint known, asleep.
func (a *App) place(ctx context.Context, endpoint string) error {
	if err := a.router.Place(ctx, endpoint); err != nil {
		return err
	}
	return a.watch.follow(ctx, endpoint)
}

// featureSet is a compiled set of features as the decision path sees it.
type featureSet struct {
	*feature.Set
	online *online.Reader // of what is kept up to date; nil where nothing is
}

func (s featureSet) Inputs() []model.Field {
	fields := make([]model.Field, 0, len(s.Set.Inputs()))
	for _, c := range s.Set.Inputs() {
		fields = append(fields, model.Field{Name: c.Name, Type: c.Type})
	}
	return fields
}

func (s featureSet) Compute(ctx context.Context, in frame.Batch, a feature.Asked) (frame.Batch, []error, error) {
	a, done, err := s.find(ctx, in, a)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	out, err := s.ComputeAs(ctx, in, a)
	return out, nil, err
}
