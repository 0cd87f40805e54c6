package online

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Materialised is the last materialisation of a view that came to its end.
type Materialised struct {
	Run      string    `json:"run"`
	To       time.Time `json:"to"`       // rows before it are there
	Complete bool      `json:"complete"` // all entities were written, not only those with new rows
	Entities int64     `json:"entities"` // when all were written last
	Written  int64     `json:"written"`  // by the last one
	At       time.Time `json:"at"`       // when it ended
}

// ledger keeps them in the catalog.
type ledger struct {
	db    catalog.Database
	space string
}

// last returns the last materialisation of a view of its present definition;
// false where there was none.
func (l ledger) last(ctx context.Context, v *View) (m Materialised, ok bool, err error) {
	var to, at int64
	err = l.db.Read(ctx, func(tx catalog.Tx) error {
		return tx.Row(ctx, `SELECT run, to_at, complete, entities, written, finished_at FROM feature_materialisations
			WHERE space = ? AND table_name = ?`, []any{l.space, v.table}, &m.Run, &to, &m.Complete, &m.Entities, &m.Written, &at)
	})
	if fault.Is(err, fault.NotFound) {
		return Materialised{}, false, nil
	}
	m.To, m.At = time.UnixMicro(to).UTC(), time.UnixMicro(at).UTC()
	return m, err == nil, err
}

// done keeps a materialisation that came to its end. One that went not as far
// as another does not take its place.
func (l ledger) done(ctx context.Context, v *View, m Materialised) error {
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO feature_materialisations
				(space, table_name, view_name, run, to_at, complete, entities, written, finished_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (space, table_name) DO UPDATE SET run = excluded.run, to_at = excluded.to_at, complete = excluded.complete,
				entities = CASE WHEN excluded.complete THEN excluded.entities ELSE feature_materialisations.entities END,
				written = excluded.written, finished_at = excluded.finished_at
			WHERE excluded.to_at >= feature_materialisations.to_at`,
			l.space, v.table, v.Name(), m.Run, m.To.UnixMicro(), m.Complete, m.Entities, m.Written, m.At.UnixMicro())
		return err
	})
}
