package batch

import (
	"context"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// Router joins batch runs to the decision path: what is live comes from
// releases, what is pinned from router.
func Router(router *decide.Router, releases decide.Releases) Releases {
	return routed{router, releases}
}

type routed struct {
	router   *decide.Router
	releases decide.Releases
}

func (r routed) Live(ctx context.Context, endpoint string) (string, error) {
	live, err := r.releases.Live(ctx, endpoint)
	return live.ID, err
}

func (r routed) Pin(ctx context.Context, release string) (Decider, error) {
	p, err := r.router.Pin(ctx, release)
	if err != nil {
		return nil, err
	}
	return pinned{p}, nil
}

type pinned struct{ *decide.Pinned }

func (p pinned) Inputs() []model.Field { return p.Path().Inputs() }
func (p pinned) Views() ([]spec.FeatureView, map[string][]frame.Column) {
	c := p.Path().Release().Content
	return c.Features, c.Sources
}
func (p pinned) Outputs() []frame.Column { return p.Path().Outputs() }
