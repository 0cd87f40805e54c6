package catalog

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// DB is an open catalog. It is safe for many goroutines.
type DB struct {
	writer  *sql.DB
	options Options
	dialect Dialect

	broken atomic.Pointer[fault.Error] // set by a write that the device refused
	once   sync.Once
	closed atomic.Bool
	ending error // what Close returned
}

// Options is what a backend knows of its database and DB does not. The zero
// value is filled in by New, except for Classify.
type Options struct {
	// Readers is where Read runs; nil means where Write does.
	Readers *sql.DB
	// Shared is what SQL returns; nil means where Write runs.
	Shared *sql.DB
	// ReadTx and WriteTx are how transactions begin.
	ReadTx, WriteTx sql.TxOptions
	// Classify says what an error of the driver means. ok is false for an
	// error that is not the driver's.
	Classify func(error) (c Class, ok bool)
	// Check looks at the database as a whole; nil means a ping.
	Check func(context.Context) error
	// Attempts bounds how often Write runs its function: 0 means 30.
	Attempts int
	// Backoff is the first wait between two attempts; it doubles up to 50
	// times itself, and each wait is drawn between nothing and that: 0 means
	// 2 ms.
	Backoff time.Duration
}

// Class is what an error of a driver means.
type Class struct {
	Kind fault.Kind
	What string // a sentence
	Hint string
	// Retry: the transaction did not happen, only because of others that ran
	// beside it, and may be run again from its beginning.
	Retry bool
	// Fatal: the device did not take what was written, so nothing that is
	// still in memory can be trusted to reach it. DB writes no more.
	Fatal bool
}

// New makes a DB from what a backend opened, and owns it: Close closes it.
// On SQLite writer holds a single connection.
func New(writer *sql.DB, dialect Dialect, o Options) *DB {
	if o.Readers == nil {
		o.Readers = writer
	}
	if o.Shared == nil {
		o.Shared = writer
	}
	if o.Classify == nil {
		o.Classify = func(error) (Class, bool) { return Class{}, false }
	}
	if o.Check == nil {
		o.Check = writer.PingContext
	}
	if o.Attempts == 0 {
		o.Attempts = 30
	}
	if o.Backoff == 0 {
		o.Backoff = 2 * time.Millisecond
	}
	return &DB{writer: writer, options: o, dialect: dialect}
}

// SQL returns the database for libraries that bring statements of their own,
// such as the Iceberg catalog. Do not use it inside Read or Write: on SQLite
// it is another connection, which waits for the writer that waits for it.
func (db *DB) SQL() *sql.DB { return db.options.Shared }

// Dialect says which kind of database this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Check looks whether the database answers and, on SQLite, whether its pages
// are sound. It reads the whole file, so it is for a doctor rather than for a
// health probe.
func (db *DB) Check(ctx context.Context) error {
	if err := db.usable(true); err != nil {
		return err
	}
	return db.fault(db.options.Check(ctx))
}

// usable tells why the database cannot be used, or nil.
func (db *DB) usable(write bool) error {
	if db.closed.Load() {
		return fault.New(fault.Unavailable, "the catalog is closed")
	}
	if broken := db.broken.Load(); write && broken != nil {
		return broken
	}
	return nil
}

// Close closes the database; what runs is waited for. It is safe to call
// twice.
func (db *DB) Close() error {
	db.once.Do(func() {
		db.closed.Store(true)
		pools := map[*sql.DB]bool{db.options.Readers: true, db.options.Shared: true, db.writer: true}
		var errs []error
		for pool := range pools {
			errs = append(errs, pool.Close())
		}
		db.ending = fault.Wrap(errors.Join(errs...), fault.Unavailable, "the catalog did not close cleanly")
	})
	return db.ending
}
