package graph

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// input is one input of the graph: a tensor of as many rows as there are, and
// so many columns.
type input struct {
	name  string
	typ   proto.Type
	tail  []int // the dimensions behind the rows; none for a vector
	first int   // of its columns among all
	width int
}

// shape is what the inputs say of rows.
type shape struct {
	single bool // the graph takes one row at a time
}

// maxColumns bounds the columns of a graph, so that their names are.
const maxColumns = 1 << 16

// bindInputs reads the inputs of a graph and returns their columns.
func (m *Model) bindInputs(p *proto.Model, columns Columns, given *model.Signature) ([]model.Field, error) {
	total := 0
	for i := range p.Graph.Inputs {
		in, err := m.readInput(p, &p.Graph.Inputs[i], len(columns.Columns))
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "input %q", p.Graph.Inputs[i].Name)
		}
		in.first = total
		if total += in.width; total > maxColumns {
			return nil, fault.New(fault.TooLarge, "the graph reads more than %d columns", maxColumns)
		}
		m.inputs = append(m.inputs, in)
	}
	if total == 0 {
		return nil, fault.New(fault.Invalid, "the graph reads nothing")
	}
	names := columns.Columns
	if len(names) != 0 && len(names) != total {
		return nil, fault.New(fault.Invalid, "the graph reads %d columns, and %d names are given", total, len(names)).
			Hint("name every column that the graph reads, in its order, in %s", ColumnsFile)
	}
	fields := make([]model.Field, 0, total)
	for _, in := range m.inputs {
		for c := range in.width {
			f := in.field(c)
			if len(names) > 0 {
				f.Name = names[len(fields)]
			}
			fields = append(fields, f)
		}
	}
	if given != nil && sameColumns(fields, given.Inputs) {
		fields = given.Inputs
	}
	return fields, unique(fields)
}

// field is column c of an input.
func (in *input) field(c int) model.Field {
	f := model.Field{Name: in.name, Type: columnType(in.typ)}
	if in.width > 1 {
		f.Name += "_" + strconv.Itoa(c)
	}
	f.Required = f.Type == frame.Int || f.Type == frame.Bool
	return f
}

func unique(fields []model.Field) error {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if f.Name == "" || seen[f.Name] {
			return fault.New(fault.Invalid, "the column %q stands there twice, or has no name", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

// sameColumns tells whether a file of Leat's own names the columns that the
// graph has; their types are then what they were in training, which for a
// tensor of floats is anything that has numbers.
func sameColumns(fields, own []model.Field) bool {
	return slices.EqualFunc(fields, own, func(a, b model.Field) bool {
		return a.Name == b.Name && (a.Type == b.Type || a.Type == frame.Double && b.Type != frame.String)
	})
}

// exported returns the signature that a file of Leat's own carries, nil for
// others, and for a text that says columns of no known type: anybody can write
// one.
func exported(p *proto.Model) *model.Signature {
	text := p.Meta("leat.signature")
	if text == "" {
		return nil
	}
	var s model.Signature
	if json.Unmarshal([]byte(text), &s) != nil {
		return nil
	}
	for _, f := range slices.Concat(s.Inputs, s.Outputs) {
		if !slices.Contains(frame.Types(), f.Type) {
			return nil
		}
	}
	return &s
}

func columnType(t proto.Type) frame.Type {
	switch t {
	case proto.Float, proto.Double:
		return frame.Double
	case proto.Int64, proto.Int32, proto.Int16, proto.Int8, proto.Uint8, proto.Uint16, proto.Uint32:
		return frame.Int
	case proto.String:
		return frame.String
	case proto.Bool:
		return frame.Bool
	}
	return ""
}

// readInput takes the shape of an input apart. named is how many columns the
// caller has names for.
func (m *Model) readInput(p *proto.Model, v *proto.Value, named int) (input, error) {
	in := input{name: v.Name, typ: v.Type, width: 1}
	if v.Kind != proto.OfTensor || columnType(v.Type) == "" {
		return in, fault.New(fault.Unsupported, "the input is no tensor of numbers or text")
	}
	dims := slices.Clone(v.Dims)
	if !v.Shaped {
		dims = []int64{proto.Unknown, proto.Unknown}
	}
	if len(dims) == 0 {
		return in, fault.New(fault.Unsupported, "the input is a single value, not one for each row")
	}
	switch rows := dims[0]; {
	case rows <= 0:
	case rows == 1:
		m.shape.single = true
	default:
		return in, fault.New(fault.Unsupported, "the graph takes exactly %d rows at a time", rows).
			Hint("export it with a first dimension that is not fixed")
	}
	for i, d := range dims[1:] {
		if d <= 0 {
			if i > 0 || len(dims) != 2 {
				return in, fault.New(fault.Unsupported, "the shape %d leaves open how many columns there are", v.Dims)
			}
			if d = width(p, v.Name, named); d <= 0 {
				return in, fault.New(fault.Invalid, "the file does not say how many columns the input has").
					Hint("name them in %s, or convert the model with the shape [None, number of columns]", ColumnsFile)
			}
		}
		if d > maxColumns || int64(in.width)*d > maxColumns {
			return in, fault.New(fault.TooLarge, "the input has more than %d columns", maxColumns)
		}
		in.width *= int(d)
		in.tail = append(in.tail, int(d))
	}
	return in, nil
}

// width finds how many columns an input has that does not tell: so many as
// have names if it is alone, or as its readers need.
func width(p *proto.Model, name string, named int) int64 {
	if len(p.Graph.Inputs) == 1 && named > 0 {
		return int64(named)
	}
	if len(p.Graph.Inputs) > 1 {
		return 1
	}
	known, constants := int64(0), initializers(&p.Graph)
	for i := range p.Graph.Nodes {
		if n := &p.Graph.Nodes[i]; slices.Contains(n.Inputs, name) {
			known = max(known, int64(ops.Columns(n, constants)))
		}
	}
	return known
}

// binding is where the columns stand in batches of one schema.
type binding struct {
	schema *arrow.Schema
	at     []int
}

// bind finds the columns of a batch.
func (m *Model) bind(schema *arrow.Schema) ([]int, error) {
	if b := m.bound.Load(); b != nil && b.schema == schema {
		return b.at, nil
	}
	var mistakes fault.List
	at := make([]int, len(m.signature.Inputs))
	for i, f := range m.signature.Inputs {
		var err error
		at[i], err = find(schema, f)
		mistakes.Add(err)
	}
	if err := mistakes.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the rows do not fit the model")
	}
	m.bound.Store(&binding{schema, at})
	return at, nil
}

func find(schema *arrow.Schema, f model.Field) (int, error) {
	found := schema.FieldIndices(f.Name)
	switch {
	case len(found) == 0:
		return 0, fault.New(fault.Invalid, "column %q is missing", f.Name).Hint("the model needs it as %s", f.Type)
	case len(found) > 1:
		return 0, fault.New(fault.Invalid, "column %q stands there %d times", f.Name, len(found))
	}
	t, err := frame.TypeOf(schema.Field(found[0]).Type)
	if err != nil || t != f.Type && !(f.Type == frame.Double && t.Numeric()) {
		return 0, fault.New(fault.Invalid, "column %q is %s, not %s", f.Name, schema.Field(found[0]).Type, f.Type)
	}
	return found[0], nil
}

// buffer is the memory that one goroutine gives rows with.
type buffer struct {
	tensors []*ops.Tensor
	numbers []float64
}

// fill makes the inputs of the graph from all rows of a batch.
func (m *Model) fill(b *buffer, in frame.Batch, at []int) error {
	rows := int(in.NumRows())
	if cap(b.numbers) < rows {
		b.numbers = make([]float64, rows)
	}
	for i := range m.inputs {
		from := &m.inputs[i]
		t := b.tensors[i]
		t.Reshape(from.typ, append([]int{rows}, from.tail...)...)
		for c := range from.width {
			column := in.Column(at[from.first+c])
			if err := from.put(t, c, column, b.numbers[:rows]); err != nil {
				return fault.Wrap(err, fault.Invalid, "column %q", m.signature.Inputs[from.first+c].Name)
			}
		}
	}
	return nil
}

// put writes a column of rows into a tensor.
func (in *input) put(t *ops.Tensor, c int, column arrow.Array, numbers []float64) error {
	switch a := column.(type) {
	case *array.String:
		for row := range a.Len() {
			t.S[row*in.width+c] = ""
			if a.IsValid(row) {
				t.S[row*in.width+c] = a.Value(row)
			}
		}
		return nil
	case *array.Int64:
		if t.I != nil {
			return in.putInts(t, c, a)
		}
	case *array.Boolean:
		if t.B != nil {
			for row := range a.Len() {
				if a.IsNull(row) {
					return missing(row)
				}
				t.B[row*in.width+c] = a.Value(row)
			}
			return nil
		}
	}
	if err := frame.Floats(column, numbers); err != nil {
		return err
	}
	if in.typ == proto.Double {
		for row, v := range numbers {
			t.D[row*in.width+c] = v
		}
		return nil
	}
	for row, v := range numbers {
		t.F[row*in.width+c] = float32(v)
	}
	return nil
}

func (in *input) putInts(t *ops.Tensor, c int, a *array.Int64) error {
	low, high := bounds(in.typ)
	for row, v := range a.Int64Values() {
		if a.IsNull(row) {
			return missing(row)
		}
		if v < low || v > high {
			return fault.New(fault.Invalid, "%d in row %d is no %s", v, row, in.typ)
		}
		t.I[row*in.width+c] = v
	}
	return nil
}

func missing(row int) error {
	return fault.New(fault.Invalid, "row %d has no value, and an integer or a truth of a graph cannot be missing", row)
}

// bounds returns the least and the greatest number of a type of integers.
func bounds(t proto.Type) (low, high int64) {
	switch t {
	case proto.Int32:
		return math.MinInt32, math.MaxInt32
	case proto.Int16:
		return math.MinInt16, math.MaxInt16
	case proto.Int8:
		return math.MinInt8, math.MaxInt8
	case proto.Uint8:
		return 0, math.MaxUint8
	case proto.Uint16:
		return 0, math.MaxUint16
	case proto.Uint32:
		return 0, math.MaxUint32
	}
	return math.MinInt64, math.MaxInt64
}
