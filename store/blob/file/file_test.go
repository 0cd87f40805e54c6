package file_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/blobtest"
	"github.com/leat-ai/leat/store/blob/file"
)

func open(t *testing.T, path string) blob.Bucket {
	t.Helper()
	b, err := file.Open(t.Context(), file.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Bucket { return open(t, filepath.Join(t.TempDir(), "new", "bucket")) })
}

// Whatever links lie in the folder, nothing outside it is read, written,
// listed or removed.
func TestLinks(t *testing.T) {
	outside, inside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, inside)
	for link, target := range map[string]string{"file": filepath.Join(outside, "secret"), "folder": outside, "up": "..", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(inside, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "folder/secret", "loop", "up/x"} {
		if _, err := b.Open(t.Context(), name, 0, -1); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	_ = b.Put(t.Context(), "folder/new", strings.NewReader("x"), false)
	_ = b.Delete(t.Context(), "folder/secret")
	err := b.List(t.Context(), "", func(o blob.Object) error { t.Errorf("%s is listed", o.Name); return nil })
	if err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 1 || left[0].Name() != "secret" {
		t.Errorf("outside are %v, %v", left, err)
	}
}

// What is neither file nor folder is no object, and nobody waits for it.
func TestPipe(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder)
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), "pipe", 0, -1); !fault.Is(err, fault.NotFound) {
		t.Errorf("a pipe gives %v, want NotFound", err)
	}
}

func TestFoldersAndObjects(t *testing.T) {
	b := open(t, t.TempDir())
	for _, name := range []string{"a/b", "c"} {
		if err := b.Put(t.Context(), name, strings.NewReader("x"), false); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "c/d"} {
		for _, fresh := range []bool{false, true} {
			if err := b.Put(t.Context(), name, strings.NewReader("x"), fresh); !fault.Is(err, fault.Conflict) {
				t.Errorf("%s gives %v, want Conflict", name, err)
			}
		}
	}
	if err := b.Put(t.Context(), ".leat-tmp/x", strings.NewReader("x"), false); !fault.Is(err, fault.Invalid) {
		t.Errorf("the folder of unfinished files gives %v, want Invalid", err)
	}
}

// What a crashed writer left is removed, what a living one needs is not.
func TestSweep(t *testing.T) {
	folder := t.TempDir()
	if err := open(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old": 48 * time.Hour, "new": time.Hour} {
		path := filepath.Join(folder, ".leat-tmp", name)
		then := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, folder)
	left, err := fs.Glob(os.DirFS(folder), ".leat-tmp/*")
	if err != nil || len(left) != 1 || left[0] != ".leat-tmp/new" {
		t.Errorf("left is %q, %v", left, err)
	}
}

// A full device is a fault of its own.
func TestFull(t *testing.T) {
	b := open(t, t.TempDir())
	err := b.Put(t.Context(), "a", io.MultiReader(strings.NewReader("x"), full{}), false)
	if !fault.Is(err, fault.Full) || fault.HintOf(err) == "" {
		t.Errorf("got %v, want Full with a hint", err)
	}
}

type full struct{}

func (full) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
}

func TestParse(t *testing.T) {
	for from, want := range map[string]string{"file:///var/leat": "/var/leat", "blobs": "blobs", "/abs/a b": "/abs/a b"} {
		if c, err := file.Parse(from); err != nil || c.Path != want {
			t.Errorf("%s is %q, %v; want %q", from, c.Path, err, want)
		}
	}
	for _, from := range []string{"s3://bucket", "file://host/path", "file:///p?x=y"} {
		if _, err := file.Parse(from); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s gives %v, want Invalid", from, err)
		}
	}
}
