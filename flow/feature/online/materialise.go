package online

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/online"
	"github.com/leat-ai/leat/work"
)

// KindMaterialise is the kind of the run that brings a view from the lake to
// the online store.
const KindMaterialise = "materialise"

// Deps are what a materialisation stands on.
type Deps struct {
	Features *Features
	Lake     *lake.Lake
	Run      feature.Runner // SQL over the lake
	DB       catalog.Database
	// ChunkRows is about how many rows of the source one step of the run deals
	// with: 500,000 when 0.
	ChunkRows int64
}

// Order is what a run of KindMaterialise is to do.
type Order struct {
	View spec.FeatureView `json:"view"`
	// From is the time of the first rows that are new. Zero: since the last
	// time, or all where there was none.
	From time.Time `json:"from,omitzero"`
	// To is the time before which rows are taken; zero: the present.
	To time.Time `json:"to,omitzero"`
	// Full is all entities, whatever was done before.
	Full bool `json:"full,omitempty"`
}

// Define says what a run of KindMaterialise does. Its steps are chunks of the
// entities; one that is done twice writes the same, so a run that was killed
// goes on where it was.
func Define(e *work.Engine, d Deps) {
	if d.ChunkRows == 0 {
		d.ChunkRows = 500_000
	}
	work.Define(e, KindMaterialise, func(_ context.Context, r *work.Run, o Order) (Materialised, error) {
		m := &materialiser{Deps: d, order: o}
		return m.run(r)
	}, work.OnePerName())
}

// Materialise starts a run, which is called after the view: there is one at a
// time.
func Materialise(ctx context.Context, e *work.Engine, o Order, opts ...work.StartOption) (run string, err error) {
	return e.Start(ctx, KindMaterialise, o.View.Name, o, opts...)
}

// Last is the last materialisation of a view that came to its end.
func (d Deps) Last(ctx context.Context, v *View) (Materialised, bool, error) {
	return ledger{d.DB, d.Features.config.Space}.last(ctx, v)
}

// Compile compiles a view against the lake as it is.
func (d Deps) Compile(ctx context.Context, v spec.FeatureView) (*View, error) {
	columns, err := d.columns(ctx, v)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
	}
	return Compile(v, columns)
}

func (d Deps) columns(ctx context.Context, v spec.FeatureView) ([]frame.Column, error) {
	if v.SQL == "" {
		t, err := d.Lake.Table(ctx, tables.Source(v.Source))
		if err != nil {
			return nil, err
		}
		return t.Columns(), nil
	}
	r, err := d.Run.Query(ctx, "SELECT * FROM ("+v.SQL+"\n) AS leat_rows LIMIT 0")
	if err != nil {
		return nil, err
	}
	columns, err := frame.ColumnsOf(r.Schema())
	return columns, errors.Join(err, r.Close())
}

// materialiser is one run.
type materialiser struct {
	Deps
	order Order
	view  *View
	plan  plan
}

// plan is what the first step settles, for all lives of the run.
type plan struct {
	Columns []frame.Column `json:"columns"`
	Source  string         `json:"source"` // what stands after FROM
	Chunks  int            `json:"chunks"`
	Since   time.Time      `json:"since,omitzero"`
	To      time.Time      `json:"to"`
}

// wrote is what a chunk has written.
type wrote struct {
	Entities int64 `json:"entities"`
	Newest   int64 `json:"newest"`
}

func (m *materialiser) run(r *work.Run) (Materialised, error) {
	retries := work.StepOptions{Retries: 5}
	var err error
	m.plan, err = work.Step(r, "plan", retries, func(ctx context.Context, _ *work.Progress) (plan, error) { return m.settle(ctx) })
	if err != nil {
		return Materialised{}, err
	}
	if m.view, err = Compile(m.order.View, m.plan.Columns); err != nil {
		return Materialised{}, err
	}
	chunks := make([]int, m.plan.Chunks)
	for i := range chunks {
		chunks[i] = i
	}
	parts, err := work.Parallel(r, "entities", chunks, work.ParallelOptions{StepOptions: retries, Workers: 2},
		func(ctx context.Context, p *work.Progress, _, chunk int) (wrote, error) {
			w, err := m.chunk(ctx, chunk)
			p.Add(w.Entities)
			return w, err
		})
	if err != nil {
		return Materialised{}, err
	}
	done := Materialised{Run: r.ID(), To: m.plan.To, Complete: m.plan.Since.IsZero()}
	newest := int64(noTime)
	for _, p := range parts {
		done.Written += p.Entities
		newest = max(newest, p.Newest)
	}
	done.Entities = done.Written
	return work.Step(r, "finish", retries, func(ctx context.Context, _ *work.Progress) (Materialised, error) {
		return m.finish(ctx, done, newest)
	})
}

// settle says what the run is to read.
func (m *materialiser) settle(ctx context.Context) (plan, error) {
	v := m.order.View
	columns, err := m.columns(ctx, v)
	if err != nil {
		return plan{}, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
	}
	c, err := Compile(v, columns)
	if err != nil {
		return plan{}, err
	}
	p := plan{Columns: columns, Chunks: 1, Since: m.order.From, To: m.order.To}
	if p.To.IsZero() {
		p.To = m.Features.config.Clock.Now()
	}
	if v.SQL != "" {
		p.Source = "(" + v.SQL + "\n) AS leat_rows"
	} else {
		t, err := m.Lake.Table(ctx, tables.Source(v.Source))
		if err != nil {
			return plan{}, err
		}
		p.Chunks = int(min(1+t.Rows()/m.ChunkRows, 4096))
		p.Source = quoted(tables.Source(v.Source))
		if c.plan == nil { // windows read it anew, see chunkOfEvents
			p.Source = fmt.Sprintf("%s FOR VERSION AS OF %d", p.Source, t.Snapshot())
		}
	}
	if m.order.Full || c.when < 0 {
		p.Since = time.Time{}
		return p, nil
	}
	last, ok, err := m.Last(ctx, c)
	if err == nil && ok && p.Since.IsZero() {
		// Rows of a time before that came since are new, too.
		p.Since = last.To.Add(-max(v.Lateness.Std(), time.Minute))
	}
	return p, err
}

// chunk writes some of the entities.
func (m *materialiser) chunk(ctx context.Context, chunk int) (wrote, error) {
	p := part{source: m.plan.Source, chunk: chunk, chunks: m.plan.Chunks, since: m.plan.Since, before: m.plan.To}
	if m.view.plan != nil {
		return m.chunkOfEvents(ctx, p)
	}
	w := wrote{Newest: noTime}
	rows, err := m.Run.Query(ctx, m.view.newestSQL(p))
	if err != nil {
		return w, err
	}
	err = frame.Each(ctx, rows, func(batch frame.Batch) error {
		entries, err := m.Features.rowWriter(ctx, m.view, batch, m.plan.To.UnixMicro())
		if err != nil {
			return err
		}
		if err := m.Features.put(ctx, m.view, entries.entries); err != nil {
			return err
		}
		w.Entities += int64(entries.rows)
		w.Newest = max(w.Newest, entries.newest)
		return nil
	})
	return w, err
}

// finish says in the store and in the catalog how far it has come.
func (m *materialiser) finish(ctx context.Context, done Materialised, newest int64) (Materialised, error) {
	done.At = m.Features.config.Clock.Now()
	if newest != noTime {
		if err := m.Features.put(ctx, m.view, []online.Entry{mark(newest, done.At.UnixMicro())}); err != nil {
			return done, err
		}
	}
	m.Features.metrics.materialised.Add(float64(done.Written), m.view.Name())
	return done, ledger{m.DB, m.Features.config.Space}.done(ctx, m.view, done)
}
