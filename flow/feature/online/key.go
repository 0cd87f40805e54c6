package online

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// newestKey is the key whose time is that of the newest event of a table. No
// entity has it: it would be a text whose length goes on.
const newestKey = "\xff"

// pick finds columns of a batch by name and checks their types.
func pick(batch frame.Batch, columns []frame.Column) ([]arrow.Array, error) {
	picked := make([]arrow.Array, len(columns))
	var mistakes fault.List
	for i, c := range columns {
		at := i
		if at >= int(batch.NumCols()) || batch.ColumnName(at) != c.Name {
			at = frame.Index(batch.Schema(), c.Name)
		}
		if at < 0 {
			mistakes.Add(fault.New(fault.Invalid, "column %q is missing", c.Name).Hint("it is a %s", c.Type))
			continue
		}
		picked[i] = batch.Column(at)
		if t, err := frame.TypeOf(picked[i].DataType()); err != nil || t != c.Type {
			mistakes.Add(fault.New(fault.Invalid, "column %q is of type %s, not %s", c.Name, picked[i].DataType(), c.Type))
		}
	}
	return picked, mistakes.Err()
}
