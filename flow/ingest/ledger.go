package ingest

import (
	"context"
	"database/sql"

	"github.com/leat-ai/leat/store/catalog"
)

// CatalogLedger is the Ledger that Leat uses: a table of the catalog.
type CatalogLedger struct{ DB *catalog.DB }

// Files returns what is known of a source's files, by name. Of a file that
// was taken more than once, in replace mode, it is the newest.
func (l CatalogLedger) Files(ctx context.Context, source string) (map[string]Entry, error) {
	known := map[string]Entry{}
	err := l.DB.Read(ctx, func(t catalog.Tx) error {
		clear(known)
		files, err := catalog.Collect(ctx, t, func(rows *sql.Rows) (e Entry, err error) {
			var at int64
			err = rows.Scan(&e.Name, &e.Digest, &e.Rows, &e.Quarantined, &e.Snapshot, &at)
			e.At = catalog.Time(at)
			return e, err
		}, `SELECT name, digest, rows, quarantined, snapshot, at FROM ingests WHERE source = ? ORDER BY at, snapshot`, source)
		for _, f := range files {
			known[f.Name] = f
		}
		return err
	})
	return known, err
}

// Begin notes the files of a run that is about to commit.
func (l CatalogLedger) Begin(ctx context.Context, source string, files []Entry) error {
	return l.DB.Write(ctx, func(t catalog.Tx) error {
		if _, err := t.Exec(ctx, `DELETE FROM ingests WHERE source = ? AND snapshot = 0`, source); err != nil {
			return err
		}
		return record(ctx, t, source, files, `DO NOTHING`)
	})
}

// Record notes files as taken, all or none.
func (l CatalogLedger) Record(ctx context.Context, source string, files []Entry) error {
	return l.DB.Write(ctx, func(t catalog.Tx) error {
		return record(ctx, t, source, files, `DO UPDATE SET
			rows = excluded.rows, quarantined = excluded.quarantined, snapshot = excluded.snapshot, at = excluded.at`)
	})
}

func record(ctx context.Context, t catalog.Tx, source string, files []Entry, otherwise string) error {
	for _, f := range files {
		_, err := t.Exec(ctx, `INSERT INTO ingests (source, name, digest, rows, quarantined, snapshot, at)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, name, digest) `+otherwise,
			source, f.Name, f.Digest, f.Rows, f.Quarantined, f.Snapshot, catalog.Micros(f.At))
		if err != nil {
			return err
		}
	}
	return nil
}
