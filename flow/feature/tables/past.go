package tables

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
)

// Training is a set of views as a training reads them: what changes with time
// is found as of the time of each row.
type Training struct {
	*feature.Set
	Dated
}

// Dated are views that are looked up as of the time of each row.
type Dated struct {
	time  string // column of the rows, or ""
	views []past.View
	store *Store
}

// Columns lists what Find reads of the rows; none means that there is nothing
// to find.
func (d *Dated) Columns() []string {
	var names []string
	for _, v := range d.views {
		for _, k := range v.Keys {
			if !slices.Contains(names, k.Name) {
				names = append(names, k.Name)
			}
		}
	}
	if d.time != "" && len(names) > 0 && !slices.Contains(names, d.time) {
		names = append(names, d.time)
	}
	return names
}

// Time is the column of the rows that has their time, or "".
func (d *Dated) Time() string { return d.time }

// By is the same for rows that have their time in another column.
func (d *Dated) By(column string) *Dated {
	by := *d
	by.time = column
	return &by
}

// Find joins rows, which it closes, with the views. Rows without a time are as
// of otherwise; when that is zero they find nothing. The caller closes what is
// returned.
func (d *Dated) Find(ctx context.Context, rows frame.Reader, otherwise time.Time, progress func(doing string, done int64)) (*past.Joined, error) {
	o := past.Options{Scratch: d.store.options.Scratch, Memory: d.store.options.Memory, At: past.NoTime, Progress: progress}
	if !otherwise.IsZero() {
		o.At = otherwise.UnixMicro()
	}
	has := d.time != "" && frame.Index(rows.Schema(), d.time) >= 0
	if !has {
		return past.Join(ctx, rows, "", d.views, o)
	}
	return past.Join(ctx, rows, d.time, d.views, o)
}

// ForTraining compiles views over the lake as it is now. None of them may read
// the column label.
func (s *Store) ForTraining(ctx context.Context, views []spec.FeatureView, label string) (*Training, error) {
	sources, err := s.Sources(ctx, views)
	if err != nil {
		return nil, err
	}
	base := feature.Base(views)
	t := &Training{Dated: Dated{store: s, time: feature.RowTime(views, base, sources[base])}}
	env := feature.Env{Sources: sources, Base: base, Tables: map[string]feature.Table{}, Label: label, Time: t.time}
	for _, v := range views {
		if !feature.NeedsTable(v, base) {
			continue
		}
		if env.Tables[v.Name], err = s.learned(ctx, v, sources, t); err != nil {
			return nil, err
		}
	}
	t.Set, err = feature.Compile(views, env)
	return t, err
}

// learned makes what a view is looked up in by a training, and sees to it that
// a release can hold it.
func (s *Store) learned(ctx context.Context, v spec.FeatureView, sources map[string][]frame.Column, t *Training) (feature.Table, error) {
	if v.Windowed() && t.time == "" {
		return feature.Table{}, fault.New(fault.Invalid, "feature view %q is over windows of time, and the rows to learn from have no time", v.Name).
			Hint("add timestamp: to the view over the rows, with the column that says when a row was")
	}
	var snapshot int64
	if !v.Windowed() {
		var err error
		if snapshot, err = s.materialise(ctx, v); err != nil {
			return feature.Table{}, err
		}
	}
	p, ok, err := s.past(ctx, v, sources[v.Source], 0)
	switch {
	case err != nil:
		return feature.Table{}, err
	case !ok || t.time == "":
		m, err := s.load(ctx, v, snapshot)
		if err != nil {
			return feature.Table{}, err
		}
		return m.Table(), nil
	}
	t.views = append(t.views, p)
	return feature.Table{Keys: p.Keys, Columns: p.Columns, Dated: true, Lookup: found{v.Name}}, nil
}

// AsOf returns the views over windows among those of a release, which are
// found as of the time of each row. snapshots, where it names a view's source,
// says as of which snapshot its events are read.
func (s *Store) AsOf(ctx context.Context, views []spec.FeatureView, sources map[string][]frame.Column, snapshots map[string]int64) (*Dated, error) {
	base := feature.Base(views)
	d := &Dated{store: s, time: feature.RowTime(views, base, sources[base])}
	for _, v := range views {
		if !v.Windowed() {
			continue
		}
		p, _, err := s.past(ctx, v, sources[v.Source], snapshots[v.Source])
		if err != nil {
			return nil, err
		}
		d.views = append(d.views, p)
	}
	return d, nil
}

// Events returns the present snapshots of the tables that windows are over, by
// source, for AsOf to read again.
func (s *Store) Events(ctx context.Context, views []spec.FeatureView) (map[string]int64, error) {
	var snapshots map[string]int64
	for _, v := range views {
		if !v.Windowed() {
			continue
		}
		t, err := s.lake.Table(ctx, Source(v.Source))
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "the source of feature view %q", v.Name)
		}
		if snapshots == nil {
			snapshots = map[string]int64{}
		}
		snapshots[v.Source] = t.Snapshot()
	}
	return snapshots, nil
}

// past makes the view that rows of the past are joined with; false means that
// nothing says when its rows were true.
func (s *Store) past(ctx context.Context, v spec.FeatureView, source []frame.Column, snapshot int64) (past.View, bool, error) {
	var p past.View
	var err error
	switch {
	case v.Timestamp == "":
		return p, false, nil
	case v.Windowed():
		var plan *window.Plan
		if plan, err = window.Compile(v, source); err == nil {
			p, err = past.Window(v.Name, plan, s.events(v.Source, snapshot))
		}
	case v.SQL != "":
		columns, err := s.dated(ctx, v)
		if columns == nil || err != nil {
			return p, false, err
		}
		p, err = newest(v, columns, feature.Found(v, columns), s.answers(v.SQL))
		return p, err == nil, err
	default:
		var names []string
		if names, err = feature.Reads(v); err == nil {
			p, err = newest(v, source, names, s.events(v.Source, snapshot))
		}
	}
	return p, err == nil, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
}

// newest is the view of the newest row of an entity.
func newest(v spec.FeatureView, source []frame.Column, names []string, events past.Events) (past.View, error) {
	n := past.Newest{Name: v.Name, Time: v.Timestamp, Known: v.Known, TTL: v.TTL.Std(), Events: events}
	for _, part := range []struct {
		names []string
		to    *[]frame.Column
	}{{v.Entity, &n.Keys}, {names, &n.Columns}} {
		for _, name := range part.names {
			at := slices.IndexFunc(source, func(c frame.Column) bool { return c.Name == name })
			if at < 0 {
				return past.View{}, fault.New(fault.Invalid, "feature view %q reads column %q, which its rows do not have", v.Name, name)
			}
			*part.to = append(*part.to, source[at])
		}
	}
	return past.Latest(n)
}

// events reads a table of the lake, 0 being its present snapshot.
func (s *Store) events(source string, snapshot int64) past.Events {
	return func(ctx context.Context, columns []string) (frame.Reader, error) {
		t, err := s.lake.Table(ctx, Source(source))
		if err == nil && snapshot != 0 {
			t, err = t.At(snapshot)
		}
		if err != nil {
			return nil, err
		}
		return t.Scan(ctx, lake.ScanOptions{Columns: columns})
	}
}

// answers runs a query.
func (s *Store) answers(sql string) past.Events {
	return func(ctx context.Context, _ []string) (frame.Reader, error) { return s.run.Query(ctx, sql) }
}

// found stands for values that the caller brings along (feature.Asked).
type found struct{ view string }

// Values meets feature.Lookup.
func (f found) Values(context.Context, []arrow.Array, []int64, int) ([]arrow.Array, error) {
	return nil, fault.New(fault.Unavailable, "the feature view %q is over windows of time, and nothing keeps it up to date here", f.view).
		Hint("keep it in the online store, or score rows in a batch")
}

// unkept is what a view over windows is looked up in where nothing keeps it:
// who brings its values along does not ask it.
func unkept(v spec.FeatureView, source []frame.Column) (feature.Table, error) {
	plan, err := window.Compile(v, source)
	if err != nil {
		return feature.Table{}, err
	}
	return feature.Table{Keys: plan.Keys(), Columns: plan.Outputs(), Dated: true, Lookup: found{v.Name}}, nil
}
