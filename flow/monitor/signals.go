package monitor

import (
	"context"
	"database/sql"
	"strings"

	"github.com/leat-ai/leat/store/catalog"
)

// Signals keeps readings. It is safe for many goroutines.
type Signals struct {
	db     catalog.Database
	notify func(Reading)
}

// NewSignals returns the signals of a catalog. notify, when not nil, is called
// with each reading that fires, once it is stored.
func NewSignals(db catalog.Database, notify func(Reading)) *Signals {
	return &Signals{db: db, notify: notify}
}

// Keep stores readings, all or none.
func (s *Signals) Keep(ctx context.Context, readings []Reading) error {
	err := s.db.Write(ctx, func(tx catalog.Tx) error {
		for _, r := range readings {
			if err := insert(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || s.notify == nil {
		return err
	}
	for _, r := range readings {
		if r.Fired {
			s.notify(r)
		}
	}
	return nil
}

func insert(ctx context.Context, tx catalog.Tx, r Reading) error {
	seq, err := catalog.Next(ctx, tx, "signals")
	if err != nil {
		return err
	}
	name := r.Name()
	if r.Window != "" {
		name += " " + r.Window
	}
	_, err = tx.Exec(ctx, `INSERT INTO signals
		(seq, monitor, signal, at, window_start, window_end, rows, value, threshold, fired, release)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		seq, r.Monitor, name, catalog.Micros(r.End), catalog.Micros(r.Start), catalog.Micros(r.End),
		r.Rows, r.Value, r.Threshold, r.Fired, r.Release)
	return err
}

// Query says which readings to list.
type Query struct {
	Monitor string // every monitor when empty
	Fired   bool   // only those that fired
	Limit   int    // newest first; 100 when 0
}

// List returns readings, newest first.
func (s *Signals) List(ctx context.Context, q Query) (readings []Reading, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	err = s.db.Read(ctx, func(tx catalog.Tx) error {
		readings, err = catalog.Collect(ctx, tx, scan, `
			SELECT monitor, signal, window_start, window_end, rows, value, threshold, fired, release FROM signals
			WHERE (? = '' OR monitor = ?) AND (fired OR NOT ?) ORDER BY seq DESC LIMIT ?`,
			q.Monitor, q.Monitor, q.Fired, q.Limit)
		return err
	})
	return readings, err
}

func scan(rows *sql.Rows) (Reading, error) {
	var r Reading
	var name string
	var start, end int64
	err := rows.Scan(&r.Monitor, &name, &start, &end, &r.Rows, &r.Value, &r.Threshold, &r.Fired, &r.Release)
	r.Start, r.End = catalog.Time(start), catalog.Time(end)
	r.Signal, r.Column, _ = strings.Cut(name, ":")
	if at := strings.LastIndexByte(r.Column, ' '); at > 0 && strings.Contains(r.Column[at:], "/") {
		r.Column, r.Window = r.Column[:at], r.Column[at+1:]
	}
	return r, err
}
