package lake_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// The lake shares its database with the rest of the catalog, as it does in
// Leat, and on either kind of it.
func TestOnTheCatalogsOwnDatabase(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
		if err != nil {
			t.Fatal(err)
		}
		onCatalog(t, db)
	})
	t.Run("postgres", func(t *testing.T) {
		db, err := postgres.Open(t.Context(), postgres.Config{URL: testserver.Postgres(t).URL(t)})
		if err != nil {
			t.Fatal(err)
		}
		onCatalog(t, db)
	})
}

func onCatalog(t *testing.T, db *catalog.DB) {
	t.Cleanup(func() { _ = db.Close() })
	dir := t.TempDir()
	openOn := func() *lake.Lake {
		l, err := lake.Open(t.Context(), lake.Config{Warehouse: dir, DB: db.SQL(), Dialect: db.Dialect()})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	lakes := []*lake.Lake{openOn(), openOn()}
	must(lakes[0].Create(t.Context(), "events", columns))(t)
	var work sync.WaitGroup
	for n := range 6 {
		work.Go(func() {
			tbl, err := lakes[n%2].Table(t.Context(), "events")
			if err == nil {
				_, err = tbl.Append(t.Context(), reader(rows(n*10, n*10+10)), nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	tbl := must(lakes[1].Table(t.Context(), "events"))(t)
	if tbl.Rows() != 60 || len(tbl.Snapshots()) != 6 {
		t.Fatalf("%d rows in %d snapshots", tbl.Rows(), len(tbl.Snapshots()))
	}
	if err := lakes[0].Drop(t.Context(), "events"); err != nil {
		t.Fatal(err)
	}
}
