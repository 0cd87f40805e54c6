package ingest

import (
	"context"
	"database/sql"

	"github.com/leat-ai/leat/store/catalog"
)

// CatalogLedger is the Ledger that Leat uses: a table of the catalog.
type CatalogLedger struct{ DB *catalog.DB }

// Done returns the digest of every file that was taken, by name. Of a file
// that was taken more than once, in replace mode, it is the newest.
func (l CatalogLedger) Done(ctx context.Context, source string) (map[string]string, error) {
	done := map[string]string{}
	err := l.DB.Read(ctx, func(t catalog.Tx) error {
		clear(done)
		type file struct{ name, digest string }
		files, err := catalog.Collect(ctx, t, func(rows *sql.Rows) (f file, err error) {
			return f, rows.Scan(&f.name, &f.digest)
		}, `SELECT name, digest FROM ingests WHERE source = ? ORDER BY at, snapshot`, source)
		for _, f := range files {
			done[f.name] = f.digest
		}
		return err
	})
	return done, err
}

// Record remembers files, all or none.
func (l CatalogLedger) Record(ctx context.Context, source string, files []Entry) error {
	return l.DB.Write(ctx, func(t catalog.Tx) error {
		for _, f := range files {
			_, err := t.Exec(ctx, `INSERT INTO ingests (source, name, digest, rows, quarantined, snapshot, at)
				VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (source, name, digest) DO UPDATE SET
					rows = excluded.rows, quarantined = excluded.quarantined, snapshot = excluded.snapshot, at = excluded.at`,
				source, f.Name, f.Digest, f.Rows, f.Quarantined, f.Snapshot, catalog.Micros(f.At))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
