package mlflow_test

import (
	"context"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/flow/registry/tracked"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/model/xgboost"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/surface/compat/mlflow"
	"github.com/leat-ai/leat/surface/server"
)

// withRegistry adds a registry, and webhooks that may tell this machine.
func withRegistry(t testing.TB, s *mlflow.Services, db *catalog.DB, blobs *blob.Store, tracking *track.Track) {
	t.Helper()
	formats := []model.Format{lightgbm.Format{}, xgboost.Format{}}
	s.Registry = registry.New(db, blobs, formats, clock.System{})
	policy, err := egress.Parse("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s.Webhooks = webhook.New(webhook.Config{DB: db, Policy: policy, Clock: clock.System{}})
	s.Registry.Announce(s.Webhooks)
	s.Versions = &tracked.Versions{Track: tracking, Registry: s.Registry,
		Importer: intake.New(intake.Config{Registry: s.Registry, Formats: formats, Clock: clock.System{}, Version: "test"})}
	s.Aliased = func(context.Context, string) {}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Webhooks.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestStockClientsRegister(t *testing.T) {
	for version, python := range clients(t) {
		t.Run(version, func(t *testing.T) {
			drive(t, python, "registry.py", newWorld(t, server.AuthLocal).server.URL())
		})
	}
}
