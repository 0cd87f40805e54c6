package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// BenchmarkMoveRecords is what a decision costs between the log and a
// committed file of the lake: thirty inputs, which the model reads as they
// came.
func BenchmarkMoveRecords(b *testing.B) {
	const decisions = 20_000
	db, err := sqlite.Open(b.Context(), sqlite.Config{Path: b.TempDir() + "/catalog.db"})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	l, err := lake.Open(b.Context(), lake.Config{Warehouse: b.TempDir(), DB: db.SQL(), Dialect: db.Dialect(), Scratch: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	w, err := record.Open(record.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	inputs := rowsOfDoubles(30)
	output := rowsOfDoubles(1)
	for b.Loop() {
		b.StopTimer()
		for i := range decisions {
			row := inputs[i%len(inputs)]
			e := &record.Entry{At: time.Now(), Pattern: "realtime", Endpoint: "fraud", Release: "r", Caller: "somebody",
				IDs: []string{fmt.Sprintf("%026d", i)}, Inputs: row, Features: row, Output: output[i%len(output)]}
			if err := w.Record(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Seal(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if n, err := w.Compact(context.Background(), recordSink{l, func() int { return 0 }}); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/decisions, "ns/decision")
}

// rowsOfDoubles are a thousand batches of one row.
func rowsOfDoubles(columns int) []frame.Batch {
	r := rand.New(rand.NewPCG(1, 2))
	fields := make([]frame.Column, columns)
	for i := range fields {
		fields[i] = frame.Column{Name: fmt.Sprintf("x%d", i), Type: frame.Double}
	}
	schema := frame.SchemaOf(fields)
	rows := make([]frame.Batch, 1000)
	for i := range rows {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for c := range fields {
			b.Field(c).(*array.Float64Builder).Append(r.NormFloat64())
		}
		rows[i] = b.NewRecordBatch()
		b.Release()
	}
	return rows
}
