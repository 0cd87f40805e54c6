package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/catalogtest"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

var backend = catalogtest.Backend{
	Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "new", "a?b%20c#é.db") },
	Open: func(ctx context.Context, location string) (*catalog.DB, error) {
		return sqlite.Open(ctx, sqlite.Config{Path: location})
	},
}

func TestMain(m *testing.M) { catalogtest.Main(m, backend) }

func TestSuite(t *testing.T) { catalogtest.Run(t, backend) }

func open(t *testing.T, path string) *catalog.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// The promise of durability is a matter of settings, on every connection.
func TestSettings(t *testing.T) {
	db := open(t, backend.Fresh(t))
	ask := func(tx catalog.Tx, pragma string) (answer string) {
		if err := tx.Row(t.Context(), "PRAGMA "+pragma, nil, &answer); err != nil {
			t.Error(err)
		}
		return answer
	}
	look := func(tx catalog.Tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
			if got := ask(tx, pragma); got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
		}
		return nil
	}
	if err := db.Write(t.Context(), look); err != nil {
		t.Error(err)
	}
	if err := db.Read(t.Context(), look); err != nil {
		t.Error(err)
	}
}

func TestRights(t *testing.T) {
	path := backend.Fresh(t)
	open(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v; want 0600", info.Mode(), err)
	}
}

func TestDamage(t *testing.T) {
	path := backend.Fresh(t)
	db := open(t, path)
	err := db.Write(t.Context(), func(tx catalog.Tx) error {
		for i := range 2000 {
			if _, err := tx.Exec(t.Context(), `INSERT INTO applies (id, at, by, plan) VALUES (?, 0, 'me', 'a plan of some length')`, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := append([]byte(nil), content...)
	for i := len(content) / 4; i < len(content)*3/4; i++ {
		content[i] ^= 0x5a
	}
	for name, content := range map[string][]byte{"overwritten": content, "cut": whole[:len(whole)/2/4096*4096], "something else": []byte("a letter to the editor, of more than a hundred bytes, so that nobody takes it for an empty file; really it is long enough")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		if err == nil {
			err = db.Check(t.Context())
			_ = db.Close()
		}
		if !fault.Is(err, fault.Corrupt) || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v, want Corrupt with a hint", name, err)
		}
	}
}

// Another process that keeps the file is waited for, and not for ever.
func TestBusy(t *testing.T) {
	path := backend.Fresh(t)
	holder := open(t, path)
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	nothing := func(catalog.Tx) error { return nil }
	err = holder.Write(t.Context(), func(catalog.Tx) error {
		if err := db.Write(t.Context(), nothing); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a file that is held gives %v, want Unavailable", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), nothing); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []sqlite.Config{{}, {Path: ":memory:"}, {Path: "a\x00b"}, {Path: "a", Readers: -1}, {Path: "a", BusyTimeout: -1}} {
		if _, err := sqlite.Open(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v gives %v, want Invalid", bad, err)
		}
	}
}
