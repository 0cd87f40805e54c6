package compose

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// sequence hands what each part answers to the next.
type sequence struct {
	parts []*part
	says  model.Signature
}

func newSequence(parts []*part) (plan, error) {
	inputs := newUnion()
	made := map[string]frame.Type{} // by the parts so far
	var mistakes fault.List
	for i, p := range parts {
		reads := false
		for _, f := range p.reads.Inputs {
			typ, before := made[f.Name]
			switch {
			case !before:
				inputs.add(f, p.String())
			case typ != f.Type:
				mistakes.Add(fault.New(fault.Invalid, "%s reads %q as %s, and a part before answers it as %s", p.Reference, f.Name, f.Type, typ))
			}
			reads = reads || before
		}
		if i > 0 && !reads {
			mistakes.Add(fault.New(fault.Invalid, "%s reads nothing of what the parts before it answer", p.Reference).
				Hint("it reads %s", columnNames(p.reads.Inputs)))
		}
		for _, f := range p.reads.Outputs {
			made[f.Name] = f.Type
		}
	}
	mistakes.Add(inputs.mistakes.Err())
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	last := parts[len(parts)-1].reads
	return &sequence{parts, model.Signature{Task: last.Task, Inputs: inputs.fields, Outputs: last.Outputs, Classes: last.Classes}}, nil
}

func (s *sequence) signature() model.Signature { return s.says }

func (s *sequence) predict(ctx context.Context, rows frame.Batch) (answer, error) {
	rows.Retain()
	known := rows
	defer func() { known.Release() }()
	var all []error    // of every row; nil while none failed
	var standing []int // the rows of known, where some failed
	servedBy := ""
	for i, p := range s.parts {
		a, err := p.predict(ctx, known)
		if err != nil {
			return a, err
		}
		servedBy = joined(servedBy, a.servedBy)
		if a.errs != nil {
			if all == nil {
				all, standing = make([]error, rows.NumRows()), upTo(int(rows.NumRows()))
			}
			kept := without(a.errs)
			for k, err := range a.errs {
				all[standing[k]] = err
			}
			standing = chosen(standing, kept)
			fewer, still := pick(a.rows, kept), pick(known, kept)
			a.rows.Release()
			known.Release()
			a.rows, known = fewer, still
		}
		if i == len(s.parts)-1 {
			a = answer{rows: a.rows, servedBy: servedBy}
			if all == nil {
				return a, nil
			}
			return a.scattered(standing, all), nil
		}
		next := joinColumns(known, a.rows)
		known.Release()
		a.rows.Release()
		known = next
	}
	return answer{}, fault.New(fault.Internal, "a sequence has no parts")
}

// upTo is 0, 1, …, n-1.
func upTo(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

func chosen(of, kept []int) []int {
	rows := make([]int, len(kept))
	for i, k := range kept {
		rows[i] = of[k]
	}
	return rows
}

// joinColumns adds columns to a batch; one of the same name takes the place of
// what was there.
func joinColumns(to, more frame.Batch) frame.Batch {
	fields, columns := slices.Clone(to.Schema().Fields()), slices.Clone(to.Columns())
	for i, f := range more.Schema().Fields() {
		at := slices.IndexFunc(fields, func(have arrow.Field) bool { return have.Name == f.Name })
		if at < 0 {
			fields, columns = append(fields, f), append(columns, more.Column(i))
			continue
		}
		fields[at], columns[at] = f, more.Column(i)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, to.NumRows())
}
