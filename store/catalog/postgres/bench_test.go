package postgres_test

import (
	"testing"

	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/catalogtest"
)

func BenchmarkCatalog(b *testing.B) {
	server := testserver.Postgres(b, "fsync=on", "synchronous_commit=on", "full_page_writes=on")
	catalogtest.Benchmark(b, func(b *testing.B) *catalog.DB {
		db, err := openURL(b.Context(), server.URL(b))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		return db
	})
}
