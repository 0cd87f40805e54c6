package graph

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// output is one output of the graph: so many columns of one type.
type output struct {
	name    string // of the graph
	columns []frame.Column
	typ     frame.Type
	keys    []string // of maps: the classes that the columns are of
	chances bool     // as far as was seen, rows are probabilities that sum to 1
}

// Columns of a batch are named by outputs; converters of old call them
// output_label and output_probability.
func columnName(output string) string {
	if name := strings.TrimPrefix(output, "output_"); name != "" {
		return name
	}
	return output
}

// describeOutput learns the columns of an output from a tensor of it.
func describeOutput(name string, t *ops.Tensor, rows int) (output, error) {
	o := output{name: name, typ: columnType(t.Type)}
	if o.typ == "" {
		return o, fault.New(fault.Unsupported, "the output %q is of %s", name, t.Type)
	}
	width := t.Width()
	switch {
	case t.Rows() == rows, rows == 1 && len(t.Dims) == 0:
	case len(t.Dims) == 2 && t.Dims[0] == 1 && t.Dims[1] == rows:
		width = 1 // a column that lies on its side, as some converters leave labels
	default:
		return o, fault.New(fault.Unsupported, "the output %q has the shape %d for %d rows: it is not one value, or a row of them, for each", name, t.Dims, rows)
	}
	if width > maxColumns {
		return o, fault.New(fault.TooLarge, "the output %q has %d columns, more than %d", name, width, maxColumns)
	}
	if t.Maps != nil {
		o.keys = labels(t.Maps)
	}
	o.nameColumns(width)
	o.chances = o.typ == frame.Double && width > 1 && chances(t, rows, width)
	return o, nil
}

// nameColumns names the columns: one by the output alone, several by its number or
// key behind it.
func (o *output) nameColumns(width int) {
	base := columnName(o.name)
	for i := range width {
		name := base
		switch {
		case o.keys != nil && isNumber(o.keys[i]):
			name += o.keys[i]
		case o.keys != nil:
			name += "_" + o.keys[i]
		case width > 1:
			name += strconv.Itoa(i)
		}
		o.columns = append(o.columns, frame.Column{Name: name, Type: o.typ})
	}
}

func isNumber(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

// chances tells whether all rows are numbers from 0 to 1 that sum to 1.
func chances(t *ops.Tensor, rows, width int) bool {
	for row := range rows {
		sum := 0.0
		for c := range width {
			v := number(t, row*width+c)
			if !(v >= -1e-4 && v <= 1+1e-4) {
				return false
			}
			sum += v
		}
		if math.Abs(sum-1) > 1e-2 {
			return false
		}
	}
	return true
}

func number(t *ops.Tensor, at int) float64 {
	if t.D != nil {
		return t.D[at]
	}
	return float64(t.F[at])
}

// labels returns the texts of class labels.
func labels(t *ops.Tensor) []string {
	if t.Type == proto.String {
		return slices.Clone(t.S)
	}
	var words []string
	for _, v := range t.I {
		words = append(words, decimal(v))
	}
	return words
}

func decimal(v int64) string { return strconv.FormatInt(v, 10) }

// probe gives the graph a few rows to see the shapes of its outputs. A graph
// that refuses them (categories that it does not know) is taken by its word.
func (m *Model) probe(ctx context.Context, g *proto.Graph) ([]output, error) {
	rows := 3
	if m.shape.single {
		rows = 1
	}
	tensors := make([]*ops.Tensor, len(m.inputs))
	for i := range m.inputs {
		tensors[i] = m.inputs[i].sample(rows)
	}
	var found []output
	err := m.engine.Run(ctx, tensors, func(outputs []*ops.Tensor) error {
		for i, t := range outputs {
			o, err := describeOutput(g.Outputs[i].Name, t, rows)
			if err != nil {
				return err
			}
			found = append(found, o)
		}
		return nil
	})
	if err == nil {
		return found, distinct(found)
	}
	if !fault.Is(err, fault.Invalid) {
		return nil, err
	}
	if found, ok := declared(g); ok {
		return found, distinct(found)
	}
	return nil, err
}

// sample makes rows that most graphs take.
func (in *input) sample(rows int) *ops.Tensor {
	t := &ops.Tensor{}
	t.Reshape(in.typ, append([]int{rows}, in.tail...)...)
	for i := range t.F {
		t.F[i] = float32(i/in.width) * 0.75
	}
	for i := range t.D {
		t.D[i] = float64(i/in.width) * 0.75
	}
	clear(t.I)
	clear(t.S)
	clear(t.B)
	return t
}

// declared reads the outputs' shapes from the file.
func declared(g *proto.Graph) ([]output, bool) {
	var found []output
	for _, v := range g.Outputs {
		if v.Kind != proto.OfTensor || columnType(v.Type) == "" || len(v.Dims) == 0 || len(v.Dims) > 2 {
			return nil, false
		}
		width := int64(1)
		if len(v.Dims) == 2 {
			width = v.Dims[1]
		}
		if width <= 0 || width > maxColumns {
			return nil, false
		}
		o := output{name: v.Name, typ: columnType(v.Type)}
		o.chances = width > 1 && strings.Contains(strings.ToLower(v.Name), "prob")
		o.nameColumns(int(width))
		found = append(found, o)
	}
	return found, true
}

// distinct makes the names of all columns differ.
func distinct(outputs []output) error {
	seen := map[string]bool{}
	for i := range outputs {
		for k := range outputs[i].columns {
			c := &outputs[i].columns[k]
			for seen[c.Name] {
				c.Name += "_"
			}
			seen[c.Name] = true
		}
	}
	if len(seen) == 0 {
		return fault.New(fault.Unsupported, "the outputs of the graph have no columns")
	}
	return nil
}

// results collects the columns of outputs, part by part.
type results struct {
	columns []result
}

type result struct {
	doubles []float64
	ints    []int64
	texts   []string
	bools   []bool
}

func (m *Model) results(rows int) *results {
	r := &results{}
	for i := range m.outputs {
		for range m.outputs[i].columns {
			var c result
			switch m.outputs[i].typ {
			case frame.Double:
				c.doubles = make([]float64, rows)
			case frame.Int:
				c.ints = make([]int64, rows)
			case frame.String:
				c.texts = make([]string, rows)
			default:
				c.bools = make([]bool, rows)
			}
			r.columns = append(r.columns, c)
		}
	}
	return r
}

// take puts the outputs of some rows in their place.
func (m *Model) take(r *results, outputs []*ops.Tensor, from, rows int) error {
	first := 0
	for i, t := range outputs {
		o := &m.outputs[i]
		width := len(o.columns)
		if t.Len() != rows*width || columnType(t.Type) != o.typ {
			return fault.New(fault.Invalid, "the output %q has the shape %d for %d rows of %d columns", o.name, t.Dims, rows, width)
		}
		for c := range width {
			to := &r.columns[first+c]
			for row := range rows {
				to.put(from+row, t, row*width+c)
			}
		}
		first += width
	}
	return nil
}

func (c *result) put(row int, t *ops.Tensor, at int) {
	switch {
	case c.doubles != nil:
		c.doubles[row] = number(t, at)
	case c.ints != nil:
		c.ints[row] = t.I[at]
	case c.texts != nil:
		c.texts[row] = strings.Clone(t.S[at])
	default:
		c.bools[row] = t.B[at]
	}
}

// array makes a column of Arrow.
func (c *result) array() arrow.Array {
	if c.doubles != nil {
		return encode.Doubles(c.doubles)
	}
	switch {
	case c.ints != nil:
		b := array.NewInt64Builder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(c.ints, nil)
		return b.NewArray()
	case c.texts != nil:
		return words(c.texts)
	}
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(c.bools, nil)
	return b.NewArray()
}

func words(texts []string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for _, s := range texts {
		b.Append(strings.ToValidUTF8(s, "\ufffd"))
	}
	return b.NewArray()
}

// labelled is the column as text, whatever the labels are.
func (c *result) labelled() arrow.Array {
	if c.texts != nil {
		return words(c.texts)
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for _, v := range c.ints {
		b.Append(decimal(v))
	}
	return b.NewArray()
}

// batch joins columns to a batch of fields.
func batch(fields []model.Field, columns []arrow.Array, rows int) frame.Batch {
	out := array.NewRecordBatch(model.SchemaOf(fields), columns, int64(rows))
	for _, c := range columns {
		c.Release()
	}
	return out
}
