package decide

import (
	"context"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// Models is where a path gets its models from: the registry.
type Models interface {
	Version(ctx context.Context, name, ref string) (registry.Version, error)
	Load(ctx context.Context, v registry.Version) (model.Model, error)
}

// Features compiles the feature definitions of a release: flow/feature.
type Features interface {
	Compile(ctx context.Context, views []spec.FeatureView, snapshots map[string]int64) (FeatureSet, error)
}

// FeatureSet computes features row by row. It is immutable and safe for many
// goroutines.
type FeatureSet interface {
	// Inputs are the columns that Compute reads.
	Inputs() []model.Field
	// Outputs are the columns that Compute returns.
	Outputs() []frame.Column
	// Compute returns Outputs for every row of in. errs is nil, or one per
	// row; a failed row is NULL. err is set when no row could be computed.
	Compute(ctx context.Context, in frame.Batch) (out frame.Batch, errs []error, err error)
}

// Recorder keeps what was decided: decide/record.
type Recorder interface {
	Record(ctx context.Context, e *record.Entry) error
}

// Releases is where the router learns what is live: flow/deploy.
type Releases interface {
	Live(ctx context.Context, endpoint string) (deploy.Release, error)
	Release(ctx context.Context, id string) (deploy.Release, error)
}

// Deps is what a path is compiled with. Features may be nil when no release
// has any; Recorder may be nil when nothing is recorded.
type Deps struct {
	Models   Models
	Features Features
	Recorder Recorder
	Screens  []Screen // outermost first
	Clock    clock.Clock
	Limits   Defaults
}

// Defaults bound endpoints that say nothing of their own; see NewDefaults.
type Defaults struct {
	MaxRows     int
	Concurrency int
}

// Step is the inner part of the path, from route to the decision column, as
// a screen sees it.
type Step func(ctx context.Context, p *Pass) error

// Screen wraps a Step: it may refuse rows, or change them on the way in and
// out.
type Screen func(next Step) Step

// Pass is one request on its way through the path.
type Pass struct {
	Request Request
}

var errBuilding = fault.New(fault.Unsupported, "the decision path is being built")

// Path is a compiled release.
type Path struct {
	release deploy.Release
	inputs  []model.Field
	outputs []frame.Column
}

// Compile binds a release: models loaded and verified, features compiled,
// columns mapped.
func Compile(ctx context.Context, r deploy.Release, deps Deps) (*Path, error) {
	return nil, errBuilding
}

// Release returns what the path was compiled from.
func (p *Path) Release() deploy.Release { return p.release }

// Inputs are the columns that a request must or may have: what to decode
// JSON into.
func (p *Path) Inputs() []model.Field { return p.inputs }

// Outputs are the columns of Answer.Rows.
func (p *Path) Outputs() []frame.Column { return p.outputs }
