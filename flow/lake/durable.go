package lake

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/leat-ai/leat/base/fault"
)

// useDurableFiles makes Iceberg's local file system flush every file and its
// folder before it says that the file was written. Without it a power cut
// could leave a committed row of the catalog that points to an empty metadata
// file. It replaces a factory in Iceberg's registry of file systems, which is
// global; once is enough, and other users of it only gain the flush.
//
//nolint:gochecknoglobals // it sets up a registry that is global itself
var useDurableFiles = sync.OnceFunc(func() {
	icebergio.Unregister("file")
	icebergio.Register("file", func(context.Context, *url.URL, map[string]string) (icebergio.IO, error) {
		return durableFS{}, nil
	})
})

// durableFS is Iceberg's local file system with files flushed on close.
type durableFS struct{ icebergio.LocalFS }

func (d durableFS) Create(name string) (icebergio.FileWriter, error) {
	path := localPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &durableFile{f}, nil
}

func (d durableFS) WriteFile(name string, content []byte) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

type durableFile struct{ *os.File }

func (f *durableFile) ReadFrom(r io.Reader) (int64, error) { return io.Copy(f.File, r) }

func (f *durableFile) Close() error {
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.File.Close())
	}
	if err := f.File.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.Name()))
}

// syncDir makes the entry of a new file durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// localPath returns the path of a file URL, and anything else as it is.
func localPath(name string) string {
	if u, err := url.Parse(name); err == nil && u.Scheme == "file" {
		return u.Path
	}
	return name
}

// storeFault gives an error of the store its kind. The cause stays attached.
func storeFault(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		kind = storeKind(err)
	}
	wrapped := fault.New(kind, format, args...).Because(err)
	if kind == fault.Full && fault.HintOf(err) == "" {
		return wrapped.Hint("free space on the device of the warehouse or the catalog; nothing was committed")
	}
	return wrapped
}

// sqliteFull is SQLite's result code for a database that cannot grow.
const sqliteFull = 13

func storeKind(err error) fault.Kind {
	switch coded := (interface{ Code() int })(nil); {
	case isAny(err, syscall.ENOSPC, syscall.EDQUOT):
		return fault.Full
	case errors.As(err, &coded) && coded.Code()&0xff == sqliteFull:
		return fault.Full
	case isAny(err, fs.ErrNotExist):
		return fault.Corrupt
	case isAny(err, fs.ErrPermission):
		return fault.Forbidden
	}
	return fault.Internal
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

func msText(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
