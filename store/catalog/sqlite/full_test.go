package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// A full disk is a fault of its own, changes nothing, and passes.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	made, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	_ = made.Close()
	pools, err := Config{Path: path}.withDefaults().pools()
	if err != nil {
		t.Fatal(err)
	}
	db := catalog.New(pools.writer, catalog.SQLite, catalog.Options{Readers: pools.readers, Shared: pools.shared, Classify: classify})
	defer db.Close()
	limit := func(pages string) {
		if _, err := pools.writer.Exec("PRAGMA max_page_count = " + pages); err != nil { // of the one connection that writes
			t.Fatal(err)
		}
	}
	add := func(tx catalog.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO applies (id, at, by, plan) VALUES ('1', 0, '', ?)`, strings.Repeat("x", 1<<20))
		return err
	}
	limit("100")
	if err := db.Write(t.Context(), add); !fault.Is(err, fault.Full) || fault.HintOf(err) == "" {
		t.Errorf("got %v, want Full with a hint", err)
	}
	limit("100000")
	if err := db.Write(t.Context(), add); err != nil {
		t.Errorf("with space again: %v", err)
	}
}
