package app

import (
	"context"
	"path/filepath"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/retrain"
	"github.com/leat-ai/leat/pattern/batch"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// kindIngest is the kind of a run that reads one source.
const kindIngest = "ingest"

// openRuns defines every kind of run and lets the engine go on with what a
// former process left.
func (a *App) openRuns(ctx context.Context) (func(context.Context) error, error) {
	e, err := work.Open(ctx, work.Config{URL: a.config.Work, Executor: a.config.Executor, Logger: a.log, Clock: a.clock, Ended: a.runEnded,
		Span: func(ctx context.Context, name string) (context.Context, func(error)) { return a.tel.Span(ctx, name) }})
	if err != nil {
		return nil, err
	}
	a.runs = e
	a.defineIngest()
	online.Define(e, a.onlineDeps)
	a.known.Define(e)
	batch.Define(e, batch.Deps{
		Releases: batch.Router(a.router, a.releases), Lake: a.lake, Ingest: a.ingester, Recorder: runRecorder{a},
		Features: a.features, Watch: batchWatch{a}, Clock: a.clock, Root: a.ingester.Root, Scratch: filepath.Join(a.scratch(), "batch"),
	})
	retrain.Define(e, retrain.Deps{
		Lake: a.lake, Features: a.features, Ingests: ingests{a}, Batches: batchRuns{e}, Assessments: assessments{a}, Registry: a.registry,
		Releases: a.releases, Blobs: a.blobs, Trainer: a.trainer, Trained: a.trained, Deployed: a.serve,
		Version: Version, Code: revision(ctx, a.ingester.Root),
	})
	if err := e.Launch(ctx); err != nil {
		return nil, err
	}
	return e.Close, nil
}

func (a *App) defineIngest() {
	work.Define(a.runs, kindIngest, func(_ context.Context, r *work.Run, src spec.Source) (ingest.Result, error) {
		return work.Step(r, "ingest "+src.Name, work.StepOptions{}, func(ctx context.Context, pr *work.Progress) (ingest.Result, error) {
			return ingests{a}.Run(ctx, src, r.ID(), retrain.IngestProgress(pr))
		})
	}, work.OnePerName())
}

// starter begins the run of a resource in force.
type starter struct{ app *App }

// Start begins a run on behalf of somebody and returns its id.
func (s starter) Start(ctx context.Context, kind spec.Kind, name, by string) (string, error) {
	return s.app.start(ctx, kind, name, work.By(by))
}

func (a *App) start(ctx context.Context, kind spec.Kind, name string, opts ...work.StartOption) (string, error) {
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return "", err
	}
	switch kind {
	case spec.KindSource:
		if src, ok := spec.Find[*spec.Source](list, name); ok {
			return a.runs.Start(ctx, kindIngest, name, *src, opts...)
		}
	case spec.KindBatch:
		if b, ok := spec.Find[*spec.Batch](list, name); ok {
			return batch.Start(ctx, a.runs, *b, opts...)
		}
	case spec.KindKnowledge:
		return a.known.Start(ctx, a.runs, name, opts...)
	case spec.KindPipeline:
		return retrain.Start(ctx, a.runs, name, list, opts...)
	default:
		return "", fault.New(fault.Invalid, "a %s is not something to run", kind)
	}
	return "", fault.New(fault.NotFound, "no %s is called %q", kind, name).Hint("is the project applied? `leat apply`")
}

// batchRuns lets a pipeline score a batch as a run of its own.
type batchRuns struct{ engine *work.Engine }

// Score goes on with the run where an earlier life of the pipeline left it
// failed: that the pipeline is tried again means that its batch is.
func (b batchRuns) Score(ctx context.Context, s spec.Batch, id, by string) error {
	before, err := b.engine.Get(ctx, id)
	switch {
	case fault.Is(err, fault.NotFound):
		_, err = batch.Start(ctx, b.engine, s, work.ID(id), work.By(by))
	case err == nil && before.Err() != nil:
		err = b.engine.Retry(ctx, id)
	}
	if err != nil {
		return err
	}
	status, err := b.engine.Wait(ctx, id)
	if err != nil {
		return err
	}
	return status.Err()
}

// schedule puts the timetables of the resources in force, and takes those away
// that are not any more.
func (a *App) schedule(ctx context.Context, list []spec.Resource) error {
	var mistakes fault.List
	wanted := map[string]bool{}
	set := func(kind spec.Kind, name, at string) {
		key := string(kind) + "/" + name
		wanted[key] = at != ""
		mistakes.Add(a.runs.Schedule(ctx, key, at, func(ctx context.Context, due time.Time) error {
			_, err := a.start(ctx, kind, name, work.ID(work.ScheduledID(key, due)), work.By("schedule"))
			return err
		}))
	}
	for _, s := range spec.All[*spec.Source](list) {
		set(spec.KindSource, s.Name, s.Schedule)
	}
	for _, p := range spec.All[*spec.Pipeline](list) {
		set(spec.KindPipeline, p.Name, p.On.Schedule)
	}
	for _, b := range spec.All[*spec.Batch](list) {
		set(spec.KindBatch, b.Name, b.Schedule)
	}
	for _, k := range spec.All[*spec.Knowledge](list) {
		at := ""
		if k.Every > 0 {
			at = "@every " + k.Every.Std().String()
		}
		set(spec.KindKnowledge, k.Name, at)
	}
	for key := range a.scheduled {
		if !wanted[key] {
			mistakes.Add(a.runs.Schedule(ctx, key, "", nil))
		}
	}
	a.scheduled = wanted
	return mistakes.Err()
}
