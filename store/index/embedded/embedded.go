// Package embedded is the index within the process: passages, words, vectors
// and access in a folder of files, with nothing to install.
//
// It is a backend of store/index. Open opens a folder, which belongs to one
// process at a time.
//
// # What is in the folder
//
// A segment is an immutable file of passages with their words, fields and
// vectors (segment.go, buffer.go, postings.go). A snapshot is a small file that
// names segments, and for each the passages that a later build took out
// (manifest.go); so snapshots share what they have in common, and a build
// writes what changed, and now and then merges small segments. The log of
// access (accesslog.go) is of no snapshot. Every file is written whole,
// synced, and then given its name; a snapshot is there from the moment that
// its file has its name, and what no snapshot names is removed when the folder
// is opened. Every byte is under a checksum that is looked at when the byte is
// read: what was damaged is a Corrupt fault, never an answer.
//
// # How a query runs
//
// The passages of a segment that the asker may read, that the filter lets
// through and that were not taken out are a bitmap. Ranking sees no others: by
// words in score.go (BM25 over weighted occurrences, MaxScore with bounds of
// blocks), by vectors in package vector. Statistics of words are those of the
// snapshot exactly, passages that were taken out not counted, so the same
// passages give the same scores however they came together.
package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// Config says where an index is and what it may take.
type Config struct {
	// Path is the folder; it is made where it is missing.
	Path string
	// Memory is about how many bytes a build holds before it writes a segment;
	// 0: 128 MiB.
	Memory int
	// Segment is how many passages a segment has at most; 0: 131,072.
	Segment int
	// Cache is how many bytes of bitmaps, of access and of filters, are kept
	// from query to query; 0: 32 MiB.
	Cache int
}

// Validate tells what is wrong with a configuration.
func (c Config) Validate() error {
	if c.Path == "" {
		return fault.New(fault.Invalid, "the index has no folder")
	}
	if c.Memory < 0 || c.Segment < 0 || c.Cache < 0 || c.Segment > 1<<24 {
		return fault.New(fault.Invalid, "a bound of the index is not within its range").Hint("leave it out")
	}
	return nil
}

func (c Config) defaults() Config {
	if c.Memory == 0 {
		c.Memory = 128 << 20
	}
	if c.Segment == 0 {
		c.Segment = 1 << 17
	}
	if c.Cache == 0 {
		c.Cache = 32 << 20
	}
	return c
}

// Index is an index in a folder.
type Index struct {
	config Config
	lock   *os.File
	access *access
	pack   *packer
	cache  *cache
	words  sync.Pool // of *counter, for queries

	mu        sync.Mutex
	closed    bool
	sequence  int64
	snapshots map[string]*snapshot
	segments  map[string]*segment // that are open, by file
	refs      map[string]int      // of files: snapshots and builds that have them
}

var _ index.Index = (*Index)(nil)

// Open opens a folder. Conflict is one that another process has open.
func Open(ctx context.Context, c Config) (*Index, error) {
	if err := errors.Join(c.Validate(), ctx.Err()); err != nil {
		return nil, err
	}
	c = c.defaults()
	if err := ioFault(os.MkdirAll(c.Path, 0o700), "the folder of the index cannot be made"); err != nil {
		return nil, err
	}
	lock, err := lockFolder(c.Path)
	if err != nil {
		return nil, err
	}
	ix := &Index{config: c, lock: lock, cache: newCache(c.Cache), snapshots: make(map[string]*snapshot), segments: make(map[string]*segment), refs: make(map[string]int)}
	if err := ix.load(); err != nil {
		return nil, errors.Join(err, ix.Close())
	}
	return ix, nil
}

// lockFolder takes the folder for this process, until the file is closed.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, ioFault(err, "the folder of the index cannot be locked")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fault.New(fault.Conflict, "the index in %s is open elsewhere", folder).Because(err), f.Close())
	}
	return f, nil
}

func (ix *Index) load() (err error) {
	if ix.pack, err = newPacker(); err != nil {
		return err
	}
	if ix.access, err = openAccess(ix.config.Path); err != nil {
		return err
	}
	entries, err := os.ReadDir(ix.config.Path)
	if err != nil {
		return ioFault(err, "the folder of the index cannot be read")
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), manifestPrefix) || strings.HasSuffix(e.Name(), tempSuffix) {
			continue
		}
		m, err := readManifest(ix.path(e.Name()))
		if err != nil {
			return err
		}
		ix.register(m)
	}
	return ix.sweep(entries)
}

// register makes a snapshot known.
func (ix *Index) register(m manifest) {
	ix.snapshots[m.Snapshot.Name] = &snapshot{ix: ix, manifest: m}
	ix.sequence = max(ix.sequence, m.Sequence)
	for _, file := range m.files() {
		ix.refs[file]++
	}
}

// sweep removes the files that no snapshot names.
func (ix *Index) sweep(entries []os.DirEntry) error {
	for _, e := range entries {
		ours := strings.HasSuffix(e.Name(), tempSuffix) || strings.HasSuffix(e.Name(), segmentSuffix) || strings.HasSuffix(e.Name(), deadSuffix)
		if !ours || ix.refs[e.Name()] > 0 {
			continue
		}
		if err := os.Remove(ix.path(e.Name())); err != nil {
			return ioFault(err, "a file of the index cannot be removed")
		}
	}
	return nil
}

func (ix *Index) path(file string) string { return filepath.Join(ix.config.Path, file) }

func (ix *Index) isClosed() bool {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return ix.closed
}

// Close ends the index. Queries and builds that run end with an error. It is
// safe to call twice.
func (ix *Index) Close() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.closed {
		return nil
	}
	ix.closed = true
	var errs []error
	for _, s := range ix.segments {
		errs = append(errs, s.file.Close())
	}
	if ix.access != nil {
		errs = append(errs, ix.access.log.close())
	}
	return errors.Join(append(errs, ix.lock.Close())...)
}

// Snapshots lists what was committed, the oldest first.
func (ix *Index) Snapshots(ctx context.Context) ([]index.Snapshot, error) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.closed {
		return nil, errClosed()
	}
	var all []*snapshot
	for _, s := range ix.snapshots {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *snapshot) int { return int(a.manifest.Sequence - b.manifest.Sequence) })
	list := make([]index.Snapshot, len(all))
	for i, s := range all {
		list[i] = s.manifest.Snapshot
	}
	return list, ctx.Err()
}

// Drop forgets a snapshot.
func (ix *Index) Drop(ctx context.Context, name string) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	s := ix.snapshots[name]
	switch {
	case ix.closed:
		return errClosed()
	case s == nil || ctx.Err() != nil:
		return ctx.Err()
	}
	err := errors.Join(os.Remove(ix.path(manifestFile(name))), syncDir(ix.config.Path))
	if err != nil {
		return ioFault(err, "the snapshot cannot be removed")
	}
	delete(ix.snapshots, name)
	s.dropped = true
	if s.users == 0 {
		ix.free(s.manifest.files())
	}
	return nil
}

// free lets go of files; those that nobody has are closed and removed. An
// error is none of the caller's: the next Open removes what was left. The
// caller holds ix.mu.
func (ix *Index) free(files []string) {
	for _, file := range files {
		if ix.refs[file]--; ix.refs[file] > 0 {
			continue
		}
		delete(ix.refs, file)
		if s := ix.segments[file]; s != nil {
			_ = s.file.Close()
			delete(ix.segments, file)
		}
		_ = os.Remove(ix.path(file))
	}
}
