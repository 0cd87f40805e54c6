package model

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Select returns a batch of exactly the columns that fields name, in their
// order, for a runtime that hands rows on as a whole. A missing or wrongly
// typed column is an Invalid fault that names it; all of them are reported.
// The caller releases the result.
func Select(in frame.Batch, fields []Field) (frame.Batch, error) {
	var mistakes fault.List
	columns := make([]arrow.Array, len(fields))
	for i, f := range fields {
		at := frame.Index(in.Schema(), f.Name)
		if at < 0 {
			mistakes.Add(fault.New(fault.Invalid, "the column %q is missing", f.Name).
				Hint("the model needs it as %s", f.Type))
			continue
		}
		columns[i] = in.Column(at)
		if t, err := frame.TypeOf(columns[i].DataType()); err != nil || t != f.Type {
			mistakes.Add(fault.New(fault.Invalid, "the column %q has the type %s, not %s", f.Name, columns[i].DataType(), f.Type))
		}
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return array.NewRecordBatch(SchemaOf(fields), columns, in.NumRows()), nil
}

// SchemaOf is the Arrow schema of fields.
func SchemaOf(fields []Field) *arrow.Schema {
	columns := make([]frame.Column, len(fields))
	for i, f := range fields {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	return frame.SchemaOf(columns)
}
