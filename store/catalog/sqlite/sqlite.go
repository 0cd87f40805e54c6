// Package sqlite is the catalog in one file: the default, with nothing to
// install.
//
// The file is in WAL mode with synchronous=FULL, so what a Write
// acknowledged survives a power cut. One connection writes; a pool of others
// reads beside it, each transaction seeing one state. Several processes may
// have the file open on one machine; never put it on a network file system.
package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/migrations"
)

// Config says where the database lies. Only Path is needed.
type Config struct {
	// Path of the file; it and its folder are made when absent.
	Path string
	// Readers bounds how many reads run at once: 0 means 8.
	Readers int
	// BusyTimeout is how long a write waits for another process: 0 means 10 s.
	BusyTimeout time.Duration
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if c.Path == "" || strings.HasPrefix(c.Path, ":") || strings.ContainsRune(c.Path, 0) {
		l.Add(fault.New(fault.Invalid, "the catalog needs the path of a file, not %q", c.Path).Hint("give a path such as .leat/catalog.db"))
	}
	if c.Readers < 0 || c.Readers > 1024 {
		l.Add(fault.New(fault.Invalid, "the catalog's readers are %d; they must be between 1 and 1024", c.Readers))
	}
	if c.BusyTimeout < 0 {
		l.Add(fault.New(fault.Invalid, "the catalog's busy timeout is %s; it must not be negative", c.BusyTimeout))
	}
	return l.Err()
}

func (c Config) withDefaults() Config {
	if c.Readers == 0 {
		c.Readers = 8
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 10 * time.Second
	}
	return c
}

// Open opens the file, makes it when absent, and brings its tables up to
// date.
func Open(ctx context.Context, c Config) (*catalog.DB, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if err := prepare(c.Path); err != nil {
		return nil, err
	}
	pools, err := c.pools()
	if err != nil {
		return nil, err
	}
	db := catalog.New(pools.writer, catalog.SQLite, catalog.Options{
		Readers:  pools.readers,
		Shared:   pools.shared,
		Classify: classify,
		Check:    func(ctx context.Context) error { return check(ctx, pools.readers) },
	})
	if err := migrate(ctx, pools.writer); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// prepare makes the file with rights for its owner alone, before SQLite would
// make it with more.
func prepare(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the folder of the catalog cannot be made")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the file of the catalog cannot be opened")
	}
	return fault.Wrap(f.Close(), fault.Unavailable, "the file of the catalog cannot be opened")
}

type pools struct{ writer, readers, shared *sql.DB }

func (c Config) pools() (p pools, err error) {
	if p.writer, err = c.pool("immediate", false, 1); err != nil {
		return pools{}, err
	}
	if p.readers, err = c.pool("deferred", true, c.Readers); err != nil {
		return pools{}, err
	}
	if p.shared, err = c.pool("immediate", false, 4); err != nil {
		return pools{}, err
	}
	return p, nil
}

func (c Config) pool(lock string, readOnly bool, size int) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(c.dsn(lock, readOnly))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the path of the catalog cannot be used")
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// dsn names the file as a URI, so that no character of its path means
// anything.
func (c Config) dsn(lock string, readOnly bool) string {
	q := url.Values{"_txlock": {lock}}
	for _, pragma := range []string{
		"busy_timeout(" + strconv.FormatInt(c.BusyTimeout.Milliseconds(), 10) + ")",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"journal_size_limit(67108864)", // of the WAL, once it was checkpointed
		"foreign_keys(1)",
		"trusted_schema(0)",
	} {
		q.Add("_pragma", pragma)
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	return "file:" + (&url.URL{Path: c.Path}).EscapedPath() + "?" + q.Encode()
}

func migrate(ctx context.Context, db *sql.DB) error {
	err := migrations.Up(ctx, db, catalog.SQLite, migrations.Files())
	if class, ok := classify(err); ok && class.Kind != fault.Internal && !class.Retry {
		return fault.New(class.Kind, "%s", class.What).Because(err).Hint("%s", class.Hint)
	}
	return err
}

// check reads every page.
func check(ctx context.Context, db *sql.DB) error {
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		return fault.New(fault.Corrupt, "the file of the catalog is damaged: %s", answer).Hint("%s", restore)
	}
	return nil
}
