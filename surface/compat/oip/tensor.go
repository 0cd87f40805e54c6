package oip

import (
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
)

// tensor is an input, whatever wire it came by.
type tensor struct {
	name     string
	datatype datatype
	shape    []int64
	content  content
}

// content is the values of a tensor in row-major order.
type content interface {
	// holds is an error unless there can be n values, found out before there
	// is memory for them.
	holds(n int) error
	// each calls put with each of n values, or says what is wrong with them.
	each(n int, put func(i int, v compat.Value) error) error
	// doubles returns a function for the value at an index, where all of the n
	// that holds agreed to are floating-point numbers, or nil.
	doubles() func(i int) float64
}

// largest is the largest dimension of a shape that is looked at further.
const largest = 1 << 24

// dimensions returns the rows and columns of a tensor's shape, which are the
// sender's word only, but within bounds.
func (t *tensor) dimensions(maxRows int) (rows, columns int, err error) {
	if len(t.shape) == 0 || len(t.shape) > 2 {
		return 0, 0, fault.New(fault.Invalid, "input %q: a shape of %d dimensions", t.name, len(t.shape)).
			Hint("give one dimension of rows, or rows and columns")
	}
	for _, d := range t.shape {
		if d < 0 || d > largest {
			return 0, 0, fault.New(fault.Invalid, "input %q: a dimension of %d", t.name, d)
		}
	}
	if t.shape[0] > int64(maxRows) {
		return 0, 0, fault.New(fault.TooLarge, "input %q has %d rows; %d are the most in one request", t.name, t.shape[0], maxRows)
	}
	columns = 1
	if len(t.shape) == 2 {
		columns = int(t.shape[1])
	}
	return int(t.shape[0]), columns, nil
}

// rowsOf makes rows of tensors: one for each input column, and for the inputs
// that none is named after a single matrix of them in their order. Tensors
// that nothing reads are passed over.
func rowsOf(x *compat.Exchange, tensors []tensor) (realtime.Rows, error) {
	if len(tensors) == 0 {
		return realtime.Rows{}, fault.New(fault.Invalid, "the request has no inputs")
	}
	inputs, maxRows := x.Path().Inputs(), x.Path().MaxRows()
	p, err := place(tensors, inputs)
	if err != nil {
		return realtime.Rows{}, err
	}
	rows := -1
	for i := range p {
		t := p[i].tensor
		n, width, err := t.dimensions(maxRows)
		if err != nil {
			return realtime.Rows{}, err
		}
		if width != len(p[i].columns) {
			return realtime.Rows{}, fault.New(fault.Invalid, "input %q is one column, and its shape is %v", t.name, t.shape).
				Hint("give %[1]d values as [%[1]d] or [%[1]d, 1]; only a tensor that is named after no input may have several columns", n)
		}
		if rows >= 0 && n != rows {
			return realtime.Rows{}, fault.New(fault.Invalid, "input %q has %d values, the others %d", t.name, n, rows)
		}
		if err := t.content.holds(n * width); err != nil {
			return realtime.Rows{}, fault.Wrap(err, fault.KindOf(err), "input %q", t.name)
		}
		rows = n
	}
	b := x.Blank(rows)
	defer b.Release()
	for i := range p {
		if err := p[i].fill(b, inputs, rows); err != nil {
			return realtime.Rows{}, err
		}
	}
	return b.Rows(), nil
}

// placed is a tensor with the inputs that its columns are.
type placed struct {
	tensor  *tensor
	columns []int
}

// place finds the tensor of each input.
func place(tensors []tensor, inputs []model.Field) ([]placed, error) {
	all := make([]int, len(inputs)) // every input by its number; parts of it name a tensor's columns
	for i := range all {
		all[i] = i
	}
	if len(tensors) == 1 && len(tensors[0].shape) == 2 && tensors[0].shape[1] == int64(len(inputs)) &&
		!slices.ContainsFunc(inputs, func(in model.Field) bool { return in.Name == tensors[0].name }) {
		return []placed{{&tensors[0], all}}, nil
	}
	p := make([]placed, 0, len(inputs))
	if aligned(tensors, inputs) {
		for i := range inputs {
			p = append(p, placed{&tensors[i], all[i : i+1]})
		}
		return p, nil
	}
	byName := make(map[string]*tensor, len(tensors))
	for i := range tensors {
		if byName[tensors[i].name] != nil {
			return nil, fault.New(fault.Invalid, "the input %q is there twice", tensors[i].name)
		}
		byName[tensors[i].name] = &tensors[i]
	}
	var rest []int
	for i, in := range inputs {
		if t := byName[in.Name]; t != nil {
			p = append(p, placed{t, all[i : i+1]})
			delete(byName, in.Name)
		} else {
			rest = append(rest, i)
		}
	}
	if len(rest) == 0 {
		return p, nil
	}
	if len(rest) > 1 || len(tensors) == 1 {
		for i := range tensors {
			t := &tensors[i]
			if byName[t.name] != nil && len(t.shape) == 2 && t.shape[1] == int64(len(rest)) {
				return append(p, placed{t, rest}), nil
			}
		}
	}
	return nil, fault.New(fault.Invalid, "there is no input %q", inputs[rest[0]].Name).
		Hint("send a tensor for each input, or one of shape [rows, %d] for those that none is named after", len(rest))
}

// aligned tells whether the tensors are the inputs in their order.
func aligned(tensors []tensor, inputs []model.Field) bool {
	if len(tensors) != len(inputs) {
		return false
	}
	for i := range tensors {
		if tensors[i].name != inputs[i].Name {
			return false
		}
	}
	return true
}

// fill sets the columns of a tensor.
func (p *placed) fill(b *realtime.Blank, inputs []model.Field, rows int) error {
	t, width := p.tensor, len(p.columns)
	at := t.content.doubles()
	for _, column := range p.columns {
		if inputs[column].Type != frame.Double {
			at = nil
		}
	}
	if at != nil {
		for c, column := range p.columns {
			values := b.Doubles(column)
			for row := range values {
				values[row] = at(row*width + c)
			}
		}
		return nil
	}
	flags := t.datatype != bytesType && t.datatype != ""
	var misfit error
	err := t.content.each(rows*width, func(i int, v compat.Value) error {
		column := p.columns[i%width]
		in := inputs[column]
		if !v.Set(b, in.Type, column, i/width, flags) {
			misfit = fault.New(fault.Invalid, "input %q takes %s, and its value in row %d is another", in.Name, datatypeOf(in.Type), i/width)
		}
		return misfit
	})
	if misfit != nil {
		return misfit
	}
	return fault.Wrap(err, fault.KindOf(err), "input %q", t.name)
}
