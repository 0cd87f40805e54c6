// Package query is the contract of the SQL engine: a statement over named
// sets of files, answered as record batches.
//
// The lake plans which files a table's snapshot consists of and hands them
// here under the table's name; the engine (duckdb/, the embedded one) only
// computes. It lives apart from the lake so that most of Leat builds without
// the engine's C++.
package query

import (
	"context"

	"github.com/leat-ai/leat/base/frame"
)

// Relation is a set of Parquet or CSV files that a statement may name.
type Relation struct {
	Files   []string       // absolute local paths, Parquet
	Batches []frame.Batch  // rows not in any file yet, appended to those of Files
	Columns []frame.Column // the schema, in order; nil: that of the files, or of the batches
	// FieldIDs are the Parquet field ids of Columns; files that lack one have
	// NULL there. nil: columns are matched by name.
	FieldIDs []int
}

// Statement is one read-only SQL query.
type Statement struct {
	SQL       string
	Relations map[string]Relation // by the name used in SQL; a dot separates a namespace
	Args      []any               // for ? placeholders
}

// Engine answers statements. It is safe for many goroutines; its memory is
// bounded by its configuration, whatever the statement. A statement that
// writes, attaches, installs or reads files by itself is a Forbidden fault; a
// mistake in the SQL an Invalid one with the engine's own message.
//
// The caller closes the Reader. Files and batches of the statement are not
// read any more when Query has returned. Result columns have the six types of package
// frame; others are converted, decimals and wide integers to double, anything
// nested to JSON text.
type Engine interface {
	Query(ctx context.Context, s Statement) (frame.Reader, error)
	Close() error
}
