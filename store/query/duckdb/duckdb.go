//go:build duckdb_arrow

package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	driver "github.com/duckdb/duckdb-go/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/query"
)

// Config says what an engine may use. Zero values mean the defaults.
type Config struct {
	// Memory bounds what all statements together hold, in bytes; what does
	// not fit goes to the temporary folder. Default 512 MiB.
	Memory int64
	// Threads compute one statement. Default: one a processor.
	Threads int
	// Statements run at the same time; more wait. Default 4.
	Statements int
	// Temp is the folder for what does not fit into memory. A folder of the
	// engine's own is made inside of it and removed by Close. Default: the
	// system's.
	Temp string
	// MaxTemp bounds that folder, in bytes. Default 32 GiB.
	MaxTemp int64
	// Dirs are the folders whose files relations may name, such as the
	// lake's warehouse.
	Dirs []string
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var mistakes fault.List
	if c.Memory < 0 || c.Memory > 0 && c.Memory < 32<<20 {
		mistakes.Add(fault.New(fault.Invalid, "the query engine gets %d bytes of memory", c.Memory).Hint("give it at least 32 MiB"))
	}
	if c.Threads < 0 || c.Statements < 0 || c.MaxTemp < 0 {
		mistakes.Add(fault.New(fault.Invalid, "the query engine has a negative bound"))
	}
	for _, d := range c.Dirs {
		if !filepath.IsAbs(d) {
			mistakes.Add(fault.New(fault.Invalid, "the query engine's folder %q is not an absolute path", d))
		}
	}
	return mistakes.Err()
}

func (c Config) withDefaults() Config {
	if c.Memory == 0 {
		c.Memory = 512 << 20
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.Statements == 0 {
		c.Statements = 4
	}
	if c.MaxTemp == 0 {
		c.MaxTemp = 32 << 30
	}
	return c
}

// Engine is an open DuckDB without a database file.
type Engine struct {
	db   *sql.DB
	temp string
	next atomic.Int64 // numbers temporary files
}

var _ query.Engine = (*Engine)(nil)

// Open starts an engine.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	temp, err := os.MkdirTemp(c.Temp, "leat-query-")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the query engine's temporary folder cannot be made")
	}
	connector, err := driver.NewConnector("", nil)
	if err != nil {
		return nil, errors.Join(fault.Wrap(err, fault.Internal, "the query engine does not start"), os.RemoveAll(temp))
	}
	e := &Engine{db: sql.OpenDB(connector), temp: temp}
	e.db.SetMaxOpenConns(c.Statements)
	e.db.SetMaxIdleConns(c.Statements)
	for _, s := range settings(c, temp) {
		if _, err := e.db.ExecContext(ctx, s); err != nil {
			return nil, errors.Join(fault.Wrap(err, fault.Internal, "the query engine does not take a setting"), e.Close())
		}
	}
	return e, nil
}

// settings are in an order that matters: what is allowed comes before the
// rest is forbidden, and the lock comes last.
func settings(c Config, temp string) []string {
	allowed := []string{literal(temp + "/")}
	for _, d := range c.Dirs {
		allowed = append(allowed, literal(strings.TrimSuffix(d, "/")+"/"))
	}
	return []string{
		fmt.Sprintf("SET GLOBAL memory_limit = '%d MiB'", c.Memory>>20),
		fmt.Sprintf("SET GLOBAL threads = %d", c.Threads),
		"SET GLOBAL temp_directory = " + literal(filepath.Join(temp, "spill")),
		fmt.Sprintf("SET GLOBAL max_temp_directory_size = '%d MiB'", max(c.MaxTemp>>20, 1)),
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL autoinstall_known_extensions = false",
		"SET GLOBAL autoload_known_extensions = false",
		"SET GLOBAL allow_community_extensions = false",
		"SET GLOBAL allow_persistent_secrets = false",
		"SET GLOBAL allowed_directories = [" + strings.Join(allowed, ", ") + "]",
		"SET GLOBAL enable_external_access = false",
		"SET GLOBAL lock_configuration = true",
	}
}

// Close stops the engine and removes its temporary folder. Answers that are
// being read stay readable.
func (e *Engine) Close() error {
	return errors.Join(e.db.Close(), os.RemoveAll(e.temp))
}

// Query answers one statement.
func (e *Engine) Query(ctx context.Context, s query.Statement) (_ frame.Reader, err error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, engineFault(ctx, err)
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	r := &run{engine: e, conn: conn}
	defer r.cleanUp()
	clean, err := r.check(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := r.makeViews(ctx, s.Relations, clean.tables); err != nil {
		return nil, err
	}
	return r.answer(ctx, clean.sql, s.Args)
}

// run is one statement on its connection.
type run struct {
	engine *Engine
	conn   *sql.Conn
	undo   []string // statements that take back what was made, last first
}

func (r *run) exec(ctx context.Context, statement string, args ...any) error {
	_, err := r.conn.ExecContext(ctx, statement, args...)
	return engineFault(ctx, err)
}

// cleanUp leaves the connection as it was. Where that fails the connection is
// not used again.
func (r *run) cleanUp() {
	ctx := context.Background()
	for i := len(r.undo) - 1; i >= 0; i-- {
		if _, err := r.conn.ExecContext(ctx, r.undo[i]); err != nil {
			_ = r.conn.Raw(func(any) error { return errBadConn })
			return
		}
	}
}

// engineFault gives an error of DuckDB a kind, and keeps its own words: they
// say where in the statement the mistake is.
func engineFault(ctx context.Context, err error) error {
	if err == nil || fault.KindOf(err) != fault.Internal {
		return err
	}
	if cerr := ctx.Err(); cerr != nil {
		return fault.Wrap(cerr, fault.KindOf(cerr), "the query was stopped")
	}
	failed, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return fault.Wrap(err, fault.Internal, "the query failed")
	}
	words := strings.TrimSpace(failed.Msg)
	switch failed.Type {
	case driver.ErrorTypePermission:
		return fault.New(fault.Forbidden, "%s", words).Hint("a query may read tables only, by their names")
	case driver.ErrorTypeOutOfMemory:
		return fault.New(fault.TooLarge, "the query needs more memory than it may have: %s", words).
			Hint("ask for fewer rows or columns, or raise the engine's memory")
	case driver.ErrorTypeIO:
		return fault.New(fault.Unavailable, "%s", words)
	case driver.ErrorTypeInternal, driver.ErrorTypeFatal, driver.ErrorTypeNullPointer:
		return fault.New(fault.Internal, "%s", words)
	case driver.ErrorTypeInterrupt:
		return fault.New(fault.Canceled, "the query was stopped")
	}
	return fault.New(fault.Invalid, "%s", words)
}

// literal writes a text as SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// name writes an identifier as SQL.
func name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
