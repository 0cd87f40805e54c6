package online

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/spec"
)

// Registry is the views in force, compiled, by name. It is safe for many
// goroutines; a view that was changed is seen within seconds, or at once after
// Refresh.
type Registry struct {
	deps Deps
	list func(context.Context) ([]spec.FeatureView, error)

	mu      sync.Mutex
	current *generation
	loading bool
}

// generation is the views as they were at a time.
type generation struct {
	at        time.Time
	views     []Entry
	byName    map[string]int
	mu        sync.Mutex
	selection map[string]*Selection // by what was asked for
}

// Entry is one view in force.
type Entry struct {
	Spec spec.FeatureView
	View *View // nil where Err says why
	// Err says why a view is not read online: Unsupported where there is
	// nothing to keep.
	Err error
}

// NewRegistry returns the registry of the views that list gives.
func NewRegistry(d Deps, list func(context.Context) ([]spec.FeatureView, error)) *Registry {
	return &Registry{deps: d, list: list}
}

// fresh is how long views are taken to be as they were.
const fresh = 2 * time.Second

// Refresh forgets what the registry knows.
func (r *Registry) Refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = nil
}

// views returns the present generation. One that is a little old is used while
// the next is made, so that no request waits for it.
func (r *Registry) views(ctx context.Context) (*generation, error) {
	r.mu.Lock()
	g := r.current
	old := g != nil && time.Since(g.at) > fresh
	if g != nil && (!old || r.loading) {
		r.mu.Unlock()
		return g, nil
	}
	r.loading = true
	r.mu.Unlock()
	if g == nil {
		return r.load(ctx, nil)
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_, _ = r.load(ctx, g) // what was known serves on
	}()
	return g, nil
}

// load makes a generation, and puts it in the place of another.
func (r *Registry) load(ctx context.Context, old *generation) (*generation, error) {
	g, err := r.compile(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loading = false
	if err != nil {
		return nil, err
	}
	if r.current == old || old == nil {
		r.current = g
	}
	return g, nil
}

func (r *Registry) compile(ctx context.Context) (*generation, error) {
	specs, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	g := &generation{at: time.Now(), byName: map[string]int{}, selection: map[string]*Selection{}}
	for _, v := range specs {
		e := Entry{Spec: v}
		if !v.OnDemand() {
			e.View, e.Err = r.deps.Compile(ctx, v)
		}
		g.byName[v.Name] = len(g.views)
		g.views = append(g.views, e)
	}
	for i := range g.views {
		if e := &g.views[i]; e.Spec.OnDemand() {
			e.View, e.Err = r.deps.Features.demanded(e.Spec, g.views)
		}
	}
	return g, nil
}

// All lists the views in force.
func (r *Registry) All(ctx context.Context) ([]Entry, error) {
	g, err := r.views(ctx)
	if err != nil {
		return nil, err
	}
	return g.views, nil
}

// View returns a view by its name.
func (r *Registry) View(ctx context.Context, name string) (*View, error) {
	g, err := r.views(ctx)
	if err != nil {
		return nil, err
	}
	return g.view(name)
}

func (g *generation) view(name string) (*View, error) {
	at, ok := g.byName[name]
	if ok {
		return g.views[at].View, g.views[at].Err
	}
	var names []string
	for _, e := range g.views {
		names = append(names, e.Spec.Name)
	}
	err := fault.New(fault.NotFound, "no feature view is called %.80q", name)
	if near := fault.Nearest(name, names); near != "" {
		return nil, err.Hint("did you mean %s?", near)
	}
	return nil, err.Hint("is the project applied? `leat apply`")
}

// demand is what a view on demand is computed with.
type demand struct {
	set   *feature.Set
	needs []*View // whose features it reads
	first int     // of its features among the outputs of the set
}

// demanded compiles a view on demand: the features that it reads are those of
// the first views that have them.
func (f *Features) demanded(v spec.FeatureView, views []Entry) (*View, error) {
	const request = "request"
	d := &demand{}
	env := feature.Env{Base: request, Tables: map[string]feature.Table{}}
	columns := slices.Clone([]frame.Column(v.Inputs))
	var specs []spec.FeatureView
	for _, name := range outside(v) {
		for _, e := range views {
			if e.View == nil || e.View.demand != nil || !slices.ContainsFunc(e.View.features, func(c frame.Column) bool { return c.Name == name }) {
				continue
			}
			if slices.Contains(d.needs, e.View) {
				break
			}
			d.needs = append(d.needs, e.View)
			specs = append(specs, e.Spec)
			env.Tables[e.Spec.Name] = f.Table(e.View)
			for _, k := range e.View.keys {
				if !slices.Contains(columns, k) {
					columns = append(columns, k)
				}
			}
			break
		}
	}
	env.Sources = map[string][]frame.Column{request: columns}
	set, err := feature.Compile(append(specs, v), env)
	if err != nil {
		return nil, err
	}
	d.set, d.first = set, len(set.Outputs())-len(v.Features)
	return &View{spec: v, when: -1, keys: columns, features: set.Outputs()[d.first:], demand: d}, nil
}

// outside lists what the features of a view on demand read that is no input.
func outside(v spec.FeatureView) []string {
	var names, own []string
	for _, col := range v.Inputs {
		own = append(own, col.Name)
	}
	for _, f := range v.Features {
		e, err := expr.Parse(f.Expr)
		if err == nil { // Compile reports a broken one
			for _, name := range e.Names() {
				if !slices.Contains(own, name) && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// Selection is some features of some views. It is immutable and safe for many
// goroutines.
type Selection struct {
	asks   []Ask
	keys   []frame.Column
	reader *Reader // of those that are kept, then those that the others need
	kept   []int   // of each of the reader's first parts, its place in asks
	hidden []*View // the views of the reader's other parts
}

// maxSelections bounds how many are remembered.
const maxSelections = 1000

// nameOf names a list of features: those of different lists differ, whatever
// bytes are in them.
func nameOf(features []string) string {
	var name []byte
	for _, f := range features {
		name = binary.AppendUvarint(name, uint64(len(f)))
		name = append(name, f...)
	}
	return string(name)
}

// Select finds features by their names: "view" is all of a view, "view:feature"
// one of it. Those of one view stand together in the answer, in the order in
// which they were named.
func (r *Registry) Select(ctx context.Context, features []string) (*Selection, error) {
	g, err := r.views(ctx)
	if err != nil {
		return nil, err
	}
	key := nameOf(features)
	g.mu.Lock()
	s := g.selection[key]
	g.mu.Unlock()
	if s != nil {
		return s, nil
	}
	asks, err := g.asks(features)
	if err != nil {
		return nil, err
	}
	if s, err = r.deps.Features.Selection(asks); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.selection) < maxSelections {
		g.selection[key] = s
	}
	return s, nil
}

func (g *generation) asks(features []string) ([]Ask, error) {
	var asks []Ask
	var mistakes fault.List
	for _, name := range features {
		view, feature, one := strings.Cut(name, ":")
		v, err := g.view(view)
		if err != nil {
			mistakes.Add(err)
			continue
		}
		at := slices.IndexFunc(asks, func(a Ask) bool { return a.View == v })
		if at < 0 {
			at = len(asks)
			asks = append(asks, Ask{View: v, Features: []int{}})
		}
		if !one {
			asks[at].Features = nil
			continue
		}
		i, err := v.Feature(feature)
		mistakes.Add(err)
		if asks[at].Features != nil && err == nil {
			asks[at].Features = append(asks[at].Features, i)
		}
	}
	if len(features) == 0 {
		mistakes.Add(fault.New(fault.Invalid, "no feature is asked for").Hint("name a view, or view:feature"))
	}
	return asks, mistakes.Err()
}

// Selection prepares to read features.
func (f *Features) Selection(asks []Ask) (*Selection, error) {
	s := &Selection{asks: asks}
	var kept, needed []Ask
	for i, a := range asks {
		for _, k := range a.View.keys {
			at := slices.IndexFunc(s.keys, func(c frame.Column) bool { return c.Name == k.Name })
			if at < 0 {
				s.keys = append(s.keys, k)
			} else if s.keys[at].Type != k.Type {
				return nil, fault.New(fault.Invalid, "%q is a %s of feature view %q and a %s of another one", k.Name, k.Type, a.View.Name(), s.keys[at].Type).
					Hint("read them one after the other")
			}
		}
		if a.View.demand == nil {
			kept, s.kept = append(kept, a), append(s.kept, i)
			continue
		}
		for _, v := range a.View.demand.needs {
			if !slices.Contains(s.hidden, v) {
				s.hidden = append(s.hidden, v)
				needed = append(needed, Ask{View: v})
			}
		}
	}
	s.reader = f.Reader(append(kept, needed...))
	return s, nil
}

// Keys lists the columns that Read takes: the entities of the views, and what
// those on demand read of a request.
func (s *Selection) Keys() []frame.Column { return s.keys }

// Asks is what is read, one for each part of an answer.
func (s *Selection) Asks() []Ask { return s.asks }

// Read reads the features of entities; see Reader.Read. Those on demand are
// computed from the batch and from what is read.
func (s *Selection) Read(ctx context.Context, entities frame.Batch, at time.Time, into *Answer) error {
	times := []int64{at.UnixMicro()}
	if len(s.kept) == len(s.asks) {
		return s.reader.Read(ctx, entities, times, into)
	}
	var read Answer
	if err := s.reader.Read(ctx, entities, times, &read); err != nil {
		return err
	}
	into.reset(s.asks, read.Rows)
	for i, at := range s.kept {
		into.Parts[at] = read.Parts[i]
	}
	asked := feature.Asked{At: at, Found: map[string][]arrow.Array{}}
	defer func() { asked.Release() }()
	for i, v := range s.hidden {
		values, err := read.Parts[len(s.kept)+i].Arrays()
		if err != nil {
			return err
		}
		asked.Found[v.Name()] = values
	}
	for i := range into.Parts {
		if p := &into.Parts[i]; p.View.demand != nil {
			if err := p.compute(ctx, entities, asked); err != nil {
				return fault.Wrap(err, fault.KindOf(err), "feature view %q", p.View.Name())
			}
		}
	}
	return nil
}

// compute computes the features of a view on demand.
func (p *Part) compute(ctx context.Context, rows frame.Batch, asked feature.Asked) error {
	d := p.View.demand
	found := map[string][]arrow.Array{}
	for _, v := range d.needs {
		found[v.Name()] = asked.Found[v.Name()]
	}
	out, err := d.set.ComputeAs(ctx, rows, feature.Asked{At: asked.At, Found: found})
	if err != nil {
		return err
	}
	defer out.Release()
	for k := range p.width {
		i := k
		if p.Features != nil {
			i = p.Features[k]
		}
		for row := range p.Status {
			p.Status[row], p.Times[row] = Present, asked.At.UnixMicro()
			*p.Cell(row, k) = cellOf(out.Column(d.first+i), row)
		}
	}
	return nil
}
