package window

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Plan is a view over windows, compiled. It is immutable and safe for many
// goroutines.
type Plan struct {
	view     spec.FeatureView
	keys     []frame.Column
	reads    []frame.Column
	outputs  []output
	columns  []frame.Column // of outputs
	args     []arg
	filters  []filter
	spans    []span
	tilings  []tiling
	lasts    []slotDef // of which the latest value is kept
	stride   int       // words of an event
	horizon  int64
	keep     int64 // how far back single events are needed
	lateness int64
	hash     string
	layout   uint32 // of the bytes of a state
	texts    bool   // there are strings among the arguments
	seed     uint64 // of hash tables: see hash
	readers  readers
}

// cellKind is how the values of an argument are kept in a word.
type cellKind uint8

const (
	cellInt    cellKind = iota // also of timestamps, dates and bools
	cellDouble                 // its bits
	cellString                 // its number in the dictionary
)

func kindOf(t frame.Type) cellKind {
	switch t {
	case frame.Double:
		return cellDouble
	case frame.String:
		return cellString
	}
	return cellInt
}

// arg is an expression whose value is kept of each event.
type arg struct {
	source  string
	typ     frame.Type // of the expression
	kind    cellKind
	column  int           // among reads, for a column taken as it is; or -1
	program *expr.Program // over reads
}

// filter is a condition whose answer is kept of each event.
type filter struct {
	source  string
	program *expr.Program // nil: every event passes
}

// output is one feature.
type output struct {
	name    string
	typ     frame.Type
	op      spec.Op
	span    int
	arg     int
	filter  int
	q       float64
	count   int           // slots of the span that it reads
	sum     int           //
	squares int           //
	other   int           // a table, sketch, wedge, or first; of last, that in Plan.lasts
	program *expr.Program // over the columns of the aggregates; nil for one
}

// The bounds of a view.
const (
	maxArgs    = 32
	maxFilters = 32
	maxOutputs = 2000
)

// every is the filter that all events pass.
const every = 0

// Compile binds a view with aggregates to the columns of its source. A view
// without any, a missing column and a wrong type are Invalid faults; all that
// is wrong with the features is reported at once.
func Compile(v spec.FeatureView, source []frame.Column) (*Plan, error) {
	if !v.Windowed() {
		return nil, fault.New(fault.Invalid, "feature view %q has no features over windows", v.Name)
	}
	c := &compiler{source: source, plan: &Plan{view: v, filters: []filter{{}}, seed: rand.Uint64()}}
	c.plan.lateness = micros(v.Lateness.Std())
	if err := c.columns(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
	}
	var mistakes fault.List
	for _, f := range v.Features {
		if f.Aggregate == nil {
			continue
		}
		if err := c.aggregate(f.Name, f.Aggregate); err != nil {
			mistakes.Add(fault.Wrap(err, fault.KindOf(err), "feature %q of view %q", f.Name, v.Name))
		}
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if err := c.finish(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
	}
	return c.plan, nil
}

// Keys lists the columns of the entity.
func (p *Plan) Keys() []frame.Column { return p.keys }

// Outputs lists the features in the order of the view; aggregates with several
// windows stand there once for each.
func (p *Plan) Outputs() []frame.Column { return p.columns }

// Reads lists the columns of the source that Add reads: those of the entity,
// the time of the event, then those of the aggregates.
func (p *Plan) Reads() []frame.Column { return p.reads }

// Time is the position of the time of the event in Reads.
func (p *Plan) Time() int { return len(p.keys) }

// Known is the column that says when a row became known, or "".
func (p *Plan) Known() string { return p.view.Known }

// View is the definition.
func (p *Plan) View() spec.FeatureView { return p.view }

// Horizon is how long events matter: the length of the longest window with its
// slide. False means for ever: an aggregate is over all of the past, or of
// sessions, which have no longest.
func (p *Plan) Horizon() (time.Duration, bool) {
	if p.horizon == forever {
		return 0, false
	}
	return time.Duration(p.horizon) * time.Microsecond, true
}

// Lateness is how late events may be.
func (p *Plan) Lateness() time.Duration { return time.Duration(p.lateness) * time.Microsecond }

// Hash names the definition and the types it was bound to: 16 hexadecimal
// digits. Plans of one hash give the same values, and read each other's bytes.
func (p *Plan) Hash() string { return p.hash }

// forever is a length that no window has.
const forever = math.MaxInt64

// micros is a length of time in the unit of times.
func micros(d time.Duration) int64 { return int64(d / time.Microsecond) }

// compiler gathers what the aggregates need.
type compiler struct {
	plan   *Plan
	source []frame.Column
	exprs  []*expr.Expr // of args, nil for those that are columns
	wheres []*expr.Expr // of filters after the first
}

// columns finds the entity and the time.
func (c *compiler) columns() error {
	p, v := c.plan, &c.plan.view
	if len(v.Entity) == 0 || v.Timestamp == "" {
		return fault.New(fault.Invalid, "it has no entity or no timestamp").Hint("features over windows are those of an entity as of a time")
	}
	for _, name := range v.Entity {
		at, err := c.find(name)
		if err != nil {
			return err
		}
		col := c.source[at]
		if col.Type == frame.Double {
			return fault.New(fault.Invalid, "the entity %q is a double, which does not identify anything for sure", name).
				Hint("cast it to int or string")
		}
		p.keys = append(p.keys, col)
	}
	at, err := c.find(v.Timestamp)
	if err != nil {
		return err
	}
	when := c.source[at]
	if when.Type != frame.Timestamp && when.Type != frame.Date {
		return fault.New(fault.Invalid, "the timestamp %q is of type %s", when.Name, when.Type).Hint("cast it to timestamp, or to date")
	}
	p.reads = append(slices.Clone(p.keys), when)
	return nil
}

func (c *compiler) find(name string) (int, error) {
	at := slices.IndexFunc(c.source, func(col frame.Column) bool { return col.Name == name })
	if at >= 0 {
		return at, nil
	}
	names := make([]string, len(c.source))
	for i, col := range c.source {
		names[i] = col.Name
	}
	err := fault.New(fault.Invalid, "source %q has no column %q", c.plan.view.Source, name)
	if near := fault.Nearest(name, names); near != "" {
		return 0, err.Hint("did you mean %s?", near)
	}
	return 0, err
}

// read is the position of a column in Reads.
func (c *compiler) read(name string) (int, error) {
	at, err := c.find(name)
	if err != nil {
		return 0, err
	}
	p := c.plan
	for i, col := range p.reads {
		if col.Name == name {
			return i, nil
		}
	}
	p.reads = append(p.reads, c.source[at])
	return len(p.reads) - 1, nil
}

// parse reads an expression and notes the columns that it reads.
func (c *compiler) parse(source string) (*expr.Expr, frame.Type, error) {
	e, err := expr.Parse(source)
	if err != nil {
		return nil, "", err
	}
	program, err := e.Bind(c.source)
	if err != nil {
		return nil, "", err
	}
	for _, name := range e.Names() {
		if _, err := c.read(name); err != nil {
			return nil, "", err
		}
	}
	return e, program.Type(), nil
}

// arg is the position of the argument of an operation, which keeps it as a
// double where it computes with doubles.
func (c *compiler) arg(op spec.Op, source string) (int, frame.Type, error) {
	if source == spec.Every {
		return -1, frame.Int, nil
	}
	e, typ, err := c.parse(source)
	if err != nil {
		return 0, "", err
	}
	out, ok := op.Type(typ)
	if !ok {
		return 0, "", fault.New(fault.Invalid, "%s is a %s, and %s is of numbers", source, typ, op)
	}
	kind := kindOf(typ)
	if op == spec.OpStddev || op == spec.OpQuantile {
		kind = cellDouble
	}
	p := c.plan
	for i, a := range p.args {
		if a.source == source && a.kind == kind {
			return i, out, nil
		}
	}
	if len(p.args) == maxArgs {
		return 0, "", fault.New(fault.Invalid, "the view aggregates more than %d different expressions", maxArgs).Hint("make two views")
	}
	a := arg{source: source, typ: typ, kind: kind, column: -1}
	if names := e.Names(); len(names) == 1 && names[0] == strings.TrimSpace(source) {
		if a.column, err = c.read(names[0]); err != nil {
			return 0, "", err
		}
		e = nil
	}
	p.args = append(p.args, a)
	c.exprs = append(c.exprs, e)
	return len(p.args) - 1, out, nil
}

// filter is the position of a condition.
func (c *compiler) filter(source string) (int, error) {
	if source == "" {
		return every, nil
	}
	p := c.plan
	for i, f := range p.filters {
		if f.source == source {
			return i, nil
		}
	}
	e, typ, err := c.parse(source)
	if err != nil {
		return 0, err
	}
	if typ != frame.Bool {
		return 0, fault.New(fault.Invalid, "%s is a %s, not a condition", source, typ).Hint("compare it with something, as in %s > 0", source)
	}
	if len(p.filters) == maxFilters {
		return 0, fault.New(fault.Invalid, "the view has more than %d different filters", maxFilters-1).Hint("make two views")
	}
	p.filters = append(p.filters, filter{source: source})
	c.wheres = append(c.wheres, e)
	return len(p.filters) - 1, nil
}

// aggregate adds the outputs of one feature.
func (c *compiler) aggregate(name string, a *spec.Aggregate) error {
	op, of := a.Op()
	at, typ, err := c.arg(op, of)
	if err != nil {
		return err
	}
	where, err := c.filter(a.Where)
	if err != nil {
		return err
	}
	for _, w := range a.Expand(name) {
		o := output{name: w.Name, typ: typ, op: op, arg: at, filter: where, q: a.Q}
		o.span = c.span(a, w.Window, where)
		c.slots(&o)
		c.plan.outputs = append(c.plan.outputs, o)
	}
	return nil
}

// finish binds expressions now that all columns are known, and lays out what
// is kept.
func (c *compiler) finish() error {
	p := c.plan
	if len(p.outputs) > maxOutputs {
		return fault.New(fault.Invalid, "it has %d features, more than %d", len(p.outputs), maxOutputs).Hint("make several views")
	}
	for i, e := range c.exprs {
		if e == nil {
			continue
		}
		program, err := e.Bind(p.reads)
		if err != nil {
			return err
		}
		p.args[i].program = program
	}
	for i, e := range c.wheres {
		program, err := e.Bind(p.reads)
		if err != nil {
			return err
		}
		p.filters[i+1].program = program
	}
	if err := c.expressions(); err != nil {
		return err
	}
	for _, o := range p.outputs {
		p.columns = append(p.columns, frame.Column{Name: o.name, Type: o.typ})
	}
	p.stride = wordCells + len(p.args)
	p.texts = slices.ContainsFunc(p.args, func(a arg) bool { return a.kind == cellString })
	c.reach()
	return p.name()
}

// expressions puts the features over aggregates where the view has them.
func (c *compiler) expressions() error {
	p := c.plan
	aggregates := p.outputs
	scope := make([]frame.Column, len(aggregates))
	for i, o := range aggregates {
		scope[i] = frame.Column{Name: o.name, Type: o.typ}
	}
	p.outputs = nil
	for _, f := range p.view.Features {
		if f.Aggregate != nil {
			n := len(f.Names())
			p.outputs = append(p.outputs, aggregates[:n]...)
			aggregates = aggregates[n:]
			continue
		}
		e, err := expr.Parse(f.Expr)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "feature %q", f.Name)
		}
		program, err := e.Bind(scope)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "feature %q", f.Name)
		}
		p.outputs = append(p.outputs, output{name: f.Name, typ: program.Type(), program: program})
	}
	return nil
}

// name hashes what decides the values, and what decides the bytes of a state.
func (p *Plan) name() error {
	v := p.view
	v.Owner, v.Tags, v.Class, v.Lateness = "", nil, "", 0
	definition, err := json.Marshal(struct {
		View  spec.FeatureView
		Reads []frame.Column
	}{v, p.reads})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the view has no text")
	}
	sum := sha256.Sum256(definition)
	p.hash = hex.EncodeToString(sum[:8])
	p.layout = uint32(sum[8]) | uint32(sum[9])<<8 | uint32(sum[10])<<16 | uint32(sum[11])<<24
	return nil
}
