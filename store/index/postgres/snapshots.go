package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// snapshot is a row of snapshots.
type snapshot struct {
	index.Snapshot
	sid       int64
	length    int64 // of all passages, in units
	analyzers []string
	analyzed  map[string]int64 // passages by analyzer
}

const snapshotColumns = `sid, name, base, made, settings, analyzers, analyzed, passages, documents, dimension, length, bytes`

func scanSnapshot(row pgx.CollectableRow) (snapshot, error) {
	var (
		s                    snapshot
		name, base, settings []byte
		analyzers            [][]byte
		analyzed             []int64
	)
	err := row.Scan(&s.sid, &name, &base, &s.Made, &settings, &analyzers, &analyzed, &s.Passages, &s.Documents, &s.Dimension, &s.length, &s.Bytes)
	if err != nil {
		return s, err
	}
	s.Name, s.Base, s.Made = string(name), string(base), s.Made.UTC()
	s.analyzed = make(map[string]int64, len(analyzers))
	for i, a := range analyzers {
		s.analyzers = append(s.analyzers, string(a))
		s.analyzed[string(a)] = analyzed[i]
	}
	if err := json.Unmarshal(settings, &s.Settings); err != nil {
		return s, fault.Wrap(err, fault.Corrupt, "the settings of snapshot %.100q cannot be read", s.Name)
	}
	return s, nil
}

// readSnapshot finds a snapshot by name.
func readSnapshot(ctx context.Context, tx pgx.Tx, name string) (*snapshot, error) {
	rows, err := tx.Query(ctx, `SELECT `+snapshotColumns+` FROM snapshots WHERE name = $1`, []byte(name))
	if err != nil {
		return nil, err
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanSnapshot)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "the index has no snapshot %.100q", name)
	}
	return &s, err
}

// Snapshots lists what was committed, the oldest first.
func (x *Index) Snapshots(ctx context.Context) ([]index.Snapshot, error) {
	rows, err := x.pool.Query(ctx, `SELECT `+snapshotColumns+` FROM snapshots ORDER BY made, sid`)
	if err != nil {
		return nil, wrap(ctx, err)
	}
	all, err := pgx.CollectRows(rows, scanSnapshot)
	if err != nil {
		return nil, wrap(ctx, err)
	}
	out := make([]index.Snapshot, len(all))
	for i, s := range all {
		out[i] = s.Snapshot
	}
	return out, nil
}

// Drop forgets a snapshot, and what it shares with no other. While a build runs
// that stays, until the next Drop.
func (x *Index) Drop(ctx context.Context, name string) error {
	return wrap(ctx, pgx.BeginFunc(ctx, x.pool, func(tx pgx.Tx) error {
		var sid int64
		err := tx.QueryRow(ctx, `DELETE FROM snapshots WHERE name = $1 RETURNING sid`, []byte(name)).Scan(&sid)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, sql := range []string{`DELETE FROM members WHERE sid = $1`, `DELETE FROM terms WHERE sid = $1`} {
			if _, err := tx.Exec(ctx, sql, sid); err != nil {
				return err
			}
		}
		var alone bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, x.lock).Scan(&alone); err != nil || !alone {
			return err
		}
		return collect(ctx, tx)
	}))
}

// collect deletes the documents that are in no snapshot.
func collect(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `DELETE FROM documents d WHERE NOT EXISTS (SELECT FROM members m WHERE m.did = d.did) RETURNING did`)
	if err != nil {
		return err
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(gone) == 0 {
		return err
	}
	for _, sql := range []string{
		`DELETE FROM fields WHERE pid IN (SELECT pid FROM passages WHERE did = ANY($1))`,
		`DELETE FROM postings WHERE did = ANY($1)`,
		`DELETE FROM passages WHERE did = ANY($1)`,
	} {
		if _, err := tx.Exec(ctx, sql, gone); err != nil {
			return err
		}
	}
	return nil
}
