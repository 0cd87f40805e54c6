package spec

import (
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// resolve checks what resources say of each other: names are unique, what is
// referred to exists, columns are those of the source.
func (l *loader) resolve() {
	known := make(map[string][]string) // names by kind
	first := make(map[string]Position)
	for _, x := range l.checked {
		id := string(x.kind) + "/" + x.name
		if before, twice := first[id]; twice && x.name != "" {
			x.bad("name", "there are two of %s %q", x.kind, x.name).Hint("the other one is at %s; rename or remove one", before)
			continue
		}
		first[id] = x.places[""]
		known[string(x.kind)] = append(known[string(x.kind)], x.name)
	}
	known[string(KindModel)] = append(known[string(KindModel)], l.trained()...)
	for _, x := range l.checked {
		for _, r := range x.refs {
			r.resolve(known)
		}
	}
	l.columns()
	l.cycles()
	l.circles()
	l.assistants()
}

// tables are the declared columns of a project.
type tables struct {
	schemas map[string]Columns // of sources that declare them
	views   map[string]*FeatureView
}

// columns checks that views and trainings read only columns that are declared.
func (l *loader) columns() {
	known := tables{map[string]Columns{}, map[string]*FeatureView{}}
	for _, x := range l.checked {
		switch s := x.spec.(type) {
		case *Source:
			if !x.failed["schema"] {
				known.schemas[s.Name] = s.Schema
			}
		case *FeatureView:
			known.views[s.Name] = s
		}
	}
	for _, x := range l.checked {
		switch s := x.spec.(type) {
		case *FeatureView:
			known.viewColumns(x.checker, s)
		case *Pipeline:
			known.trainColumns(x.checker, s)
		}
	}
}

// trained names the models that pipelines make; they need no Model resource.
func (l *loader) trained() []string {
	var names []string
	for _, x := range l.checked {
		p, ok := x.spec.(*Pipeline)
		if !ok {
			continue
		}
		for _, step := range p.Steps {
			if step.Train != nil {
				names = append(names, step.Train.Model)
			}
		}
	}
	return names
}

func (r reference) resolve(known map[string][]string) {
	name := r.name
	if slices.Contains(r.kinds, RefLake) && strings.HasPrefix(name, "lake://") {
		return
	}
	kind := r.kinds[0]
	if kind == string(KindModel) {
		m := modelReference.FindStringSubmatch(name)
		if m == nil {
			r.from.bad(r.path, "%s is not a model: %s", label(r.path), quote([]byte(name))).Hint("write name@alias or name@version")
			return
		}
		name = m[1]
	}
	if slices.Contains(known[kind], name) {
		return
	}
	err := r.from.bad(r.path, "there is no %s %s", kind, quote([]byte(name)))
	if r.from.mistakes.full() {
		return // nobody sees the hint, and it costs
	}
	switch best := fault.Nearest(name, known[kind]); {
	case best != "":
		err.Hint("did you mean %q?", best)
	case kind == string(KindModel):
		err.Hint("a pipeline's train step or a Model resource names it; known here: %s", orNone(known[kind]))
	case slices.Contains(r.kinds, RefLake):
		err.Hint("add it, or write lake://%s for a table that is in the lake already", name)
	default:
		err.Hint("add a resource of kind %s with this name; known here: %s", kind, orNone(known[kind]))
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	const most = 8
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) > most {
		return join(names[:most]) + " …"
	}
	return join(names)
}

// viewColumns checks that a view reads only columns that its source declares.
func (k tables) viewColumns(c *checker, v *FeatureView) {
	if v.OnDemand() {
		k.onDemand(c, v)
		return
	}
	schema := k.schemas[v.Source]
	if len(schema) == 0 {
		return
	}
	t := newTable(v.Source, schema)
	check := func(name, path string) { c.column(name, path, t) }
	if v.SQL == "" {
		check(v.Timestamp, "timestamp")
		check(v.Known, "known")
		for i, name := range v.Entity {
			check(name, element("entity", i))
		}
	}
	for i, name := range v.Columns {
		check(name, element("columns", i))
	}
	if v.Windowed() {
		t = v.aggregates(c, t)
	}
	for _, f := range v.Features {
		if f.Aggregate == nil {
			c.bind(f.Expr, below("features", f.Name), t)
		}
	}
}

// trainColumns checks that a train step's label, split and slices are columns
// of its views' sources, and that the label is none of the features.
func (k tables) trainColumns(c *checker, p *Pipeline) {
	for i, step := range p.Steps {
		if step.Train == nil {
			continue
		}
		t, at := step.Train, below(element("steps", i), "train")
		var columns []frame.Column
		for _, name := range t.Features {
			v := k.views[name]
			if v == nil {
				return // reported as a dangling name
			}
			k.leak(c, t, v, below(at, "label"))
			if v.OnDemand() {
				columns = append(columns, v.Inputs...)
				continue
			}
			schema := k.schemas[v.Source]
			if len(schema) == 0 {
				return // nothing is declared, so nothing can be missed
			}
			columns = append(columns, schema...)
		}
		from := newTable("the sources of "+join(t.Features), columns)
		c.column(t.Label, below(at, "label"), from)
		c.column(t.Split.By, below(at, "split.by"), from)
		if t.Weights != "balanced" {
			c.column(t.Weights, below(at, "weights"), from)
		}
		for j, name := range t.Slices {
			c.column(name, element(below(at, "slices"), j), from)
		}
	}
}

// leak refuses to learn the label from itself.
func (tables) leak(c *checker, t *TrainStep, v *FeatureView, path string) {
	const hint = "take it out of the view, or the model only repeats the answer"
	if slices.Contains(v.Columns, t.Label) {
		c.bad(path, "the label %q is one of the columns of FeatureView %q", t.Label, v.Name).Hint(hint)
	}
	for _, f := range v.Features {
		for _, src := range v.reads(f) {
			if e, err := expr.Parse(src); err == nil && slices.Contains(e.Names(), t.Label) {
				c.bad(path, "the label %q is read by the feature %q of FeatureView %q", t.Label, f.Name, v.Name).Hint(hint)
			}
		}
	}
}
