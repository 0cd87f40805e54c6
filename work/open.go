package work

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	// The library's own driver registration; it tells SQLite's errors apart.
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/leat-ai/leat/base/fault"
)

const postgresSchema = "leat_work"

// open opens the pool, the library on top of it and the table of schedules.
func (e *Engine) open(ctx context.Context) error {
	config := dbos.Config{
		AppName:            "leat",
		ApplicationVersion: applicationVersion,
		ExecutorID:         e.config.Executor,
		Logger:             quiet(e.log),
	}
	if path, ok := strings.CutPrefix(e.config.URL, "sqlite:"); ok {
		db, err := openSQLite(ctx, path)
		if err != nil {
			return err
		}
		e.db, config.SQLiteSystemDB = db, db
		e.close = append(e.close, func() { _ = db.Close() })
	} else {
		pool, err := openPostgres(ctx, e.config.URL)
		if err != nil {
			return err
		}
		e.db, config.SystemDBPool = stdlib.OpenDBFromPool(pool), pool
		config.DatabaseSchema = postgresSchema
		e.close = append(e.close, pool.Close, func() { _ = e.db.Close() })
	}
	// The library would cancel, for good, every run that is under way when
	// this context ends; a process that is asked to end calls Close instead.
	d, err := dbos.NewContext(context.WithoutCancel(ctx), config)
	if err != nil {
		return fault.New(fault.Unavailable, "the database of runs cannot be prepared").Because(err).
			Hint("check that the database answers and that its user may create tables")
	}
	e.dbos = d
	if d.GetApplicationVersion() != applicationVersion || d.GetExecutorID() != e.config.Executor {
		return fault.New(fault.Invalid, "the environment changes the identity of this process").
			Hint("unset DBOS__APPVERSION and DBOS__VMID")
	}
	return e.createSchedules(ctx)
}

// openSQLite opens a database file so that what is committed survives a power
// cut. The library's own pool would set synchronous=NORMAL, which with a WAL
// loses the last commits then; a handle of ours it takes as it is.
func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	if path == "" || strings.ContainsAny(path, "?#") {
		return nil, fault.New(fault.Invalid, "%q is no path of a database file", path).
			Hint(`write "sqlite:PATH"`)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the folder of the database of runs cannot be made")
	}
	values := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "foreign_keys(ON)", "journal_mode(WAL)", "synchronous(FULL)"},
	}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: values.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the database of runs cannot be opened")
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fault.Wrap(err, fault.Unavailable, "the database of runs cannot be opened")
	}
	return db, nil
}

func openPostgres(ctx context.Context, address string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		// The library's message may quote the address, with its password.
		return nil, fault.New(fault.Invalid, "the address of the database of runs is malformed").
			Hint(`write "sqlite:PATH" or "postgres://USER@HOST/DATABASE"`)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the database of runs cannot be opened")
	}
	return pool, nil
}
