// Package catalog is the database that holds everything Leat must not lose
// track of: resources, model versions, releases, API keys, the ledger of
// decisions done, and the Iceberg catalog of the lake.
//
// DB is a database of either kind with one promise: a Write either happens
// whole and survives a power cut, or not at all. The stages of the lifecycle
// keep their own SQL beside their own types and run it in Read and Write; the
// tables themselves are made here, in migrations/, forward only. Statements
// use ? for parameters and only SQL that both databases understand: TEXT,
// BIGINT, BOOLEAN and DOUBLE PRECISION columns, ON CONFLICT, RETURNING. Times
// are BIGINT microseconds (Micros, Time); 0 means never.
//
// Open one with the backend packages sqlite/ and postgres/; catalogtest is
// their suite. Collect reads many rows, Next counts.
package catalog

import (
	"context"
	"database/sql"
)

// Dialect names a kind of database.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Tx is a transaction: what SQL may be run in Read and Write. It is for one
// goroutine. Values that a statement depends on are parameters, never part of
// the text. After a statement that failed (a missing row does not count) the
// transaction can only end: a Write whose function goes on and returns nil
// fails with that statement's fault, on either kind of database.
type Tx interface {
	// Exec runs a statement and returns how many rows it changed.
	Exec(ctx context.Context, statement string, args ...any) (int64, error)
	// Query runs a statement that returns rows; the caller closes them.
	Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	// Row runs a statement that returns at most one row and scans it into
	// dest. No row is a NotFound fault.
	Row(ctx context.Context, statement string, args []any, dest ...any) error
}

// Database is a DB as those see it who keep something in it: transactions,
// and nothing of how it is opened.
type Database interface {
	// Read calls f with one state of the database.
	Read(ctx context.Context, f func(Tx) error) error
	// Write does what f does whole or not at all. It may call f again, after
	// taking back what the call before did.
	Write(ctx context.Context, f func(Tx) error) error
}
