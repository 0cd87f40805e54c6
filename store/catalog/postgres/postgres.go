// Package postgres is the catalog on a PostgreSQL server: for many replicas,
// and for a database that somebody else keeps.
//
// Transactions are serializable, as they are on SQLite, so what holds there
// holds here; the price is that a Write may run its function again. The
// server must run with synchronous_commit on, which is its default.
package postgres

import (
	"context"
	"database/sql"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/migrations"
)

// Config says where the server is. Only URL is needed.
type Config struct {
	// URL is postgres://user:password@host:port/database?sslmode=verify-full.
	// The libpq parameters sslmode, sslrootcert, sslcert and sslkey choose TLS.
	URL string
	// Conns bounds the connections of this process: 0 means 16.
	Conns int
	// StatementTimeout bounds one statement on the server: 0 means 30 s.
	StatementTimeout time.Duration
	// ConnectTimeout bounds the making of a connection: 0 means 10 s.
	ConnectTimeout time.Duration
	// Name is shown in the server's list of connections: "" means leat.
	Name string
}

// Validate reports every mistake of the configuration, without the URL's
// password.
func (c Config) Validate() error {
	var l fault.List
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		l.Add(fault.New(fault.Invalid, "the catalog needs a URL of PostgreSQL").Hint("write postgres://user@host:5432/database"))
	} else if strings.Trim(u.Path, "/") == "" {
		l.Add(fault.New(fault.Invalid, "the catalog's URL names no database").Hint("write postgres://user@host:5432/database"))
	}
	if c.Conns < 0 || c.Conns > 4096 {
		l.Add(fault.New(fault.Invalid, "the catalog's connections are %d; they must be between 1 and 4096", c.Conns))
	}
	if c.StatementTimeout < 0 || c.StatementTimeout.Milliseconds() > math.MaxInt32 {
		l.Add(fault.New(fault.Invalid, "the catalog's statement timeout is %s; it must be between 1ms and 24 days", c.StatementTimeout))
	}
	if c.ConnectTimeout < 0 {
		l.Add(fault.New(fault.Invalid, "the catalog's connect timeout is %s; it must not be negative", c.ConnectTimeout))
	}
	return l.Err()
}

func (c Config) withDefaults() Config {
	if c.Conns == 0 {
		c.Conns = 16
	}
	if c.StatementTimeout == 0 {
		c.StatementTimeout = 30 * time.Second
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.Name == "" {
		c.Name = "leat"
	}
	return c
}

// Open connects to the server and brings the tables up to date. The database
// itself must exist.
func Open(ctx context.Context, c Config) (*catalog.DB, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	pool, err := c.withDefaults().pool()
	if err != nil {
		return nil, err
	}
	db := catalog.New(pool, catalog.Postgres, catalog.Options{
		ReadTx:   sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		WriteTx:  sql.TxOptions{Isolation: sql.LevelSerializable},
		Classify: classify,
	})
	if err := migrate(ctx, pool); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

func (c Config) pool() (*sql.DB, error) {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		// The parser's text is left out: it may quote the URL.
		return nil, fault.New(fault.Invalid, "the catalog's URL is not one that PostgreSQL understands").Hint("write postgres://user@host:5432/database")
	}
	config.ConnectTimeout = c.ConnectTimeout
	config.RuntimeParams["application_name"] = c.Name
	config.RuntimeParams["statement_timeout"] = strconv.FormatInt(c.StatementTimeout.Milliseconds(), 10)
	config.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(4*c.StatementTimeout.Milliseconds(), 10)
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(c.Conns)
	pool.SetMaxIdleConns(c.Conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour) // so that connections move after a failover
	return pool, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	err := migrations.Up(ctx, db, catalog.Postgres, migrations.Files())
	if class, ok := classify(err); ok && class.Kind != fault.Internal {
		return fault.New(class.Kind, "%s", class.What).Because(err).Hint("%s", class.Hint)
	}
	return err
}
