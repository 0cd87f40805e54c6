package sqlite_test

import (
	"testing"

	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/catalogtest"
)

func BenchmarkCatalog(b *testing.B) {
	catalogtest.Benchmark(b, func(b *testing.B) *catalog.DB {
		db, err := backend.Open(b.Context(), backend.Fresh(b))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		return db
	})
}
