package remote

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/resilience"
	"github.com/leat-ai/leat/model"
)

// protocol makes requests of rows, and rows of answers.
type protocol interface {
	// request is the body for rows.
	request(in frame.Batch) ([]byte, error)
	// answer reads the body that came for rows. Whatever does not fit is an
	// error.
	answer(body []byte, in frame.Batch) (frame.Batch, error)
}

func (m Manifest) protocol() protocol {
	switch m.Protocol {
	case OIP:
		return oip{m}
	case OpenAI:
		return embeddings{m}
	case AzureML:
		return table{m, azureTable}
	}
	return table{m, mlflowTable}
}

// parts is how many calls one Predict may have under way.
const parts = 4

// ask asks the server for rows, in parts that it takes.
func (m *Model) ask(ctx context.Context, rows frame.Batch) (frame.Batch, error) {
	n, size := rows.NumRows(), int64(m.manifest.MaxRows)
	if n <= size {
		return m.part(ctx, rows)
	}
	answers := make([]frame.Batch, (n+size-1)/size)
	defer func() {
		for _, a := range answers {
			if a != nil {
				a.Release()
			}
		}
	}()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(parts, m.manifest.Concurrency))
	for i := range answers {
		group.Go(func() (err error) {
			part := rows.NewSlice(int64(i)*size, min(n, int64(i+1)*size))
			defer part.Release()
			answers[i], err = m.part(ctx, part)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return concatenate(model.SchemaOf(m.manifest.Signature.Outputs), answers, n)
}

// part is one call, with its retries.
func (m *Model) part(ctx context.Context, rows frame.Batch) (frame.Batch, error) {
	body, err := m.protocol.request(rows)
	if err != nil {
		return nil, err
	}
	out, err := resilience.Get(ctx, m.caller, func(ctx context.Context) (frame.Batch, error) {
		if err := m.limit.Acquire(ctx); err != nil {
			return nil, resilience.Final(err) // it was not the server's doing
		}
		defer m.limit.Release()
		answer, err := m.server.post(ctx, body)
		if err != nil {
			return nil, err
		}
		out, err := m.protocol.answer(answer, rows)
		if err != nil {
			return nil, fault.New(fault.Internal, "the model server %s answered what does not fit", m.server.host()).Because(err).
				Hint("compare what it answers with the inputs and outputs of the Model resource")
		}
		return out, nil
	})
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fault.Wrap(err, fault.KindOf(ctx.Err()), "the model server did not answer in time")
	}
	return out, err
}

func concatenate(schema *arrow.Schema, parts []frame.Batch, rows int64) (frame.Batch, error) {
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
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
