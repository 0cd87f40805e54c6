package expr

import (
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// chunk is how many rows are evaluated at a time: enough that a step's
// overhead does not show, few enough that all vecs stay in cache.
const chunk = 1024

// Program is an expression bound to columns. It is immutable and safe for
// many goroutines.
type Program struct {
	typ     frame.Type
	regs    []register
	columns []int // registers that columns are loaded into
	root    int   // register of the result
	pool    sync.Pool
}

// register is one vec of a running program: a column, a constant or what a
// kernel computes from earlier registers.
type register struct {
	typ    frame.Type
	column int // -1: not a column
	name   string
	value  *Value
	run    kernel
	in     []int
}

// Bind checks the expression against columns. A name that is not among them
// and operands of wrong types are Invalid faults that say where and what was
// meant. Of columns with the same name the first is read.
func (e *Expr) Bind(columns []frame.Column) (*Program, error) {
	b := newBinder(e.src, columns, functions)
	root, err := b.bind(e.root)
	if err != nil {
		return nil, err
	}
	if root.typ == "" {
		root = retyped(root, frame.Double)
	}
	c := compiler{columns: columns, done: map[*bound]int{}, read: map[int]int{}}
	p := &Program{typ: root.typ}
	p.root = c.register(root)
	p.regs = c.regs
	for i, r := range p.regs {
		if r.column >= 0 {
			p.columns = append(p.columns, i)
		}
	}
	return p, nil
}

// compiler lays bound parts out as registers, inputs before outputs.
type compiler struct {
	columns []frame.Column
	regs    []register
	done    map[*bound]int
	read    map[int]int // register by column
}

func (c *compiler) register(x *bound) int {
	if r, ok := c.done[x]; ok {
		return r
	}
	if r, ok := c.read[x.column]; ok && x.column >= 0 {
		return r
	}
	reg := register{typ: x.typ, column: x.column, value: x.value, run: x.run, in: make([]int, len(x.args))}
	for i, a := range x.args {
		reg.in[i] = c.register(a)
	}
	r := len(c.regs)
	if x.column >= 0 {
		reg.name = c.columns[x.column].Name
		c.read[x.column] = r
	}
	c.regs = append(c.regs, reg)
	c.done[x] = r
	return r
}

// Type returns the type of the values.
func (p *Program) Type() frame.Type { return p.typ }

// Eval computes one value for each row of a batch, whose columns are those
// that Bind was given, in the same order, and perhaps more after them. The
// caller releases the result. It fails only for a batch of other columns.
func (p *Program) Eval(batch frame.Batch) (arrow.Array, error) {
	for _, r := range p.columns {
		reg := &p.regs[r]
		if reg.column >= int(batch.NumCols()) || batch.ColumnName(reg.column) != reg.name {
			return nil, fault.New(fault.Invalid, "column %d of the batch is not %q", reg.column+1, reg.name).
				Hint("bring the columns into the order that the expression was bound to")
		}
	}
	return p.EvalColumns(batch.Columns(), int(batch.NumRows()))
}

// EvalColumns is Eval for columns without a batch around them; those that the
// expression does not read may be nil.
func (p *Program) EvalColumns(columns []arrow.Array, rows int) (arrow.Array, error) {
	for _, r := range p.columns {
		if err := p.regs[r].accepts(columns, rows); err != nil {
			return nil, err
		}
	}
	s := p.state(min(rows, chunk))
	defer p.pool.Put(s)
	out := newSink(p.typ, rows)
	for lo := 0; lo < rows; lo += chunk {
		n := min(chunk, rows-lo)
		for _, r := range p.columns {
			reg := &p.regs[r]
			if !s.vecs[r].load(columns[reg.column], reg.typ, lo, n) {
				return nil, reg.mismatch(columns[reg.column])
			}
		}
		s.run(n)
		err := out.append(&s.vecs[p.root], lo, n)
		s.forget(p, n)
		if err != nil {
			return nil, err
		}
	}
	return out.array(), nil
}

// accepts checks that the column is there and long enough.
func (r *register) accepts(columns []arrow.Array, rows int) error {
	if r.column >= len(columns) || columns[r.column] == nil {
		return fault.New(fault.Invalid, "column %q is missing", r.name)
	}
	col := columns[r.column]
	if col.Len() < rows {
		return fault.New(fault.Invalid, "column %q has %d rows, fewer than %d", r.name, col.Len(), rows)
	}
	if t, err := frame.TypeOf(col.DataType()); err != nil || t != r.typ {
		return r.mismatch(col)
	}
	return nil
}

func (r *register) mismatch(col arrow.Array) error {
	return fault.New(fault.Invalid, "column %q is of type %s, not %s", r.name, col.DataType(), r.typ)
}

// state is the memory of one running evaluation.
type state struct {
	vecs  []vec
	steps []step
	size  int // rows that the vecs hold
}

type step struct {
	run kernel
	out *vec
	in  []*vec
}

// state takes a state that can hold n rows from the pool, or makes one.
func (p *Program) state(n int) *state {
	if s, ok := p.pool.Get().(*state); ok && s.size >= n {
		return s
	}
	size := 1
	if n > 1 {
		size = chunk
	}
	s := &state{vecs: make([]vec, len(p.regs)), size: size}
	for i := range p.regs {
		s.vecs[i] = newVec(p.regs[i].typ, size)
		if v := p.regs[i].value; v != nil {
			s.vecs[i].set(*v, size)
		}
	}
	for i := range p.regs {
		reg := &p.regs[i]
		if reg.run == nil {
			continue
		}
		in := make([]*vec, len(reg.in))
		for k, r := range reg.in {
			in[k] = &s.vecs[r]
		}
		s.steps = append(s.steps, step{reg.run, &s.vecs[i], in})
	}
	return s
}

func (s *state) run(n int) {
	for i := range s.steps {
		st := &s.steps[i]
		st.run(n, st.out, st.in)
	}
}

// forget drops what points into the caller's memory, before the state goes
// back to the pool.
func (s *state) forget(p *Program, n int) {
	for i := range p.regs {
		switch reg := &p.regs[i]; {
		case reg.value != nil:
		case reg.typ == frame.String:
			clear(s.vecs[i].s[:n])
		case reg.column >= 0 && reg.typ == frame.Int:
			s.vecs[i].i = nil
		case reg.column >= 0 && reg.typ == frame.Double:
			s.vecs[i].f = nil
		}
	}
}

// EvalScalar evaluates the expression over named values. A missing name and a
// wrong type are Invalid faults as in Bind.
func (e *Expr) EvalScalar(env map[string]Value) (Value, error) {
	columns := make([]frame.Column, 0, len(env))
	for name, v := range env {
		columns = append(columns, frame.Column{Name: name, Type: v.Type})
	}
	slices.SortFunc(columns, func(a, b frame.Column) int { return strings.Compare(a.Name, b.Name) })
	p, err := e.Bind(columns)
	if err != nil {
		return Value{}, err
	}
	s := p.state(1)
	for _, r := range p.columns {
		s.vecs[r] = newVec(p.regs[r].typ, 1)
		s.vecs[r].set(env[p.regs[r].name], 1)
		if p.regs[r].typ == frame.Double {
			s.vecs[r].dropNaN(1)
		}
	}
	s.run(1)
	return s.vecs[p.root].value(0, p.typ), nil
}
