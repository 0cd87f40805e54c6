package lake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// bucketKey is the property under which Iceberg's catalog carries the name of
// an open bucket to where it opens files.
const bucketKey = "leat.bucket"

// buckets are the buckets of the open lakes, for Iceberg, which opens a file
// system for every table anew: so all of them share one client with its
// connections and credentials. It stands in Iceberg's registry of file
// systems, which is global.
//
//nolint:gochecknoglobals // it sets up a registry that is global itself
var buckets = sync.OnceValue(func() *openBuckets {
	o := &openBuckets{byName: map[string]*warehouse{}}
	for _, scheme := range bucketSchemes() {
		icebergio.Unregister(scheme)
		icebergio.Register(scheme, o.files)
	}
	return o
})

// bucketSchemes are what addresses of files in buckets begin with.
func bucketSchemes() []string { return []string{"s3", "s3a", "s3n", "abfss", "abfs"} }

type openBuckets struct {
	mu     sync.Mutex
	byName map[string]*warehouse
}

// warehouse is a bucket with the address that its names stand below.
type warehouse struct {
	bucket  blob.Bucket
	address string // without a slash at its end
}

func (o *openBuckets) add(w *warehouse) (name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name = randomID()
	o.byName[name] = w
	return name
}

func (o *openBuckets) remove(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byName, name)
}

func (o *openBuckets) files(ctx context.Context, at *url.URL, props map[string]string) (icebergio.IO, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.byName[props[bucketKey]]
	if w == nil {
		return nil, fault.New(fault.Unavailable, "the lake in %s://%s is closed", at.Scheme, at.Host)
	}
	return bucketFS{ctx, w}, nil
}

// name is what the bucket calls a file.
func (w *warehouse) name(address string) (string, error) {
	for _, alias := range []string{"s3a://", "s3n://"} {
		if rest, ok := strings.CutPrefix(address, alias); ok {
			address = "s3://" + rest
		}
	}
	name, inside := strings.CutPrefix(address, w.address+"/")
	if !inside {
		return "", fault.New(fault.Unsupported, "a file of the table is outside of the warehouse").
			Hint("another engine wrote it elsewhere; rewrite the table with that engine")
	}
	return name, nil
}

// bucketFS is a bucket as Iceberg's file system, for as long as a context.
type bucketFS struct {
	ctx context.Context
	*warehouse
}

var (
	_ icebergio.WriteFileIO     = bucketFS{}
	_ icebergio.ListableIO      = bucketFS{}
	_ icebergio.BulkRemovableIO = bucketFS{}
)

// pathError is an error as Iceberg expects it of a file system.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if fault.Is(err, fault.NotFound) {
		err = errors.Join(fs.ErrNotExist, err)
	}
	return &fs.PathError{Op: op, Path: path.Base(name), Err: err}
}

// Open begins to read a file.
func (b bucketFS) Open(address string) (icebergio.File, error) {
	name, err := b.name(address)
	if err != nil {
		return nil, pathError("open", address, err)
	}
	f := &bucketFile{fs: b, name: name}
	if f.info, err = f.start(0); err != nil {
		return nil, pathError("open", address, err)
	}
	return f, nil
}

// Remove removes a file; a missing one is no error.
func (b bucketFS) Remove(address string) error {
	name, err := b.name(address)
	if err == nil {
		err = b.bucket.Delete(b.ctx, name)
	}
	return pathError("remove", address, err)
}

// Create returns a writer whose file is there, whole, when it was closed. It
// is for metadata, which is held in memory; data files are sent by put.
func (b bucketFS) Create(address string) (icebergio.FileWriter, error) {
	name, err := b.name(address)
	if err != nil {
		return nil, pathError("create", address, err)
	}
	return &bucketWriter{fs: b, name: name}, nil
}

// WriteFile writes a whole file.
func (b bucketFS) WriteFile(address string, content []byte) error {
	return b.put(address, bytes.NewReader(content))
}

func (b bucketFS) put(address string, content io.Reader) error {
	name, err := b.name(address)
	if err == nil {
		err = b.bucket.Put(b.ctx, name, content, false)
	}
	return pathError("write", address, err)
}

// WalkDir calls f with every file below an address.
func (b bucketFS) WalkDir(root string, f fs.WalkDirFunc) error {
	folder, err := b.name(strings.TrimSuffix(root, "/") + "/")
	if err != nil {
		return pathError("list", root, err)
	}
	return b.bucket.List(b.ctx, folder, func(o blob.Object) error {
		err := f(b.address+"/"+o.Name, fs.FileInfoToDirEntry(fileInfo{o}), nil)
		if errors.Is(err, fs.SkipDir) {
			return nil // there are no folders to skip
		}
		return err
	})
}

// removers bounds the files that are removed at the same time.
const removers = 8

// DeleteFiles removes files and returns which.
func (b bucketFS) DeleteFiles(ctx context.Context, addresses []string) (removed []string, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, removers)
	for _, address := range addresses {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			failed := bucketFS{ctx, b.warehouse}.Remove(address)
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = errors.Join(err, failed)
				return
			}
			removed = append(removed, address)
		})
	}
	all.Wait()
	return removed, err
}

// fileInfo describes a file of a bucket.
type fileInfo struct{ blob.Object }

func (i fileInfo) Name() string       { return path.Base(i.Object.Name) }
func (i fileInfo) Size() int64        { return i.Object.Size }
func (i fileInfo) Mode() fs.FileMode  { return 0o444 }
func (i fileInfo) ModTime() time.Time { return i.Modified }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }

// bucketFile reads a file: one request for what is read in order, one for
// each part that is read out of order. It is for one goroutine but ReadAt,
// which is for many.
type bucketFile struct {
	fs   bucketFS
	name string
	info fileInfo
	body io.ReadCloser // from at on; nil: not begun
	at   int64
}

// sized is what a bucket's reader tells of the object besides its bytes.
type sized interface {
	Size() int64
	Modified() time.Time
}

// start begins to read at an offset.
func (f *bucketFile) start(offset int64) (fileInfo, error) {
	body, err := f.fs.bucket.Open(f.fs.ctx, f.name, offset, -1)
	if err != nil {
		return fileInfo{}, err
	}
	f.body, f.at = body, offset
	if s, ok := body.(sized); ok {
		return fileInfo{blob.Object{Name: f.name, Size: s.Size(), Modified: s.Modified()}}, nil
	}
	return f.list()
}

// list finds out about a file of a bucket whose readers do not tell.
func (f *bucketFile) list() (info fileInfo, err error) {
	err = f.fs.bucket.List(f.fs.ctx, f.name, func(o blob.Object) error {
		if o.Name == f.name {
			info.Object = o
		}
		return nil
	})
	return info, err
}

func (f *bucketFile) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *bucketFile) Read(p []byte) (int, error) {
	if f.at >= f.info.Size() {
		return 0, io.EOF
	}
	if f.body == nil {
		if _, err := f.start(f.at); err != nil {
			return 0, pathError("read", f.name, err)
		}
	}
	n, err := f.body.Read(p)
	f.at += int64(n)
	if err == io.EOF && f.at < f.info.Size() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (f *bucketFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.info.Size()
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrInvalid}
	}
	if offset == f.at {
		return offset, nil
	}
	err := f.Close()
	f.at = offset
	return offset, err
}

func (f *bucketFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	if offset >= f.info.Size() {
		return 0, io.EOF
	}
	whole := int64(len(p)) <= f.info.Size()-offset
	if !whole {
		p = p[:f.info.Size()-offset]
	}
	part, err := f.fs.bucket.Open(f.fs.ctx, f.name, offset, int64(len(p)))
	if err != nil {
		return 0, pathError("read", f.name, err)
	}
	n, err := io.ReadFull(part, p)
	if cerr := part.Close(); err == nil {
		err = cerr
	}
	if err == nil && !whole {
		err = io.EOF
	}
	return n, err
}

func (f *bucketFile) Close() error {
	if f.body == nil {
		return nil
	}
	body := f.body
	f.body = nil
	return body.Close()
}

// bucketWriter collects a file of metadata.
type bucketWriter struct {
	fs   bucketFS
	name string
	bytes.Buffer
	closed bool
}

func (w *bucketWriter) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	return pathError("write", w.name, w.fs.bucket.Put(w.fs.ctx, w.name, &w.Buffer, false))
}

// upload sends a finished data file.
func (l *Lake) upload(ctx context.Context, target string, from *os.File) error {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return bucketFS{ctx, l.bucket}.put(target, struct{ io.Reader }{from})
}
