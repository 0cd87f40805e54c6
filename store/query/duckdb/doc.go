// Package duckdb answers SQL with DuckDB, inside the process.
//
// It is the embedded query.Engine. Open one for a process and hand it to
// whoever asks the lake; a statement is checked before it runs (guard.go),
// sees the relations that it was given as views (views.go), and is answered
// from memory when the answer is small and through a file of the temporary
// folder when it is not (answer.go), so an answer of any size takes bounded
// memory.
//
// Nothing outside the given folders can be read or written, whatever the
// statement: DuckDB's own access to files and networks is off, no extension
// is loaded, and its settings are locked.
//
// The build tag duckdb_arrow belongs to DuckDB's driver; without it this
// package is empty.
package duckdb
