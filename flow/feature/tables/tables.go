// Package tables keeps the features that are looked up by entity: it computes
// a view over the lake into a table of the lake, and loads that table, at one
// snapshot, for training and for serving alike.
//
// It joins package feature, which knows nothing of where rows lie, to the
// lake. ForTraining materialises afresh; Pin says which snapshots a release
// then holds; ForServing compiles from them, so that what is served is what
// was learned from, whatever the lake becomes.
package tables

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
)

// Store compiles views against the lake. It is safe for many goroutines.
type Store struct {
	lake *lake.Lake
	run  feature.Runner
}

// New returns the store of a lake; run answers SQL over it.
func New(l *lake.Lake, run feature.Runner) *Store { return &Store{lake: l, run: run} }

// Table is the name of the lake table that holds a view's looked-up features.
func Table(view string) string { return "features." + view }

// ForTraining compiles views over the lake as it is now. None of them may read
// the column label.
func (s *Store) ForTraining(ctx context.Context, views []spec.FeatureView, label string) (*feature.Set, error) {
	sources, err := s.Sources(ctx, views)
	if err != nil {
		return nil, err
	}
	snapshots := map[string]int64{}
	for _, v := range views {
		if !feature.NeedsTable(v, feature.Base(views)) {
			continue
		}
		if snapshots[v.Name], err = s.materialise(ctx, v); err != nil {
			return nil, err
		}
	}
	return s.compile(ctx, views, sources, snapshots, label)
}

// Sources returns the columns of each table that the views read rows of.
func (s *Store) Sources(ctx context.Context, views []spec.FeatureView) (map[string][]frame.Column, error) {
	sources := map[string][]frame.Column{}
	for _, v := range views {
		if v.SQL != "" && v.Source != feature.Base(views) {
			continue
		}
		t, err := s.lake.Table(ctx, v.Source)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "the source of feature view %q", v.Name)
		}
		sources[v.Source] = t.Columns()
	}
	return sources, nil
}

// materialise computes a view into its table and returns the snapshot.
func (s *Store) materialise(ctx context.Context, v spec.FeatureView) (int64, error) {
	sql, err := feature.SQL(v)
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

// Pin returns the present snapshot of each view's table that is looked up, for
// a release to hold.
func (s *Store) Pin(ctx context.Context, views []spec.FeatureView) (map[string]int64, error) {
	var pins map[string]int64
	for _, v := range views {
		if !feature.NeedsTable(v, feature.Base(views)) {
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
// sources, and the snapshots of what is looked up.
func (s *Store) ForServing(ctx context.Context, views []spec.FeatureView, sources map[string][]frame.Column, snapshots map[string]int64) (*feature.Set, error) {
	return s.compile(ctx, views, sources, snapshots, "")
}

func (s *Store) compile(ctx context.Context, views []spec.FeatureView, sources map[string][]frame.Column, snapshots map[string]int64, label string) (*feature.Set, error) {
	env := feature.Env{Sources: sources, Base: feature.Base(views), Tables: map[string]feature.Table{}, Label: label}
	for _, v := range views {
		if !feature.NeedsTable(v, env.Base) {
			continue
		}
		m, err := s.load(ctx, v, snapshots[v.Name])
		if err != nil {
			return nil, err
		}
		env.Tables[v.Name] = m.Table()
	}
	return feature.Compile(views, env)
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
