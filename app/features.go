package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/work"
)

// openOnline makes what reads and writes features by entity. The store itself
// opens when it is first needed.
func (a *App) openOnline(context.Context) (func(context.Context) error, error) {
	store := a.newOnlineStore()
	a.onlineStore = store
	a.online = online.New(online.Config{Store: store, Space: a.config.Env, Clock: a.clock, Tel: a.tel})
	a.onlineDeps = online.Deps{Features: a.online, Lake: a.lake, Run: a.sql, DB: a.catalog}
	a.views = online.NewRegistry(a.onlineDeps, a.declaredViews)
	return func(context.Context) error { return store.Close() }, nil
}

// declaredViews lists the feature views in force.
func (a *App) declaredViews(ctx context.Context) ([]spec.FeatureView, error) {
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return nil, err
	}
	var views []spec.FeatureView
	for _, v := range spec.All[*spec.FeatureView](list) {
		views = append(views, *v)
	}
	return views, nil
}

// newTables makes the store of features that are looked up.
func (a *App) newTables() *tables.Store {
	return tables.New(a.lake, a.sql, tables.Options{Live: liveFeatures{a}, Scratch: a.scratch()})
}

// liveFeatures is the online store as releases look up in it: windows, and
// views with a time that were materialised, or pushed to, when the release is
// compiled. The others are looked up in the snapshot that a release holds.
type liveFeatures struct{ app *App }

// Table meets tables.Live.
func (l liveFeatures) Table(ctx context.Context, v spec.FeatureView, source []frame.Column) (feature.Table, bool, error) {
	view, ok, err := l.view(ctx, v, source)
	if err != nil || !ok {
		return feature.Table{}, false, err
	}
	return l.app.online.Table(view), true, nil
}

func (l liveFeatures) view(ctx context.Context, v spec.FeatureView, source []frame.Column) (*online.View, bool, error) {
	if !v.Windowed() && (v.Timestamp == "" || v.SQL != "" || len(v.Entity) == 0) {
		return nil, false, nil
	}
	view, err := online.Compile(v, source)
	if err != nil {
		return nil, false, err
	}
	if v.Windowed() {
		return view, true, nil
	}
	fresh, err := l.app.online.Freshness(ctx, []*online.View{view})
	if err != nil {
		return nil, false, err
	}
	return view, !fresh[0].Newest.IsZero(), nil
}

// featureCompiler is the feature stage as the decision path sees it.
type featureCompiler struct{ app *App }

func (c featureCompiler) Compile(ctx context.Context, content deploy.Content) (decide.FeatureSet, error) {
	set, err := c.app.features.ForServing(ctx, content.Features, content.Sources, content.Snapshots)
	if err != nil {
		return nil, err
	}
	s := featureSet{Set: set}
	var asks []online.Ask
	for _, looked := range set.Lookups() {
		at := slices.IndexFunc(content.Features, func(v spec.FeatureView) bool { return v.Name == looked.View })
		if at < 0 {
			continue
		}
		v := content.Features[at]
		view, ok, err := liveFeatures(c).view(ctx, v, content.Sources[v.Source])
		if err != nil {
			return nil, err
		}
		if ok && slices.Equal(view.Features(), looked.Columns) {
			asks = append(asks, online.Ask{View: view})
		}
	}
	if len(asks) > 0 {
		s.online = c.app.online.Reader(asks)
	}
	return s, nil
}

// find reads what a request needs of the online store, in one round trip,
// unless its driver has found it already.
func (s featureSet) find(ctx context.Context, in frame.Batch, a feature.Asked) (_ feature.Asked, done func(), err error) {
	if s.online == nil || a.Found != nil || in.NumRows() == 0 {
		return a, func() {}, nil
	}
	column, _ := s.Time()
	a.Found, err = s.online.Find(ctx, in, column.Name, a.At)
	return a, a.Release, err
}

// featureService is the features as the API sees them.
type featureService struct{ app *App }

// List meets api.Features.
func (s featureService) List(ctx context.Context) ([]online.Entry, error) {
	return s.app.views.All(ctx)
}

// Select meets api.Features.
func (s featureService) Select(ctx context.Context, features []string) (*online.Selection, error) {
	return s.app.views.Select(ctx, features)
}

// View meets api.Features.
func (s featureService) View(ctx context.Context, name string) (*online.View, error) {
	return s.app.views.View(ctx, name)
}

// Status meets api.Features.
func (s featureService) Status(ctx context.Context, v *online.View) (api.FeatureStatus, error) {
	fresh, err := s.app.online.Freshness(ctx, []*online.View{v})
	if err != nil {
		return api.FeatureStatus{}, err
	}
	last, ok, err := s.app.onlineDeps.Last(ctx, v)
	status := api.FeatureStatus{View: v.Name(), Stale: fresh[0].Stale, TTLSeconds: fresh[0].TTL.Seconds()}
	if !fresh[0].Newest.IsZero() {
		age := fresh[0].Age.Seconds()
		status.Newest, status.Written, status.AgeSeconds = &fresh[0].Newest, &fresh[0].Written, &age
	}
	if ok {
		status.Materialised = &last
	}
	return status, err
}

// Push meets api.Features: rows go to the lake first, so that windows that are
// made anew from it meanwhile have them.
func (s featureService) Push(ctx context.Context, v *online.View, rows frame.Batch, o api.PushOptions) (online.Pushed, error) {
	p := online.Pushed{Rows: int(rows.NumRows())}
	if o.Offline {
		if err := s.append(ctx, v, rows, o.By); err != nil {
			return online.Pushed{}, err
		}
	}
	if !o.Online {
		return p, nil
	}
	return s.app.online.Push(ctx, v, rows, o.IDs)
}

// Source meets api.Features. What SQL gives has no table of its own.
func (s featureService) Source(ctx context.Context, v *online.View) ([]frame.Column, error) {
	def := v.Spec()
	if def.SQL != "" || def.OnDemand() {
		return v.Rows(), nil
	}
	t, err := s.app.lake.Table(ctx, tables.Source(def.Source))
	if err != nil {
		return nil, err
	}
	return t.Columns(), nil
}

// append adds rows to the table of the view's source.
func (s featureService) append(ctx context.Context, v *online.View, rows frame.Batch, by string) error {
	def := v.Spec()
	if def.SQL != "" {
		return fault.New(fault.Unsupported, "feature view %q is computed by SQL: its rows are not of a table", def.Name).
			Hint("push to online, or add rows to what the SQL reads")
	}
	t, err := s.app.lake.Table(ctx, tables.Source(def.Source))
	if err != nil {
		return err
	}
	whole, err := online.Fill(rows, t.Columns())
	if err != nil {
		return err
	}
	defer whole.Release()
	_, err = t.Append(ctx, frame.FromBatches(whole.Schema(), whole), map[string]string{"leat.pushed": def.Name, "leat.by": by})
	return err
}

// Materialise meets api.Features.
func (s featureService) Materialise(ctx context.Context, o online.Order, by string) (string, error) {
	return online.Materialise(ctx, s.app.runs, o, work.By(by))
}

// watchFeatures is how often the age of features is looked at.
const watchFeatures = 15 * time.Second

// measureFeatures keeps the ages of views up to date in the metrics, once the
// store is open.
func (a *App) measureFeatures(ctx context.Context) error {
	if !a.onlineStore.opened() {
		return nil
	}
	entries, err := a.views.All(ctx)
	if err != nil {
		return err
	}
	var views []*online.View
	for _, e := range entries {
		if e.View != nil && !e.Spec.OnDemand() {
			views = append(views, e.View)
		}
	}
	_, err = a.online.Freshness(ctx, views)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
