package compose

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// choice scores each row by the first case whose condition holds.
type choice struct {
	parts []*part
	when  []*expr.Program // of all parts but the last
	says  model.Signature
}

func newSwitch(parts []*part, more []model.Field) (plan, error) {
	c := &choice{parts: parts}
	inputs := newUnion()
	for _, f := range more {
		inputs.add(f, "the Model resource")
	}
	for _, p := range parts {
		if err := alike(parts[0], p); err != nil {
			return nil, err
		}
		for _, f := range p.reads.Inputs {
			f.Required = false // only of the rows that come to this case: see part.lacking
			inputs.add(f, p.String())
		}
	}
	mistakes := &inputs.mistakes
	columns := make([]frame.Column, len(inputs.fields))
	for i, f := range inputs.fields {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	for i, p := range parts[:len(parts)-1] {
		program, err := condition(p.When, columns)
		if err != nil {
			mistakes.Add(fault.Wrap(err, fault.Invalid, "case %d of the switch", i+1))
			continue
		}
		c.when = append(c.when, program)
	}
	first := parts[0].reads
	c.says = model.Signature{Task: first.Task, Inputs: inputs.fields, Outputs: first.Outputs, Classes: first.Classes}
	return c, mistakes.Err()
}

func condition(text string, columns []frame.Column) (*expr.Program, error) {
	e, err := expr.Parse(text)
	if err != nil {
		return nil, err
	}
	program, err := e.Bind(columns)
	if err != nil {
		return nil, err
	}
	if program.Type() != frame.Bool {
		return nil, fault.New(fault.Invalid, "%s is a %s, not true or false", text, program.Type()).Hint("compare it with something")
	}
	return program, nil
}

func (c *choice) signature() model.Signature { return c.says }

func (c *choice) predict(ctx context.Context, rows frame.Batch) (answer, error) {
	n := int(rows.NumRows())
	from, at, groups, err := c.partition(rows)
	if err != nil {
		return answer{}, err
	}
	answers := make([]frame.Batch, len(c.parts))
	defer func() {
		for _, b := range answers {
			if b != nil {
				b.Release()
			}
		}
	}()
	whole := answer{}
	var errs []error
	fail := func(row int, err error) {
		if errs == nil {
			errs = make([]error, n)
		}
		errs[row] = err
	}
	for k, group := range groups {
		if len(group) == 0 {
			continue
		}
		a, err := c.branch(ctx, k, rows, group)
		switch {
		case err != nil && (len(group) == n || !fault.KindOf(err).Retryable()):
			return a, err // all rows, or a row whom the caller finds by asking for fewer
		case err != nil:
			for _, row := range group {
				fail(row, err)
			}
			continue
		}
		whole.servedBy = joined(whole.servedBy, a.servedBy)
		answers[k] = a.rows
		for i, err := range a.errs {
			if err != nil {
				fail(group[i], err)
			}
		}
	}
	whole.rows, whole.errs = c.assemble(answers, from, at), errs
	return whole, nil
}

// partition finds the case of each row (from), its place among the rows of
// that case (at), and the rows of each case.
func (c *choice) partition(rows frame.Batch) (from, at []int, groups [][]int, err error) {
	n := int(rows.NumRows())
	from, at = make([]int, n), make([]int, n)
	for row := range from {
		from[row] = len(c.parts) - 1
	}
	open := make([]bool, n)
	for row := range open {
		open[row] = true
	}
	for k, program := range c.when {
		col, err := program.Eval(rows)
		if err != nil {
			return nil, nil, nil, fault.Wrap(err, fault.Internal, "case %d of the switch", k+1)
		}
		holds := col.(*array.Boolean)
		for row := range open {
			if open[row] && holds.IsValid(row) && holds.Value(row) {
				from[row], open[row] = k, false
			}
		}
		col.Release()
	}
	groups = make([][]int, len(c.parts))
	for row, k := range from {
		at[row] = len(groups[k])
		groups[k] = append(groups[k], row)
	}
	return from, at, groups, nil
}

// branch asks one case for its rows.
func (c *choice) branch(ctx context.Context, k int, rows frame.Batch, group []int) (answer, error) {
	if len(group) == int(rows.NumRows()) {
		return c.ordered(c.parts[k].predict(ctx, rows))
	}
	some := pick(rows, group)
	defer some.Release()
	return c.ordered(c.parts[k].predict(ctx, some))
}

// ordered gives an answer the columns of the signature in their order.
func (c *choice) ordered(a answer, err error) (answer, error) {
	if err != nil {
		return a, err
	}
	defer a.rows.Release()
	a.rows, err = model.Select(a.rows, c.says.Outputs)
	return a, fault.Wrap(err, fault.Internal, "a case of the switch answered other columns than its signature says")
}

// assemble puts the rows of all cases back into their order.
func (c *choice) assemble(answers []frame.Batch, from, at []int) frame.Batch {
	columns := make([]arrow.Array, len(c.says.Outputs))
	for i, f := range c.says.Outputs {
		pieces := make([]arrow.Array, len(answers))
		for k, b := range answers {
			if b != nil {
				pieces[k] = b.Column(i)
			}
		}
		columns[i] = gather(pieces, from, at, f.Type.Arrow())
		defer columns[i].Release()
	}
	return array.NewRecordBatch(model.SchemaOf(c.says.Outputs), columns, int64(len(from)))
}
