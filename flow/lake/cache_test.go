package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	icebergio "github.com/apache/iceberg-go/io"
)

// original is a file in a bucket, by its content.
type original struct{ *bytes.Reader }

func (original) Close() error               { return nil }
func (original) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }

func nameOfContent(content []byte) string {
	sum := sha256.Sum256(content)
	return "s3://b/x-" + hex.EncodeToString(sum[:]) + ".parquet"
}

func fetching(content []byte, asked *atomic.Int64) func() (icebergio.File, error) {
	return func() (icebergio.File, error) {
		asked.Add(1)
		return original{bytes.NewReader(content)}, nil
	}
}

func TestCopiesComeAndGo(t *testing.T) {
	dir := t.TempDir()
	c, err := openCache(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	contents := make([][]byte, 6)
	for i := range contents {
		contents[i] = bytes.Repeat([]byte{byte(i)}, 300)
	}
	var asked atomic.Int64
	get := func(i int) (func(), error) {
		where, release, err := c.get(t.Context(), nameOfContent(contents[i]), 300, fetching(contents[i], &asked))
		if err != nil {
			return nil, err
		}
		if got, err := os.ReadFile(where); err != nil || !bytes.Equal(got, contents[i]) {
			t.Fatalf("copy %d: %v", i, err)
		}
		return release, nil
	}
	var releases []func()
	for i := range 3 { // as many as fit
		r, err := get(i)
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, r)
	}
	if _, err := get(3); !errors.Is(err, errNoRoom) {
		t.Fatalf("room for a fourth: %v", err)
	}
	releases[1]()
	releases[1]() // twice is once
	releases[0]()
	if r, err := get(1); err != nil { // used again: 0 is the oldest now
		t.Fatal(err)
	} else {
		r()
	}
	if r, err := get(3); err != nil || asked.Load() != 4 {
		t.Fatalf("%v, %d fetched", err, asked.Load())
	} else {
		r()
	}
	if _, known := c.size(nameOfContent(contents[0])); known {
		t.Error("the oldest stayed")
	}
}

// A copy is the original or an error, whatever the original does.
func TestCopiesAreWhole(t *testing.T) {
	c, err := openCache("", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("leat"), 100)
	for _, sent := range [][]byte{content[:399], append([]byte("x"), content[1:]...), append(content[:400:400], 'x'), nil} {
		var asked atomic.Int64
		if _, _, err := c.get(t.Context(), nameOfContent(content), 400, fetching(sent, &asked)); err == nil {
			t.Errorf("%d bytes were taken", len(sent))
		}
	}
	if entries, err := os.ReadDir(c.dir); err != nil || len(entries) != 0 || c.used != 0 {
		t.Fatalf("%d files and %d bytes are left, %v", len(entries), c.used, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.dir); err == nil {
		t.Error("its own folder stays")
	}
}

func TestCopiesOfAnEarlierProcess(t *testing.T) {
	scratch := t.TempDir()
	dir := filepath.Join(scratch, "lake")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	good, bad := bytes.Repeat([]byte("g"), 100), bytes.Repeat([]byte("b"), 100)
	for name, content := range map[string][]byte{
		copyName(nameOfContent(good)): good, copyName(nameOfContent(bad)): good, staging + "1": good, "other.txt": good,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openCache(scratch, 1000)
	if err != nil || c.used != 200 {
		t.Fatalf("%d bytes, %v", c.used, err)
	}
	var asked atomic.Int64
	for i, content := range [][]byte{good, bad} {
		where, release, err := c.get(t.Context(), nameOfContent(content), 100, fetching(content, &asked))
		if err != nil || asked.Load() != int64(i) {
			t.Fatalf("%d: %v, %d fetched", i, err, asked.Load())
		}
		if got, err := os.ReadFile(where); err != nil || !bytes.Equal(got, content) {
			t.Fatal(err)
		}
		release()
	}
	if c, err = openCache(scratch, 100); err != nil || c.used > 100 {
		t.Fatalf("%d bytes in a smaller cache, %v", c.used, err)
	}
}

// Whoever waits for a copy whose maker was canceled makes it himself.
func TestCopiesForMany(t *testing.T) {
	c, err := openCache(t.TempDir(), 2000)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			content := fmt.Appendf(nil, "%0300d", rand.IntN(10))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if n%5 == 0 {
				cancel()
			}
			where, release, err := c.get(ctx, nameOfContent(content), 300, fetching(content, &asked))
			if err != nil {
				if n%5 != 0 && !errors.Is(err, errNoRoom) {
					t.Error(err)
				}
				return
			}
			defer release()
			if got, err := os.ReadFile(where); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if c.used > c.most {
		t.Errorf("%d bytes", c.used)
	}
	for name, e := range c.copies {
		if e.users != 0 {
			t.Errorf("%s has %d users", name, e.users)
		}
	}
}
