package batch_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/batch"
	"github.com/leat-ai/leat/spec"
)

// windowed is a release that answers with its features: how often and with how
// much a country paid before a row.
type windowed struct {
	views   []spec.FeatureView
	sources map[string][]frame.Column
	set     *feature.Set
}

func newWindowed(t *testing.T, h *home) *windowed {
	t.Helper()
	seconds := func(n int) spec.Durations { return spec.Durations{spec.Duration(time.Duration(n) * time.Second)} }
	w := &windowed{sources: map[string][]frame.Column{"payments": columns}, views: []spec.FeatureView{
		{Name: "payment", Source: "payments", Timestamp: "at", Columns: spec.Names{"amount"}},
		{Name: "habits", Source: "payments", Timestamp: "at", Entity: spec.Names{"country"}, Features: spec.Features{
			{Name: "n", Aggregate: &spec.Aggregate{Count: "*", Window: seconds(40)}},
			{Name: "spend", Aggregate: &spec.Aggregate{Sum: "amount", Window: seconds(3600)}},
			{Name: "ever", Aggregate: &spec.Aggregate{Count: "amount"}},
		}},
	}}
	set, err := h.deps.Features.ForServing(t.Context(), w.views, w.sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.set = set
	return w
}

func (w *windowed) Views() ([]spec.FeatureView, map[string][]frame.Column) { return w.views, w.sources }
func (w *windowed) Outputs() []frame.Column                                { return w.set.Outputs()[1:] }
func (w *windowed) Close()                                                 {}

func (w *windowed) Inputs() []model.Field {
	var fields []model.Field
	for _, c := range w.set.Inputs() {
		fields = append(fields, model.Field{Name: c.Name, Type: c.Type})
	}
	return fields
}

func (w *windowed) Decide(ctx context.Context, q decide.Request) (*decide.Answer, error) {
	in := q.Rows
	if _, has := w.set.Time(); has && frame.Index(in.Schema(), "at") < 0 { // as the path does
		in = withoutTimes(in)
		defer in.Release()
	}
	rows, err := w.set.ComputeAs(ctx, in, q.Asked)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	out := array.NewRecordBatch(frame.SchemaOf(w.Outputs()), rows.Columns()[1:], rows.NumRows())
	ids := make([]string, len(q.Keys))
	copy(ids, q.Keys)
	return &decide.Answer{Release: "1", IDs: ids, Rows: out}, nil
}

// withoutTimes adds a column of NULL times.
func withoutTimes(in frame.Batch) frame.Batch {
	b := array.NewTimestampBuilder(memory.DefaultAllocator, frame.TimestampType)
	defer b.Release()
	for range in.NumRows() {
		b.AppendNull()
	}
	at := b.NewArray()
	defer at.Release()
	schema, _ := frame.ColumnsOf(in.Schema())
	return array.NewRecordBatch(frame.SchemaOf(append(schema, frame.Column{Name: "at", Type: frame.Timestamp})), append(in.Columns(), at), in.NumRows())
}

// windowLines computes the lines of the target as plainly as can be.
func windowLines(rows frame.Batch, dated bool) string {
	countries := rows.Column(2).(*array.String)
	amounts := rows.Column(1).(*array.Float64)
	var b strings.Builder
	for i := range int(rows.NumRows()) {
		n, ever, sum, some := 0, 0, 0.0, false
		for k := range int(rows.NumRows()) { // payments are a second apart
			if countries.IsNull(i) || countries.IsNull(k) || countries.Value(i) != countries.Value(k) || dated && k >= i {
				continue
			}
			ever++
			if dated && i-k <= 40 {
				n++
			}
			if dated && i-k <= 3600 {
				sum, some = sum+amounts.Value(k), true // quarters: exact in any order
			}
		}
		spend := "(null)"
		if some {
			spend = fmt.Sprint(sum)
		}
		fmt.Fprintf(&b, "%d|%d|%d|%s|%d|1\n", i, i, n, spend, ever)
	}
	return b.String()
}

// Windows are as of the time of each row, whatever the chunks and workers.
func TestWindowsAreAsOfTheRow(t *testing.T) {
	for _, c := range []struct{ workers, chunk int }{{1, 0}, {3, 300}} {
		h := newHome(t, t.TempDir(), c.workers)
		if err := h.fill(t.Context(), 4, 300, false); err != nil {
			t.Fatal(err)
		}
		h.fake.as = newWindowed(t, h)
		report, err := h.run(t.Context(), spec.Batch{From: "lake://payments", To: "lake://scores", Chunk: c.chunk})
		if err != nil {
			t.Fatal(err)
		}
		if report.Rows != 1200 || report.Failed != 0 {
			t.Errorf("report %+v", report)
		}
		got, err := h.table(t.Context(), "scores")
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, windowLines(payments(0, 1200, false), true))
	}
}

// Rows without a time are as of the start of the run.
func TestRowsWithoutATimeAreAsOfTheRun(t *testing.T) {
	h := newHome(t, t.TempDir(), 2)
	if err := h.fill(t.Context(), 1, 200, false); err != nil {
		t.Fatal(err)
	}
	h.fake.as = newWindowed(t, h)
	all := payments(0, 200, false)
	rows := array.NewRecordBatch(frame.SchemaOf(columns[:3]), all.Columns()[:3], all.NumRows())
	if err := writeParquet(filepath.Join(h.dir, "rows.parquet"), rows, 64); err != nil {
		t.Fatal(err)
	}
	if _, err := h.run(t.Context(), spec.Batch{From: "rows.parquet", To: "lake://scores"}); err != nil {
		t.Fatal(err)
	}
	got, err := h.table(t.Context(), "scores")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, windowLines(all, false))
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("row %d is %s, not %s", i, g[i], w[i])
		}
	}
	t.Fatalf("%d rows, not %d", len(g), len(w))
}

var _ batch.Decider = (*windowed)(nil)
