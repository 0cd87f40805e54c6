package lake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/leat-ai/leat/base/fault"
)

// cache keeps local copies of data files of a bucket, for the SQL engine,
// which opens files only, and for scans. Data files never change, so a copy is
// good for as long as there is room: the one that was not used for longest
// goes first, and none that somebody reads.
//
// A copy is held against the digest in its name while it is made, and again
// when it is first used after a restart.
type cache struct {
	dir  string
	own  bool // the folder goes with the cache
	most int64

	mu     sync.Mutex
	copies map[string]*localCopy // by name in dir
	used   int64                 // bytes of copies
	tick   int64
}

// localCopy is a file of the cache. Its size counts from the moment that it
// is begun.
type localCopy struct {
	size  int64
	users int
	last  int64         // tick of the last use
	made  chan struct{} // closed when it is there, or failed
	err   error
	sound bool // its content was checked in this process
}

// defaultCache bounds the copies when nothing else is asked for.
const defaultCache = 8 << 30

// errNoRoom says that all room is taken by files that are being read.
var errNoRoom = errors.New("the local copies of bucket files have no room")

func openCache(scratch string, most int64) (*cache, error) {
	c := &cache{most: cmp.Or(most, defaultCache), copies: map[string]*localCopy{}}
	var err error
	if scratch == "" {
		c.own = true
		c.dir, err = os.MkdirTemp("", "leat-lake-")
	} else {
		c.dir = filepath.Join(scratch, "lake")
		err = os.MkdirAll(c.dir, 0o700)
	}
	if err == nil {
		c.dir, err = filepath.Abs(c.dir)
	}
	if err != nil {
		return nil, storeFault(err, "the folder for copies of bucket files cannot be made")
	}
	return c, c.adopt()
}

// adopt takes over what an earlier process left, oldest first.
func (c *cache) adopt() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return storeFault(err, "the folder for copies of bucket files cannot be read")
	}
	infos := make([]os.FileInfo, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || digestOf("-"+e.Name()) == "" {
			_ = os.Remove(filepath.Join(c.dir, e.Name())) // a copy that was not finished
			continue
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	ready := make(chan struct{})
	close(ready)
	for _, info := range infos {
		c.tick++
		c.copies[info.Name()] = &localCopy{size: info.Size(), last: c.tick, made: ready}
		c.used += info.Size()
	}
	c.makeRoom(0)
	return nil
}

// get returns the path of a local copy, which stays there until release is
// called. name is that of the file, size its size in bytes; fetch opens the
// original. A file that does not fit is an error that is errNoRoom.
func (c *cache) get(ctx context.Context, name string, size int64, fetch func() (icebergio.File, error)) (where string, release func(), err error) {
	local := copyName(name)
	where = filepath.Join(c.dir, local)
	for {
		e, maker, err := c.take(local, size)
		if err != nil {
			return "", nil, err
		}
		release = sync.OnceFunc(func() { c.drop(e) })
		if maker {
			e.err = c.make(ctx, where, digestOf(name), size, fetch)
			c.finish(local, e)
			if e.err != nil {
				release()
				return "", nil, e.err
			}
			return where, release, nil
		}
		select {
		case <-e.made:
		case <-ctx.Done():
			release()
			return "", nil, ctx.Err()
		}
		if e.err == nil && c.check(where, digestOf(name), e) {
			return where, release, nil
		}
		// Whoever made it failed, perhaps because it was canceled, or somebody
		// removed or damaged it: then it is made anew.
		c.forget(local, e)
		release()
	}
}

// copyName is what a copy is called: by the content where it is known.
func copyName(name string) string {
	if digest := digestOf(name); digest != "" {
		return digest + ".parquet"
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:]) + ".parquet"
}

// size returns that of a copy, if there is one.
func (c *cache) size(name string) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.copies[copyName(name)]
	if e == nil {
		return 0, false
	}
	return e.size, true
}

// take finds a copy, or makes room for it; then the caller is its maker.
func (c *cache) take(local string, size int64) (e *localCopy, maker bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick++
	if e = c.copies[local]; e != nil {
		e.users++
		e.last = c.tick
		return e, false, nil
	}
	if !c.makeRoom(size) {
		return nil, false, errNoRoom
	}
	e = &localCopy{size: size, users: 1, last: c.tick, made: make(chan struct{})}
	c.copies[local] = e
	c.used += size
	return e, true, nil
}

// makeRoom removes unused copies until size more bytes fit. The caller holds
// the lock, or is the only one.
func (c *cache) makeRoom(size int64) bool {
	if size > c.most {
		return false
	}
	for c.used+size > c.most {
		oldest := ""
		for local, e := range c.copies {
			if e.users == 0 && (oldest == "" || e.last < c.copies[oldest].last) {
				oldest = local
			}
		}
		if oldest == "" {
			return false
		}
		c.remove(oldest)
	}
	return true
}

func (c *cache) remove(local string) {
	c.used -= c.copies[local].size
	delete(c.copies, local)
	_ = os.Remove(filepath.Join(c.dir, local)) // if it stays, the next start removes it
}

func (c *cache) drop(e *localCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
}

// finish tells those who wait.
func (c *cache) finish(local string, e *localCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.sound = e.err == nil
	if e.err != nil && c.copies[local] == e {
		c.remove(local)
	}
	close(e.made)
}

// forget removes a copy that is no good, unless somebody did already.
func (c *cache) forget(local string, e *localCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copies[local] == e {
		c.remove(local)
	}
}

// make copies a file. Only a whole and sound one gets the name.
func (c *cache) make(ctx context.Context, where, digest string, size int64, fetch func() (icebergio.File, error)) error {
	from, err := fetch()
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was only read
	temp, err := os.CreateTemp(c.dir, staging+"*")
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(temp, sum), io.LimitReader(&cancelReader{ctx, from}, size+1))
	// A bucket that keeps checksums says itself that the content differs, as
	// an error of its own at the very end.
	differs := digest != "" && hex.EncodeToString(sum.Sum(nil)) != digest
	if err == nil && (n != size || differs) || n == size && differs {
		err = fault.New(fault.Corrupt, "the content differs").Because(err)
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), where)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // if it stays, the next start removes it
	}
	return err
}

// check tells whether a copy is there and what it should be.
func (c *cache) check(where, digest string, e *localCopy) bool {
	info, err := os.Stat(where)
	if err != nil || info.Size() != e.size {
		return false
	}
	c.mu.Lock()
	sound := e.sound
	c.mu.Unlock()
	if sound || digest == "" {
		return true
	}
	f, err := os.Open(where)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil || hex.EncodeToString(sum.Sum(nil)) != digest {
		return false
	}
	c.mu.Lock()
	e.sound = true
	c.mu.Unlock()
	return true
}

// Close removes what does not outlive the process.
func (c *cache) Close() error {
	if c.own {
		return os.RemoveAll(c.dir)
	}
	return nil
}

// openCopy opens a data file of a bucket for reading: a local copy of it, or
// itself where there is no room for a copy.
func (l *Lake) openCopy(ctx context.Context, t *Table, where string) (icebergio.File, error) {
	size, known := l.cache.size(where)
	open := func() (icebergio.File, error) { return bucketFS{ctx, l.bucket}.Open(where) }
	if !known {
		original, err := open()
		if err != nil {
			return nil, l.fetchFault(t, where, err)
		}
		defer func() { _ = original.Close() }() // it was only read
		info, err := original.Stat()
		if err != nil {
			return nil, l.fetchFault(t, where, err)
		}
		size, open = info.Size(), func() (icebergio.File, error) { return original, nil }
	}
	local, release, err := l.fetch(ctx, t, where, size, open)
	if errors.Is(err, errNoRoom) {
		return l.openOriginal(ctx, t, where)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(local)
	if err != nil {
		release()
		return nil, storeFault(err, "a file of table %q cannot be opened", t.name)
	}
	return &openedCopy{f, release}, nil
}

// openOriginal opens a file in the bucket, after it was read once to verify
// it.
func (l *Lake) openOriginal(ctx context.Context, t *Table, where string) (icebergio.File, error) {
	f, err := bucketFS{ctx, l.bucket}.Open(where)
	if err != nil {
		return nil, l.fetchFault(t, where, err)
	}
	if err := l.verify(ctx, t.name, where, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openedCopy lets go of a copy when it is closed.
type openedCopy struct {
	*os.File
	release func()
}

func (o *openedCopy) Close() error {
	defer o.release()
	return o.File.Close()
}

// fetch returns the local copy of a data file in a bucket. A file that is not
// what was stored is a Corrupt fault, one that does not fit errNoRoom.
func (l *Lake) fetch(ctx context.Context, t *Table, where string, size int64, open func() (icebergio.File, error)) (string, func(), error) {
	local, release, err := l.cache.get(ctx, where, size, open)
	if err == nil || errors.Is(err, errNoRoom) {
		return local, release, err
	}
	return "", nil, l.fetchFault(t, where, err)
}

func (l *Lake) fetchFault(t *Table, where string, err error) error {
	if fault.Is(err, fault.Corrupt) || isAny(err, os.ErrNotExist) {
		return corruptFile(t.name, where, err)
	}
	return storeFault(err, "a file of table %q cannot be copied from the bucket", t.name)
}

// fetchers bounds how many files of a statement are copied at the same time.
const fetchers = 4

// fetchAll returns local copies of all files, in their order.
func (l *Lake) fetchAll(ctx context.Context, t *Table, files []File) (paths []string, release func(), err error) {
	var bytes int64
	for _, f := range files {
		bytes += f.Size
	}
	if bytes > l.cache.most {
		return nil, nil, fault.New(fault.TooLarge, "table %q has %d MiB of files in the bucket, and SQL may copy %d MiB", t.name, bytes>>20, l.cache.most>>20).
			Hint("give the lake a larger cache, or query it with an engine that reads Iceberg tables in buckets, such as Spark or Trino")
	}
	paths = make([]string, len(files))
	releases, errs := make([]func(), len(files)), make([]error, len(files))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	slots := make(chan struct{}, fetchers)
	for i, f := range files {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if paths[i], releases[i], errs[i] = l.fetch(ctx, t, f.Path, f.Size, func() (icebergio.File, error) {
				return bucketFS{ctx, l.bucket}.Open(f.Path)
			}); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	release = func() {
		for _, r := range releases {
			if r != nil {
				r()
			}
		}
	}
	if err := worst(errs); err != nil {
		release()
		if errors.Is(err, errNoRoom) {
			return nil, nil, fault.New(fault.Overloaded, "other queries fill the room for copies of bucket files").
				Hint("try again when they are done, or give the lake a larger cache").Because(err)
		}
		return nil, nil, err
	}
	return paths, release, nil
}

// worst is the error that came first, rather than those of files that were
// not waited for after it.
func worst(errs []error) (err error) {
	for _, e := range errs {
		if e != nil && (err == nil || fault.Is(err, fault.Canceled)) {
			err = e
		}
	}
	return err
}
