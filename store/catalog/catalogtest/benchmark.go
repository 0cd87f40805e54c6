package catalogtest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/store/catalog"
)

// Benchmark measures a durable write of one row, alone and by eight
// goroutines on each processor, a write of a thousand rows, and a read of one
// row.
func Benchmark(b *testing.B, open func(*testing.B) *catalog.DB) {
	b.Run("write one row", func(b *testing.B) {
		db := open(b)
		for i := 0; b.Loop(); i++ {
			if err := db.Write(b.Context(), func(tx catalog.Tx) error { return set(b.Context(), tx, fmt.Sprint(i), "") }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write one row, many at once", func(b *testing.B) {
		db := open(b)
		var n atomic.Int64
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				key := fmt.Sprint(n.Add(1))
				if err := db.Write(b.Context(), func(tx catalog.Tx) error { return set(b.Context(), tx, key, "") }); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("write a thousand rows", func(b *testing.B) {
		db := open(b)
		for i := 0; b.Loop(); i++ {
			err := db.Write(b.Context(), func(tx catalog.Tx) error {
				for j := range 1000 {
					if err := set(b.Context(), tx, fmt.Sprint(i, ".", j), ""); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read one row", func(b *testing.B) {
		db := open(b)
		if err := db.Write(b.Context(), func(tx catalog.Tx) error { return set(b.Context(), tx, "a", "x") }); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			err := db.Read(b.Context(), func(tx catalog.Tx) error { _, err := get(b.Context(), tx, "a"); return err })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
