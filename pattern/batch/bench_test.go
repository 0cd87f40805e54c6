package batch_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/batch"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

const benchRows, benchColumns = 1 << 20, 28

// BenchmarkBatch is what a batch costs besides its model: 28 doubles of each
// row are read, nothing is computed, a score, an id and the release are
// written and committed.
func BenchmarkBatch(b *testing.B) {
	dir := b.TempDir()
	wide := make([]frame.Column, benchColumns)
	for i := range wide {
		wide[i] = frame.Column{Name: fmt.Sprintf("x%02d", i), Type: frame.Double}
	}
	h := newHome(b, dir, 0)
	e, err := work.Open(b.Context(), work.Config{URL: "sqlite:" + filepath.Join(dir, "bench.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(context.Background())
	deps := h.deps
	deps.Releases, deps.Workers = idle(wide), 0
	batch.Define(e, deps)
	if err := e.Launch(b.Context()); err != nil {
		b.Fatal(err)
	}
	t, err := h.lake.Create(b.Context(), "wide", wide)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := t.Append(b.Context(), &noise{columns: wide, left: benchRows}, nil); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		id, err := batch.Start(b.Context(), e, spec.Batch{Name: "nightly", From: "lake://wide", Score: "e", To: "lake://out"})
		if err != nil {
			b.Fatal(err)
		}
		st, err := e.Wait(b.Context(), id)
		if err != nil || st.Err() != nil {
			b.Fatal(err, st.Err())
		}
	}
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
}

// noise yields rows of random numbers.
type noise struct {
	columns []frame.Column
	left    int
	random  *rand.Rand
}

func (n *noise) Schema() *arrow.Schema { return frame.SchemaOf(n.columns) }
func (n *noise) Close() error          { return nil }

func (n *noise) Next(context.Context) (frame.Batch, error) {
	if n.left == 0 {
		return nil, io.EOF
	}
	if n.random == nil {
		n.random = rand.New(rand.NewPCG(1, 2))
	}
	rows := min(n.left, 64<<10)
	n.left -= rows
	b := array.NewRecordBuilder(memory.DefaultAllocator, n.Schema())
	defer b.Release()
	for c := range n.columns {
		f := b.Field(c).(*array.Float64Builder)
		for range rows {
			f.Append(n.random.NormFloat64())
		}
	}
	return b.NewRecordBatch(), nil
}

// idle is a path that reads columns and answers with the first of them.
type idle []frame.Column

func (idle) Live(context.Context, string) (string, error) {
	return "8b1a9953c4611296a827abf8c47804d7e6c49c6b97d4f0d2f2f2a1e7a4a3b2c1", nil
}
func (d idle) Pin(context.Context, string) (batch.Decider, error) { return d, nil }
func (d idle) Outputs() []frame.Column {
	return []frame.Column{{Name: "score", Type: frame.Double}}
}
func (idle) Close() {}

func (d idle) Inputs() []model.Field {
	fields := make([]model.Field, len(d))
	for i, c := range d {
		fields[i] = model.Field{Name: c.Name, Type: c.Type, Required: true}
	}
	return fields
}

func (d idle) Decide(ctx context.Context, q decide.Request) (*decide.Answer, error) {
	release, err := d.Live(ctx, "")
	a := &decide.Answer{Release: release, IDs: make([]string, len(q.Keys))}
	for i, key := range q.Keys {
		a.IDs[i] = q.Run + "/" + key
	}
	a.Rows = array.NewRecordBatch(frame.SchemaOf(d.Outputs()), q.Rows.Columns()[:1], q.Rows.NumRows())
	return a, err
}
