package app

import (
	"context"
	"path/filepath"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
)

func (a *App) openIngest(context.Context) (func(context.Context) error, error) {
	root, err := filepath.Abs(a.config.Project)
	if err != nil {
		return nil, err
	}
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return nil, err
	}
	a.ingester = &ingest.Ingester{
		Sink: a.lake.Sink(), Ledger: ingest.CatalogLedger{DB: a.catalog}, Openers: backends.Openers(policy), Databases: backends.Databases(),
		Secret: resolveSecret(secret.NewResolver(nil)), Root: root, Scratch: a.scratch(), Clock: a.clock,
	}
	return nil, nil
}

// resolveSecret gives sources the value of their reference at the moment that
// they need it.
func resolveSecret(r *secret.Resolver) func(context.Context, string) (string, error) {
	return func(ctx context.Context, reference string) (string, error) {
		ref, err := secret.Parse(reference)
		if err != nil {
			return "", err
		}
		value, err := r.Resolve(ctx, ref)
		return value.Reveal(), err
	}
}
