package decide

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// binding holds the columns that a path reads of a request.
type binding struct {
	fields []model.Field
	schema *arrow.Schema
}

func newBinding(fields []model.Field) binding {
	return binding{fields: fields, schema: frame.SchemaOf(columnsOf(fields))}
}

// bind returns a batch of exactly the path's columns. It is the rows
// themselves where they have this schema already; columns that may be absent
// are NULL where they are. A missing or wrongly typed column is an Invalid
// fault that names it; every such column is reported.
func (b binding) bind(rows frame.Batch) (frame.Batch, error) {
	if rows.Schema() == b.schema {
		rows.Retain()
		return rows, nil
	}
	var l fault.List
	n := int(rows.NumRows())
	columns := make([]arrow.Array, len(b.fields))
	defer func() { releaseAll(columns) }()
	for i, f := range b.fields {
		col, err := take(rows, i, f)
		if err != nil {
			l.Add(err)
			continue
		}
		if col == nil {
			col = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type.Arrow(), n)
		}
		columns[i] = col
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return array.NewRecordBatch(b.schema, columns, int64(n)), nil
}

// take finds a field's column, first where it stands in the path; nil for one
// that is absent and may be. A column of integers is taken for numbers where
// none of them loses a digit.
func take(rows frame.Batch, at int, f model.Field) (arrow.Array, error) {
	schema := rows.Schema()
	if at >= schema.NumFields() || schema.Field(at).Name != f.Name {
		found := schema.FieldIndices(f.Name)
		switch {
		case len(found) == 0 && f.Required:
			return nil, fault.New(fault.Invalid, "the column %q is missing", f.Name).
				Hint("the model needs it as %s in every row", f.Type)
		case len(found) == 0:
			return nil, nil
		case len(found) > 1:
			return nil, fault.New(fault.Invalid, "the column %q is there %d times", f.Name, len(found))
		}
		at = found[0]
	}
	col := rows.Column(at)
	got, err := frame.TypeOf(col.DataType())
	switch {
	case err == nil && got == f.Type:
		col.Retain()
		return col, nil
	case err == nil && got == frame.Int && f.Type == frame.Double:
		return widen(col.(*array.Int64), f.Name)
	case err != nil:
		return nil, fault.New(fault.Invalid, "the column %q has the type %s, not %s", f.Name, col.DataType(), f.Type)
	}
	return nil, fault.New(fault.Invalid, "the column %q has the type %s, not %s", f.Name, got, f.Type)
}

// exact is the largest integer up to which every integer is a float64.
const exact = 1 << 53

func widen(col *array.Int64, name string) (arrow.Array, error) {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(col.Len())
	for i, v := range col.Int64Values() {
		switch {
		case col.IsNull(i):
			b.AppendNull()
		case v > exact || v < -exact:
			return nil, fault.New(fault.Invalid, "row %d of column %q, %d, is too large for a double", i, name, v)
		default:
			b.Append(float64(v))
		}
	}
	return b.NewArray(), nil
}

// require fails the rows that have no value in a required column.
func (b binding) require(pass *Pass, rows frame.Batch) {
	for i := range b.fields {
		if b.fields[i].Required {
			requireColumn(pass, rows.Column(i), b.fields[i].Name)
		}
	}
}

func requireColumn(pass *Pass, col arrow.Array, name string) {
	if col.NullN() == 0 {
		return
	}
	for row := range col.Len() {
		if col.IsNull(row) {
			pass.Fail(row, fault.New(fault.Invalid, "the column %q is required and has no value", name).At("row %d", row))
		}
	}
}

// assembly makes the batch that a model reads from a request's columns and
// the computed features.
type assembly struct {
	schema   *arrow.Schema
	sources  []source
	same     bool     // the model's columns are the path's, in their order
	computed bool     // the model's columns are the features, in their order
	required []source // those of sources that must have a value
}

type source struct {
	feature  bool // a column of the features; otherwise of the inputs
	at       int
	double   bool   // it is an int that the model reads as a double
	required string // the column's name, if it must have a value
}

func newAssembly(fields []model.Field, inputs binding, features map[string]int, outputs []frame.Column) assembly {
	a := assembly{schema: inputs.schema, same: len(features) == 0 && len(fields) == len(inputs.fields),
		computed: len(features) > 0 && len(fields) == len(features)}
	for i, f := range fields {
		s := source{at: frame.Index(inputs.schema, f.Name)}
		if at, ok := features[f.Name]; ok {
			s = source{feature: true, at: at, double: f.Type == frame.Double && outputs[at].Type == frame.Int}
			if f.Required {
				s.required = f.Name
			}
		}
		a.sources = append(a.sources, s)
		a.same = a.same && !s.feature && s.at == i
		a.computed = a.computed && s.feature && s.at == i && !s.double
		if s.required != "" {
			a.required = append(a.required, s)
		}
	}
	if !a.same {
		a.schema = frame.SchemaOf(columnsOf(fields))
	}
	return a
}

// assemble sets pass.Model, and fails the rows where a required feature has
// no value.
func (a assembly) assemble(pass *Pass) {
	if a.same {
		pass.Inputs.Retain()
		pass.Model = pass.Inputs
		return
	}
	for _, s := range a.required {
		requireColumn(pass, pass.Features.Column(s.at), s.required)
	}
	if a.computed {
		pass.Features.Retain()
		pass.Model = pass.Features
		return
	}
	columns := make([]arrow.Array, len(a.sources))
	for i, s := range a.sources {
		if !s.feature {
			columns[i] = pass.Inputs.Column(s.at)
			continue
		}
		columns[i] = pass.Features.Column(s.at)
		if s.double {
			columns[i] = doubles(columns[i].(*array.Int64))
			defer columns[i].Release()
		}
	}
	pass.Model = array.NewRecordBatch(a.schema, columns, pass.Inputs.NumRows())
}

// doubles widens a column as the training did when it measured the model.
func doubles(col *array.Int64) arrow.Array {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(col.Len())
	for i, v := range col.Int64Values() {
		if col.IsNull(i) {
			b.AppendNull()
		} else {
			b.Append(float64(v))
		}
	}
	return b.NewArray()
}

// pick returns a column whose row i is row rows[i] of col, or NULL where that
// is negative.
func pick(col arrow.Array, rows []int) arrow.Array {
	switch c := col.(type) {
	case *array.String:
		return gather(array.NewStringBuilder(memory.DefaultAllocator), c, rows)
	case *array.Int64:
		return gather(array.NewInt64Builder(memory.DefaultAllocator), c, rows)
	case *array.Float64:
		return gather(array.NewFloat64Builder(memory.DefaultAllocator), c, rows)
	case *array.Boolean:
		return gather(array.NewBooleanBuilder(memory.DefaultAllocator), c, rows)
	case *array.Timestamp:
		return gather(array.NewTimestampBuilder(memory.DefaultAllocator, frame.TimestampType), c, rows)
	case *array.Date32:
		return gather(array.NewDate32Builder(memory.DefaultAllocator), c, rows)
	}
	return array.MakeArrayOfNull(memory.DefaultAllocator, col.DataType(), len(rows))
}

func gather[T any](b interface {
	array.Builder
	Append(T)
}, col interface {
	IsNull(int) bool
	Value(int) T
}, rows []int) arrow.Array {
	defer b.Release()
	b.Reserve(len(rows))
	for _, row := range rows {
		if row < 0 || col.IsNull(row) {
			b.AppendNull()
		} else {
			b.Append(col.Value(row))
		}
	}
	return b.NewArray()
}

// pickRows is pick of every column of a batch.
func pickRows(b frame.Batch, rows []int) frame.Batch {
	columns := make([]arrow.Array, b.NumCols())
	defer releaseAll(columns)
	for i := range columns {
		columns[i] = pick(b.Column(i), rows)
	}
	return array.NewRecordBatch(b.Schema(), columns, int64(len(rows)))
}

func releaseAll(columns []arrow.Array) {
	for _, c := range columns {
		if c != nil {
			c.Release()
		}
	}
}
