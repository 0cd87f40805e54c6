package compat

import (
	"bytes"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
)

// Rows reads an array of rows: objects by column, arrays in the order of the
// endpoint's inputs, or bare values where it has one input.
func (x *Exchange) Rows(v jsontext.Value) (realtime.Rows, error) { return x.rows(v, nil) }

// Split reads {"columns": […], "data": [[…]]}, pandas' orientation split, whose
// "index" says nothing here. Without columns data has them in the order of the
// endpoint's inputs.
func (x *Exchange) Split(v jsontext.Value) (realtime.Rows, error) {
	var split struct {
		Columns []string       `json:"columns"`
		Data    jsontext.Value `json:"data"`
	}
	if err := json.Unmarshal(v, &split); err != nil {
		return realtime.Rows{}, notUnderstood(err)
	}
	return x.rows(split.Data, split.Columns)
}

// Columns reads {"column": [values], …}; bare values are one row.
func (x *Exchange) Columns(v jsontext.Value) (realtime.Rows, error) {
	var columns map[string]jsontext.Value
	if err := json.Unmarshal(v, &columns); err != nil {
		return realtime.Rows{}, notUnderstood(err)
	}
	inputs := x.Path().Inputs()
	rows := -1
	for _, in := range inputs {
		c, ok := columns[in.Name]
		if !ok {
			return realtime.Rows{}, lacks(in.Name)
		}
		n, err := elements(c, x.Path().MaxRows())
		if err != nil {
			return realtime.Rows{}, err
		}
		if rows >= 0 && n != rows {
			return realtime.Rows{}, fault.New(fault.Invalid, "column %q has %d values, the others %d", in.Name, n, rows)
		}
		rows = n
	}
	b := x.Blank(max(rows, 0))
	defer b.Release()
	for i, in := range inputs {
		if err := fillColumn(columns[in.Name], b, in, i); err != nil {
			return realtime.Rows{}, err
		}
	}
	return b.Rows(), nil
}

func fillColumn(v jsontext.Value, b *realtime.Blank, in model.Field, i int) error {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if d.PeekKind() == '[' {
		if _, err := d.ReadToken(); err != nil {
			return notUnderstood(err)
		}
	}
	for row := 0; d.PeekKind() != ']'; row++ {
		t, err := d.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return notUnderstood(err)
		}
		if err := put(t, b, in, i, row); err != nil {
			return err
		}
	}
	return nil
}

func put(t jsontext.Token, b *realtime.Blank, in model.Field, column, row int) error {
	if v, ok := Token(t); ok && v.Set(b, in.Type, column, row, false) {
		return nil
	}
	err := fault.New(fault.Invalid, "row %d: column %q takes another value than what is sent: its type is %s", row, in.Name, in.Type)
	if in.Type == frame.Timestamp || in.Type == frame.Date {
		err = err.Hint(`write times like "2026-01-31T10:00:00Z"`)
	}
	return err
}

// elements counts the values of an array, or 1 for what is none.
func elements(v jsontext.Value, most int) (int, error) {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if d.PeekKind() != '[' {
		return 1, nil
	}
	if _, err := d.ReadToken(); err != nil {
		return 0, notUnderstood(err)
	}
	n := 0
	for ; d.PeekKind() != ']'; n++ {
		if n == most {
			return 0, fault.New(fault.TooLarge, "more than %d rows in one request", most).
				Hint("send fewer rows at a time, or score the table with a batch")
		}
		if err := d.SkipValue(); err != nil {
			return 0, notUnderstood(err)
		}
	}
	return n, nil
}

// rows reads an array of rows whose values stand in the order of names, or of
// the endpoint's inputs.
func (x *Exchange) rows(v jsontext.Value, names []string) (realtime.Rows, error) {
	if v.Kind() != '[' {
		return realtime.Rows{}, fault.New(fault.Invalid, "the rows are no array").Hint("send an array of rows")
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadToken(); err != nil {
		return realtime.Rows{}, notUnderstood(err)
	}
	first := d.PeekKind()
	if first == '{' && names == nil {
		return x.front.scoring.Read(x.Path(), v)
	}
	inputs := x.Path().Inputs()
	order, err := orderOf(names, inputs)
	if err != nil {
		return realtime.Rows{}, err
	}
	if first != '[' && first != ']' && len(order) > 1 {
		return realtime.Rows{}, fault.New(fault.Invalid, "a row has %d values, and here is one", len(order)).Hint("send each row as an array or an object")
	}
	n, err := elements(v, x.Path().MaxRows())
	if err != nil {
		return realtime.Rows{}, err
	}
	if len(v) < 2*n*len(order) { // a value and what follows it; what is not there needs no memory
		return realtime.Rows{}, fault.New(fault.Invalid, "some of %d rows have fewer than %d values", n, len(order)).Hint("the columns are %s", namesOf(inputs))
	}
	b := x.Blank(n)
	defer b.Release()
	for row := range n {
		if err := fillRow(d, b, inputs, order, row, first == '['); err != nil {
			return realtime.Rows{}, err
		}
	}
	return b.Rows(), nil
}

// orderOf says which input each value of a row is, -1 for none.
func orderOf(names []string, inputs []model.Field) ([]int, error) {
	order := make([]int, max(len(names), len(inputs)))
	if names == nil {
		for i := range order {
			order[i] = i
		}
		return order, nil
	}
	at := make(map[string]int, len(names))
	for i, name := range names {
		if _, twice := at[name]; twice {
			return nil, fault.New(fault.Invalid, "the column %.64q is there twice", name)
		}
		at[name] = i
	}
	order = order[:len(names)]
	for i := range order {
		order[i] = -1
	}
	for i, in := range inputs {
		if _, ok := at[in.Name]; !ok {
			return nil, lacks(in.Name)
		}
		order[at[in.Name]] = i
	}
	return order, nil
}

func fillRow(d *jsontext.Decoder, b *realtime.Blank, inputs []model.Field, order []int, row int, array bool) error {
	if array {
		if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
			return fault.New(fault.Invalid, "row %d is no array, as the first is", row)
		}
	}
	for _, i := range order {
		if array && d.PeekKind() == ']' {
			return fault.New(fault.Invalid, "row %d has fewer than %d values", row, len(order)).Hint("the columns are %s", namesOf(inputs))
		}
		if i < 0 {
			if err := d.SkipValue(); err != nil {
				return notUnderstood(err)
			}
			continue
		}
		t, err := d.ReadToken()
		if err != nil {
			return notUnderstood(err)
		}
		if err := put(t, b, inputs[i], i, row); err != nil {
			return err
		}
	}
	if !array {
		return nil
	}
	if t, err := d.ReadToken(); err != nil || t.Kind() != ']' {
		return fault.New(fault.Invalid, "row %d has more than %d values", row, len(order)).Hint("the columns are %s", namesOf(inputs))
	}
	return nil
}

func namesOf(inputs []model.Field) string {
	text := ""
	for i, in := range inputs[:min(len(inputs), 20)] {
		if i > 0 {
			text += ", "
		}
		text += in.Name
	}
	if len(inputs) > 20 {
		text += ", …"
	}
	return text
}

func lacks(name string) error {
	return fault.New(fault.Invalid, "the column %q is missing", name).
		Hint("send every input column; null says that a value is not known")
}

func notUnderstood(err error) error {
	return fault.New(fault.Invalid, "the body is not understood").Because(err)
}

// Predictions appends the answers of rows as a JSON array: the values where
// the endpoint has one output, otherwise an object of its outputs for each row.
func Predictions(dst []byte, rows frame.Batch) []byte {
	fields := rows.Schema().Fields()
	dst = append(dst, '[')
	for row := range int(rows.NumRows()) {
		if row > 0 {
			dst = append(dst, ',')
		}
		if len(fields) == 1 {
			dst = realtime.AppendValue(dst, rows.Column(0), row)
			continue
		}
		for i, f := range fields {
			dst = append(dst, "{,"[min(i, 1)])
			dst = AppendString(dst, f.Name)
			dst = realtime.AppendValue(append(dst, ':'), rows.Column(i), row)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendString appends s as a JSON string; what is not UTF-8 in it becomes
// U+FFFD.
func AppendString(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		quoted, _ = jsontext.AppendQuote(dst, string([]rune(s)))
	}
	return quoted
}
