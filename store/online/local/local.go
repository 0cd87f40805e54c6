// Package local is the store of online features inside the process: Pebble,
// an LSM tree, in a folder of the home. It is the default, for one server; what
// several servers share is in Redis or PostgreSQL.
//
// Reads take no locks but those of the tree. Writers of a key are one after
// the other, by stripes of locks, and wait for the disk together, after they
// let the stripes go. Memory is bounded by Cache and twice Memtable.
package local

import (
	"context"
	"hash/maphash"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// Config says where the store is. Only Path is needed.
type Config struct {
	// Path is the folder, which is made. One process at a time has it open.
	Path string
	// Cache bounds the bytes of files that are kept in memory: 64 MiB when 0.
	Cache int64
	// Memtable is how many bytes of writes gather before they become a file:
	// 16 MiB when 0.
	Memtable uint64
	// Reserve is the space on the device below which nothing is written any
	// more, because the tree cannot go on once there is none: 128 MiB when 0.
	Reserve uint64
	// Sweep is how often entries that have expired are looked for and deleted:
	// an hour when 0. They are not seen in the meantime.
	Sweep time.Duration
	Clock clock.Clock  // that of the machine when nil
	Log   *slog.Logger // nowhere when nil
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if c.Path == "" {
		l.Add(fault.New(fault.Invalid, "the store of online features has no folder"))
	}
	if c.Cache < 0 {
		l.Add(fault.New(fault.Invalid, "the cache of online features is %d bytes", c.Cache))
	}
	if c.Memtable > 1<<30 {
		l.Add(fault.New(fault.Invalid, "a memtable of online features is %d bytes; at most 1 GiB make sense", c.Memtable))
	}
	if c.Sweep < 0 {
		l.Add(fault.New(fault.Invalid, "online features are swept every %s", c.Sweep))
	}
	return l.Err()
}

func (c Config) withDefaults() Config {
	if c.Cache == 0 {
		c.Cache = 64 << 20
	}
	if c.Memtable == 0 {
		c.Memtable = 16 << 20
	}
	if c.Reserve == 0 {
		c.Reserve = 128 << 20
	}
	if c.Sweep == 0 {
		c.Sweep = time.Hour
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is an open store.
type Store struct {
	config Config
	db     *pebble.DB
	// open is held for reading by every call and for writing by Close: the
	// tree panics when it is used after its end.
	open    sync.RWMutex
	closed  bool
	stripes [stripes]sync.Mutex
	seed    maphash.Seed // spreads the keys over them
	disk    space
	stop    context.CancelFunc // ends the sweeper
	swept   sync.WaitGroup
}

var _ online.Store = (*Store)(nil)

// Open opens the store, and makes it where there is none.
func Open(_ context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the folder of online features cannot be made")
	}
	db, err := pebble.Open(c.Path, &pebble.Options{
		CacheSize:          c.Cache,
		MemTableSize:       c.Memtable,
		MaxOpenFiles:       256,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             logger{c.Log},
	})
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the online features in %s cannot be opened", c.Path).Because(err).
			Hint("if the folder is damaged, delete it and materialise the views again: it is a copy")
	}
	s := &Store{config: c, db: db, seed: maphash.MakeSeed(), disk: space{path: c.Path, reserve: c.Reserve, clock: c.Clock, usage: vfs.Default.GetDiskUsage}}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.swept.Go(func() { s.sweeper(ctx) })
	return s, nil
}

// Close waits for the calls under way.
func (s *Store) Close() error {
	s.stop()
	s.swept.Wait()
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return fault.Wrap(s.db.Close(), fault.Internal, "the online features did not close")
}

// enter begins a call. Unless there is an error, leave ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.KindOf(err), "online features")
	}
	s.open.RLock()
	if s.closed {
		s.open.RUnlock()
		return fault.New(fault.Unavailable, "the store of online features is closed")
	}
	return nil
}

func (s *Store) leave() { s.open.RUnlock() }

// Drop deletes a table in one step, whatever its size.
func (s *Store) Drop(ctx context.Context, table string) error {
	if err := online.CheckTable(table); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	first := appendTable(nil, table)
	return wrap(s.db.DeleteRange(first, after(first), pebble.Sync))
}

// logger is what the tree says of itself. A fault from which it cannot go on,
// such as a failed sync, ends the process: so a server stops and recovers, and
// tells nobody of a write that may be lost.
type logger struct{ log *slog.Logger }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("online features: "+format, "args", args)
}

func (l logger) Fatalf(format string, args ...any) { pebble.DefaultLogger.Fatalf(format, args...) }

// wrap is the fault of an error of the tree.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) {
		return fault.New(fault.Corrupt, "the online features on this machine are damaged").Because(err).
			Hint("stop the server, delete the folder of online features, and materialise the views again")
	}
	return fault.New(fault.Unavailable, "the online features on this machine cannot be read or written").Because(err).
		Hint("look at the disk of the server's home")
}
