package train

import (
	"context"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/spec"
)

// balanced is the value of TrainStep.Weights that gives each class the same
// total weight.
const balanced = "balanced"

// rowSet is some rows of the table, batch by batch, with their positions.
type rowSet struct {
	batches []frame.Batch
	rows    [][]int // of each batch, ascending
}

func (s *rowSet) release() {
	for _, b := range s.batches {
		b.Release()
	}
}

// pickRows copies the given rows out of the batches, with the named columns
// only.
func pickRows(ctx context.Context, in *Input, columns []string, rows []int) (*rowSet, error) {
	rows = slices.Sorted(slices.Values(rows))
	set := &rowSet{}
	from := 0
	for _, b := range in.Batches {
		n, _ := slices.BinarySearch(rows, from+int(b.NumRows()))
		here := rows[:n]
		rows = rows[n:]
		if len(here) > 0 {
			part, err := pickFromBatch(ctx, b, columns, here, from)
			if err != nil {
				set.release()
				return nil, err
			}
			set.batches, set.rows = append(set.batches, part), append(set.rows, here)
		}
		from += int(b.NumRows())
	}
	return set, nil
}

func pickFromBatch(ctx context.Context, b frame.Batch, columns []string, rows []int, from int) (frame.Batch, error) {
	narrow := project(b, columns)
	defer narrow.Release()
	if int64(len(rows)) == b.NumRows() {
		narrow.Retain()
		return narrow, nil
	}
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	keep := make([]bool, b.NumRows())
	for _, row := range rows {
		keep[row-from] = true
	}
	mask.AppendValues(keep, nil)
	filter := mask.NewArray()
	defer filter.Release()
	part, err := compute.FilterRecordBatch(ctx, narrow, filter, compute.DefaultFilterOptions())
	return part, fault.Wrap(err, fault.KindOf(err), "rows cannot be picked out of a batch")
}

// project returns the batch with the named columns that it has.
func project(b frame.Batch, columns []string) frame.Batch {
	var (
		fields []arrow.Field
		arrays []arrow.Array
	)
	for i, f := range b.Schema().Fields() {
		if slices.Contains(columns, f.Name) {
			fields, arrays = append(fields, f), append(arrays, b.Column(i))
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, b.NumRows())
}

// inputs returns the columns that the model may learn from, and says of the
// others that were asked for why not.
func inputs(in *Input, step *spec.TrainStep) (names []string, unused []evaluate.Unused, err error) {
	for _, name := range in.Inputs {
		if frame.Index(in.Schema, name) < 0 {
			return nil, nil, fault.New(fault.Invalid, "there is no input column %q", name).
				Hint("the columns are %s", columnNames(in.Schema))
		}
	}
	for _, f := range in.Schema.Fields() {
		if in.Inputs != nil && !slices.Contains(in.Inputs, f.Name) {
			continue
		}
		switch f.Name {
		case step.Label:
		case step.Weights:
			unused = append(unused, evaluate.Unused{Name: f.Name, Why: "it holds the weights of the rows"})
		case step.Split.By:
			unused = append(unused, evaluate.Unused{Name: f.Name, Why: "the rows are split by it, and no later row has a value seen in training"})
		default:
			names = append(names, f.Name)
		}
	}
	return names, unused, nil
}

// newDataset encodes the rows for training and, behind them, those for
// validation. The recipe is fitted on both, and never on the test rows.
func newDataset(ctx context.Context, in *Input, names []string, l *label, s *split, weight []float64) (*Dataset, []encode.Skipped, error) {
	order := slices.Concat(s.train, s.valid)
	set, err := pickRows(ctx, in, names, order)
	if err != nil {
		return nil, nil, err
	}
	defer set.release()
	encoder, skipped, err := encode.Fit(ctx, set.batches[0].Schema(), set.batches, encode.Options{})
	if err != nil {
		return nil, nil, err
	}
	d := &Dataset{Encoder: encoder, Columns: encoder.Matrix(len(order)), Task: l.task, Classes: l.classes,
		Valid: len(s.valid), Ordered: s.ordered, Label: make([]float64, len(order))}
	position := make([]int32, len(l.value)) // of each row of the table
	for i, row := range order {
		d.Label[i] = l.value[row]
		position[row] = int32(i)
	}
	if weight != nil {
		d.Weight = make([]float64, len(order))
		for i, row := range order {
			d.Weight[i] = weight[row]
		}
	}
	for i, b := range set.batches {
		part := encoder.Matrix(int(b.NumRows()))
		if err := encoder.Encode(b, part); err != nil {
			return nil, nil, err
		}
		for c := range part {
			for j, row := range set.rows[i] {
				d.Columns[c][position[row]] = part[c][j]
			}
		}
	}
	return d, skipped, nil
}

// weights returns the weight of every row of the table, or nil for equal
// ones. Balanced weights are counted on the training rows.
func weights(in *Input, step *spec.TrainStep, l *label, s *split) ([]float64, error) {
	switch step.Weights {
	case "":
		return nil, nil
	case balanced:
		if l.task == model.Regression {
			return nil, fault.New(fault.Invalid, "weights: balanced is for classes, and %q is a number", l.name)
		}
		return balance(l, s), nil
	}
	at := frame.Index(in.Schema, step.Weights)
	if at < 0 {
		return nil, fault.New(fault.Invalid, "there is no column %q of weights", step.Weights).
			Hint("weights is %q or a column", balanced)
	}
	values, err := numbers(in.Batches, at)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the weights %q", step.Weights)
	}
	for row, v := range values {
		if !(v >= 0) || math.IsInf(v, 0) {
			if math.IsNaN(l.value[row]) {
				continue // the row is dropped
			}
			return nil, fault.New(fault.Invalid, "the weight of row %d is %v", row, v).Hint("weights are numbers from 0 upwards")
		}
	}
	return values, nil
}

func balance(l *label, s *split) []float64 {
	counts := make([]float64, len(l.classes))
	for _, row := range s.train {
		counts[int(l.value[row])]++
	}
	values := make([]float64, len(l.value))
	for row, v := range l.value {
		if !math.IsNaN(v) {
			values[row] = float64(len(s.train)) / (float64(len(counts)) * max(counts[int(v)], 1))
		}
	}
	return values
}
