// Package tables keeps the features that are looked up by entity: it computes
// a view over the lake into a table of the lake, and loads that table, at one
// snapshot, for serving.
//
// It joins package feature, which knows nothing of where rows lie, to the
// lake. ForTraining materialises afresh, and finds what changes with time as
// of each row (package past); Pin says which snapshots a release then holds;
// ForServing compiles from them, so that what is served is what was learned
// from, whatever the lake becomes. Views over windows of events are not
// pinned: while a release serves, their values are those of Live. AsOf finds
// them for rows of the past, which is what a batch scores.
package tables

import (
	"context"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
)

// Live gives what views are looked up in that are kept up to date while a
// release serves: the online store. source has the columns of the view's
// source. False means that it does not keep the view, so the snapshot that the
// release holds is looked up.
type Live interface {
	Table(ctx context.Context, v spec.FeatureView, source []frame.Column) (feature.Table, bool, error)
}

// Options say what a Store works with. The zero Options are sensible.
type Options struct {
	Live    Live   // nil: nothing is kept up to date
	Scratch string // folder for joins that do not fit in memory
	Memory  int64  // of one join; see past.Options
}

// Store compiles views against the lake. It is safe for many goroutines.
type Store struct {
	lake    *lake.Lake
	run     feature.Runner
	options Options
}

// New returns the store of a lake; run answers SQL over it.
func New(l *lake.Lake, run feature.Runner, o Options) *Store {
	return &Store{lake: l, run: run, options: o}
}

// Table is the name of the lake table that holds a view's looked-up features.
func Table(view string) string { return "features." + view }

// Source is the name of the lake table that a view's source is.
func Source(source string) string { return strings.TrimPrefix(source, "lake://") }

// Sources returns the columns of each table that the views read rows or events
// of.
func (s *Store) Sources(ctx context.Context, views []spec.FeatureView) (map[string][]frame.Column, error) {
	sources := map[string][]frame.Column{}
	base := feature.Base(views)
	for _, v := range views {
		if v.OnDemand() || v.SQL != "" && v.Source != base {
			continue
		}
		t, err := s.lake.Table(ctx, Source(v.Source))
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "the source of feature view %q", v.Name)
		}
		sources[v.Source] = t.Columns()
	}
	return sources, nil
}

// pinned tells whether a release holds a snapshot of a view's values.
func pinned(v spec.FeatureView, base string) bool {
	return feature.NeedsTable(v, base) && !v.Windowed()
}

// materialise computes a view into its table and returns the snapshot.
func (s *Store) materialise(ctx context.Context, v spec.FeatureView) (int64, error) {
	sql, err := s.newest(ctx, v)
	if err != nil {
		return 0, err
	}
	rows, err := s.run.Query(ctx, sql)
	if err != nil {
		return 0, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
	}
	columns, err := frame.ColumnsOf(rows.Schema())
	if err != nil {
		_ = rows.Close()
		return 0, err
	}
	t, err := s.lake.Ensure(ctx, Table(v.Name), columns)
	if err != nil {
		_ = rows.Close()
		return 0, err
	}
	t, err = t.Overwrite(ctx, rows, map[string]string{"leat.view": v.Name + "@" + feature.Hash(v)})
	if err != nil {
		return 0, err
	}
	return t.Snapshot(), nil
}

// newest is the query that gives the newest row of each entity.
func (s *Store) newest(ctx context.Context, v spec.FeatureView) (string, error) {
	v.Source = Source(v.Source)
	columns, err := s.dated(ctx, v)
	if err != nil || columns == nil {
		if err == nil {
			return feature.SQL(v)
		}
		return "", err
	}
	return feature.NewestOf(v, columns), nil
}

// dated returns the columns of a view's SQL when its rows have the view's
// timestamp, so that an entity may have one for each time; otherwise nil.
func (s *Store) dated(ctx context.Context, v spec.FeatureView) ([]frame.Column, error) {
	if v.SQL == "" || v.Timestamp == "" {
		return nil, nil
	}
	rows, err := s.run.Query(ctx, "SELECT * FROM ("+v.SQL+"\n) AS leat_rows LIMIT 0")
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
	}
	columns, err := frame.ColumnsOf(rows.Schema())
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
	}
	if !slices.ContainsFunc(columns, func(c frame.Column) bool { return c.Name == v.Timestamp }) {
		return nil, nil
	}
	return columns, nil
}

// Pin returns the present snapshot of each view's table that is looked up, for
// a release to hold.
func (s *Store) Pin(ctx context.Context, views []spec.FeatureView) (map[string]int64, error) {
	var pins map[string]int64
	for _, v := range views {
		if !pinned(v, feature.Base(views)) {
			continue
		}
		t, err := s.lake.Table(ctx, Table(v.Name))
		if err != nil {
			return nil, fault.New(fault.NotFound, "the feature view %q was never computed", v.Name).Because(err).
				Hint("run the pipeline that trains with it")
		}
		if pins == nil {
			pins = map[string]int64{}
		}
		pins[v.Name] = t.Snapshot()
	}
	return pins, nil
}

// ForServing compiles views as a release pinned them: the columns of their
// sources, and the snapshots of what is looked up; what is kept up to date is
// looked up there.
func (s *Store) ForServing(ctx context.Context, views []spec.FeatureView, sources map[string][]frame.Column, snapshots map[string]int64) (*feature.Set, error) {
	env := feature.Env{Sources: sources, Base: feature.Base(views), Tables: map[string]feature.Table{}}
	for _, v := range views {
		if !feature.NeedsTable(v, env.Base) {
			continue
		}
		t, err := s.serving(ctx, v, sources[v.Source], snapshots[v.Name])
		if err != nil {
			return nil, err
		}
		env.Tables[v.Name] = t
	}
	return feature.Compile(views, env)
}

func (s *Store) serving(ctx context.Context, v spec.FeatureView, source []frame.Column, snapshot int64) (feature.Table, error) {
	if s.options.Live != nil {
		t, kept, err := s.options.Live.Table(ctx, v, source)
		if err != nil || kept {
			return t, err
		}
	}
	if v.Windowed() {
		return unkept(v, source)
	}
	m, err := s.load(ctx, v, snapshot)
	if err != nil {
		return feature.Table{}, err
	}
	return m.Table(), nil
}

// load reads a view's table at a snapshot into memory.
func (s *Store) load(ctx context.Context, v spec.FeatureView, snapshot int64) (*feature.Memory, error) {
	t, err := s.lake.Table(ctx, Table(v.Name))
	if err != nil {
		return nil, err
	}
	if t, err = t.At(snapshot); err != nil {
		return nil, err
	}
	rows, err := t.Scan(ctx, lake.ScanOptions{})
	if err != nil {
		return nil, err
	}
	return feature.NewMemory(ctx, rows, v.Entity, feature.DefaultBounds)
}
