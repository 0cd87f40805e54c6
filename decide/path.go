package decide

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
)

// Models is where a path gets its models from: the registry. Hold keeps a
// model in memory until release is called. Full says that there are more in
// memory than there is room for.
type Models interface {
	Version(ctx context.Context, name, ref string) (registry.Version, error)
	Hold(ctx context.Context, v registry.Version) (m model.Model, release func(), err error)
	Full() bool
}

// Features compiles the feature definitions of a release: flow/feature.
type Features interface {
	Compile(ctx context.Context, c deploy.Content) (FeatureSet, error)
}

// FeatureSet computes features row by row. It is immutable and safe for many
// goroutines. One that also has a Close method is closed when no request
// needs it any more.
type FeatureSet interface {
	// Inputs are the columns that Compute reads.
	Inputs() []model.Field
	// Outputs are the columns that Compute returns.
	Outputs() []frame.Column
	// Compute returns Outputs for every row of in, which has the columns of
	// Inputs and others. errs is nil, or one per row; a failed row is NULL.
	// err is set when no row could be computed.
	Compute(ctx context.Context, in frame.Batch, a feature.Asked) (out frame.Batch, errs []error, err error)
}

// Assistants makes the two halves of an assistant's release: what finds the
// passages of a question, as features, and what answers from them, as a
// model. Who asks is in their contexts (identity.From).
type Assistants interface {
	Passages(ctx context.Context, name string, a *deploy.Assistant) (FeatureSet, error)
	Answerer(ctx context.Context, name string, a *deploy.Assistant) (m model.Model, release func(), err error)
}

// Recorder keeps what was decided: decide/record.
type Recorder interface {
	Record(ctx context.Context, e *record.Entry) error
}

// Observer is told of every request that was admitted, for metrics. It must
// return at once.
type Observer interface {
	Decided(Observation)
}

// Observation is what a request came to.
type Observation struct {
	Endpoint, Release, Variant string
	Pattern                    Pattern
	Rows, Failed               int
	Latency                    time.Duration
	Err                        error // the request failed whole
	// Inputs is what the model read and Output what was answered. They are nil
	// when the request did not come so far, and valid until Decided returns.
	Inputs, Output frame.Batch
}

// Deps is what a path is compiled with. Features and Assistants may be nil
// when no release has any; Recorder, Observer and Log may be nil.
type Deps struct {
	Models     Models
	Features   Features
	Assistants Assistants
	Recorder   Recorder
	Observer   Observer
	Screens    []Screen // outermost first
	Clock      clock.Clock
	Log        *slog.Logger
}

// Step is the inner part of the path, from route to the decision column, as
// a screen sees it: it reads p.Model and sets p.Variant and p.Output.
type Step func(ctx context.Context, p *Pass) error

// Screen wraps a Step: it may refuse rows with Pass.Fail, or change them on
// the way in and out.
type Screen func(next Step) Step

// Pass is one request on its way through the path. Its batches are the
// path's; a step that replaces one releases what was there.
type Pass struct {
	Request  Request
	Inputs   frame.Batch // columns of Path.Inputs
	Features frame.Batch // as computed; nil when the release has none
	Model    frame.Batch // what the model reads, for every row
	Errors   []error     // nil, or one per row
	Variant  string
	ServedBy string      // the models that stood in for the variant's own, "" for none
	Output   frame.Batch // columns of Path.Outputs

	version registry.Version
}

// Fail marks a row as failed. Its first error counts.
func (p *Pass) Fail(row int, err error) {
	if p.Errors == nil {
		p.Errors = make([]error, p.Request.Rows.NumRows())
	}
	if p.Errors[row] == nil {
		p.Errors[row] = err
	}
}

// Fallback is the variant of a request that a model of the release answered
// with the help of another one.
const Fallback = "fallback"

// standIn notes that another model answered, or answered in part.
func (p *Pass) standIn(name string) {
	if name == "" || strings.Contains(p.ServedBy, name) {
		return
	}
	p.Variant = Fallback
	if p.ServedBy != "" {
		name = p.ServedBy + ", " + name
	}
	p.ServedBy = name
}

// failed counts the rows that have an error.
func (p *Pass) failed() (n int) {
	for _, err := range p.Errors {
		if err != nil {
			n++
		}
	}
	return n
}

func (p *Pass) release() {
	for _, b := range []frame.Batch{p.Inputs, p.Features, p.Model, p.Output} {
		if b != nil {
			b.Release()
		}
	}
}

// Path is a compiled release. It is immutable and safe for many goroutines.
type Path struct {
	deps     Deps
	release  deploy.Release
	inputs   binding
	features FeatureSet // nil: the model reads inputs alone
	computed shape      // of Features
	model    assembly
	variants []variant
	schema   *arrow.Schema // of Output
	decision *decision     // nil: no decision column
	step     Step          // screens around route, predict and decision

	refs atomic.Int64 // who holds the path; at 0 it is closed and not taken again
}

// Release returns what the path was compiled from.
func (p *Path) Release() deploy.Release { return p.release }

// Inputs are the columns that a request must or may have: what to decode
// JSON into.
func (p *Path) Inputs() []model.Field { return p.inputs.fields }

// Schema is the Arrow schema of Inputs. Rows that have this very schema are
// taken without looking for their columns.
func (p *Path) Schema() *arrow.Schema { return p.inputs.schema }

// Outputs are the columns of Answer.Rows.
func (p *Path) Outputs() []frame.Column {
	columns, _ := frame.ColumnsOf(p.schema) // Compile made it of the six types
	return columns
}

// MaxRows is how many rows one interactive request may have.
func (p *Path) MaxRows() int {
	if n := p.release.Content.Limits.MaxRows; n > 0 {
		return n
	}
	return defaultMaxRows
}

// Timeout bounds the time of one request, the reading of its body included.
func (p *Path) Timeout() time.Duration {
	if d := p.release.Content.Limits.Timeout.Std(); d > 0 {
		return d
	}
	return defaultTimeout
}

// MaxBody is how many bytes one interactive request may have.
func (p *Path) MaxBody() int64 {
	if n := p.release.Content.Limits.MaxBody; n > 0 {
		return int64(n)
	}
	return defaultMaxBody
}

// What an endpoint has that says nothing; the resource language fills in the
// same, so only releases made without it come to these.
const (
	defaultMaxRows     = 10_000
	defaultMaxBody     = 16 << 20
	defaultConcurrency = 64
	defaultTimeout     = 10 * time.Second
)

// decide answers an admitted request: everything but the limits.
func (p *Path) decide(ctx context.Context, q Request) (*Answer, error) {
	start := p.deps.Clock.Now()
	if q.Received.IsZero() {
		q.Received = start
	}
	if q.Asked.At.IsZero() {
		q.Asked.At = start
	}
	if p.release.Content.Assistant != nil { // passages are for who may read them
		ctx = identity.With(ctx, q.Principal)
	}
	pass := Pass{Request: q}
	defer pass.release()
	ids, err := p.ids(start, q)
	if err == nil {
		err = p.run(ctx, &pass)
	}
	latency := p.deps.Clock.Now().Sub(q.Received)
	if err == nil {
		err = p.record(ctx, &pass, ids, start, latency)
	}
	p.observe(&pass, latency, err)
	if err == nil && q.Seen != nil {
		err = q.Seen(pass.Model, pass.Output)
	}
	if err != nil {
		return nil, err
	}
	pass.Output.Retain()
	return &Answer{Release: p.release.ID, Variant: pass.Variant, ServedBy: pass.ServedBy, IDs: ids,
		Rows: pass.Output, Errors: pass.Errors}, nil
}

// run takes a pass through enrich, screen, route, predict and screen.
func (p *Path) run(ctx context.Context, pass *Pass) (err error) {
	if pass.Inputs, err = p.inputs.bind(pass.Request.Rows); err != nil {
		return err
	}
	p.inputs.require(pass, pass.Inputs)
	if err := p.enrich(ctx, pass); err != nil {
		return err
	}
	err = p.guarded(ctx, func() error { return p.step(ctx, pass) })
	switch {
	case err != nil:
		return err
	case pass.Output == nil || pass.Output.NumRows() != pass.Request.Rows.NumRows():
		return fault.New(fault.Internal, "a step of the path lost rows of %s", p.release.Endpoint)
	}
	if pass.Errors != nil {
		whole := pass.Output
		pass.Output = pickRows(whole, without(pass.Errors))
		whole.Release()
	}
	return nil
}

// record keeps what was decided. A batch's decisions are recorded by its
// output table (see decide/record), so only what is interactive is kept here.
func (p *Path) record(ctx context.Context, pass *Pass, ids []string, at time.Time, latency time.Duration) error {
	mode := p.release.Content.Record
	if p.deps.Recorder == nil && mode != RecordRequired || mode == RecordOff || pass.Request.Pattern == Batch || len(ids) == 0 {
		return nil
	}
	if p.deps.Recorder == nil {
		return fault.New(fault.Unavailable, "endpoint %s answers nothing that is not recorded, and there is no decision log", p.release.Endpoint)
	}
	q := &pass.Request
	err := p.deps.Recorder.Record(ctx, &record.Entry{
		At: at, Pattern: string(q.Pattern), Endpoint: p.release.Endpoint, Release: p.release.ID,
		Variant: pass.Variant, Model: pass.version.Model, Version: pass.version.Number,
		Caller: q.Principal.Name, Run: q.Run, Latency: latency, Required: mode == RecordRequired,
		IDs: ids, Keys: q.Keys, Errors: pass.Errors,
		Inputs: pass.Inputs, Features: pass.Features, Output: pass.Output,
	})
	if mode == RecordRequired {
		return err
	}
	return nil // the log counts what it had to drop
}

// Modes of recording, as endpoints write them.
const (
	RecordOn       = "on"
	RecordRequired = "required"
	RecordOff      = "off"
)

func (p *Path) observe(pass *Pass, latency time.Duration, err error) {
	if p.deps.Observer == nil {
		return
	}
	p.deps.Observer.Decided(Observation{
		Endpoint: p.release.Endpoint, Release: p.release.ID, Variant: pass.Variant, Pattern: pass.Request.Pattern,
		Rows: int(pass.Request.Rows.NumRows()), Failed: pass.failed(), Latency: latency, Err: err,
		Inputs: pass.Model, Output: pass.Output,
	})
}

// take holds the path; false means that it is closed already.
func (p *Path) take() bool {
	for {
		n := p.refs.Load()
		if n <= 0 {
			return false
		}
		if p.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave lets the path go, and closes it when nobody holds it.
func (p *Path) leave() {
	if p.refs.Add(-1) == 0 {
		p.close()
	}
}

// rest closes the path if nobody holds it but the router, and tells whether it
// did.
func (p *Path) rest() bool {
	if !p.refs.CompareAndSwap(1, 0) {
		return false
	}
	p.close()
	return true
}

// close lets models and features go. Nobody holds the path any more.
func (p *Path) close() {
	for _, v := range p.variants {
		v.release()
	}
	c, ok := p.features.(io.Closer)
	if !ok {
		return
	}
	if err := c.Close(); err != nil {
		p.deps.Log.Warn("features of a release did not close", "release", p.release.ID, "error", err)
	}
}
