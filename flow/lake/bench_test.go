package lake_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
)

// wide makes a batch of 30 doubles a row.
func wide(n int) frame.Batch {
	var columns []frame.Column
	for i := range 30 {
		columns = append(columns, frame.Column{Name: fmt.Sprintf("f%d", i), Type: frame.Double})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range columns {
		for range n {
			b.Field(i).(*array.Float64Builder).Append(r.Float64())
		}
	}
	return b.NewRecordBatch()
}

func BenchmarkWrite(b *testing.B) {
	l := openLake(b, b.TempDir())
	batch := wide(64 << 10)
	tbl := must(l.Draft(b.Context(), "t", must(frame.ColumnsOf(batch.Schema()))(b)))(b)
	rows := 0
	for b.Loop() {
		tbl = must(tbl.Append(b.Context(), reader(batch, batch, batch, batch), nil))(b)
		rows += 4 * int(batch.NumRows())
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkScan(b *testing.B) {
	l := openLake(b, b.TempDir())
	batch := wide(64 << 10)
	tbl := must(l.Draft(b.Context(), "t", must(frame.ColumnsOf(batch.Schema()))(b)))(b)
	tbl = must(tbl.Append(b.Context(), reader(batch, batch, batch, batch, batch, batch, batch, batch), nil))(b)
	rows := 0
	for b.Loop() {
		r := must(tbl.Scan(b.Context(), lake.ScanOptions{}))(b)
		if err := frame.Each(b.Context(), r, func(f frame.Batch) error { rows += int(f.NumRows()); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkSmallAppend(b *testing.B) {
	l := openLake(b, b.TempDir())
	tbl := must(l.Create(b.Context(), "t", columns))(b)
	batch := rows(0, 1000)
	for b.Loop() {
		tbl = must(tbl.Append(b.Context(), reader(batch), nil))(b)
	}
}
