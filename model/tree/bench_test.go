package tree

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// benchmarkEnsemble has 100 trees of 31 leaves over 28 columns in 255 bins,
// as a trainer with the usual settings makes them.
func benchmarkEnsemble(b *testing.B) (*Ensemble, [][]float64) {
	random := rand.New(rand.NewPCG(1, 2))
	enc := &encode.Encoder{}
	for i := range 28 {
		enc.Columns = append(enc.Columns, encode.Column{Name: fmt.Sprint("c", i), Type: frame.Double, Kind: encode.Numeric})
	}
	d := Definition{Task: model.Binary, Link: Sigmoid, Classes: []string{"0", "1"}, Encoder: enc, Base: []float64{0}}
	for range 100 {
		t := Tree{Leaves: []float64{0}}
		hangs := []*int{nil}
		t.Splits = make([]Split, 0, 30)
		for i := range 30 {
			leaf := random.IntN(len(hangs))
			t.Splits = append(t.Splits, Split{
				Column: random.IntN(28), Threshold: float64(random.IntN(254)+1) / 255,
				MissingLeft: random.IntN(2) == 0, Left: ^leaf, Right: ^len(hangs),
			})
			if hangs[leaf] != nil {
				*hangs[leaf] = i
			}
			hangs[leaf] = &t.Splits[i].Left
			hangs = append(hangs, &t.Splits[i].Right)
			t.Leaves = append(t.Leaves, random.NormFloat64())
		}
		d.Trees = append(d.Trees, t)
	}
	e, err := New(d)
	if err != nil {
		b.Fatal(err)
	}
	columns := enc.Matrix(chunkRows)
	for i := range columns {
		for r := range columns[i] {
			columns[i][r] = random.Float64()
		}
	}
	return e, columns
}

// BenchmarkSum reports nanoseconds per row and tree on one core, encoding and
// link left out.
func BenchmarkSum(b *testing.B) {
	e, columns := benchmarkEnsemble(b)
	for _, rows := range []int{1, 4, 8, 16, 64, chunkRows} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			part := make([][]float64, len(columns))
			for i := range part {
				part[i] = columns[i][:rows]
			}
			sums := [][]float64{make([]float64, rows)}
			var m engine
			for b.Loop() {
				e.code.sum(&m, part, sums)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows*100), "ns/row-tree")
		})
	}
}

// BenchmarkPredictOneRow is what a request pays, from batch to batch.
func BenchmarkPredictOneRow(b *testing.B) {
	e, columns := benchmarkEnsemble(b)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, benchmarkSchema(e))
	defer builder.Release()
	for i := range columns {
		builder.Field(i).(*array.Float64Builder).Append(columns[i][0])
	}
	in := builder.NewRecordBatch()
	defer in.Release()
	b.ReportAllocs()
	for b.Loop() {
		out, err := e.Predict(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		out.Release()
	}
}

func benchmarkSchema(e *Ensemble) *arrow.Schema {
	columns := make([]frame.Column, len(e.signature.Inputs))
	for i, f := range e.signature.Inputs {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	return frame.SchemaOf(columns)
}
