// Package postgres is the index of passages in a schema of a PostgreSQL server
// with the extension pgvector, for many servers of Leat together.
//
// It meets the contract of package index as store/index/embedded does, with
// the same words, the same BM25 and the same fusion: texts are cut into terms
// here, by package analysis, and kept as rows of postings; BM25 is arithmetic
// of one SQL statement over them. PostgreSQL's own full-text search is not used:
// its ranking knows neither how rare a word is nor how long a passage, and its
// dictionaries are the server's, so that an answer would hang on how the server
// was installed.
//
// Access and filters are conditions of the same statements, so nothing is
// ranked that a caller may not see. Nearest vectors are found by scanning those
// of the allowed passages: pgvector's own indexes filter after they have
// ranked, and then an answer may have fewer passages than there are.
//
// A version of a document is stored once; a snapshot is a list of versions,
// with how many passages have each term. A build is one transaction. Every
// value goes to the server as a parameter, and texts as bytes: PostgreSQL's
// text takes neither zero bytes nor what is no UTF-8.
package postgres

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// Config says where an index is. URL and Schema are needed.
type Config struct {
	// URL is postgres://user:password@host:port/database?sslmode=verify-full.
	URL string
	// Schema is where the tables of the index are: one for each Knowledge. It
	// is made when it is absent, and so is the extension pgvector, where the
	// user may.
	Schema string
	// Conns bounds the connections of this process: 16 when 0. Each build takes
	// one while it lasts.
	Conns int
	// Timeout bounds how long a connection, and the answer to a query, is waited
	// for: 30 s when 0. The statements of builds may last longer.
	Timeout time.Duration
}

// Validate reports every mistake of the configuration, without the URL's
// password.
func (c Config) Validate() error {
	_, err := c.options()
	return err
}

func (c Config) options() (*pgxpool.Config, error) {
	var l fault.List
	o, err := pgxpool.ParseConfig(c.URL)
	if err != nil || !strings.HasPrefix(c.URL, "postgres://") && !strings.HasPrefix(c.URL, "postgresql://") {
		// The cause may hold the password.
		l.Add(fault.New(fault.Invalid, "an index in PostgreSQL needs its URL").Hint("write postgres://user@host:5432/database"))
	}
	if c.Schema == "" || len(c.Schema) > 63 || strings.HasPrefix(c.Schema, "pg_") || strings.ContainsRune(c.Schema, 0) {
		l.Add(fault.New(fault.Invalid, "the schema of an index in PostgreSQL cannot be called %.100q", c.Schema).Hint("use 1 to 63 bytes"))
	}
	if c.Conns < 0 || c.Conns > 4096 {
		l.Add(fault.New(fault.Invalid, "the connections to PostgreSQL are %d; they must be between 1 and 4096", c.Conns))
	}
	if c.Timeout < 0 || c.Timeout.Milliseconds() > math.MaxInt32 {
		l.Add(fault.New(fault.Invalid, "the timeout of the index in PostgreSQL is negative or too long"))
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	if c.Conns == 0 {
		c.Conns = 16
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	o.MaxConns = int32(c.Conns)
	o.ConnConfig.ConnectTimeout = c.Timeout
	for name, value := range map[string]string{
		"statement_timeout": strconv.FormatInt(c.Timeout.Milliseconds(), 10),
		"application_name":  "leat",
		"search_path":       pgx.Identifier{c.Schema}.Sanitize() + ",public",
		"jit":               "off", // compiling takes longer than these statements do
	} {
		o.ConnConfig.RuntimeParams[name] = value
	}
	return o, nil
}

// Index is an open index. It meets index.Index.
type Index struct {
	pool   *pgxpool.Pool
	schema string
	lock   int64 // names the schema among advisory locks
}

var _ index.Index = (*Index)(nil)

// Open connects to the server, and makes the schema where there is none.
// Unsupported is a server without pgvector.
func Open(ctx context.Context, c Config) (*Index, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, o)
	if err != nil {
		return nil, wrap(ctx, err)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte("leat index " + c.Schema))
	x := &Index{pool: pool, schema: c.Schema, lock: int64(h.Sum64())}
	if err := x.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return x, nil
}

// Close closes the connections.
func (x *Index) Close() error {
	x.pool.Close()
	return nil
}

// tables of the schema. A document is one version of a source; what a snapshot
// has is told by members. Names, ids and texts are bytes.
const tables = `
CREATE TABLE snapshots (
    sid        bigint PRIMARY KEY,
    name       bytea NOT NULL UNIQUE,
    base       bytea NOT NULL,
    made       timestamptz NOT NULL,
    settings   jsonb NOT NULL,
    analyzers  bytea[] NOT NULL,
    analyzed   bigint[] NOT NULL, -- passages by each of them
    passages   bigint NOT NULL,
    documents  bigint NOT NULL,
    dimension  int NOT NULL,
    length     bigint NOT NULL, -- of all passages, in units
    bytes      bigint NOT NULL
);
CREATE TABLE documents (did bigint PRIMARY KEY, document bytea NOT NULL);
CREATE INDEX ON documents (document);
CREATE TABLE members (sid bigint NOT NULL, did bigint NOT NULL, PRIMARY KEY (sid, did));
CREATE INDEX ON members (did);
CREATE TABLE passages (
    pid      bigint PRIMARY KEY,
    did      bigint NOT NULL,
    id       bytea NOT NULL,
    version  bytea NOT NULL,
    begins   bigint NOT NULL,
    ends     bigint NOT NULL,
    title    bytea NOT NULL,
    heading  bytea NOT NULL,
    text     bytea NOT NULL,
    context  bytea NOT NULL,
    language bytea NOT NULL,
    page     int NOT NULL,
    ordinal  int NOT NULL,
    parent   bytea NOT NULL,
    analyzer bytea NOT NULL,
    length   int NOT NULL, -- units of all words
    vector   vector
);
CREATE INDEX ON passages (did);
CREATE INDEX ON passages (id);
CREATE TABLE postings (
    term   bytea NOT NULL, -- analyzer, zero byte, term
    pid    bigint NOT NULL,
    did    bigint NOT NULL,
    count  int NOT NULL, -- units of the term in the passage
    length int NOT NULL, -- of the passage
    PRIMARY KEY (term, pid)
);
CREATE INDEX ON postings (did);
CREATE TABLE fields (
    pid    bigint NOT NULL,
    place  int NOT NULL,
    name   bytea NOT NULL,
    kind   smallint NOT NULL,
    text   bytea,
    whole  bigint,
    double float8,
    number numeric, -- of an Int or Double, exactly
    PRIMARY KEY (pid, place)
);
CREATE TABLE terms (sid bigint NOT NULL, term bytea NOT NULL, passages bigint NOT NULL, PRIMARY KEY (sid, term));
CREATE TABLE access (document bytea PRIMARY KEY, readers bytea[] NOT NULL, withdrawn boolean NOT NULL DEFAULT false);
CREATE SEQUENCE numbers;`

// prepare makes the schema. A user that may not can use one that is there.
func (x *Index) prepare(ctx context.Context) error {
	var there bool
	err := x.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, pgx.Identifier{x.schema, "numbers"}.Sanitize()).Scan(&there)
	if err != nil || there {
		return wrap(ctx, err)
	}
	return wrap(ctx, pgx.BeginFunc(ctx, x.pool, func(tx pgx.Tx) error {
		const everybody = 0x6c656174696e6478 // the extension is shared by all schemas
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(everybody)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS vector SCHEMA public`); err != nil {
			return noVectors(err)
		}
		if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, pgx.Identifier{x.schema, "numbers"}.Sanitize()).Scan(&there); err != nil || there {
			return err
		}
		if _, err := tx.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{x.schema}.Sanitize()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, tables)
		return err
	}))
}

func noVectors(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == codeNoFile || refused.Code == codeUnsupported || refused.Code == codeForbidden) {
		return fault.New(fault.Unsupported, "the PostgreSQL server has no pgvector for this user").Because(err).
			Hint("install the extension pgvector, and let an administrator run: CREATE EXTENSION vector")
	}
	return err
}

// SQLSTATE codes.
const (
	codeUnique      = "23505"
	codeNoFile      = "58P01"
	codeUnsupported = "0A000"
	codeForbidden   = "42501"
	codeCanceled    = "57014"
)

// wrap makes a fault of an error of the server. What the server says stays in
// the cause: it may quote passages.
func wrap(ctx context.Context, err error) error {
	var f *fault.Error
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case ctx.Err() != nil:
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the index in PostgreSQL was not waited for")
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch {
		case refused.Code == codeCanceled:
			return fault.New(fault.Timeout, "the index in PostgreSQL took too long").Because(err)
		case refused.Code == codeForbidden:
			return fault.New(fault.Forbidden, "the user of PostgreSQL may not use the index").Because(err)
		case refused.Code[:2] == "08" || refused.Code[:2] == "53" || refused.Code[:2] == "57" || refused.Code[:2] == "40":
			return fault.New(fault.Unavailable, "the index in PostgreSQL is not available").Because(err)
		}
		return fault.New(fault.Internal, "the index in PostgreSQL refused a statement (%s)", refused.Code).Because(err)
	}
	return fault.New(fault.Unavailable, "the index in PostgreSQL does not answer").Because(err)
}
