package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// Collect runs a query, scans each row and closes what it opened. No rows is
// an empty slice and no error.
func Collect[T any](ctx context.Context, t Tx, scan func(*sql.Rows) (T, error), statement string, args ...any) ([]T, error) {
	rows, err := t.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "a row of the catalog could not be read")
		}
		found = append(found, v)
	}
	if err := rows.Err(); err != nil {
		return nil, failed(t, err)
	}
	return found, nil
}

// failed tells a transaction of a statement that failed late.
func failed(t Tx, err error) error {
	if t, ok := t.(*tx); ok {
		return t.fail(err)
	}
	return err // of a transaction that a test made up
}

// Next returns the next number of a named sequence, from 1. Numbers have no
// gaps, and a smaller one is never committed after a larger one, so whoever
// reads a table from the last number it saw misses nothing. The price is that
// writers of one sequence wait for each other.
func Next(ctx context.Context, t Tx, sequence string) (int64, error) {
	var n int64
	err := t.Row(ctx, `INSERT INTO sequences (name, value) VALUES (?, 1)
		ON CONFLICT (name) DO UPDATE SET value = sequences.value + 1 RETURNING value`, []any{sequence}, &n)
	return n, err
}

// Micros is how a time is stored: microseconds since 1970, 0 for the zero
// time, which means never.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the time of stored microseconds, in UTC; the zero time for 0.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
