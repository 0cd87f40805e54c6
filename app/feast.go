package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/compat/feast"
	"github.com/leat-ai/leat/surface/server"
)

// openFeast lets in who reads and writes features by Feast's protocol. Its
// GET /health is the one that MLflow's protocol has, too.
func (a *App) openFeast(s *server.Server) {
	f := &feastFeatures{app: a, known: map[string]knownView{}}
	feast.Register(s, feast.Services{Names: f, Store: f})
}

// feastFeatures is the views in force as Feast's protocol sees them.
type feastFeatures struct {
	app   *App
	mu    sync.Mutex
	known map[string]knownView // by name
}

// knownView is a view with what was made of it.
type knownView struct {
	of   *online.View
	view *feast.View
}

// View meets feast.Names.
func (f *feastFeatures) View(ctx context.Context, name string) (*feast.View, error) {
	v, err := f.app.views.View(ctx, name)
	if err != nil {
		return nil, err
	}
	return f.view(ctx, v)
}

func (f *feastFeatures) view(ctx context.Context, v *online.View) (*feast.View, error) {
	f.mu.Lock()
	k := f.known[v.Name()]
	f.mu.Unlock()
	if k.of == v {
		return k.view, nil
	}
	def := v.Spec()
	view := &feast.View{Name: def.Name, Keys: v.Keys(), Features: v.Features(), Timestamp: def.Timestamp, Source: tables.Source(def.Source)}
	if !def.OnDemand() {
		view.Rows = v.Rows()
	}
	if def.SQL == "" && !def.OnDemand() {
		more, err := featureService{f.app}.Source(ctx, v)
		if err != nil {
			return nil, err
		}
		view.More = more
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[def.Name] = knownView{v, view}
	return view, nil
}

// Service meets feast.Names: a feature service is an endpoint, with the views of
// its live release that are kept by entity, or a view.
func (f *feastFeatures) Service(ctx context.Context, name string) ([]feast.Wanted, error) {
	names := []string{name}
	if release, err := f.app.router.Release(name); err == nil {
		names = nil
		for _, v := range release.Content.Features {
			names = append(names, v.Name)
		}
	}
	var wanted []feast.Wanted
	for _, n := range names {
		v, err := f.View(ctx, n)
		if fault.Is(err, fault.Unsupported) && n != name { // computed from the rows of a request
			continue
		}
		if fault.Is(err, fault.NotFound) {
			return nil, fault.New(fault.NotFound, "there is no endpoint with a release, and no feature view, that is called %.80q", n)
		}
		if err != nil {
			return nil, err
		}
		w := feast.Wanted{View: v}
		for _, c := range v.Features {
			w.Features = append(w.Features, c.Name)
		}
		wanted = append(wanted, w)
	}
	if len(wanted) == 0 {
		return nil, fault.New(fault.NotFound, "the release of endpoint %q has no features that are kept by entity", name)
	}
	return wanted, nil
}

// Source meets feast.Names: a push source is a source or table, and stands for
// all views over it, or a view.
func (f *feastFeatures) Source(ctx context.Context, name string) ([]*feast.View, error) {
	entries, err := f.app.views.All(ctx)
	if err != nil {
		return nil, err
	}
	var views []*feast.View
	for _, e := range entries {
		over := e.Spec.Name == name || e.Spec.SQL == "" && tables.Source(e.Spec.Source) == name
		if e.View == nil || e.Spec.OnDemand() || !over {
			continue
		}
		v, err := f.view(ctx, e.View)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	if len(views) == 0 {
		return nil, fault.New(fault.NotFound, "no feature view, and no source of one, is called %.80q", name)
	}
	return views, nil
}

// Reader meets feast.Store.
func (f *feastFeatures) Reader(ctx context.Context, wanted []feast.Wanted) (feast.Reader, error) {
	var names []string
	for _, w := range wanted {
		for _, feature := range w.Features {
			names = append(names, w.View.Name+":"+feature)
		}
	}
	s, err := f.app.views.Select(ctx, names)
	if err != nil {
		return nil, err
	}
	r := &feastReader{app: f.app, selection: s}
	r.scratch.New = func() any { return new(feastReading) }
	return r, nil
}

// feastReader reads one selection of features.
type feastReader struct {
	app       *App
	selection *online.Selection
	scratch   sync.Pool // of *feastReading
}

type feastReading struct {
	answer online.Answer
	found  []feast.Found
}

// maxReused is the number of rows over which the memory of an answer is not
// kept for the next.
const maxReused = 1000

// Read meets feast.Reader.
func (r *feastReader) Read(ctx context.Context, keys frame.Batch, use func([]feast.Found) error) error {
	s := r.scratch.Get().(*feastReading)
	if err := r.selection.Read(ctx, keys, r.app.clock.Now(), &s.answer); err != nil {
		return err
	}
	s.found = s.found[:0]
	for i := range s.answer.Parts {
		p := &s.answer.Parts[i]
		s.found = append(s.found, feast.Found{Statuses: p.Status, Times: p.Times, Cells: p})
	}
	err := use(s.found)
	if s.answer.Rows <= maxReused {
		r.scratch.Put(s)
	}
	return err
}

// Write meets feast.Store. Rows of this protocol have no ids, and its client
// sends them again when it has no answer: the same row counts once in windows.
func (f *feastFeatures) Write(ctx context.Context, v *feast.View, rows frame.Batch, to feast.Target) error {
	view, err := f.app.views.View(ctx, v.Name)
	if err != nil {
		return err
	}
	by, _ := identity.From(ctx)
	_, err = featureService{f.app}.Push(ctx, view, rows, api.PushOptions{Online: to.Online, Offline: to.Offline, IDs: contentIDs(rows), By: by.Name})
	return err
}

// contentIDs names rows by what they say.
func contentIDs(rows frame.Batch) []string {
	ids := make([]string, rows.NumRows())
	var text []byte
	for i := range ids {
		text = text[:0]
		for _, c := range rows.Columns() {
			if c.IsNull(i) {
				text = append(text, 0)
				continue
			}
			text = append(append(append(text, 1), c.ValueStr(i)...), 0)
		}
		sum := sha256.Sum256(text)
		ids[i] = hex.EncodeToString(sum[:16])
	}
	return ids
}

// Materialise meets feast.Store.
func (f *feastFeatures) Materialise(ctx context.Context, o feast.Order) ([]string, error) {
	entries, err := f.app.views.All(ctx)
	if err != nil {
		return nil, err
	}
	var names, runs []string
	for _, e := range entries {
		if e.View == nil || e.Spec.OnDemand() || len(o.Views) > 0 && !slices.Contains(o.Views, e.Spec.Name) {
			continue
		}
		names = append(names, e.Spec.Name)
	}
	for _, e := range entries {
		if !slices.Contains(names, e.Spec.Name) {
			continue
		}
		order := online.Order{View: e.View.Spec(), From: o.From, To: o.To, Full: !o.From.IsZero() && o.From.Equal(time.Unix(0, 0))}
		run, err := featureService{f.app}.Materialise(ctx, order, o.By)
		if fault.Is(err, fault.Conflict) && o.Force {
			continue
		}
		if err != nil {
			return names, err
		}
		runs = append(runs, run)
	}
	if !o.Wait {
		return names, nil
	}
	for _, id := range runs {
		status, err := f.app.runs.Wait(ctx, id)
		if err != nil {
			return names, err
		}
		if err := status.Err(); err != nil {
			return names, err
		}
	}
	return names, nil
}
