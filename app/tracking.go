package app

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/tracked"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/flow/retrain"
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
		Trigger:    a.triggerWebhook,
	})
	a.openEvents()
	return nil
}

// aliased lets endpoints serve that had no version of their model yet. One
// that cannot is told of where endpoints are: the alias itself is set.
func (a *App) aliased(ctx context.Context, by string) {
	if err := a.converge(ctx, by, spec.Plan{}); err != nil {
		a.log.Warn("not all of the project could be brought about", "error", err)
	}
}

// trained tracks what a pipeline trained as a run of the experiment that has
// the pipeline's name, whether it passes its gates or not.
func (a *App) trained(ctx context.Context, t retrain.Training) (string, error) {
	now, lineage := a.clock.Now(), t.Candidate.Lineage
	params := []track.Pair{{Key: "trainer", Value: lineage.Trainer}, {Key: "label", Value: lineage.Label}, {Key: "split", Value: lineage.Split},
		{Key: "seed", Value: strconv.FormatInt(lineage.Seed, 10)}, {Key: "features", Value: strings.Join(lineage.Features, ", ")},
		{Key: "rows", Value: strconv.FormatInt(lineage.Rows, 10)}}
	for key, value := range lineage.Params {
		params = append(params, track.Pair{Key: key, Value: strconv.FormatFloat(value, 'g', -1, 64)})
	}
	source, err := json.Marshal(struct {
		Table    string `json:"table"`
		Snapshot int64  `json:"snapshot"`
	}{lineage.Table, lineage.Snapshot})
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the table of a training")
	}
	return a.track.Record(ctx, track.Record{
		ID: t.ID, Experiment: t.Pipeline, Name: t.ID, User: t.By, Start: now.Add(-t.Took).UnixMilli(), End: now.UnixMilli(), Status: track.Finished,
		Params: params, Metrics: t.Candidate.Metrics,
		Tags: []track.Pair{{Key: "mlflow.user", Value: t.By}, {Key: "mlflow.source.name", Value: t.Pipeline}, {Key: "mlflow.source.type", Value: "LEAT"},
			{Key: "mlflow.source.git.commit", Value: lineage.Code}, {Key: "leat.model", Value: t.Candidate.Model}, {Key: "leat.run", Value: lineage.Run}},
		Inputs: []track.Dataset{{Name: lineage.Table, Digest: strconv.FormatInt(lineage.Snapshot, 10), SourceType: "leat", Source: string(source),
			Tags: []track.Pair{{Key: "mlflow.data.context", Value: "training"}}}},
	})
}
