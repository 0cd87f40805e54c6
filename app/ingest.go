package app

import (
	"context"
	"database/sql"
	"path/filepath"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/store/catalog"
)

func (a *App) openIngest(context.Context) (func(context.Context) error, error) {
	root, err := filepath.Abs(a.config.Project)
	if err != nil {
		return nil, err
	}
	a.ingester = &ingest.Ingester{
		Sink: a.lake.Sink(), Ledger: ingests{a.catalog}, Openers: backends.Openers(), Databases: backends.Databases(),
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

// ingests is the table of files that are in the lake already, as ingest sees
// it.
type ingests struct{ db *catalog.DB }

func (i ingests) Done(ctx context.Context, source string) (map[string]string, error) {
	done := map[string]string{}
	err := i.db.Read(ctx, func(tx catalog.Tx) error {
		_, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (bool, error) {
			var name, digest string
			err := rows.Scan(&name, &digest)
			done[name] = digest
			return true, err
		}, `SELECT name, digest FROM ingests WHERE source = ? ORDER BY at`, source)
		return err
	})
	return done, err
}

func (i ingests) Record(ctx context.Context, source string, files []ingest.Entry) error {
	return i.db.Write(ctx, func(tx catalog.Tx) error {
		for _, f := range files {
			_, err := tx.Exec(ctx, `
				INSERT INTO ingests (source, name, digest, rows, quarantined, snapshot, at) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (source, name, digest) DO UPDATE SET at = excluded.at`,
				source, f.Name, f.Digest, f.Rows, f.Quarantined, f.Snapshot, catalog.Micros(f.At))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
