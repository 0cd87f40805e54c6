package main

import (
	"context"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/tree"
)

// engine is our side: an ensemble, and the rows as it takes them.
type engine struct {
	trees   *tree.Ensemble
	columns [][]float64
	rows    int
	batch   frame.Batch   // the same rows
	parts   []frame.Batch // of batch, for the present size
	size    int
}

// newEngine lays rows out by column, again and again until there are most of
// them.
func newEngine(e *tree.Ensemble, rows [][]float64, most int) *engine {
	n := &engine{trees: e, rows: most, columns: e.Definition().Encoder.Matrix(most)}
	named := make([]frame.Column, columns)
	for i, f := range e.Signature().Inputs {
		named[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(named))
	defer b.Release()
	for at := range most {
		for i, v := range rows[at%len(rows)] {
			n.columns[i][at] = v
			b.Field(i).(*array.Float64Builder).Append(v)
		}
	}
	n.batch = b.NewRecordBatch()
	return n
}

// answers returns the probabilities of the first rows.
func (n *engine) answers(ctx context.Context, rows int) ([]float64, error) {
	part := make([][]float64, len(n.columns))
	for i, c := range n.columns {
		part[i] = c[:rows]
	}
	got, err := n.trees.Score(ctx, part)
	if err != nil {
		return nil, err
	}
	return got[0], nil
}

// processorTime is what this process has used of the processor, in user and
// kernel mode. It is the clock of both sides, because what else the machine
// does then counts as little as it can.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // it cannot fail for the process itself
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// score scores batches of size rows, one behind the other, from columns.
func (n *engine) score(ctx context.Context, size, times int) (float64, error) {
	part := make([][]float64, len(n.columns))
	start := processorTime()
	for i := range times {
		for c, column := range n.columns {
			part[c] = column[i*size : (i+1)*size]
		}
		if _, err := n.trees.Score(ctx, part); err != nil {
			return 0, err
		}
	}
	return (processorTime() - start).Seconds(), nil
}

// predict is score by the contract of models: Arrow batches in and out.
func (n *engine) predict(ctx context.Context, size, times int) (float64, error) {
	if n.size != size {
		for _, p := range n.parts {
			p.Release()
		}
		n.size, n.parts = size, nil
	}
	for len(n.parts) < times {
		at := int64(len(n.parts) * size)
		n.parts = append(n.parts, n.batch.NewSlice(at, at+int64(size)))
	}
	start := processorTime()
	for _, p := range n.parts[:times] {
		out, err := n.trees.Predict(ctx, p)
		if err != nil {
			return 0, err
		}
		out.Release()
	}
	return (processorTime() - start).Seconds(), nil
}
