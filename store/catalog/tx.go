package catalog

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// Read runs f in a read-only transaction: all its statements see the same
// state. It runs f once, and returns f's error as it is when it is a fault.
func (db *DB) Read(ctx context.Context, f func(Tx) error) error {
	if err := db.usable(false); err != nil {
		return err
	}
	err := db.transact(ctx, db.options.Readers, db.options.ReadTx, f)
	if retryable(err) {
		return fault.New(fault.Unavailable, "the catalog was too busy to be read").Because(err).Hint("try again")
	}
	return err
}

// Write runs f in a transaction and commits it if f returns nil. After nil
// the changes are durable; after an error nothing of them happened, but for
// an Unavailable fault that says otherwise. Transactions happen as if one
// after the other: where the database finds that they did not, f runs again
// from its beginning, so f changes nothing outside the transaction that it
// could not change twice. A commit that the device refused is never repeated.
//
// f must not call Write again: on SQLite the second would wait for the first
// until its context ends.
func (db *DB) Write(ctx context.Context, f func(Tx) error) error {
	var err error
	wait := db.options.Backoff
	for attempt := range db.options.Attempts {
		if attempt > 0 {
			if pause(ctx, rand.N(wait)+time.Microsecond) != nil {
				break
			}
			wait = min(2*wait, 50*db.options.Backoff)
		}
		if err := db.usable(true); err != nil {
			return err
		}
		err = db.transact(ctx, db.writer, db.options.WriteTx, f)
		if !retryable(err) {
			return err
		}
	}
	if ctx.Err() != nil {
		return fault.Wrap(context.Cause(ctx), fault.KindOf(ctx.Err()), "a write to the catalog was given up while others changed the same rows")
	}
	return fault.New(fault.Unavailable, "a write to the catalog met others on the same rows %d times", db.options.Attempts).
		Because(err).Hint("try again; if it persists, something holds a transaction open")
}

// contested marks a transaction that may be run again.
type contested struct{ error }

func (c contested) Unwrap() error { return c.error }

func retryable(err error) bool {
	_, ok := errors.AsType[contested](err)
	return ok
}

// transact runs f in one transaction.
func (db *DB) transact(ctx context.Context, pool *sql.DB, o sql.TxOptions, f func(Tx) error) error {
	begun, err := pool.BeginTx(ctx, &o)
	if err != nil {
		return db.outcome(ctx, err, "the catalog did not begin a transaction")
	}
	t := &tx{db: db, tx: begun}
	defer func() { _ = begun.Rollback() }() // after a commit it does nothing
	if err := f(t); err != nil {
		return db.outcome(ctx, err, "a statement of the catalog failed")
	}
	if t.failed != nil {
		return db.outcome(ctx, t.failed, "a statement of the catalog failed")
	}
	if err := begun.Commit(); err != nil {
		return db.committed(ctx, err)
	}
	return nil
}

// outcome turns what ended a transaction before its commit into a fault, and
// marks what may run again. A fault of f's own passes as it is.
func (db *DB) outcome(ctx context.Context, err error, what string) error {
	class, ok := db.options.Classify(err)
	switch {
	case ok && class.Retry:
		return contested{err}
	case ok && class.Fatal:
		return db.breakOff(class, err)
	case ctx.Err() != nil:
		return fault.Wrap(err, fault.KindOf(ctx.Err()), "%s in time", what)
	}
	if _, is := errors.AsType[*fault.Error](err); is {
		return err
	}
	return db.fault(err)
}

// committed tells what a failed commit means. Only an answer of the database
// proves that nothing happened; without one nobody knows.
func (db *DB) committed(ctx context.Context, err error) error {
	class, ok := db.options.Classify(err)
	switch {
	case ok && class.Retry:
		return contested{err}
	case ok && class.Fatal:
		return db.breakOff(class, err)
	case ok && class.Kind != fault.Unavailable:
		return describe(class, err)
	case errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil:
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the write was rolled back before its commit")
	}
	return fault.New(fault.Unavailable, "the catalog did not confirm a commit: it may or may not have happened").
		Because(err).Hint("look whether the change is there before trying again")
}

func (db *DB) breakOff(class Class, err error) error {
	class.Fatal = false
	broken := describe(class, err)
	db.broken.CompareAndSwap(nil, broken)
	return broken
}

// fault describes an error of the driver.
func (db *DB) fault(err error) error {
	if err == nil {
		return nil
	}
	if _, is := errors.AsType[*fault.Error](err); is {
		return err
	}
	if class, ok := db.options.Classify(err); ok {
		return describe(class, err)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.KindOf(err), "the catalog was not waited for")
	case errors.Is(err, sql.ErrNoRows):
		return fault.Wrap(err, fault.NotFound, "the catalog has no such row")
	}
	return fault.Wrap(err, fault.Internal, "the catalog refused a statement")
}

func describe(c Class, err error) *fault.Error {
	return &fault.Error{Kind: c.Kind, What: c.What, Advice: c.Hint, Err: err}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tx is the transaction that Read and Write hand out.
type tx struct {
	db     *DB
	tx     *sql.Tx
	failed error // the first statement that failed
}

func (t *tx) Exec(ctx context.Context, statement string, args ...any) (int64, error) {
	if err := t.check(args); err != nil {
		return 0, err
	}
	result, err := t.tx.ExecContext(ctx, t.text(statement), args...)
	if err != nil {
		return 0, t.fail(err)
	}
	n, err := result.RowsAffected()
	return n, t.fail(err)
}

func (t *tx) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if err := t.check(args); err != nil {
		return nil, err
	}
	rows, err := t.tx.QueryContext(ctx, t.text(statement), args...)
	return rows, t.fail(err)
}

func (t *tx) Row(ctx context.Context, statement string, args []any, dest ...any) error {
	if err := t.check(args); err != nil {
		return err
	}
	err := t.tx.QueryRowContext(ctx, t.text(statement), args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "the catalog has no such row")
	}
	return t.fail(err)
}

// check refuses text that PostgreSQL cannot hold on SQLite too.
func (t *tx) check(args []any) error {
	for _, arg := range args {
		if s, ok := arg.(string); ok && (!utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0) {
			return t.fail(fault.New(fault.Invalid, "the catalog keeps text that is UTF-8 without zero bytes"))
		}
	}
	return nil
}

func (t *tx) text(statement string) string {
	if t.db.dialect == Postgres {
		return Dollars(statement)
	}
	return statement
}

func (t *tx) fail(err error) error {
	if err == nil {
		return nil
	}
	err = t.db.fault(err)
	if t.failed == nil {
		t.failed = err
	}
	return err
}
