package expr

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Program is an expression bound to columns. It is immutable and safe for
// many goroutines.
type Program struct{ typ frame.Type }

// Bind checks the expression against columns. A name that is not among them
// and operands of wrong types are Invalid faults that say where and what was
// meant.
func (e *Expr) Bind(columns []frame.Column) (*Program, error) {
	return nil, fault.New(fault.Unsupported, "not written yet")
}

// Type returns the type of the values.
func (p *Program) Type() frame.Type { return p.typ }

// Eval computes one value for each row of a batch, whose columns are those
// that Bind was given, in the same order, and perhaps more after them. The
// caller releases the result. It fails only for a batch of another schema.
func (p *Program) Eval(batch frame.Batch) (arrow.Array, error) {
	return p.EvalColumns(batch.Columns(), int(batch.NumRows()))
}

// EvalColumns is Eval for columns without a batch around them; columns that
// the expression does not read may be nil.
func (p *Program) EvalColumns(columns []arrow.Array, rows int) (arrow.Array, error) {
	return nil, fault.New(fault.Unsupported, "not written yet")
}

// EvalScalar evaluates the expression over named values, a missing name being
// an Invalid fault as in Bind.
func (e *Expr) EvalScalar(env map[string]Value) (Value, error) {
	return Value{}, fault.New(fault.Unsupported, "not written yet")
}
