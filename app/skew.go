package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/spec"
)

// served is the decision log and the features of releases as a monitor of
// skew sees them.
type served struct{ app *App }

// askedAt is the column that rows of decisions have their times in.
const askedAt = "leat_asked_at"

// Past meets monitor.Served. Features are computed by the definitions in force,
// which is what a training would learn from now: that a release serves older
// ones is skew, too.
func (s served) Past(ctx context.Context, endpoint string) (*monitor.Past, error) {
	release, err := s.app.router.Release(endpoint)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	content := release.Content
	views, err := s.inForce(ctx, content.Features)
	if err != nil || len(views) == 0 {
		return nil, err
	}
	base := feature.Base(content.Features)
	p := &monitor.Past{Release: release.ID, Time: feature.RowTime(content.Features, base, content.Sources[base])}
	var names []string
	for _, v := range views {
		plan, err := window.Compile(v, content.Sources[v.Source])
		if err != nil {
			return nil, err
		}
		for _, k := range plan.Keys() {
			if !slices.Contains(p.Inputs, k) {
				p.Inputs = append(p.Inputs, k)
			}
		}
		p.Outputs = append(p.Outputs, plan.Outputs()...)
		names = append(names, v.Name)
		until, err := s.until(ctx, v)
		if err != nil {
			return nil, err
		}
		if p.Until.IsZero() || until.Before(p.Until) {
			p.Until = until
		}
	}
	if at := slices.IndexFunc(content.Sources[base], func(c frame.Column) bool { return c.Name == p.Time }); at >= 0 && !slices.Contains(p.Inputs, content.Sources[base][at]) {
		p.Inputs = append(p.Inputs, content.Sources[base][at])
	}
	dated, err := s.app.features.AsOf(ctx, views, content.Sources, nil)
	if err != nil {
		return nil, err
	}
	p.Compute = func(ctx context.Context, rows frame.Batch, at []int64) (frame.Batch, error) {
		return asOf(ctx, dated.By(askedAt), p.Outputs, names, rows, at)
	}
	return p, nil
}

// inForce are the views over windows of a release, as they are defined now; one
// that is gone is as the release has it.
func (s served) inForce(ctx context.Context, of []spec.FeatureView) ([]spec.FeatureView, error) {
	list, err := s.app.resources.List(ctx, s.app.config.Env)
	if err != nil {
		return nil, err
	}
	var views []spec.FeatureView
	for _, v := range of {
		if !v.Windowed() {
			continue
		}
		if now, ok := spec.Find[*spec.FeatureView](list, v.Name); ok && now.Windowed() && now.Source == v.Source {
			v = *now
		}
		views = append(views, v)
	}
	return views, nil
}

// until is the time up to which the lake has the events of a view, but for
// those that may still be late. The zero time means that it has none.
func (s served) until(ctx context.Context, v spec.FeatureView) (time.Time, error) {
	newest, err := s.newest(ctx, v)
	if err != nil || newest.IsZero() {
		return time.Time{}, err
	}
	return newest.Add(-v.Lateness.Std()), nil
}

// newest is the time of the newest event that the lake has of a view.
func (s served) newest(ctx context.Context, v spec.FeatureView) (time.Time, error) {
	if v.Timestamp == "" || v.Source == "" {
		return time.Time{}, nil
	}
	r, err := s.app.sql.Query(ctx, fmt.Sprintf("SELECT epoch_us(max(%s)::TIMESTAMP) AS at FROM %s", quoted(v.Timestamp, '"'), quoted(tables.Source(v.Source), '"')))
	if err != nil {
		return time.Time{}, err
	}
	var newest time.Time
	err = frame.Each(ctx, r, func(b frame.Batch) error {
		if at, ok := b.Column(0).(*array.Int64); ok && at.Len() > 0 && at.IsValid(0) {
			newest = time.UnixMicro(at.Value(0)).UTC()
		}
		return nil
	})
	return newest, err
}

func quoted(name string, quote byte) string {
	q := string(quote)
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// asOf finds the features of rows as of their times.
func asOf(ctx context.Context, dated *tables.Dated, outputs []frame.Column, views []string, rows frame.Batch, at []int64) (frame.Batch, error) {
	times := frame.NewCells(frame.Timestamp, len(at))
	for _, t := range at {
		times.Int(t)
	}
	asked := times.Array()
	defer asked.Release()
	columns, err := frame.ColumnsOf(rows.Schema())
	if err != nil {
		return nil, err
	}
	schema := frame.SchemaOf(append(slices.Clone(columns), frame.Column{Name: askedAt, Type: frame.Timestamp}))
	whole := array.NewRecordBatch(schema, append(slices.Clone(rows.Columns()), asked), rows.NumRows())
	defer whole.Release()
	joined, err := dated.Find(ctx, frame.FromBatches(schema, whole), time.Time{}, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = joined.Close() }()
	found, err := joined.Next(ctx, len(at))
	if err == io.EOF {
		return nil, fault.New(fault.Internal, "a join of %d decisions found nothing", len(at))
	}
	if err != nil {
		return nil, err
	}
	defer past.Release(found)
	out := slices.Clone(found[views[0]])
	for _, v := range views[1:] {
		out = append(out, found[v]...)
	}
	return array.NewRecordBatch(frame.SchemaOf(outputs), out, int64(len(at))), nil
}

// Decisions meets monitor.Served.
func (s served) Decisions(ctx context.Context, endpoint, release string, before time.Time, limit int) ([]monitor.Decision, error) {
	r, err := s.app.sql.Query(ctx, fmt.Sprintf(`SELECT epoch_us(at::TIMESTAMP) AS at, inputs, features FROM %s
		WHERE endpoint = %s AND release = %s AND pattern <> %s AND coalesce(error, '') = '' AND inputs IS NOT NULL AND features IS NOT NULL
		AND epoch_us(at::TIMESTAMP) < %d ORDER BY at DESC LIMIT %d`,
		record.Table, quoted(endpoint, '\''), quoted(release, '\''), quoted(string(decide.Batch), '\''), before.UnixMicro(), limit))
	if err != nil {
		return nil, err
	}
	var list []monitor.Decision
	err = frame.Each(ctx, r, func(b frame.Batch) error {
		at, ok1 := b.Column(0).(*array.Int64)
		inputs, ok2 := b.Column(1).(*array.String)
		features, ok3 := b.Column(2).(*array.String)
		if !ok1 || !ok2 || !ok3 {
			return fault.New(fault.Internal, "the decision log has columns of other types")
		}
		for i := range at.Len() {
			list = append(list, monitor.Decision{At: time.UnixMicro(at.Value(i)).UTC(), Inputs: []byte(inputs.Value(i)), Features: []byte(features.Value(i))})
		}
		return nil
	})
	return list, err
}

// newestEvent is when the newest event of a view was: of what is online, or,
// where nothing is, of what the lake has.
func (s served) newestEvent(ctx context.Context, view string) (time.Time, error) {
	list, err := s.app.resources.List(ctx, s.app.config.Env)
	if err != nil {
		return time.Time{}, err
	}
	v, ok := spec.Find[*spec.FeatureView](list, view)
	if !ok {
		return time.Time{}, fault.New(fault.NotFound, "there is no feature view %q", view)
	}
	if kept, err := s.app.views.View(ctx, view); err == nil && !v.OnDemand() {
		fresh, err := s.app.online.Freshness(ctx, []*online.View{kept})
		if err != nil || !fresh[0].Newest.IsZero() {
			return fresh[0].Newest, err
		}
	}
	return s.newest(ctx, *v)
}
