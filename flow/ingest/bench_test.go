package ingest_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/spec"
)

// transactions writes a CSV of ten columns as a bank has them.
func transactions(t testing.TB, path string, n int) int64 {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	fmt.Fprintln(w, "txn_id,customer_id,at,amount,currency,country,merchant,channel,balance,fraud")
	for i := range n {
		fmt.Fprintf(w, "t%08d,c%05d,2024-%02d-%02dT%02d:%02d:%02dZ,%d.%02d,EUR,%s,merchant %d,%s,%d.%d,%t\n", i, r.IntN(50_000),
			1+i%12, 1+i%28, i%24, i%60, i%59, r.IntN(5000), r.IntN(100), []string{"DE", "FR", "US", "NL"}[r.IntN(4)], r.IntN(3000),
			[]string{"web", "pos", "app"}[r.IntN(3)], r.IntN(100_000), r.IntN(1000), r.IntN(100) == 0)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return size
}

func BenchmarkCSV(b *testing.B) {
	h := open(b)
	const n = 1_000_000
	size := transactions(b, filepath.Join(h.dir, "t.csv"), n)
	b.SetBytes(size)
	var last ingest.Result
	for b.Loop() {
		last = h.ingest(b, spec.Source{Name: "t", From: "t.csv", Mode: "replace", Expect: []string{"amount >= 0"}})
	}
	if last.Rows != n || last.Quarantined != 0 {
		b.Fatalf("%+v", last)
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
