package online

import (
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Fill gives rows all columns of a table, in its order: those that the rows do
// not have are NULL. A column of the rows that the table lacks is an Invalid
// fault. The caller releases the result.
func Fill(rows frame.Batch, columns []frame.Column) (frame.Batch, error) {
	given, err := frame.ColumnsOf(rows.Schema())
	if err != nil {
		return nil, err
	}
	var mistakes fault.List
	for _, c := range given {
		if !slices.Contains(columns, c) {
			mistakes.Add(fault.New(fault.Invalid, "the table has no column %q of type %s", c.Name, c.Type))
		}
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	n := int(rows.NumRows())
	cells := make([]*frame.Cells, len(columns))
	for i, c := range columns {
		cells[i] = frame.NewCells(c.Type, n)
		from := frame.Index(rows.Schema(), c.Name)
		for row := range n {
			if from < 0 {
				cells[i].Null()
			} else {
				cells[i].From(rows.Column(from), row)
			}
		}
	}
	return frame.BatchOf(frame.SchemaOf(columns), cells, n), nil
}
