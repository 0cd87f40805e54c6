package feature

import (
	"slices"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Env is what views are compiled against.
type Env struct {
	// Sources has the columns of each source or table that a view without SQL
	// reads, by its name.
	Sources map[string][]frame.Column
	// Base is the source that the rows come from. When empty it is what the
	// function Base says.
	Base string
	// Tables has what is looked up, by the name of the view: for each view
	// that NeedsTable names.
	Tables map[string]Table
	// Label is a column that no view may read, or "".
	Label string
	// Time is the column of the base source that says when a row was. When
	// empty it is what RowTime says.
	Time string
}

// base is the source that the rows come from.
func (e *Env) base(views []spec.FeatureView) string {
	if e.Base != "" {
		return e.Base
	}
	return Base(views)
}

// Base is the source that the rows of views come from: that of the first view
// that has no entity, for its features are those of the row itself, or else of
// the first that is computed from rows or events, or else of the first view.
func Base(views []spec.FeatureView) string {
	base, rank := "", 4
	for _, v := range views {
		r := 3
		switch {
		case v.OnDemand():
			continue
		case v.SQL == "" && len(v.Entity) == 0:
			r = 1
		case v.SQL == "":
			r = 2
		}
		if r < rank {
			base, rank = v.Source, r
		}
	}
	return base
}

// RowTime is the column of the base source that has the time of its rows: the
// timestamp of the first view over that source that says one, or else of the
// first view whose timestamp is also a column of it. It is "" when there is
// none.
func RowTime(views []spec.FeatureView, base string, columns []frame.Column) string {
	for _, over := range []bool{true, false} {
		for _, v := range views {
			has := slices.Contains(columns, frame.Column{Name: v.Timestamp, Type: frame.Timestamp})
			if has && (v.Source == base && v.SQL == "") == over {
				return v.Timestamp
			}
		}
	}
	return ""
}

// NeedsTable tells whether a view is looked up by its entity rather than
// computed from rows of the base source.
func NeedsTable(v spec.FeatureView, base string) bool {
	return !v.OnDemand() && (v.SQL != "" || v.Windowed() || v.Source != base)
}

// Compile binds views to columns and checks all that can be checked before
// the first row. Every mistake of every view is reported, each with the view
// that it stands in.
func Compile(views []spec.FeatureView, env Env) (*Set, error) {
	c := &compiler{env: env, base: env.base(views), set: &Set{}, inputs: map[string]int{}, outputs: map[string]int{}}
	var mistakes fault.List
	for _, v := range views {
		fault.Each(c.view(v), func(err error) {
			mistakes.Add(fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name))
		})
		c.set.lineage = append(c.set.lineage, v.Name+"@"+Hash(v))
	}
	mistakes.Add(c.time(views))
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if err := c.bind(); err != nil {
		return nil, err
	}
	c.set.schema = frame.SchemaOf(c.set.Outputs())
	c.set.plain = c.set.isPlain()
	return c.set, nil
}

// time makes the column that has the time of a row an input, where a view is
// looked up as of it.
func (c *compiler) time(views []spec.FeatureView) error {
	c.set.time = -1
	if !slices.ContainsFunc(c.set.lookups, func(l lookup) bool { return l.table.Dated }) {
		return nil
	}
	columns := c.env.Sources[c.base]
	name := c.env.Time
	if name == "" {
		name = RowTime(views, c.base, columns)
	}
	if name == "" {
		return nil
	}
	at := slices.IndexFunc(columns, func(col frame.Column) bool { return col.Name == name })
	if at < 0 {
		return noColumn(name, c.base, columns)
	}
	if columns[at].Type != frame.Timestamp {
		return fault.New(fault.Invalid, "%q is a %s in source %q, not the time of a row", name, columns[at].Type, c.base)
	}
	c.set.time = c.input(columns[at])
	return nil
}

// compiler gathers what the views read before it gives out slots: inputs come
// first, whichever view reads them.
type compiler struct {
	env     Env
	base    string
	set     *Set
	inputs  map[string]int // position in set.inputs
	outputs map[string]int // position in set.outputs
	pending []pending      // one for each output
}

// pending is an output whose slots are not given out yet.
type pending struct {
	lookup int        // of the set; overRow; onDemand
	column int        // of the lookup or of the inputs, for one taken as it is
	expr   *expr.Expr // nil: taken as it is
}

// What pending.lookup says of features that are not looked up.
const (
	overRow  = -1 // computed from the inputs
	onDemand = -2 // computed from the inputs and from features before it
)

func (c *compiler) view(v spec.FeatureView) error {
	if err := c.leaks(v); err != nil {
		return err
	}
	if v.OnDemand() {
		return c.demanded(v)
	}
	if !NeedsTable(v, c.base) {
		schema, err := c.source(v.Source)
		if err != nil {
			return err
		}
		return c.features(v, schema, overRow)
	}
	at, table, err := c.lookup(v)
	if err != nil {
		return err
	}
	if v.SQL == "" && !v.Windowed() && !table.Ready {
		if err := readsEntity(v); err != nil {
			return err
		}
		return c.features(v, table.Columns, at)
	}
	var mistakes fault.List
	for i, col := range table.Columns {
		if err := c.labelled([]string{col.Name}, "returns"); err != nil {
			mistakes.Add(err)
			continue
		}
		mistakes.Add(c.add(v, col, pending{lookup: at, column: i}))
	}
	return mistakes.Err()
}

// demanded adds the features of a view that is computed on demand. Its inputs
// are columns of the rows, in training as in serving.
func (c *compiler) demanded(v spec.FeatureView) error {
	var mistakes fault.List
	scope := make([]frame.Column, 0, len(v.Inputs)+len(c.set.outputs))
	for _, in := range v.Inputs {
		if err := c.labelled([]string{in.Name}, "reads"); err != nil {
			mistakes.Add(err)
			continue
		}
		columns := c.env.Sources[c.base]
		at := slices.IndexFunc(columns, func(col frame.Column) bool { return col.Name == in.Name })
		switch {
		case c.base != "" && at < 0:
			mistakes.Add(noColumn(in.Name, c.base, columns))
			continue
		case c.base != "" && columns[at].Type != in.Type:
			mistakes.Add(fault.New(fault.Invalid, "its input %q is a %s, and a %s in source %q", in.Name, in.Type, columns[at].Type, c.base).
				Hint("write inputs: {%s: %s}", in.Name, columns[at].Type))
			continue
		}
		c.input(in)
		scope = append(scope, in)
	}
	for _, o := range c.set.outputs {
		if !slices.ContainsFunc(scope, func(col frame.Column) bool { return col.Name == o.column.Name }) {
			scope = append(scope, o.column)
		}
	}
	if err := mistakes.Err(); err != nil {
		return err
	}
	for _, f := range v.Features {
		if err := c.expression(v, f, scope, onDemand); err != nil {
			mistakes.Add(fault.Wrap(err, fault.KindOf(err), "feature %q", f.Name))
		}
	}
	return mistakes.Err()
}

func (c *compiler) source(name string) ([]frame.Column, error) {
	schema, ok := c.env.Sources[name]
	if ok {
		return schema, nil
	}
	var names []string
	for n := range c.env.Sources {
		names = append(names, n)
	}
	err := fault.New(fault.Invalid, "there is no source %q", name)
	if near := fault.Nearest(name, names); near != "" {
		return nil, err.Hint("did you mean %s?", near)
	}
	return nil, err.Hint("ingest it first, or write a Source of that name")
}

// leaks refuses a view that reads the label anywhere but in an expression.
func (c *compiler) leaks(v spec.FeatureView) error {
	if err := c.labelled(v.Columns, "takes"); err != nil {
		return err
	}
	if err := c.labelled(v.Entity, "is looked up by"); err != nil {
		return err
	}
	if err := c.leaksOverTime(v); err != nil {
		return err
	}
	if c.env.Label != "" && mentions(v.SQL, c.env.Label) {
		return fault.New(fault.Invalid, "its SQL names the label %q", c.env.Label).
			Hint("a sum over the label tells a row of the past what became of it later; leave it out, or give a column of that name that is something else another one")
	}
	return nil
}

// leaksOverTime refuses aggregates over the label, unless the view says when a
// row became known: what became of an event is rarely known when it happens.
func (c *compiler) leaksOverTime(v spec.FeatureView) error {
	if c.env.Label == "" || v.Known != "" {
		return nil
	}
	for _, f := range v.Features {
		if f.Aggregate == nil {
			continue
		}
		_, of := f.Aggregate.Op()
		for _, text := range []string{of, f.Aggregate.Where} {
			e, err := expr.Parse(text)
			if text == "" || text == spec.Every || err != nil || !slices.Contains(e.Names(), c.env.Label) {
				continue
			}
			return fault.New(fault.Invalid, "its feature %q is over the label %q", f.Name, c.env.Label).
				Hint("where the rows say when that became known, add known: and the column to the view")
		}
	}
	return nil
}

func (c *compiler) labelled(names []string, verb string) error {
	if c.env.Label == "" || !slices.Contains(names, c.env.Label) {
		return nil
	}
	return fault.New(fault.Invalid, "it %s the label %q", verb, c.env.Label).
		Hint("the label is what the model is to find out; leave it out of the features")
}

// features adds the columns and expressions of a view over a schema.
func (c *compiler) features(v spec.FeatureView, schema []frame.Column, lookup int) error {
	var mistakes fault.List
	for _, name := range v.Columns {
		at := slices.IndexFunc(schema, func(col frame.Column) bool { return col.Name == name })
		if at < 0 {
			mistakes.Add(noColumn(name, v.Source, schema))
			continue
		}
		col := schema[at]
		if lookup < 0 {
			at = c.input(col)
		}
		mistakes.Add(c.add(v, col, pending{lookup: lookup, column: at}))
	}
	for _, f := range v.Features {
		if err := c.expression(v, f, schema, lookup); err != nil {
			mistakes.Add(fault.Wrap(err, fault.KindOf(err), "feature %q", f.Name))
		}
	}
	return mistakes.Err()
}

// readsEntity refuses a feature of a looked-up view that is, or reads, what the
// view is looked up by: those columns are the rows' own.
func readsEntity(v spec.FeatureView) error {
	names, err := reads(v, nil)
	if err != nil {
		return err
	}
	for _, name := range v.Entity {
		if slices.Contains(names, name) {
			return fault.New(fault.Invalid, "it reads %q, which it is looked up by", name).
				Hint("take %s from a view over the rows themselves", name)
		}
	}
	return nil
}

func noColumn(name, source string, schema []frame.Column) error {
	names := make([]string, len(schema))
	for i, col := range schema {
		names[i] = col.Name
	}
	err := fault.New(fault.Invalid, "source %q has no column %q", source, name)
	if near := fault.Nearest(name, names); near != "" {
		return err.Hint("did you mean %s?", near)
	}
	return err
}

func (c *compiler) expression(v spec.FeatureView, f spec.FeatureDef, schema []frame.Column, lookup int) error {
	e, err := expr.Parse(f.Expr)
	if err != nil {
		return err
	}
	if err := c.labelled(e.Names(), "reads"); err != nil {
		return err
	}
	prog, err := e.Bind(schema)
	if err != nil {
		return err
	}
	if lookup == overRow {
		for _, name := range e.Names() {
			at := slices.IndexFunc(schema, func(col frame.Column) bool { return col.Name == name })
			c.input(schema[at])
		}
	}
	return c.add(v, frame.Column{Name: f.Name, Type: prog.Type()}, pending{lookup: lookup, expr: e})
}

// input is the position of a raw column among the inputs.
func (c *compiler) input(col frame.Column) int {
	at, ok := c.inputs[col.Name]
	if !ok {
		at = len(c.set.inputs)
		c.inputs[col.Name] = at
		c.set.inputs = append(c.set.inputs, col)
	}
	return at
}

// add appends a feature. The same column of the rows may come from several
// views, and is then one feature; any other name stands once.
func (c *compiler) add(v spec.FeatureView, col frame.Column, p pending) error {
	if at, taken := c.outputs[col.Name]; taken {
		if c.pending[at] == p && p.expr == nil {
			return nil
		}
		return fault.New(fault.Invalid, "the feature %q is also one of view %q", col.Name, c.set.outputs[at].view).
			Hint("give one of them another name")
	}
	c.outputs[col.Name] = len(c.set.outputs)
	c.set.outputs = append(c.set.outputs, output{column: col, view: v.Name})
	c.pending = append(c.pending, p)
	return nil
}

// lookup adds the table of a view, its keys being inputs.
func (c *compiler) lookup(v spec.FeatureView) (int, Table, error) {
	table, ok := c.env.Tables[v.Name]
	if !ok || table.Lookup == nil {
		return 0, Table{}, fault.New(fault.Unavailable, "its values have not been computed").
			Hint("materialise the view before it is used")
	}
	schema, err := c.source(c.base)
	if err != nil {
		return 0, Table{}, err
	}
	if len(v.Entity) == 0 {
		return 0, Table{}, fault.New(fault.Invalid, "it is looked up, and says no entity to look it up by").
			Hint("add a field like entity: customer_id")
	}
	l := lookup{view: v.Name, table: table}
	for i, name := range v.Entity {
		at := slices.IndexFunc(schema, func(col frame.Column) bool { return col.Name == name })
		if at < 0 {
			return 0, Table{}, noColumn(name, c.base, schema)
		}
		if i >= len(table.Keys) || table.Keys[i].Name != name || table.Keys[i].Type != schema[at].Type {
			return 0, Table{}, fault.New(fault.Invalid, "%q is a %s in source %q, and its values are kept by %v", name, schema[at].Type, c.base, table.Keys).
				Hint("cast the entity to the same type in the SQL, and materialise the view again")
		}
		l.keys = append(l.keys, c.input(schema[at]))
	}
	c.set.lookups = append(c.set.lookups, l)
	return len(c.set.lookups) - 1, table, nil
}

// bind gives out the slots and binds the expressions to them: inputs first,
// then what is looked up, then what is computed.
func (c *compiler) bind() error {
	s := c.set
	s.slots = len(s.inputs)
	for i := range s.lookups {
		s.lookups[i].slot = s.slots
		s.slots += len(s.lookups[i].table.Columns)
	}
	for i := range s.outputs {
		o, p := &s.outputs[i], c.pending[i]
		o.slot = p.column
		if p.lookup >= 0 {
			o.slot += s.lookups[p.lookup].slot
		}
		if p.expr != nil {
			o.slot = s.slots
			s.slots++
		}
	}
	for i := range s.outputs {
		o, p := &s.outputs[i], c.pending[i]
		if p.expr == nil {
			continue
		}
		prog, err := p.expr.Bind(s.scope(p.lookup, s.outputs[:i]))
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "feature %q of view %q", o.column.Name, o.view)
		}
		o.program = prog
	}
	return nil
}

// scope names the slots that an expression of a lookup, of the rows, or of a
// view on demand after some outputs can see; the others have a name that no
// expression can have.
func (s *Set) scope(lookup int, before []output) []frame.Column {
	scope := make([]frame.Column, s.slots)
	visible, first := s.inputs, 0
	if lookup >= 0 {
		visible, first = s.lookups[lookup].table.Columns, s.lookups[lookup].slot
	}
	copy(scope[first:], visible)
	if lookup != onDemand {
		return scope
	}
	for _, o := range before {
		if !slices.ContainsFunc(scope, func(col frame.Column) bool { return col.Name == o.column.Name }) {
			scope[o.slot] = o.column
		}
	}
	return scope
}
