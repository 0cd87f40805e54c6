package ingest

import (
	"context"
	"io"
	"time"

	"github.com/leat-ai/leat/base/frame"
)

// Sink is where rows go: the lake.
type Sink interface {
	// Columns returns the columns of a table, or nil when there is none.
	Columns(ctx context.Context, table string) ([]frame.Column, error)
	// Snapshot returns the newest snapshot of a table, or 0.
	Snapshot(ctx context.Context, table string) (int64, error)
	// Draft returns a table for writing. It is made, and gets the columns that
	// it lacks, only by the commit; a column that it has with another type is
	// a Conflict fault now.
	Draft(ctx context.Context, table string, columns []frame.Column) (Target, error)
}

// Committer is a Sink that remembers commits; without it a run that was
// interrupted between its commit and the ledger is known by its files only.
type Committer interface {
	// Committed returns the snapshot that a commit made, or 0.
	Committed(ctx context.Context, table, id string) (int64, error)
}

// Target is a table that is written to.
type Target interface {
	// Stage begins a file that nobody sees before it is committed. The same
	// name and rows give the same file.
	Stage(ctx context.Context, name string) (Part, error)
	// Commit makes staged files visible, all at once, and returns the
	// snapshot. The same ID again does nothing.
	Commit(ctx context.Context, paths []string, c Commit) (snapshot int64, err error)
	// Discard throws away what was staged. After Commit it does nothing.
	Discard()
}

// Part is a staged file that is being written.
type Part interface {
	// Write appends rows; columns are matched by name.
	Write(batch frame.Batch) error
	// Rows returns how many rows were written.
	Rows() int64
	// Finish ends the file and returns its path, for Commit.
	Finish(ctx context.Context) (path string, err error)
	// Abort throws the file away; after Finish it does nothing.
	Abort()
}

// Commit says how files become part of a table.
type Commit struct {
	ID      string
	Replace bool // the files become the whole content
	Summary map[string]string
}

// Ledger remembers which files of a source are in its table.
type Ledger interface {
	// Files returns what is known of a source's files, by name: those that
	// were taken, and those that a run began with and did not end.
	Files(ctx context.Context, source string) (map[string]Entry, error)
	// Begin notes the files of a run that is about to commit, in place of
	// those of an earlier run that did not end.
	Begin(ctx context.Context, source string, files []Entry) error
	// Record notes files as taken. The same file again is no error.
	Record(ctx context.Context, source string, files []Entry) error
}

// Entry is a file in the ledger.
type Entry struct {
	Name        string
	Digest      string
	Rows        int64 // of the whole run, when it had several files
	Quarantined int64
	Snapshot    int64 // 0: the run did not end; noRows: it committed no row
	At          time.Time
}

// noRows stands for the snapshot of a run without good rows.
const noRows = -1

// Object is a file that an Opener found.
type Object struct {
	Name   string // full address, for Open and for people
	Size   int64  // bytes, or -1
	Digest string // changes when the content does; empty: not known without reading
}

// Opener finds and opens files of a scheme.
type Opener interface {
	// List returns the objects that an address means, sorted by name: one, or
	// those that match its * and **. secret is what the source names, or "".
	List(ctx context.Context, address, secret string, options map[string]string) ([]Object, error)
	// Open reads an object that List returned.
	Open(ctx context.Context, o Object, secret string, options map[string]string) (io.ReadCloser, error)
}

// Database runs a query and streams its rows, with bounded memory.
type Database interface {
	Query(ctx context.Context, address, secret, query string) (frame.Reader, error)
}
