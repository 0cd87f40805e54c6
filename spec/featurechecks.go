package spec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/frame"
)

// The bounds of windows.
const (
	maxWindows = 16     // of one aggregate
	maxSteps   = 10_000 // of one window that slides
)

func (v *FeatureView) check(c *checker) {
	if len(v.Columns)+len(v.Features) == 0 && v.SQL == "" && !c.failed["columns"] && !c.failed["features"] && !c.given("features") {
		c.bad("", "FeatureView %q has no features", v.Name).Hint("give it columns, features or sql")
	}
	if v.SQL != "" && len(v.Entity) == 0 && !c.failed["entity"] {
		c.bad("sql", `"sql" computes features per entity, and there is no entity`).Hint("add a field like entity: customer_id")
	}
	if v.SQL != "" && len(v.Columns)+len(v.Features) > 0 {
		c.bad("sql", `"sql" stands beside columns or features`).Hint("select the columns in the SQL, or make two views")
	}
	v.unique(c)
	v.sources(c)
	v.times(c)
	for _, f := range v.Features {
		if f.Aggregate != nil {
			f.Aggregate.check(c, below("features", f.Name), v.TTL)
		}
	}
	if v.Windowed() {
		v.windowed(c)
	}
}

// unique checks that no two features have one name.
func (v *FeatureView) unique(c *checker) {
	seen := make(map[string]bool)
	for _, name := range v.Columns {
		seen[name] = true
	}
	for _, f := range v.Features {
		for _, name := range f.Names() {
			switch {
			case slices.Contains(v.Columns, name):
				c.bad(below("features", f.Name), "the feature %q is also one of columns", name).Hint("give it another name")
			case seen[name]:
				c.bad(below("features", f.Name), "there are two features %q", name).Hint("give one of them another name")
			}
			seen[name] = true
		}
	}
}

// sources checks that a view has a source, unless it is computed on demand.
func (v *FeatureView) sources(c *checker) {
	if v.Source != "" || c.failed["source"] || c.given("source") {
		if len(v.Inputs) > 0 {
			c.bad("inputs", `"inputs" is for views that are computed on demand, and this one has a source`).
				Hint("take one of them out; a view on demand reads what other views give by its name")
		}
		if c.given("source") && v.Source == "" {
			c.bad("source", `"source" is empty`).Hint("leave the line out in a view that is computed on demand")
		}
		return
	}
	var needs string
	switch {
	case v.SQL != "":
		needs = "sql"
	case v.Windowed():
		needs = "features over windows"
	case len(v.Columns) > 0:
		needs = "columns"
	case len(v.Entity) > 0:
		needs = "an entity"
	case v.Timestamp != "":
		needs = "a timestamp"
	default:
		return
	}
	c.bad("source", `"source" is missing: the view has %s`, needs).
		Hint("add source: …; only a view that is computed on demand has none, but inputs and features")
}

// times checks the fields that say when something was.
func (v *FeatureView) times(c *checker) {
	for _, f := range []struct {
		path string
		set  bool
	}{{"known", v.Known != ""}, {"ttl", v.TTL != 0}, {"lateness", v.Lateness != 0}} {
		if f.set && v.Timestamp == "" {
			c.bad(f.path, "%s needs to know when the event was, and there is no timestamp", label(f.path)).Hint("add a field like timestamp: at")
		}
	}
	if v.Known != "" && v.Known == v.Timestamp {
		c.bad("known", `"known" is the timestamp itself`).Hint("leave it out: a row is known from its event on then")
	}
	if v.Lateness != 0 && !v.Windowed() && v.Timestamp != "" {
		c.bad("lateness", `"lateness" is for features over windows, and the view has none`).Hint("leave it out")
	}
	micro(c, v.TTL, "ttl")
	micro(c, v.Lateness, "lateness")
}

// micro checks that a length of time is whole microseconds, as times are.
func micro(c *checker, d Duration, path string) bool {
	if d.Std()%time.Microsecond == 0 {
		return true
	}
	c.bad(path, "%s is finer than microseconds, which times have", label(path)).Hint("write whole microseconds, such as 1ms or 10us")
	return false
}

// windowed checks what a view with aggregates must have, and what it cannot.
func (v *FeatureView) windowed(c *checker) {
	if len(v.Entity) == 0 && !c.failed["entity"] {
		c.bad("features", "features over windows are those of an entity, and there is none").Hint("add a field like entity: customer_id")
	}
	if v.Timestamp == "" && !c.failed["timestamp"] {
		c.bad("features", "features over windows need the time of the events, and there is no timestamp").Hint("add a field like timestamp: at")
	}
	if len(v.Columns) > 0 {
		c.bad("columns", `"columns" stands beside features over windows`).
			Hint("write %s: {last: %s} for the value of the latest event, or make two views", v.Columns[0], quoteIfNeeded(v.Columns[0]))
	}
	var names []string
	for _, f := range v.Features {
		if f.Aggregate != nil {
			names = append(names, f.Names()...)
		}
	}
	for _, f := range v.Features {
		e, err := expr.Parse(f.Expr)
		if f.Aggregate != nil || err != nil {
			continue // a broken one is reported already
		}
		for _, name := range e.Names() {
			if !slices.Contains(names, name) {
				c.bad(below("features", f.Name), "%s reads %s, which is no aggregate of the view", label(below("features", f.Name)), quote([]byte(name))).
					Hint("beside aggregates an expression reads those; {last: %s} is the value of the latest event; %s", quoteIfNeeded(name), meant(name, names))
			}
		}
	}
}

func (a *Aggregate) check(c *checker, at string, ttl Duration) {
	op, _ := a.Op()
	if a.Count != "" && a.Count != Every {
		c.expression(a.Count, below(at, "count"))
	}
	switch {
	case op == OpQuantile && (a.Q <= 0 || a.Q >= 1) && !c.failed[below(at, "q")]:
		c.bad(below(at, "q"), "%s does not say which quantile", label(at)).Hint("add q between 0 and 1, such as q: 0.95; min and max are aggregates of their own")
	case op != OpQuantile && op != "" && a.Q != 0:
		c.bad(below(at, "q"), "%s is for a quantile", label(below(at, "q"))).Hint("take it out, or write quantile in place of %s", op)
	}
	a.windows(c, at, ttl)
}

// windows checks the fields that say which events count by their time.
func (a *Aggregate) windows(c *checker, at string, ttl Duration) {
	var given []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"window", len(a.Window) > 0}, {"tumbling", a.Tumbling != 0}, {"session", a.Session != 0}} {
		if f.set {
			given = append(given, f.name)
		}
	}
	if len(given) > 1 {
		c.bad(at, "%s has %s", label(at), strings.Join(given, " and ")).Hint("it wants one of them; make two features")
		return
	}
	micro(c, a.Tumbling, below(at, "tumbling"))
	micro(c, a.Session, below(at, "session"))
	if len(a.Window) > maxWindows {
		c.bad(below(at, "window"), "%s has %d windows, more than %d", label(at), len(a.Window), maxWindows)
		return
	}
	if a.Slide != 0 && len(a.Window) == 0 {
		c.bad(below(at, "slide"), "%s has a slide and no window", label(at)).Hint("add a window, such as window: 7d")
	}
	for i, w := range a.Window {
		a.window(c, at, element(below(at, "window"), i), w, ttl)
		if slices.Contains(a.Window[:i], w) {
			c.bad(element(below(at, "window"), i), "%s has the window %s twice", label(at), w)
		}
	}
}

func (a *Aggregate) window(c *checker, at, path string, w, ttl Duration) {
	if c.failed[path] || !micro(c, w, path) || !micro(c, a.Slide, below(at, "slide")) {
		return
	}
	switch {
	case w == 0:
		c.bad(path, "%s is no time at all", label(path)).Hint("write it like 10m, or leave the window out for all of the past")
	case ttl != 0 && w > ttl:
		c.bad(path, "%s is %s, longer than the ttl of the view, %s", label(path), w, ttl).Hint("make the ttl at least as long: values of older events are stale")
	case a.Slide == 0:
	case w <= a.Slide || w%a.Slide != 0:
		c.bad(below(at, "slide"), "the window %s is not some steps of %s", w, a.Slide).Hint("write a slide that divides the window")
	case w/a.Slide > maxSteps:
		c.bad(below(at, "slide"), "the window %s has %d steps of %s, more than %d", w, w/a.Slide, a.Slide, maxSteps).Hint("write a longer slide")
	}
}

// columns checks that an aggregate reads columns that its source declares,
// and gives the type of its values.
func (a *Aggregate) columns(c *checker, at string, t *table) (frame.Type, bool) {
	op, of := a.Op()
	if a.Where != "" {
		path := below(at, "where")
		if typ, ok := c.bind(a.Where, path, t); ok && typ != frame.Bool {
			c.bad(path, "%s is a %s, not a condition", label(path), typ).Hint("compare it with something, as in %s > 0", a.Where)
		}
	}
	if of == Every || op == "" {
		return frame.Int, op != ""
	}
	path := below(at, string(op))
	typ, ok := c.bind(of, path, t)
	if !ok {
		return "", false
	}
	out, ok := op.Type(typ)
	if !ok {
		c.bad(path, "%s is a %s, and %s is of numbers", label(path), typ, op).Hint("count, distinct, min, max, first and last are of any type")
	}
	return out, ok
}

// Type gives the type of an operation's values by that of its operand, and
// tells whether there is such an operation: sum of numbers is of their own
// type, the mean of them a double.
func (op Op) Type(of frame.Type) (frame.Type, bool) {
	switch op {
	case OpCount, OpDistinct:
		return frame.Int, true
	case OpMin, OpMax, OpFirst, OpLast:
		return of, true
	case OpSum:
		if of == frame.Bool {
			return frame.Int, true
		}
		return of, of.Numeric()
	}
	return frame.Double, of.Numeric()
}

// aggregates are the columns that a view's expressions read beside aggregates.
func (v *FeatureView) aggregates(c *checker, t *table) *table {
	var columns []frame.Column
	for _, f := range v.Features {
		if f.Aggregate == nil {
			continue
		}
		typ, ok := f.Aggregate.columns(c, below("features", f.Name), t)
		if !ok {
			continue
		}
		for _, name := range f.Names() {
			columns = append(columns, frame.Column{Name: name, Type: typ})
		}
	}
	return newTable("the aggregates", columns)
}

// onDemand checks that the views that are computed on demand read what a
// request has and what other views give, as far as that is known: the columns
// of a view in SQL are not.
func (k tables) onDemand(c *checker, v *FeatureView) {
	var names []string
	for _, col := range v.Inputs {
		names = append(names, col.Name)
	}
	for _, other := range k.views {
		if other.SQL != "" {
			return
		}
		names = append(names, other.Columns...)
		for _, f := range other.Features {
			if other != v {
				names = append(names, f.Names()...)
			}
		}
	}
	for _, f := range v.Features {
		e, err := expr.Parse(f.Expr)
		if err != nil {
			continue // reported already
		}
		for _, name := range e.Names() {
			if slices.Contains(names, name) {
				continue
			}
			path := below("features", f.Name)
			hint := fmt.Sprintf("add it to inputs, as in inputs: {%s: double}, or give the view its source", name)
			c.bad(path, "%s reads %s, which is no input of the view and no feature of another one", label(path), quote([]byte(name))).Hint("%s", hint)
		}
	}
}
