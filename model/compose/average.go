package compose

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// average weighs what its parts answer.
type average struct {
	parts   []*part
	weights []float64 // of the parts, summing to 1
	says    model.Signature
	label   int // column of the label, which follows from the averaged scores; -1: none
}

func newAverage(parts []*part) (plan, error) {
	a := &average{parts: parts, weights: make([]float64, len(parts)), label: -1}
	inputs := newUnion()
	total := 0.0
	for i, p := range parts {
		if err := alike(parts[0], p); err != nil {
			return nil, err
		}
		for _, f := range p.reads.Inputs {
			inputs.add(f, p.String())
		}
		a.weights[i] = p.Weight
		if p.Weight == 0 {
			a.weights[i] = 1
		}
		total += a.weights[i]
	}
	for i := range a.weights {
		a.weights[i] /= total
	}
	first := parts[0].reads
	mistakes := &inputs.mistakes
	for i, f := range first.Outputs {
		switch {
		case f.Type == frame.Double:
		case f.Name == model.LabelColumn && f.Type == frame.String && (first.Task == model.Binary || first.Task == model.Multiclass):
			a.label = i
		default:
			mistakes.Add(fault.New(fault.Invalid, "the output %q is a %s, which has no average", f.Name, f.Type))
		}
	}
	a.says = model.Signature{Task: first.Task, Inputs: inputs.fields, Outputs: first.Outputs, Classes: first.Classes}
	return a, mistakes.Err()
}

func (a *average) signature() model.Signature { return a.says }

func (a *average) predict(ctx context.Context, rows frame.Batch) (answer, error) {
	n := int(rows.NumRows())
	sums := make([][]float64, len(a.says.Outputs))
	for i := range sums {
		sums[i] = make([]float64, n)
	}
	missing := make([]bool, n)
	var errs []error
	servedBy := ""
	for k, p := range a.parts {
		got, err := p.predict(ctx, rows)
		if err != nil {
			return got, err
		}
		servedBy = joined(servedBy, got.servedBy)
		for row, err := range got.errs {
			if errs == nil {
				errs = make([]error, n)
			}
			if errs[row] == nil {
				errs[row] = err
			}
		}
		err = a.weigh(sums, missing, got.rows, a.weights[k])
		got.rows.Release()
		if err != nil {
			return answer{}, fault.Wrap(err, fault.KindOf(err), "%s", p.Reference)
		}
	}
	return answer{rows: a.batch(sums, missing, errs), errs: errs, servedBy: servedBy}, nil
}

// weigh adds a part's answer to the sums.
func (a *average) weigh(sums [][]float64, missing []bool, got frame.Batch, weight float64) error {
	ordered, err := model.Select(got, a.says.Outputs)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "it answered other columns than its signature says")
	}
	defer ordered.Release()
	for i, sum := range sums {
		if i == a.label {
			continue
		}
		col := ordered.Column(i).(*array.Float64) // Select checked it
		for row := range sum {
			if col.IsNull(row) {
				missing[row] = true
				continue
			}
			sum[row] += weight * col.Value(row)
		}
	}
	return nil
}

// batch makes the answer's columns.
func (a *average) batch(sums [][]float64, missing []bool, errs []error) frame.Batch {
	n := len(missing)
	chance := a.says.Task == model.Binary || a.says.Task == model.Multiclass
	columns := make([]arrow.Array, len(sums))
	for i, sum := range sums {
		if i == a.label {
			columns[i] = a.labels(sums, missing, errs)
			continue
		}
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		b.Reserve(n)
		for row, v := range sum {
			switch {
			case missing[row] || errs != nil && errs[row] != nil:
				b.AppendNull()
			case chance:
				b.Append(min(max(v, 0), 1)) // a sum of weights may round beyond 1
			default:
				b.Append(v)
			}
		}
		columns[i] = b.NewArray()
		b.Release()
	}
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	return array.NewRecordBatch(model.SchemaOf(a.says.Outputs), columns, int64(n))
}

// labels are the classes of the averaged scores, by the rule of the built-in
// models: of two the second from 0.5, of more the first with the highest.
func (a *average) labels(sums [][]float64, missing []bool, errs []error) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for row := range missing {
		if missing[row] || errs != nil && errs[row] != nil {
			b.AppendNull()
			continue
		}
		b.Append(a.says.Classes[a.class(sums, row)])
	}
	return b.NewArray()
}

func (a *average) class(sums [][]float64, row int) int {
	best, at, class := -1.0, 0, 0
	for i := range sums {
		if i == a.label {
			continue
		}
		if a.says.Task == model.Binary {
			if sums[i][row] >= 0.5 {
				return 1
			}
			return 0
		}
		if sums[i][row] > best {
			best, at = sums[i][row], class
		}
		class++
	}
	return min(at, len(a.says.Classes)-1)
}
