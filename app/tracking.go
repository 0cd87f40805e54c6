package app

import (
	"context"

	"github.com/leat-ai/leat/flow/registry/tracked"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/surface/compat/mlflow"
	"github.com/leat-ai/leat/surface/server"
)

func (a *App) openTracking(ctx context.Context) (func(context.Context) error, error) {
	t, err := track.Open(ctx, a.catalog, a.blobs, a.clock, track.Config{})
	a.track = t
	return nil, err
}

// openMLflow lets in MLflow's clients: what they log is tracked, and what they
// register are versions like all others.
func (a *App) openMLflow(s *server.Server, imports *imports) {
	mlflow.Register(s, mlflow.Services{
		Version: Version, Track: a.track, Registry: a.registry,
		Versions: &tracked.Versions{Track: a.track, Registry: a.registry, Importer: imports.intake},
	})
}
