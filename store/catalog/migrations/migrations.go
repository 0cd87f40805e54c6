// Package migrations makes the tables of the catalog and brings those of an
// older one up to date.
//
// It stands between package catalog, which knows no tables, and the backends,
// which call Up when they open a database. There is one set of files for both
// kinds of database, numbered, forward only, each in a transaction of its
// own; a file that was released is never changed. A database that a newer
// program made is refused.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

//go:embed *.sql
var files embed.FS

// table is where the database keeps which files it has seen.
const table = "schema_versions"

// Files returns the migrations of this program.
func Files() fs.FS { return files }

// Up applies what the database lacks of the given files, normally Files().
// Several processes may call it at once; each returns when all is applied.
func Up(ctx context.Context, db *sql.DB, dialect catalog.Dialect, from fs.FS) error {
	options := []goose.ProviderOption{goose.WithTableName(table), goose.WithDisableGlobalRegistry(true)}
	kind := goose.DialectSQLite3
	if dialect == catalog.Postgres {
		kind = goose.DialectPostgres
		options = append(options, goose.WithSessionLocker(advisory{}))
	}
	provider, err := goose.NewProvider(kind, db, from, options...)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the migrations of the catalog cannot be read")
	}
	return up(ctx, provider)
}

// up tries a few times, because on SQLite nothing keeps another process from
// applying the same file first: then ours fails, and next time finds it done.
func up(ctx context.Context, provider *goose.Provider) error {
	const tries = 8
	var err error
	for try := range tries {
		var have, want int64
		if have, want, err = provider.GetVersions(ctx); err == nil && have > want {
			return tooNew(have, want)
		}
		if err == nil {
			_, err = provider.Up(ctx)
		}
		if err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(rand.N(time.Duration(try+1) * 20 * time.Millisecond))
	}
	if ctx.Err() != nil {
		return fault.Wrap(err, fault.KindOf(ctx.Err()), "the tables of the catalog were not brought up to date in time")
	}
	return fault.Wrap(err, kindOf(err), "the tables of the catalog cannot be brought up to date")
}

func tooNew(have, want int64) error {
	return fault.New(fault.Unsupported, "the catalog has tables of version %d, made by a newer Leat; this one knows version %d", have, want).
		Hint("start the newer program, or restore a backup from before it ran")
}

func kindOf(err error) fault.Kind {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Kind
	}
	return fault.Unavailable
}

// advisory is PostgreSQL's session lock, asked for often enough that replicas
// that start together do not wait for seconds.
type advisory struct{}

// lockID is an arbitrary number that no other user of the database has.
const lockID = 0x6c656174 // "leat"

func (advisory) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var got bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", lockID).Scan(&got); err != nil || got {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20*time.Millisecond + rand.N(30*time.Millisecond)):
		}
	}
}

func (advisory) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", lockID)
	return err
}
