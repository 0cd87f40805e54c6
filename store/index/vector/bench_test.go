package vector

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkScan looks at 50,000 vectors of 384 numbers, the most that are
// scanned.
func BenchmarkScan(b *testing.B) {
	vectors := clustered(rand.New(rand.NewPCG(1, 1)), 50_000, 384, 500)
	s := open(b, write(b, Options{Dim: 384}, vectors))
	for i := 0; b.Loop(); i++ {
		if _, err := s.Search(b.Context(), vectors[i*37%len(vectors)], 10, nil); err != nil {
			b.Fatal(err)
		}
	}
}
