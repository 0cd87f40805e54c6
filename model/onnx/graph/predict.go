package graph

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/onnx/ops"
)

// Predict scores the rows of a batch, as model.Model says. Large batches are
// spread over GOMAXPROCS goroutines.
func (m *Model) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	r, err := m.run(ctx, in)
	if err != nil {
		return nil, err
	}
	columns := make([]arrow.Array, len(m.picks))
	for i, p := range m.picks {
		if c := &r.columns[p.column]; p.label {
			columns[i] = c.labelled()
		} else {
			columns[i] = c.array()
		}
	}
	return batch(m.signature.Outputs, columns, int(in.NumRows())), nil
}

// Native returns the outputs of the graph under their own names. A graph has
// no margins.
func (m *Model) Native(ctx context.Context, in frame.Batch, raw bool) (frame.Batch, error) {
	if raw {
		return nil, fault.New(fault.Unsupported, "an ONNX graph has no margins: it is what it computes")
	}
	r, err := m.run(ctx, in)
	if err != nil {
		return nil, err
	}
	columns := make([]arrow.Array, len(r.columns))
	for i := range columns {
		columns[i] = r.columns[i].array()
	}
	return batch(m.native(), columns, int(in.NumRows())), nil
}

// native lists the columns of all outputs.
func (m *Model) native() []model.Field {
	var fields []model.Field
	for i := range m.outputs {
		for _, c := range m.outputs[i].columns {
			fields = append(fields, model.Field{Name: c.Name, Type: c.Type})
		}
	}
	return fields
}

// run computes the outputs of all rows.
func (m *Model) run(ctx context.Context, in frame.Batch) (*results, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "scoring ended before its first row")
	}
	at, err := m.bind(in.Schema())
	if err != nil {
		return nil, err
	}
	rows := int(in.NumRows())
	r := m.results(rows)
	if rows == 0 {
		return r, nil
	}
	part := int(m.rows.Load())
	if m.shape.single {
		part = 1
	}
	workers := min(runtime.GOMAXPROCS(0), (rows+part-1)/part)
	if workers == 1 {
		return r, m.work(ctx, in, at, r, new(atomic.Int64), part)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for w := range workers {
		wg.Go(func() {
			if errs[w] = m.work(ctx, in, at, r, &next, part); errs[w] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	return r, first(errs)
}

// first returns the error that came before others were ended by it.
func first(errs []error) error {
	var found error
	for _, err := range errs {
		if err != nil && (found == nil || fault.Is(found, fault.Canceled)) {
			found = err
		}
	}
	return found
}

// work does one part of the rows after the other until there are none.
func (m *Model) work(ctx context.Context, in frame.Batch, at []int, r *results, next *atomic.Int64, part int) error {
	b, ok := m.buffers.Get().(*buffer)
	if !ok {
		b = &buffer{}
		for range m.inputs {
			b.tensors = append(b.tensors, &ops.Tensor{})
		}
	}
	defer m.buffers.Put(b)
	rows := int(in.NumRows())
	for {
		from := int(next.Add(int64(part))) - part
		if from >= rows {
			return nil
		}
		if err := m.part(ctx, b, in, at, r, from, min(from+part, rows)); err != nil {
			return err
		}
	}
}

// part computes the rows from..to, in smaller parts when they are too much at
// once.
func (m *Model) part(ctx context.Context, b *buffer, in frame.Batch, at []int, r *results, from, to int) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.KindOf(err), "scoring ended before its last row")
	}
	err := m.try(ctx, b, in, at, r, from, to)
	if err == nil || to-from == 1 || !fault.Is(err, fault.TooLarge) {
		return err
	}
	middle := (from + to) / 2
	m.rows.Store(int64(max(middle-from, 1)))
	if err := m.part(ctx, b, in, at, r, from, middle); err != nil {
		return err
	}
	return m.part(ctx, b, in, at, r, middle, to)
}

func (m *Model) try(ctx context.Context, b *buffer, in frame.Batch, at []int, r *results, from, to int) error {
	rows := in
	if from > 0 || to < int(in.NumRows()) {
		rows = in.NewSlice(int64(from), int64(to))
		defer rows.Release()
	}
	if err := m.fill(b, rows, at); err != nil {
		return err
	}
	return m.engine.Run(ctx, b.tensors, func(outputs []*ops.Tensor) error { return m.take(r, outputs, from, to-from) })
}
