package lake_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

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

// scored makes a batch of what a batch writes: ids that are all different,
// numbers of rows, scores, a decision of two, one release.
func scored(from, n int) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{
		{Name: "decision_id", Type: frame.String}, {Name: "row", Type: frame.Int}, {Name: "score", Type: frame.Double},
		{Name: "decision", Type: frame.String}, {Name: "release", Type: frame.String},
	}))
	defer b.Release()
	r := rand.New(rand.NewPCG(1, uint64(from)))
	for i := from; i < from+n; i++ {
		score := r.Float64()
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("0198c2d4a7e37a219b4f5d60/%d", i))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		b.Field(2).(*array.Float64Builder).Append(score)
		b.Field(3).(*array.StringBuilder).Append(map[bool]string{true: "review", false: "pass"}[score > 0.9])
		b.Field(4).(*array.StringBuilder).Append("8b1a9953c4611296a827abf8c47804d7e6c49c6b97d4f0d2f2f2a1e7a4a3b2c1")
	}
	return b.NewRecordBatch()
}

func BenchmarkWriteScores(b *testing.B) {
	l := openLake(b, b.TempDir())
	var batches []frame.Batch
	for n := range 32 {
		batches = append(batches, scored(n<<14, 1<<14))
	}
	tbl := must(l.Draft(b.Context(), "t", must(frame.ColumnsOf(batches[0].Schema()))(b)))(b)
	rows, size := 0, int64(0)
	start := cpu(b)
	for b.Loop() {
		tbl = must(tbl.Overwrite(b.Context(), reader(batches...), nil))(b)
		rows += 32 << 14
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(rows), "cpu-ns/row")
	for _, f := range must(tbl.Files(b.Context()))(b) {
		size += f.Size
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size)/(32<<14), "bytes/row")
}

// cpu is the time that processors worked for this process: the machine may be
// busy with other things.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
