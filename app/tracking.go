package app

import (
	"context"

	"github.com/leat-ai/leat/flow/registry/tracked"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/spec"
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
		Webhooks: a.webhooks, Aliased: a.aliased,
	})
}

// openWebhooks has other servers told of changes of the registry. Delivering
// begins with the work in the background.
func (a *App) openWebhooks() error {
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return err
	}
	a.webhooks = webhook.New(webhook.Config{
		DB: a.catalog, Policy: policy, Clock: a.clock, Log: a.log,
		Deliveries: a.tel.Counter("leat_webhook_deliveries_total", "Attempts to tell webhooks of changes, by what became of them.", "outcome"),
	})
	a.registry.Announce(a.webhooks)
	return nil
}

// aliased lets endpoints serve that had no version of their model yet. One
// that cannot is told of where endpoints are: the alias itself is set.
func (a *App) aliased(ctx context.Context, by string) {
	if err := a.converge(ctx, by, spec.Plan{}); err != nil {
		a.log.Warn("not all of the project could be brought about", "error", err)
	}
}
