// Package feature is the stage that turns raw rows into features: the columns
// that a model reads.
//
// A view (spec.FeatureView) says what its features are, once. Compile makes a
// Set of views, and Set.Compute gives the features of a batch of rows: of a
// table for training, of a file for a batch, of one request in real time. It
// is the same code in all of them, and the same row has the same features, bit
// for bit, in a batch of any size.
//
// There are four sorts of views. One over the rows themselves takes columns
// as they are and computes expressions (base/expr). One with SQL is computed
// over the lake beforehand and looked up by the entity's columns in each row.
// One over another source than the rows', or over windows of events, is looked
// up in the same way. One without a source is computed on demand, from the rows
// and from the features before it.
//
// Where a looked-up value depends on time, a Lookup is told the time of each
// row: RowTime says which column has it, and rows without one are as of the
// time of the request (Asked). Package past finds such values for rows of the
// past, package online for those of the present, package window is the engine
// of both; package tables joins them to the lake. A view without a timestamp is
// looked up as of the snapshot that it was materialised from, also for rows
// that are older: one whose SQL sums up the label lets the future into
// training. Compile refuses views that read the label by name.
package feature

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Set is some views compiled. It is immutable and safe for many goroutines.
type Set struct {
	inputs  []frame.Column
	outputs []output
	lookups []lookup
	slots   int // inputs, then the columns of each lookup, then what is computed
	time    int // of the inputs: when a row was; -1: rows do not say, or nobody asks
	schema  *arrow.Schema
	lineage []string
	plain   bool // the outputs are the inputs, in their order
}

// output is one feature: a slot taken as it is, or filled by a program over
// slots before it.
type output struct {
	column  frame.Column
	view    string
	slot    int
	program *expr.Program // nil: the slot is an input or looked up
}

// lookup is one table that rows are joined with.
type lookup struct {
	view  string
	keys  []int // slots
	table Table
	slot  int // of its first column
}

// Inputs lists the raw columns that Compute reads, in the order in which it
// finds them fastest.
func (s *Set) Inputs() []frame.Column { return s.inputs }

// Outputs lists the features, in the order of the views and within them.
func (s *Set) Outputs() []frame.Column {
	columns := make([]frame.Column, len(s.outputs))
	for i, o := range s.outputs {
		columns[i] = o.column
	}
	return columns
}

// Schema is the Arrow schema of Outputs.
func (s *Set) Schema() *arrow.Schema { return s.schema }

// Lineage names the views with the hashes of their definitions, name@hash.
func (s *Set) Lineage() []string { return s.lineage }

// Compute gives the features of each row of a batch, which has the columns of
// Inputs, in any order and among others. The caller releases the result; the
// input stays the caller's. A missing or wrongly typed column is an Invalid
// fault that names it. A row whose entity is not known has NULLs.
func (s *Set) Compute(ctx context.Context, batch frame.Batch) (frame.Batch, error) {
	return s.ComputeAs(ctx, batch, Asked{})
}

// ComputeAs is Compute for a caller who knows when the rows were asked, or has
// looked some of the values up already.
func (s *Set) ComputeAs(ctx context.Context, batch frame.Batch, a Asked) (frame.Batch, error) {
	if s.plain && s.isOutput(batch) {
		batch.Retain()
		return batch, nil
	}
	slots := make([]arrow.Array, s.slots)
	if err := s.read(batch, slots); err != nil {
		return nil, err
	}
	rows := int(batch.NumRows())
	owned := make([]arrow.Array, 0, s.slots-len(s.inputs)+len(s.outputs))
	defer func() {
		for _, a := range owned {
			a.Release()
		}
	}()
	var err error
	if owned, err = s.lookUp(ctx, slots, a, rows, owned); err != nil {
		return nil, err
	}
	columns := make([]arrow.Array, len(s.outputs))
	for i := range s.outputs {
		o := &s.outputs[i]
		if o.program == nil {
			columns[i] = slots[o.slot]
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		values, err := o.program.EvalColumns(slots, rows)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "feature %q of view %q", o.column.Name, o.view)
		}
		owned = append(owned, values)
		slots[o.slot], columns[i] = values, values
	}
	return array.NewRecordBatch(s.schema, columns, int64(rows)), nil
}

// lookUp fills the slots of what is looked up, and adds to owned what has to
// be released.
func (s *Set) lookUp(ctx context.Context, slots []arrow.Array, a Asked, rows int, owned []arrow.Array) ([]arrow.Array, error) {
	var at []int64
	for i := range s.lookups {
		l := &s.lookups[i]
		values, found := a.Found[l.view]
		if found {
			if err := l.check(values, rows); err != nil {
				return owned, err
			}
			copy(slots[l.slot:], values)
			continue
		}
		var err error
		if l.table.Dated && at == nil {
			if at, err = s.times(slots, a, rows); err != nil {
				return owned, err
			}
		}
		if values, err = l.values(ctx, slots, at, rows); err != nil {
			return owned, err
		}
		owned = append(owned, values...)
		copy(slots[l.slot:], values)
	}
	return owned, nil
}

// isPlain tells whether every feature is the input that stands in its place.
func (s *Set) isPlain() bool {
	for i, o := range s.outputs {
		if o.program != nil || o.slot != i || i >= len(s.inputs) || o.column != s.inputs[i] {
			return false
		}
	}
	return len(s.lookups) == 0 && len(s.outputs) == len(s.inputs)
}

// isOutput tells whether a batch has the columns of Outputs and no others.
func (s *Set) isOutput(batch frame.Batch) bool {
	if int(batch.NumCols()) != len(s.outputs) {
		return false
	}
	for i := range s.outputs {
		c := &s.outputs[i].column
		if batch.ColumnName(i) != c.Name {
			return false
		}
		if t, err := frame.TypeOf(batch.Column(i).DataType()); err != nil || t != c.Type {
			return false
		}
	}
	return true
}

// read finds the inputs among the columns of a batch: at their own positions,
// which is where a caller that was compiled against Inputs has them, and else
// by name.
func (s *Set) read(batch frame.Batch, slots []arrow.Array) error {
	var mistakes fault.List
	for i, in := range s.inputs {
		at := i
		if at >= int(batch.NumCols()) || batch.ColumnName(at) != in.Name {
			at = frame.Index(batch.Schema(), in.Name)
		}
		if at < 0 {
			mistakes.Add(fault.New(fault.Invalid, "column %q is missing", in.Name).
				Hint("the features read it as a %s", in.Type))
			continue
		}
		slots[i] = batch.Column(at)
		if t, err := frame.TypeOf(slots[i].DataType()); err != nil || t != in.Type {
			mistakes.Add(fault.New(fault.Invalid, "column %q is of type %s, not %s", in.Name, slots[i].DataType(), in.Type))
		}
	}
	return mistakes.Err()
}

func (l *lookup) values(ctx context.Context, slots []arrow.Array, at []int64, rows int) ([]arrow.Array, error) {
	if !l.table.Dated {
		at = nil
	}
	keys := make([]arrow.Array, len(l.keys))
	for i, k := range l.keys {
		keys[i] = slots[k]
	}
	values, err := l.table.Lookup.Values(ctx, keys, at, rows)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "feature view %q", l.view)
	}
	if err := l.check(values, rows); err != nil {
		for _, a := range values {
			a.Release()
		}
		return nil, err
	}
	return values, nil
}

// check holds a lookup to its contract, because it may be a server.
func (l *lookup) check(values []arrow.Array, rows int) error {
	if len(values) != len(l.table.Columns) {
		return fault.New(fault.Internal, "the lookup of feature view %q gave %d columns, not %d", l.view, len(values), len(l.table.Columns))
	}
	for i, c := range l.table.Columns {
		if values[i].Len() != rows {
			return fault.New(fault.Internal, "the lookup of feature view %q gave %d rows, not %d", l.view, values[i].Len(), rows)
		}
		if t, err := frame.TypeOf(values[i].DataType()); err != nil || t != c.Type {
			return fault.New(fault.Internal, "the lookup of feature view %q gave column %q as %s, not %s", l.view, c.Name, values[i].DataType(), c.Type)
		}
	}
	return nil
}
