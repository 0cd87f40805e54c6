// Package postgres is the store of online features in a table of a PostgreSQL
// server, for many servers of Leat together where that server is there anyway.
//
// All tables of features are in one, leat_online, that Open makes. Each call is
// one statement over arrays for some hundred entries: rows are compared and
// written by the server. A statement that met another one's locks is tried
// again.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// Config says where the server is. Only URL is needed.
type Config struct {
	// URL is postgres://user:password@host:port/database?sslmode=verify-full.
	URL string
	// Conns bounds the connections of this process: 32 when 0.
	Conns int
	// Timeout bounds how long a connection, and the answer to a statement, is
	// waited for: 5 s when 0.
	Timeout time.Duration
	// Sweep is how often entries that have expired are deleted: an hour when 0.
	// They are not seen in the meantime.
	Sweep time.Duration
	Clock clock.Clock  // that of the machine when nil
	Log   *slog.Logger // nowhere when nil
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
		l.Add(fault.New(fault.Invalid, "online features need a URL of PostgreSQL").Hint("write postgres://user@host:5432/database"))
	}
	if c.Conns < 0 || c.Conns > 4096 {
		l.Add(fault.New(fault.Invalid, "the connections to PostgreSQL are %d; they must be between 1 and 4096", c.Conns))
	}
	if c.Timeout < 0 || c.Timeout.Milliseconds() > math.MaxInt32 || c.Sweep < 0 {
		l.Add(fault.New(fault.Invalid, "a time of the store in PostgreSQL is negative or too long"))
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	o.MaxConns = int32(or(c.Conns, 32))
	timeout := or(c.Timeout, 5*time.Second)
	o.ConnConfig.ConnectTimeout = timeout
	o.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(timeout.Milliseconds(), 10)
	o.ConnConfig.RuntimeParams["application_name"] = "leat"
	return o, nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Store is an open store.
type Store struct {
	pool  *pgxpool.Pool
	clock clock.Clock
	log   *slog.Logger
	stop  context.CancelFunc // ends the sweeper
	swept sync.WaitGroup
	ended sync.Once
}

var _ online.Store = (*Store)(nil)

// schema makes the table. Values are kept as they are: they are read more
// often than written, and small.
const schema = `
CREATE TABLE IF NOT EXISTS leat_online (
    view    text   NOT NULL,
    key     bytea  NOT NULL,
    at      bigint NOT NULL,           -- microseconds since 1970
    version bigint NOT NULL,
    expires bigint NOT NULL DEFAULT 0, -- milliseconds since 1970, 0 for never
    value   bytea  NOT NULL,
    PRIMARY KEY (view, key)
) WITH (fillfactor = 80);
ALTER TABLE leat_online ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS leat_online_expires ON leat_online (expires) WHERE expires > 0;`

// schemaLock keeps servers that start together from making the table twice.
const schemaLock = 0x6c6561746f6e6c69

// Open connects to the server and makes the table where there is none.
func Open(ctx context.Context, c Config) (*Store, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, o)
	if err != nil {
		return nil, wrap(ctx, err)
	}
	s := &Store{pool: pool, clock: c.Clock, log: c.Log}
	if s.clock == nil {
		s.clock = clock.System{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	sweeping, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.swept.Go(func() { s.sweeper(sweeping, or(c.Sweep, time.Hour)) })
	return s, nil
}

// prepare makes the table. A user that may not make tables can use one that
// is there.
func (s *Store) prepare(ctx context.Context) error {
	var there bool
	if err := s.pool.QueryRow(ctx, `SELECT to_regclass('leat_online_expires') IS NOT NULL`).Scan(&there); err != nil || there {
		return wrap(ctx, err)
	}
	return wrap(ctx, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(schemaLock)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	}))
}

// Close closes the connections.
func (s *Store) Close() error {
	s.ended.Do(func() {
		s.stop()
		s.swept.Wait()
		s.pool.Close()
	})
	return nil
}

// deleteRows is how many rows are deleted by one statement.
const deleteRows = 10_000

// Drop deletes the rows of a table, in steps.
func (s *Store) Drop(ctx context.Context, table string) error {
	if err := online.CheckTable(table); err != nil {
		return err
	}
	_, err := s.remove(ctx, `view = $1`, table)
	return err
}

// sweeper deletes what has expired, now and then, until ctx ends.
func (s *Store) sweeper(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("online features were not swept", "error", err)
			}
		}
	}
}

// sweep deletes every entry that has expired and returns how many.
func (s *Store) sweep(ctx context.Context) (int, error) {
	return s.remove(ctx, `expires > 0 AND expires <= $1`, s.now())
}

// remove deletes the rows of a condition.
func (s *Store) remove(ctx context.Context, condition string, arg any) (deleted int, err error) {
	for {
		tag, err := s.pool.Exec(ctx, `DELETE FROM leat_online WHERE ctid = ANY(ARRAY(SELECT ctid FROM leat_online WHERE `+
			condition+` LIMIT $2)) AND `+condition, arg, deleteRows)
		if err != nil {
			return deleted, wrap(ctx, err)
		}
		deleted += int(tag.RowsAffected())
		if tag.RowsAffected() == 0 {
			return deleted, nil
		}
	}
}

func (s *Store) now() int64 { return s.clock.Now().UnixMilli() }

// wrap is the fault of an error of the server, or of the way to it. Codes are
// those of the manual's appendix "PostgreSQL Error Codes".
func wrap(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil { // whatever it looks like
		return fault.Wrap(ended, fault.KindOf(ended), "online features in PostgreSQL")
	}
	f := fault.New(fault.Unavailable, "PostgreSQL, which has the online features, does not answer").Because(err).
		Hint("look whether it runs and the URL is right")
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok: // the way to it
		return f
	case e.Code == "53100":
		f.Kind, f.What, f.Advice = fault.Full, "no space is left on the server of the online features", "free space on its disk; nothing was changed"
	case e.Code == "42501", strings.HasPrefix(e.Code, "28"):
		f.Kind, f.What, f.Advice = fault.Forbidden, "the server of the online features refuses this user", "look at the user, the password and the user's rights to the table leat_online"
	case e.Code == "3D000":
		f.Kind, f.What, f.Advice = fault.NotFound, "the database of the online features does not exist", "make it with CREATE DATABASE"
	case e.Code == "25006":
		f.What, f.Advice = "the server of the online features takes no writes at present", "point the URL at the primary"
	case e.Code == "57014":
		f.Kind, f.What, f.Advice = fault.Timeout, "a statement of the online features took too long", "look what keeps the server"
	}
	return f
}
