package decide

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// enrich computes the features and assembles what the model reads.
func (p *Path) enrich(ctx context.Context, pass *Pass) error {
	if p.features != nil {
		out, err := p.isolate(ctx, pass, pass.Inputs, nil, &p.computed,
			func(in frame.Batch, first int) (frame.Batch, error) {
				asked := pass.Request.Asked.Slice(first, first+int(in.NumRows()))
				defer asked.Release()
				out, errs, err := p.features.Compute(ctx, in, asked)
				for i, err := range errs {
					if err != nil {
						pass.Fail(first+i, err)
					}
				}
				return out, err
			})
		if err != nil {
			return err
		}
		pass.Features = out
	}
	p.model.assemble(pass)
	return nil
}

// answer is the innermost step: route, predict, decision column.
func (p *Path) answer(ctx context.Context, pass *Pass) error {
	v := p.route(pass)
	pass.Variant, pass.version = v.name, v.version
	n := int(pass.Model.NumRows())
	in, rows := pass.Model, []int(nil) // nil: all of them
	if pass.Errors != nil {
		rows = passing(pass.Errors)
		in = pickRows(pass.Model, rows)
		defer in.Release()
	}
	out, err := p.isolate(ctx, pass, in, rows, v.outputs, func(in frame.Batch, _ int) (frame.Batch, error) {
		return v.model.Predict(ctx, in)
	})
	if err != nil {
		return err
	}
	defer out.Release()
	if rows != nil {
		out = pickRows(out, scatter(rows, n))
		defer out.Release()
	}
	pass.Output = p.decided(out)
	return nil
}

// route chooses the variant of a request. There is one as yet.
func (p *Path) route(*Pass) *variant { return &p.variants[0] }

// passing lists the rows without an error.
func passing(errs []error) []int {
	rows := make([]int, 0, len(errs))
	for row, err := range errs {
		if err == nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// scatter says for each of n rows of the request where it stands among the
// rows that were predicted: -1 for those that were not.
func scatter(rows []int, n int) []int {
	at := make([]int, n)
	for i := range at {
		at[i] = -1
	}
	for i, row := range rows {
		at[row] = i
	}
	return at
}

// without lists every row, -1 in place of those with an error.
func without(errs []error) []int {
	rows := make([]int, len(errs))
	for row, err := range errs {
		if rows[row] = row; err != nil {
			rows[row] = -1
		}
	}
	return rows
}

// failures is how many calls may fail before the rest of a batch is given up.
// A single bad row in n is found with about 2·log₂(n) failing calls.
const failures = 64

// isolate calls f with a batch, and where that fails or panics with ever
// smaller parts of it, so that a row that breaks a model takes no other with
// it. rows says which row of the request each row of the batch is, nil that
// they are the same. The result
// has as many rows as the batch, NULL where a row failed. An error is
// returned only when the request as a whole has ended.
func (p *Path) isolate(ctx context.Context, pass *Pass, in frame.Batch, rows []int, schema *shape,
	f func(in frame.Batch, first int) (frame.Batch, error)) (frame.Batch, error) {
	s := splitter{path: p, pass: pass, rows: rows, schema: schema, f: f, left: failures}
	out, err := s.call(ctx, in, 0)
	if err == nil {
		return out, nil
	}
	if ended(ctx, err) {
		return nil, err
	}
	return s.parts(ctx, in, 0, err)
}

type splitter struct {
	path   *Path
	pass   *Pass
	rows   []int
	schema *shape
	f      func(in frame.Batch, first int) (frame.Batch, error)
	left   int
}

func (s *splitter) call(ctx context.Context, in frame.Batch, first int) (out frame.Batch, err error) {
	err = s.path.guarded(ctx, func() (err error) {
		out, err = s.f(in, first)
		return err
	})
	var errs []error
	if p, ok := errors.AsType[*model.Partial](err); ok && p.Out != nil && len(p.Errs) == int(in.NumRows()) {
		out, errs, err = p.Out, p.Errs, nil
	}
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, fault.New(fault.Internal, "nothing came back for %d rows", in.NumRows())
	}
	if err := s.check(out, in); err != nil {
		out.Release()
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			s.pass.Fail(s.row(first+i), err)
		}
	}
	s.pass.standIn(model.ServedBy(out))
	return out, nil
}

// check holds a model to its signature: what comes after relies on it.
func (s *splitter) check(out, in frame.Batch) error {
	want := s.schema.schema
	if out.NumRows() != in.NumRows() || int(out.NumCols()) != want.NumFields() {
		return fault.New(fault.Internal, "%d rows of %d columns came back for %d rows of %d",
			out.NumRows(), out.NumCols(), in.NumRows(), want.NumFields())
	}
	return s.schema.meets(out.Schema())
}

// shape is the schema that answers must have.
type shape struct {
	schema *arrow.Schema
	met    atomic.Pointer[arrow.Schema] // the last one that was alike: most models have one
}

func (s *shape) meets(got *arrow.Schema) error {
	if got == s.met.Load() {
		return nil
	}
	for i, want := range s.schema.Fields() {
		f := got.Field(i)
		if f.Name != want.Name || f.Type.ID() != want.Type.ID() {
			return fault.New(fault.Internal, "column %d came back as %q of type %s, not as %q of type %s", i, f.Name, f.Type, want.Name, want.Type)
		}
	}
	s.met.Store(got)
	return nil
}

// parts is called with a batch that failed. It halves it, and at a single row
// blames that. What speaks of a neighbour and not of rows (it is away, it has
// too much to do) is not asked again in parts.
func (s *splitter) parts(ctx context.Context, in frame.Batch, first int, cause error) (frame.Batch, error) {
	n := int(in.NumRows())
	if s.left--; n <= 1 || s.left <= 0 || fault.KindOf(cause).Retryable() {
		for i := range n {
			s.pass.Fail(s.row(first+i), cause)
		}
		return nullRows(s.schema.schema, n), nil
	}
	var halves [2]frame.Batch
	defer func() {
		for _, h := range halves {
			if h != nil {
				h.Release()
			}
		}
	}()
	for i, bounds := range [2][2]int{{0, n / 2}, {n / 2, n}} {
		out, err := s.half(ctx, in, first, bounds)
		if err != nil {
			return nil, err
		}
		halves[i] = out
	}
	return join(s.schema.schema, halves)
}

func (s *splitter) half(ctx context.Context, in frame.Batch, first int, bounds [2]int) (frame.Batch, error) {
	part := in.NewSlice(int64(bounds[0]), int64(bounds[1]))
	defer part.Release()
	out, err := s.call(ctx, part, first+bounds[0])
	switch {
	case err == nil:
		return out, nil
	case ended(ctx, err):
		return nil, err
	}
	return s.parts(ctx, part, first+bounds[0], err)
}

func (s *splitter) row(i int) int {
	if s.rows == nil {
		return i
	}
	return s.rows[i]
}

func nullRows(schema *arrow.Schema, n int) frame.Batch {
	columns := make([]arrow.Array, schema.NumFields())
	defer releaseAll(columns)
	for i, f := range schema.Fields() {
		columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, n)
	}
	return array.NewRecordBatch(schema, columns, int64(n))
}

func join(schema *arrow.Schema, halves [2]frame.Batch) (frame.Batch, error) {
	columns := make([]arrow.Array, schema.NumFields())
	defer func() { releaseAll(columns) }()
	for i := range columns {
		col, err := array.Concatenate([]arrow.Array{halves[0].Column(i), halves[1].Column(i)}, memory.DefaultAllocator)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "parts of an answer do not fit together")
		}
		columns[i] = col
	}
	return array.NewRecordBatch(schema, columns, halves[0].NumRows()+halves[1].NumRows()), nil
}

// ended tells whether err means that the request's time is over rather than
// that rows failed.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// guarded is the one place where a panic of a model, a feature or a screen is
// caught. What it says goes to the log of operators, never to a caller.
func (p *Path) guarded(ctx context.Context, f func() error) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		p.deps.Log.ErrorContext(ctx, "a decision broke", "endpoint", p.release.Endpoint, "release", p.release.ID,
			"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		err = fault.New(fault.Internal, "the model of %s broke on this row", p.release.Endpoint).
			Hint("the server's log says where; please report it with the decision's id")
	}()
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.KindOf(err), "the decision was not made in time")
	}
	return f()
}
