package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leat-ai/leat/store/index"
)

// Grant sets the readers of documents.
func (x *Index) Grant(ctx context.Context, access []index.Access) error {
	last := make(map[string]index.Access, len(access)) // the last of two grants holds
	for _, a := range access {
		if err := a.Check(); err != nil {
			return err
		}
		last[a.Document] = a
	}
	batch := &pgx.Batch{}
	for _, a := range last {
		batch.Queue(`INSERT INTO access (document, readers) VALUES ($1, $2)
			ON CONFLICT (document) DO UPDATE SET readers = excluded.readers`, []byte(a.Document), bytesOf(a.Readers))
	}
	return x.all(ctx, batch)
}

// Withdraw takes documents away from every reader.
func (x *Index) Withdraw(ctx context.Context, documents []string) error {
	return x.withdraw(ctx, documents, true)
}

// Restore gives withdrawn documents back to their readers.
func (x *Index) Restore(ctx context.Context, documents []string) error {
	return x.withdraw(ctx, documents, false)
}

func (x *Index) withdraw(ctx context.Context, documents []string, withdrawn bool) error {
	for _, d := range documents {
		if err := (index.Access{Document: d}).Check(); err != nil {
			return err
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO access (document, readers, withdrawn) SELECT DISTINCT document, '{}'::bytea[], $2::boolean FROM unnest($1::bytea[]) document
		ON CONFLICT (document) DO UPDATE SET withdrawn = excluded.withdrawn`, bytesOf(documents), withdrawn)
	return x.all(ctx, batch)
}

// all runs statements as one transaction that is on disk when it returns.
func (x *Index) all(ctx context.Context, batch *pgx.Batch) error {
	return wrap(ctx, pgx.BeginFunc(ctx, x.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
			return err
		}
		// Two grants of the same documents in another order must not wait for
		// each other.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, x.lock+1); err != nil {
			return err
		}
		return tx.SendBatch(ctx, batch).Close()
	}))
}

// Readable tells for each document whether who may read it now.
func (x *Index) Readable(ctx context.Context, who index.Reader, documents []string) ([]bool, error) {
	readable := make([]bool, len(documents))
	if len(documents) == 0 {
		return readable, nil
	}
	s := &statement{}
	s.add("SELECT place FROM unnest(")
	s.bind(bytesOf(documents), "bytea[]")
	s.add(") WITH ORDINALITY q(document, place) JOIN access a USING (document) WHERE NOT a.withdrawn")
	if !who.All() {
		s.add(" AND a.readers && ")
		s.bind(bytesOf(who.Marks()), "bytea[]")
	}
	rows, err := x.pool.Query(ctx, s.text.String(), s.args...)
	if err != nil {
		return nil, wrap(ctx, err)
	}
	var place int64
	_, err = pgx.ForEachRow(rows, []any{&place}, func() error {
		readable[place-1] = true
		return nil
	})
	return readable, wrap(ctx, err)
}

func bytesOf(texts []string) [][]byte {
	out := make([][]byte, len(texts))
	for i, t := range texts {
		out[i] = []byte(t)
	}
	return out
}
