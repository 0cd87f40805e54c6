// Package file is the bucket in a folder: the default, with nothing to
// install.
//
// An object is a file of its name beneath the folder, so a bucket can be
// looked at, copied and backed up with ordinary tools. Nothing outside the
// folder is ever reached, whatever names and symbolic links say. An object is
// written to a temporary file, synced, renamed into place, and the folders
// are synced: after a power cut it is there whole, or not at all.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// Config says where the bucket lies.
type Config struct {
	// Path of the folder; it is made when absent.
	Path string
}

// Parse reads file:///absolute/path or a plain path.
func Parse(from string) (Config, error) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme == "" {
		return Config{Path: from}, nil
	}
	if u.Scheme != "file" || u.Host != "" || u.RawQuery != "" {
		return Config{}, fault.New(fault.Invalid, "%q is not the URL of a folder", from).Hint("write file:///var/lib/leat/blobs, or a plain path")
	}
	return Config{Path: filepath.FromSlash(u.Path)}, nil
}

// Validate reports a mistake of the configuration.
func (c Config) Validate() error {
	if c.Path == "" {
		return fault.New(fault.Invalid, "the bucket of files needs the path of a folder")
	}
	return nil
}

// temporary is the folder of files that are not whole yet. No object has its
// name.
const temporary = ".leat-tmp"

// stale is how old a temporary file is that a crash must have left.
const stale = 24 * time.Hour

// Open opens the folder, and removes what crashed writers left in it.
func Open(_ context.Context, c Config) (blob.Bucket, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(c.Path, temporary), 0o700); err != nil {
		return nil, wrap(err, "the folder of the bucket cannot be made")
	}
	root, err := os.OpenRoot(c.Path)
	if err != nil {
		return nil, wrap(err, "the folder of the bucket cannot be opened")
	}
	b := &bucket{root: root}
	b.sweep(time.Now().Add(-stale))
	return b, nil
}

type bucket struct {
	root *os.Root
	once sync.Once
}

func (b *bucket) Close() (err error) {
	b.once.Do(func() { err = wrap(b.root.Close(), "the bucket did not close cleanly") })
	return err
}

// sweep removes temporary files from before a time. What it cannot remove
// does no harm.
func (b *bucket) sweep(before time.Time) {
	entries, _ := fs.ReadDir(b.root.FS(), temporary)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			_ = b.root.Remove(temporary + "/" + e.Name())
		}
	}
}

func check(name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	if first, _, _ := strings.Cut(name, "/"); first == temporary {
		return fault.New(fault.Invalid, "%q is not the name of an object: the folder is kept for unfinished files", name)
	}
	return nil
}

func (b *bucket) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fault.New(fault.Invalid, "an object cannot be read from offset %d", offset)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := b.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without waiting, should it be a pipe
	if err != nil {
		return nil, describe(err, name)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fault.New(fault.NotFound, "there is no object %q", name)
	}
	if length < 0 {
		length = max(0, info.Size()-offset)
	}
	return &reader{ctx: ctx, file: f, r: io.NewSectionReader(f, offset, length)}, nil
}

// reader reads a part of a file until its context ends.
type reader struct {
	ctx  context.Context
	file *os.File
	r    *io.SectionReader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = wrap(err, "an object could not be read")
	}
	return n, err
}

func (r *reader) Close() error { return r.file.Close() }

func (b *bucket) Put(ctx context.Context, name string, r io.Reader, fresh bool) error {
	if err := check(name); err != nil {
		return err
	}
	temp := temporary + "/" + strconv.FormatUint(rand.Uint64(), 36)
	defer func() { _ = b.root.Remove(temp) }() // after the rename it does nothing
	if err := b.fill(ctx, temp, r); err != nil {
		return err
	}
	made, err := b.makeFolders(path.Dir(name))
	if err != nil {
		return describe(err, name)
	}
	if err := b.place(temp, name, fresh); err != nil {
		return err
	}
	for _, folder := range made {
		if err := b.sync(folder); err != nil {
			return wrap(err, "the device did not confirm object %q", name)
		}
	}
	return nil
}

// fill writes the temporary file and sees it safe on the device.
func (b *bucket) fill(ctx context.Context, temp string, r io.Reader) error {
	f, err := b.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return wrap(err, "an object could not be written")
	}
	_, err = io.Copy(f, ended{ctx, r})
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return wrap(err, "an object could not be written")
}

// place gives the temporary file its name. A link fails where a name exists,
// which a rename would replace.
func (b *bucket) place(temp, name string, fresh bool) error {
	if !fresh {
		return describe(b.root.Rename(temp, name), name)
	}
	err := b.root.Link(temp, name)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "object %q exists already", name)
	}
	return describe(err, name)
}

// makeFolders makes a folder with those above it, and returns every folder
// that must be synced for a new file in it to last: the folder itself and
// those in which another was made.
func (b *bucket) makeFolders(folder string) ([]string, error) {
	sync := []string{folder}
	for at := folder; at != "."; at = path.Dir(at) {
		if _, err := b.root.Stat(at); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		sync = append(sync, path.Dir(at))
	}
	return sync, b.root.MkdirAll(folder, 0o700)
}

func (b *bucket) sync(folder string) error {
	f, err := b.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (b *bucket) Delete(_ context.Context, name string) error {
	if err := check(name); err != nil {
		return err
	}
	info, err := b.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && info.IsDir() {
		return nil
	}
	if err := b.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return describe(err, name)
	}
	return wrap(b.sync(path.Dir(name)), "the device did not confirm that object %q is gone", name)
}

// describe makes a fault of what a file system says of an object.
func describe(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "there is no object %q", name)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrExist):
		return fault.New(fault.Conflict, "%q is a folder of other objects, or lies in an object", name)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return fault.New(fault.Invalid, "the name %q is too long for the file system", name)
	}
	return wrap(err, "object %q cannot be reached", name)
}

// wrap makes a fault of an error of the file system, of a context, or of the
// reader that was to be stored.
func wrap(err error, what string, args ...any) error {
	if err == nil {
		return nil
	}
	kind := fault.KindOf(err)
	if e, ok := errors.AsType[*fs.PathError](err); ok { // its path is this machine's business
		err = e.Err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		full := fault.New(fault.Full, "no space is left on the device")
		return full.Because(err).Hint("free space; %s, and nothing of it was kept", fmt.Sprintf(what, args...))
	case kind == fault.Internal:
		kind = fault.Unavailable
	}
	return fault.Wrap(err, kind, what, args...)
}

// ended ends a reader when its context ends.
type ended struct {
	ctx context.Context
	r   io.Reader
}

func (e ended) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(p)
}
