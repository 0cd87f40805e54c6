package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

func open(t testing.TB, path string) *catalog.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestNext(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "a?b%20c#.db"))
	for want := int64(1); want < 3; want++ {
		var got int64
		err := db.Write(t.Context(), func(tx catalog.Tx) (err error) {
			got, err = catalog.Next(t.Context(), tx, "signals")
			return err
		})
		if err != nil || got != want {
			t.Fatalf("got %d, %v; want %d", got, err, want)
		}
	}
}
