package stream

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// truths evaluates a condition: NULL does not hold.
func truths(p *expr.Program, batch frame.Batch) ([]bool, error) {
	column, err := p.Eval(batch)
	if err != nil {
		return nil, err
	}
	defer column.Release()
	bools, ok := column.(*array.Boolean)
	if !ok {
		return nil, fault.New(fault.Invalid, "a condition is a %s", p.Type())
	}
	holds := make([]bool, bools.Len())
	for i := range holds {
		holds[i] = bools.IsValid(i) && bools.Value(i)
	}
	return holds, nil
}

// filter returns the rows for which keep is true. The caller releases them.
func filter(batch frame.Batch, keep []bool) (frame.Batch, error) {
	if all(keep) {
		batch.Retain()
		return batch, nil
	}
	mask := maskOf(keep)
	defer mask.Release()
	out, err := compute.FilterRecordBatch(context.Background(), batch, mask, compute.DefaultFilterOptions())
	return out, fault.Wrap(err, fault.Internal, "rows cannot be left out")
}

func maskOf(keep []bool) *array.Boolean {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(keep, nil)
	return b.NewBooleanArray()
}

// filterFound does the same with what was found for rows.
func filterFound(found map[string][]arrow.Array, keep []bool) (map[string][]arrow.Array, error) {
	mask := maskOf(keep)
	defer mask.Release()
	out := make(map[string][]arrow.Array, len(found))
	for view, columns := range found {
		for _, c := range columns {
			part, err := compute.FilterArray(context.Background(), c, mask, *compute.DefaultFilterOptions())
			if err != nil {
				releaseFound(out)
				return nil, fault.Wrap(err, fault.Internal, "rows cannot be left out")
			}
			out[view] = append(out[view], part)
		}
	}
	return out, nil
}

// pick returns those of the rows that todo lists and good says.
func pick(r rows, todo []int, good []bool) (rows, error) {
	keep := make([]bool, len(r.entries))
	var entries []*entry
	for k, i := range todo {
		if keep[i] = good[k]; good[k] {
			entries = append(entries, r.entries[i])
		}
	}
	batch, err := filter(r.batch, keep)
	return rows{batch, entries}, err
}

func only(these []int, n int) []bool {
	keep := make([]bool, n)
	for _, i := range these {
		keep[i] = true
	}
	return keep
}

func all(keep []bool) bool {
	for _, yes := range keep {
		if !yes {
			return false
		}
	}
	return true
}

func none(schema *arrow.Schema) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	return b.NewRecordBatch()
}

func micros(at int64) time.Time { return time.UnixMicro(at).UTC() }
