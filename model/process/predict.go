package process

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// predict asks for rows that have exactly the signature's columns.
func (m *Model) predict(ctx context.Context, rows frame.Batch) (frame.Batch, error) {
	schema := model.SchemaOf(m.manifest.Signature.Outputs)
	n, size := rows.NumRows(), int64(m.pool.hello().MaxRows)
	if n == 0 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		return b.NewRecordBatch(), nil
	}
	if n <= size {
		return m.part(ctx, rows)
	}
	parts := make([]frame.Batch, (n+size-1)/size)
	defer func() {
		for _, p := range parts {
			if p != nil {
				p.Release()
			}
		}
	}()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(m.manifest.Workers * m.pool.hello().Inflight)
	for i := range parts {
		group.Go(func() (err error) {
			part := rows.NewSlice(int64(i)*size, min(n, int64(i+1)*size))
			defer part.Release()
			parts[i], err = m.part(ctx, part)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return concatenate(schema, parts)
}

// part asks for at most as many rows as one call has. Where a worker died and
// it may have been another call's doing, a second one is asked, once.
func (m *Model) part(ctx context.Context, rows frame.Batch) (frame.Batch, error) {
	for again := true; ; again = false {
		w, err := m.pool.acquire(ctx)
		if err != nil {
			return nil, err
		}
		r := w.ask(ctx, func(dst []byte) ([]byte, error) { return w.hello.appendRows(dst, rows, left(ctx)) },
			func() { m.pool.release(w) })
		switch {
		case r.err != nil && r.shared && again:
			continue
		case r.err != nil:
			return nil, r.err
		case r.kind == kindError:
			return nil, parseError(r.payload)
		}
		out, err := w.hello.readRows(r.payload, m.manifest.Signature.Outputs, int(rows.NumRows()))
		if err != nil {
			return nil, fault.New(fault.Internal, "the model's worker answered what does not fit").Because(err).
				Hint("compare what the model returns with its signature")
		}
		return out, nil
	}
}

// left is how long a call may take; 0 where nothing says.
func left(ctx context.Context) time.Duration {
	at, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(at), time.Millisecond)
}

func concatenate(schema *arrow.Schema, parts []frame.Batch) (frame.Batch, error) {
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	rows := int64(0)
	for _, p := range parts {
		rows += p.NumRows()
	}
	for i := range columns {
		pieces := make([]arrow.Array, len(parts))
		for k, p := range parts {
			pieces[k] = p.Column(i)
		}
		col, err := array.Concatenate(pieces, memory.DefaultAllocator)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the parts of an answer do not fit together")
		}
		columns[i] = col
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}
