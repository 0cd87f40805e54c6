// Package retrain is the last stage of the lifecycle and the way back to its
// beginning: pipelines, which run the other stages in the order that a
// resource says, durably, when somebody asks, on a schedule, or when a monitor
// fires.
//
// Define adds the kind of run to an engine; Start pins everything that a run
// depends on (the pipeline and the resources that it names) into its input, so
// that it means the same after a restart. A step that is done twice has the
// same effect as once: candidates are kept under the hash of their content,
// versions are named by it, and deploying what is live changes nothing.
package retrain

import (
	"context"
	"fmt"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// Kind is the kind of a pipeline's run.
const Kind = "pipeline"

// Ingests reads a source into the lake under the id of a run.
type Ingests interface {
	Run(ctx context.Context, src spec.Source, run string, progress func(ingest.Progress)) (ingest.Result, error)
}

// Batches scores a Batch resource to its end, under an id that is the same
// when it is asked again.
type Batches interface {
	Score(ctx context.Context, b spec.Batch, id, by string) error
}

// Assessments asks an assistant the questions of a step and measures the
// answers: figures by name, and the release that answered.
type Assessments interface {
	Assess(ctx context.Context, s spec.EvaluateStep, by string, asked func(done, all int)) (figures map[string]float64, release string, err error)
}

// Deps is what pipelines work with.
type Deps struct {
	Lake     *lake.Lake
	Features *tables.Store
	Ingests  Ingests
	Batches  Batches
	// Assessments may be nil: no assistant is evaluated.
	Assessments Assessments
	Registry    *registry.Registry
	Releases    *deploy.Releases
	Blobs       registry.Blobs
	// Trainer returns the trainer of a step: the built-in one of its name, or
	// its command.
	Trainer func(step spec.TrainStep) (train.Options, error)
	// Trained is told of every candidate, and returns the id under which it is
	// tracked, "" for none; nil: nobody is told. It may be told of one twice.
	Trained func(ctx context.Context, t Training) (tracked string, err error)
	// Deployed is told that an endpoint has a new release, and returns once it
	// is served.
	Deployed func(ctx context.Context, endpoint string) error
	Version  string // of Leat
	Code     string // revision of the project's repository
}

// Training is a training that ended in a candidate, whatever gates say of it.
type Training struct {
	ID        string // of the run, with the step when it is not the first training
	Pipeline  string
	By        string
	Took      time.Duration
	Candidate registry.NewVersion
}

// Input is what a run is pinned to.
type Input struct {
	Pipeline  spec.Pipeline   `json:"pipeline"`
	Resources []spec.Resource `json:"resources"`
}

// Result is the output of a run.
type Result struct {
	Model    string             `json:"model,omitempty"`
	Version  int                `json:"version,omitempty"`
	ID       string             `json:"id,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Gates    []registry.Verdict `json:"gates,omitempty"`
	Endpoint string             `json:"endpoint,omitempty"`
	Release  string             `json:"release,omitempty"`
	Number   int                `json:"number,omitempty"` // of the release
	Ingested map[string]int64   `json:"ingested,omitempty"`
	Batches  []string           `json:"batches,omitempty"`
	Answers  []Assessment       `json:"answers,omitempty"`
}

// Define adds the kind of run to an engine, before its Launch. Runs of one
// pipeline do not overlap.
func Define(e *work.Engine, d Deps) {
	work.Define(e, Kind, func(_ context.Context, r *work.Run, in Input) (Result, error) {
		p := &pipeline{Deps: d, run: r, in: in}
		return p.result, p.do(&p.result)
	}, work.OnePerName())
}

// Start begins a run of a pipeline with the resources in force.
func Start(ctx context.Context, e *work.Engine, name string, inForce []spec.Resource, opts ...work.StartOption) (string, error) {
	p, ok := spec.Find[*spec.Pipeline](inForce, name)
	if !ok {
		return "", fault.New(fault.NotFound, "no pipeline is called %q", name).Hint("is the project applied? `leat apply`")
	}
	return e.Start(ctx, Kind, name, Input{Pipeline: *p, Resources: inForce}, opts...)
}

// pipeline is one run on its way.
type pipeline struct {
	Deps
	run    *work.Run
	in     Input
	result Result

	candidate string // digest of the trained candidate
	model     string // that it is of
	verdicts  []registry.Verdict
	version   registry.Version // once registered
}

func (p *pipeline) do(out *Result) error {
	for i, s := range p.in.Pipeline.Steps {
		if err := p.step(i, s, out); err != nil {
			return err
		}
	}
	return nil
}

// name makes the name of a step unique in its run.
func (p *pipeline) name(i int, what string) string { return fmt.Sprintf("%d %s", i+1, what) }

func (p *pipeline) step(i int, s spec.Step, out *Result) error {
	switch {
	case s.Ingest != nil:
		return p.ingest(i, s.Ingest, out)
	case s.Train != nil:
		return p.train(i, s.Train)
	case len(s.Gate) > 0:
		return p.gate(i, s.Gate, out)
	case s.Register != nil:
		return p.register(i, s.Register, out)
	case s.Deploy != nil:
		return p.deploy(i, s.Deploy, out)
	case s.Batch != nil:
		return p.batch(i, s.Batch, out)
	case s.Evaluate != nil:
		return p.evaluate(i, s.Evaluate, out)
	}
	return fault.New(fault.Invalid, "step %d of the pipeline says nothing to do", i+1)
}

// once is for steps whose failure is no matter of time.
var once = work.StepOptions{}

func (p *pipeline) ingest(i int, s *spec.IngestStep, out *Result) error {
	for _, name := range s.Sources {
		src, ok := spec.Find[*spec.Source](p.in.Resources, name)
		if !ok {
			return fault.New(fault.NotFound, "no source is called %q", name)
		}
		res, err := work.Step(p.run, p.name(i, "ingest "+name), once, func(ctx context.Context, pr *work.Progress) (ingest.Result, error) {
			return p.Ingests.Run(ctx, *src, p.run.ID(), IngestProgress(pr))
		})
		if err != nil {
			return err
		}
		if out.Ingested == nil {
			out.Ingested = map[string]int64{}
		}
		out.Ingested[name] = res.Rows
	}
	return nil
}

// IngestProgress shows the progress of an ingest as that of a step.
func IngestProgress(pr *work.Progress) func(ingest.Progress) {
	var done int64
	return func(ip ingest.Progress) {
		pr.Total(ip.Total, "bytes")
		pr.Add(max(0, ip.Done-done))
		done = max(done, ip.Done)
		pr.Note(fmt.Sprintf("%d rows", ip.Rows))
	}
}

func (p *pipeline) batch(i int, s *spec.BatchStep, out *Result) error {
	b, ok := spec.Find[*spec.Batch](p.in.Resources, s.Name)
	if !ok {
		return fault.New(fault.NotFound, "no batch is called %q", s.Name)
	}
	_, err := work.Step(p.run, p.name(i, "batch "+s.Name), once, func(ctx context.Context, _ *work.Progress) (bool, error) {
		return true, p.Batches.Score(ctx, *b, fmt.Sprintf("%s-%d", p.run.ID(), i+1), p.run.By())
	})
	out.Batches = append(out.Batches, s.Name)
	return err
}
