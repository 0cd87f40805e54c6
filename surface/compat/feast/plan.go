package feast

import (
	"context"
	"slices"
	"sync"

	wire "github.com/go-json-experiment/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/compat"
)

// plan is what a question comes to, but for its entities: the same features are
// asked for again and again. It is immutable.
type plan struct {
	wanted   []Wanted
	features int
	keys     []frame.Column // of all views
	reader   Reader
	types    [][]frame.Type // of the features of each view
	names    []byte         // of the answer's columns, as JSON without brackets
}

// plans keeps plans by the text of the features that they are for.
type plans struct {
	mu    sync.RWMutex
	known map[string]*plan
}

// maxPlans bounds how many are kept, maxPlan the text of each.
const (
	maxPlans = 256
	maxPlan  = 64 << 10
)

// plan finds the plan of a question, or makes it, for somebody who may read its
// views. Who may not is not told what there is.
func (f *surface) plan(ctx context.Context, p identity.Principal, q *question) (*plan, error) {
	plan, err := f.find(ctx, p, q)
	if err != nil {
		return nil, err
	}
	for i := range plan.wanted {
		if err := permit(p, "read", plan.wanted[i].View.Name); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

func (f *surface) find(ctx context.Context, by identity.Principal, q *question) (*plan, error) {
	if q.Service != "" {
		wanted, err := f.Names.Service(ctx, q.Service)
		if err != nil {
			return nil, hidden(by, "read", q.Service, named(err, fault.NotFound, noService))
		}
		return f.newPlan(ctx, wanted, q.Full)
	}
	f.plans.mu.RLock()
	p := f.plans.known[string(q.Features)]
	f.plans.mu.RUnlock()
	if p != nil && !q.Full && f.holds(ctx, p) {
		return p, nil
	}
	var references []string
	if len(q.Features) > 0 {
		if err := wire.Unmarshal(q.Features, &references); err != nil {
			return nil, unread(err)
		}
	}
	wanted, err := f.wanted(ctx, by, references)
	if err != nil {
		return nil, err
	}
	if p, err = f.newPlan(ctx, wanted, q.Full); err != nil || q.Full || len(q.Features) > maxPlan {
		return p, err
	}
	f.plans.mu.Lock()
	defer f.plans.mu.Unlock()
	if len(f.plans.known) >= maxPlans {
		clear(f.plans.known)
	}
	f.plans.known[string(q.Features)] = p
	return p, nil
}

// holds tells whether the views of a plan are still what they were.
func (f *surface) holds(ctx context.Context, p *plan) bool {
	for i := range p.wanted {
		v, err := f.Names.View(ctx, p.wanted[i].View.Name)
		if err != nil || v != p.wanted[i].View {
			return false
		}
	}
	return true
}

// wanted resolves references to features, view by view in the order in which
// they come up.
func (f *surface) wanted(ctx context.Context, by identity.Principal, references []string) ([]Wanted, error) {
	if len(references) == 0 {
		return nil, fault.New(fault.Invalid, "no features are asked for").Hint(`write "features": ["view:feature"], or name a feature_service`)
	}
	var wanted []Wanted
	at := map[string]int{}
	for _, reference := range references {
		view, name, err := split(reference)
		if err != nil {
			return nil, err
		}
		i, ok := at[view]
		if !ok {
			v, err := f.Names.View(ctx, view)
			if err != nil {
				return nil, hidden(by, "read", view, named(err, fault.NotFound, noView))
			}
			i, at[view] = len(wanted), len(wanted)
			wanted = append(wanted, Wanted{View: v})
		}
		wanted[i].Features = append(wanted[i].Features, name)
	}
	for _, v := range wanted {
		if err := v.check(); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}

func (f *surface) newPlan(ctx context.Context, wanted []Wanted, full bool) (p *plan, err error) {
	p = &plan{wanted: wanted}
	if err := p.name(full); err != nil {
		return nil, err
	}
	p.reader, err = f.Store.Reader(ctx, wanted)
	return p, err
}

// name gathers the keys and names the columns of the answer, of which no two
// may be called alike.
func (p *plan) name(full bool) error {
	seen := map[string]bool{}
	add := func(name string) {
		if len(p.names) > 0 {
			p.names = append(p.names, ',')
		}
		p.names = compat.AppendString(p.names, name)
	}
	for _, v := range p.wanted {
		for _, k := range v.View.Keys {
			at := slices.IndexFunc(p.keys, func(c frame.Column) bool { return c.Name == k.Name })
			if at < 0 {
				p.keys = append(p.keys, k)
				add(k.Name)
			} else if p.keys[at].Type != k.Type {
				return fault.New(fault.Invalid, "%q is a %s in one of the views, and a %s in %q", k.Name, p.keys[at].Type, k.Type, v.View.Name).
					Hint("ask for them one after the other")
			}
		}
	}
	for _, v := range p.wanted {
		p.types = append(p.types, v.types())
		for _, name := range v.Features {
			if full {
				name = v.View.Name + "__" + name
			}
			if seen[name] {
				return &known{collision, fault.New(fault.Invalid, "the feature %q is there twice", name).
					Hint("ask for each once, and set full_feature_names where views have features of one name")}
			}
			seen[name] = true
			add(name)
		}
	}
	p.features = len(seen)
	return nil
}

// read reads the columns that the views are read by.
func (p *plan) read(entities *table) (frame.Batch, error) {
	rows, err := entities.rows()
	if err != nil {
		return nil, err
	}
	if rows == 0 {
		return nil, fault.New(fault.Invalid, "there are no entities").Hint(`write "entities": {"customer_id": ["c1"]}`)
	}
	if rows*p.features > maxValues {
		return nil, fault.New(fault.TooLarge, "%d features of %d entities are over %d values", p.features, rows, maxValues).Hint("ask for fewer entities at a time")
	}
	return entities.batch(p.keys, func(name string) string { return name }, rows)
}

// types are those of the features, in their order.
func (v *Wanted) types() []frame.Type {
	of := make(map[string]frame.Type, len(v.View.Features))
	for _, f := range v.View.Features {
		of[f.Name] = f.Type
	}
	types := make([]frame.Type, len(v.Features))
	for i, name := range v.Features {
		types[i] = of[name]
	}
	return types
}
