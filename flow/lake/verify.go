package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/leat-ai/leat/base/fault"
)

// verifier remembers which data files were found to be what their names say.
// A file is hashed when it is first read and again when its size or time has
// changed; a later flip in a page is found by the page's own checksum.
type verifier struct {
	mu   sync.Mutex
	seen map[string]stamp
}

type stamp struct {
	size     int64
	modified time.Time
}

// maxSeen bounds what the verifier remembers; beyond it it starts anew.
const maxSeen = 100_000

func newVerifier() *verifier { return &verifier{seen: map[string]stamp{}} }

func (v *verifier) knows(where string, now stamp) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[where] == now
}

func (v *verifier) remember(where string, now stamp) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) >= maxSeen {
		clear(v.seen)
	}
	v.seen[where] = now
}

// open opens a data file for reading after it was verified.
func (l *Lake) open(ctx context.Context, t *Table, where string) (icebergio.File, error) {
	if !l.local {
		return l.openCopy(ctx, t, where)
	}
	filesystem, err := t.fs(ctx)
	if err != nil {
		return nil, storeFault(err, "the files of table %q cannot be opened", t.name)
	}
	f, err := filesystem.Open(l.urlOf(where))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, corruptFile(t.name, where, err)
	}
	if err != nil {
		return nil, storeFault(err, "a file of table %q cannot be opened", t.name)
	}
	if err := l.verify(ctx, t.name, where, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (l *Lake) verify(ctx context.Context, table, where string, f icebergio.File) error {
	want := digestOf(where)
	if want == "" {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return storeFault(err, "a file of table %q cannot be opened", table)
	}
	now := stamp{info.Size(), info.ModTime()}
	if l.checked.knows(where, now) {
		return nil
	}
	digest := sha256.New()
	n, err := io.Copy(digest, &cancelReader{ctx, f})
	if err != nil && n < info.Size() {
		return storeFault(err, "a file of table %q cannot be read", table)
	}
	// A bucket that keeps checksums says itself that the content differs, as
	// an error of its own at the very end.
	if err != nil || hex.EncodeToString(digest.Sum(nil)) != want {
		return corruptFile(table, where, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return storeFault(err, "a file of table %q cannot be read", table)
	}
	l.checked.remember(where, now)
	return nil
}

// cancelReader stops a long read when its context ends.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// checkFiles verifies local files that something else is going to read.
func (l *Lake) checkFiles(ctx context.Context, t *Table, files []File) error {
	for _, f := range files {
		if info, err := os.Stat(f.Path); err == nil && l.checked.knows(f.Path, stamp{info.Size(), info.ModTime()}) {
			continue
		}
		opened, err := l.open(ctx, t, f.Path)
		if err != nil {
			return err
		}
		if err := opened.Close(); err != nil {
			return storeFault(err, "a file of table %q cannot be read", t.name)
		}
	}
	return nil
}

func corruptFile(table, where string, cause error) error {
	return fault.New(fault.Corrupt, "the file %q of table %q is not what was stored", path.Base(where), table).
		Hint("restore the file from a backup, or roll back to a snapshot that does not have it").Because(cause)
}
