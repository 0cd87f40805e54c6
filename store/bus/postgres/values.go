package postgres

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/bus"
)

// typeOf is the type of the server that stands for one of ours.
func typeOf(t frame.Type) string {
	switch t {
	case frame.Int:
		return "bigint"
	case frame.Double:
		return "double precision"
	case frame.Bool:
		return "boolean"
	case frame.Timestamp:
		return "timestamptz"
	case frame.Date:
		return "date"
	}
	return "text"
}

// column gives some of the values of a column as an array of the server.
type column func(rows []int) any

// values are the columns of a batch, that of the IDs first.
type values []column

func (v values) pick(rows []int) []any {
	args := make([]any, len(v))
	for i, c := range v {
		args[i] = c(rows)
	}
	return args
}

// picker makes a column of how a row's value is read.
func picker[T any](null func(int) bool, value func(int) T) column {
	return func(rows []int) any {
		out := make([]*T, len(rows))
		for i, row := range rows {
			if !null(row) {
				v := value(row)
				out[i] = &v
			}
		}
		return out
	}
}

func never(int) bool { return false }

// valuesOf reads a batch. Text that the server has no way to keep is refused
// here, where the row is known.
func valuesOf(ids []string, columns []frame.Column, rows frame.Batch) (values, error) {
	for i, id := range ids {
		if !storable(id) {
			return nil, &bus.Refused{Index: i, Err: fault.New(fault.Invalid, "the ID of the event is not text that PostgreSQL keeps")}
		}
	}
	all := values{picker(never, func(i int) string { return ids[i] })}
	for i, c := range columns {
		switch a := rows.Column(i).(type) {
		case *array.String:
			for row := range a.Len() {
				if a.IsValid(row) && !storable(a.Value(row)) {
					return nil, &bus.Refused{Index: row, Err: fault.New(fault.Invalid, "column %q is not text that PostgreSQL keeps", c.Name)}
				}
			}
			all = append(all, picker(a.IsNull, a.Value))
		case *array.Int64:
			all = append(all, picker(a.IsNull, a.Value))
		case *array.Float64:
			all = append(all, picker(a.IsNull, a.Value))
		case *array.Boolean:
			all = append(all, picker(a.IsNull, a.Value))
		case *array.Timestamp:
			all = append(all, picker(a.IsNull, func(row int) time.Time { return time.UnixMicro(int64(a.Value(row))).UTC() }))
		case *array.Date32:
			all = append(all, picker(a.IsNull, func(row int) time.Time { return a.Value(row).ToTime() }))
		default:
			return nil, fault.New(fault.Unsupported, "column %q is of a type that is not written", c.Name)
		}
	}
	return all, nil
}

func storable(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }
