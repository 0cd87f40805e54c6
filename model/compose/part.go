package compose

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/batching"
)

// part is a model of a composition.
type part struct {
	Part
	model model.Model
	reads model.Signature
}

// newPart makes a part; small calls of those that gain from it go together
// here, too, where the decision path does not see them.
func newPart(p Part, m model.Model) *part {
	return &part{Part: p, model: batching.Wrap(m), reads: m.Signature()}
}

// answer is what rows came to: as many rows as were asked, NULL where errs has
// an error.
type answer struct {
	rows     frame.Batch
	errs     []error // nil, or one per row
	servedBy string
}

// predict asks the part for rows that have its inputs among their columns.
// Rows that lack what it requires are errors of their own and not asked.
func (p *part) predict(ctx context.Context, in frame.Batch) (answer, error) {
	rows, err := model.Select(in, p.reads.Inputs)
	if err != nil {
		return answer{}, fault.Wrap(err, fault.Internal, "%s", p.Reference)
	}
	defer rows.Release()
	lacking := p.lacking(rows)
	if lacking == nil {
		return p.ask(ctx, rows)
	}
	kept := without(lacking)
	some := pick(rows, kept)
	defer some.Release()
	a, err := p.ask(ctx, some)
	if err != nil {
		return a, err
	}
	return a.scattered(kept, lacking), nil
}

// ask asks the model itself, which may answer in part.
func (p *part) ask(ctx context.Context, rows frame.Batch) (answer, error) {
	out, err := p.model.Predict(ctx, rows)
	a := answer{rows: out}
	if partial, ok := errors.AsType[*model.Partial](err); ok && partial.Out != nil {
		a, err = answer{rows: partial.Out, errs: partial.Errs}, nil
	}
	if err != nil {
		return a, fault.Wrap(err, fault.KindOf(err), "%s", p.Reference)
	}
	if a.rows.NumRows() != rows.NumRows() || a.errs != nil && len(a.errs) != int(rows.NumRows()) {
		a.rows.Release()
		return a, fault.New(fault.Internal, "%s answered %d rows for %d", p.Reference, a.rows.NumRows(), rows.NumRows())
	}
	a.servedBy = model.ServedBy(a.rows)
	return a, nil
}

// lacking are the errors of rows that have no value where the part needs one;
// nil where all have.
func (p *part) lacking(rows frame.Batch) []error {
	var errs []error
	for i, f := range p.reads.Inputs {
		col := rows.Column(i)
		if !f.Required || col.NullN() == 0 {
			continue
		}
		if errs == nil {
			errs = make([]error, rows.NumRows())
		}
		for row := range errs {
			if col.IsNull(row) && errs[row] == nil {
				errs[row] = fault.New(fault.Invalid, "%s needs the column %q, which has no value", p.Reference, f.Name)
			}
		}
	}
	return errs
}

// scattered brings the answer for some rows back to all of them: answer row i
// is that of row kept[i]; the others have the errors given.
func (a answer) scattered(kept []int, errs []error) answer {
	at := make([]int, len(errs))
	for i := range at {
		at[i] = -1
	}
	all := slices.Clone(errs)
	for i, row := range kept {
		at[row] = i
		if a.errs != nil {
			all[row] = a.errs[i]
		}
	}
	defer a.rows.Release()
	return answer{rows: pick(a.rows, at), errs: all, servedBy: a.servedBy}
}

// without lists the rows that have no error.
func without(errs []error) []int {
	rows := make([]int, 0, len(errs))
	for row, err := range errs {
		if err == nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// joined names all models that stood in.
func joined(a, b string) string {
	switch {
	case b == "" || strings.Contains(a, b):
		return a
	case a == "":
		return b
	}
	return a + ", " + b
}

// pick returns a batch whose row i is row rows[i] of b, NULL where that is
// negative.
func pick(b frame.Batch, rows []int) frame.Batch {
	columns := make([]arrow.Array, b.NumCols())
	for i := range columns {
		columns[i] = gather([]arrow.Array{b.Column(i)}, nil, rows, b.Column(i).DataType())
		defer columns[i].Release()
	}
	return array.NewRecordBatch(b.Schema(), columns, int64(len(rows)))
}
