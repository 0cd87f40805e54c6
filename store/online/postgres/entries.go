package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// A statement has at most so many entries, or so many bytes of them.
const (
	batchEntries = 1000
	batchBytes   = 4 << 20
)

const getSQL = `
SELECT k.n, o.at, o.version, o.value
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS k (view, key, n)
JOIN leat_online o ON o.view = k.view AND o.key = k.key
WHERE o.expires = 0 OR o.expires > $3`

// putSQL writes in the order of keys, so that writers wait for each other in
// one order.
const putSQL = `
INSERT INTO leat_online AS o (view, key, at, version, expires, value)
SELECT $1, n.key, n.at, n.version, n.expires, n.value
FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[]) AS n (key, at, version, expires, value)
ORDER BY n.key
ON CONFLICT (view, key) DO UPDATE
SET at = excluded.at, version = excluded.version, expires = excluded.expires, value = excluded.value
WHERE excluded.at >= o.at OR (o.expires > 0 AND o.expires <= $7)`

// swapSQL locks the rows that are there, updates those of the right version,
// inserts those of no version, and returns the numbers of the others but for
// those that have their new version already.
const swapSQL = `
WITH n AS MATERIALIZED (
    SELECT * FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $8::bigint[])
        WITH ORDINALITY AS n (key, at, version, expires, value, old, i)
), there AS MATERIALIZED (
    SELECT o.key, o.version FROM leat_online o JOIN n ON o.view = $1 AND o.key = n.key ORDER BY o.key FOR UPDATE OF o
), updated AS (
    UPDATE leat_online o
    SET at = n.at, version = n.version, expires = n.expires, value = n.value
    FROM n JOIN there t ON t.key = n.key
    WHERE o.view = $1 AND o.key = n.key AND n.old <> 0 AND o.version = n.old AND (o.expires = 0 OR o.expires > $7)
    RETURNING o.key
), inserted AS (
    INSERT INTO leat_online AS o (view, key, at, version, expires, value)
    SELECT $1, n.key, n.at, n.version, n.expires, n.value FROM n WHERE n.old = 0 ORDER BY n.key
    ON CONFLICT (view, key) DO UPDATE
    SET at = excluded.at, version = excluded.version, expires = excluded.expires, value = excluded.value
    WHERE o.expires > 0 AND o.expires <= $7
    RETURNING o.key
)
SELECT n.i FROM n
WHERE n.key NOT IN (SELECT key FROM updated) AND n.key NOT IN (SELECT key FROM inserted)
  AND NOT EXISTS (SELECT FROM there t WHERE t.key = n.key AND t.version = n.version)
ORDER BY n.i`

// Get reads with one statement.
func (s *Store) Get(ctx context.Context, keys []online.Key, into []online.Found) ([]online.Found, error) {
	if err := online.CheckGet(keys); err != nil || len(keys) == 0 {
		return into, err
	}
	tables, names := make([]string, len(keys)), make([][]byte, len(keys))
	for i := range keys {
		tables[i], names[i] = keys[i].Table, keys[i].Key
	}
	before := len(into)
	into = append(into, make([]online.Found, len(keys))...)
	found := into[before:]
	rows, err := s.pool.Query(ctx, getSQL, tables, names, s.now())
	if err != nil {
		return into[:before], wrap(ctx, err)
	}
	var i, at, version int64
	var value []byte
	_, err = pgx.ForEachRow(rows, []any{&i, &at, &version, &value}, func() error {
		found[i-1] = online.Found{Value: value, At: at, Version: uint64(version), OK: true}
		value = nil // the next one is another
		return nil
	})
	if err != nil {
		return into[:before], wrap(ctx, err)
	}
	return into, nil
}

// Put writes by putSQL.
func (s *Store) Put(ctx context.Context, table string, entries []online.Entry) (int, error) {
	if err := online.CheckPut(table, entries); err != nil {
		return 0, err
	}
	left := len(entries)
	entries = online.Newest(entries)
	for first := 0; first < len(entries); {
		b := batch{}
		for i := first; i < len(entries) && !b.full(); i++ {
			b.add(&entries[i], online.NewVersion())
		}
		var tag pgconn.CommandTag
		err := again(ctx, func() (err error) {
			tag, err = s.pool.Exec(ctx, putSQL, table, b.keys, b.at, b.versions, b.expires, b.values, s.now())
			return err
		})
		if err != nil {
			return left, err
		}
		left -= int(tag.RowsAffected())
		first += len(b.keys)
	}
	return left, nil
}

// Swap writes by swapSQL.
func (s *Store) Swap(ctx context.Context, table string, changes []online.Change) ([]int, error) {
	if err := online.CheckSwap(table, changes); err != nil {
		return nil, err
	}
	var lost []int
	for first := 0; first < len(changes); {
		b := batch{}
		for i := first; i < len(changes) && !b.full(); i++ {
			b.add(&changes[i].Entry, changes[i].To)
			b.old = append(b.old, int64(changes[i].From))
		}
		var numbers []int64
		err := again(ctx, func() error {
			rows, err := s.pool.Query(ctx, swapSQL, table, b.keys, b.at, b.versions, b.expires, b.values, s.now(), b.old)
			if err != nil {
				return err
			}
			numbers, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
		if err != nil {
			return lost, err
		}
		for _, n := range numbers {
			lost = append(lost, first+int(n)-1)
		}
		first += len(b.keys)
	}
	return lost, nil
}

// batch is the arrays of one statement.
type batch struct {
	keys, values          [][]byte
	at, versions, expires []int64
	old                   []int64
	bytes                 int
}

func (b *batch) full() bool { return len(b.keys) >= batchEntries || b.bytes >= batchBytes }

func (b *batch) add(e *online.Entry, version uint64) {
	value := e.Value
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	b.keys, b.values = append(b.keys, e.Key), append(b.values, value)
	b.at, b.versions = append(b.at, e.At), append(b.versions, int64(version))
	b.expires = append(b.expires, expiry(e.Expires))
	b.bytes += len(e.Key) + len(e.Value)
}

// expiry is the millisecond of a time, 0 for never.
func expiry(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixMilli(), 1)
}

// attempts is how often a statement is tried that meets others.
const attempts = 10

// again runs a statement, and again where the server ended it for the sake of
// another one: it had done nothing then.
func again(ctx context.Context, statement func() error) error {
	for n := 1; ; n++ {
		err := statement()
		e, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || !slices.Contains([]string{"40001", "40P01", "55P03"}, e.Code) {
			return wrap(ctx, err)
		}
		if n == attempts {
			return fault.New(fault.Unavailable, "others write the same online features all the time").Because(err).Hint("try again")
		}
	}
}
