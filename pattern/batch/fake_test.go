package batch_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	_ "modernc.org/sqlite"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/batch"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/work"
)

// releases is a decision path that is easy to foresee: release N of any
// endpoint scores amount*N, and fails rows whose amount is negative.
type releases struct {
	live atomic.Int64
	slow time.Duration
	hook func() error  // called before each decision; may be nil
	as   batch.Decider // answers in place of the fake one; may be nil
}

func (r *releases) Live(_ context.Context, endpoint string) (string, error) {
	if endpoint != "fraud" {
		return "", fault.New(fault.NotFound, "there is no endpoint %q", endpoint)
	}
	return fmt.Sprint(r.live.Load() + 1), nil
}

func (r *releases) Pin(_ context.Context, release string) (batch.Decider, error) {
	if r.as != nil {
		return r.as, nil
	}
	var factor float64
	_, err := fmt.Sscan(release, &factor)
	return decider{release, factor, r}, err
}

type decider struct {
	release string
	factor  float64
	fake    *releases
}

func (decider) Inputs() []model.Field {
	return []model.Field{
		{Name: "amount", Type: frame.Double, Required: true},
		{Name: "country", Type: frame.String},
		{Name: "absent", Type: frame.Double},
	}
}

func (decider) Outputs() []frame.Column {
	return []frame.Column{{Name: "score", Type: frame.Double}, {Name: "decision", Type: frame.String}}
}

func (decider) Close() {}

func (d decider) Decide(ctx context.Context, q decide.Request) (*decide.Answer, error) {
	if q.Principal.Name != "batch/nightly" || q.Pattern != decide.Batch || len(q.Keys) != int(q.Rows.NumRows()) {
		return nil, errors.New("not what a batch asks")
	}
	time.Sleep(d.fake.slow)
	if d.fake.hook != nil {
		if err := d.fake.hook(); err != nil {
			return nil, err
		}
	}
	amounts := q.Rows.Column(frame.Index(q.Rows.Schema(), "amount")).(*array.Float64)
	a := &decide.Answer{Release: d.release, Variant: "stable"}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(d.Outputs()))
	defer b.Release()
	score, action := b.Field(0).(*array.Float64Builder), b.Field(1).(*array.StringBuilder)
	for i, amount := range amounts.Float64Values() {
		a.IDs = append(a.IDs, q.Run+"/"+q.Keys[i])
		if amount < 0 {
			if a.Errors == nil {
				a.Errors = make([]error, q.Rows.NumRows())
			}
			a.Errors[i] = fault.New(fault.Invalid, "column %q is negative", "amount")
			b.Field(0).AppendNull()
			b.Field(1).AppendNull()
			continue
		}
		score.Append(amount * d.factor)
		action.Append(map[bool]string{true: "review", false: "pass"}[amount > 100])
	}
	a.Rows = b.NewRecordBatch()
	return a, ctx.Err()
}

// home is where the runs of a test work.
type home struct {
	dir    string
	lake   *lake.Lake
	engine *work.Engine
	deps   batch.Deps
	fake   *releases
}

func open(ctx context.Context, dir string, fake *releases, workers int) (*home, error) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	l, err := lake.Open(ctx, lake.Config{Warehouse: filepath.Join(dir, "warehouse"), DB: db, Dialect: catalog.SQLite})
	if err != nil {
		return nil, err
	}
	e, err := work.Open(ctx, work.Config{URL: "sqlite:" + filepath.Join(dir, "work.db")})
	if err != nil {
		return nil, err
	}
	h := &home{dir: dir, lake: l, engine: e, fake: fake, deps: batch.Deps{
		Features: tables.New(l, nil, tables.Options{Scratch: filepath.Join(dir, "scratch")}),
		Releases: fake, Lake: l, Ingest: &ingest.Ingester{}, Root: dir, Scratch: filepath.Join(dir, "scratch"), Workers: workers,
	}}
	batch.Define(e, h.deps)
	return h, e.Launch(ctx)
}

func newHome(t testing.TB, dir string, workers int) *home {
	t.Helper()
	h, err := open(t.Context(), dir, &releases{}, workers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// run runs a batch to its end.
func (h *home) run(ctx context.Context, b spec.Batch, opts ...work.StartOption) (batch.Report, error) {
	if b.Name == "" {
		b.Name = "nightly"
	}
	if b.Score == "" {
		b.Score = "fraud"
	}
	id, err := batch.Start(ctx, h.engine, b, opts...)
	if err != nil {
		return batch.Report{}, err
	}
	st, err := h.engine.Wait(ctx, id)
	if err != nil {
		return batch.Report{}, err
	}
	return batch.ReportOf(st)
}

var columns = []frame.Column{
	{Name: "id", Type: frame.Int}, {Name: "amount", Type: frame.Double}, {Name: "country", Type: frame.String},
	{Name: "at", Type: frame.Timestamp}, {Name: "noise", Type: frame.Double},
}

// payments makes rows from to to-1. With bad set every seventh is one that
// fails.
func payments(from, to int, bad bool) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for i := from; i < to; i++ {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		amount := math.Mod(float64(i)*7919.25, 200)
		if bad && i%7 == 3 {
			amount = -1
		}
		b.Field(1).(*array.Float64Builder).Append(amount)
		if i%5 == 0 {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.StringBuilder).Append([]string{"CH", "DE", `"x, y"`, "日本"}[i%4])
		}
		b.Field(3).(*array.TimestampBuilder).AppendTime(time.Unix(1_700_000_000+int64(i), 0))
		b.Field(4).(*array.Float64Builder).Append(float64(i) / 3)
	}
	return b.NewRecordBatch()
}

// fill makes the lake table payments of some commits of size rows.
func (h *home) fill(ctx context.Context, commits, size int, bad bool) error {
	t, err := h.lake.Ensure(ctx, "payments", columns)
	if err != nil {
		return err
	}
	for c := range commits {
		rows := payments(c*size, (c+1)*size, bad)
		t, err = t.Append(ctx, frame.FromBatches(rows.Schema(), rows), nil)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// writeParquet writes rows in row groups of a size.
func writeParquet(path string, rows frame.Batch, group int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := pqarrow.NewFileWriter(rows.Schema(), f, parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(group)), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	return errors.Join(w.WriteBuffered(rows), w.Close())
}

// text writes the rows of a reader as lines.
func text(ctx context.Context, r frame.Reader) (string, error) {
	var b strings.Builder
	err := frame.Each(ctx, r, func(rows frame.Batch) error {
		for i := range int(rows.NumRows()) {
			for c := range int(rows.NumCols()) {
				if c > 0 {
					b.WriteByte('|')
				}
				b.WriteString(rows.Column(c).ValueStr(i))
			}
			b.WriteByte('\n')
		}
		return nil
	})
	return b.String(), err
}

func (h *home) table(ctx context.Context, name string) (string, error) {
	t, err := h.lake.Table(ctx, name)
	if err != nil {
		return "", err
	}
	r, err := t.Scan(ctx, lake.ScanOptions{})
	if err != nil {
		return "", err
	}
	return text(ctx, r)
}
