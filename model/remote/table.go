package remote

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/columns"
)

// table is the protocols that send a table as {"columns": […], "data": [[…]]}.
type table struct {
	manifest Manifest
	style    style
}

// style is what differs between them.
type style struct {
	member  string   // that holds the table
	index   bool     // whether rows are numbered
	results []string // members that may hold the predictions
	bare    bool     // whether the answer may be the predictions themselves
}

var (
	mlflowTable = style{member: "dataframe_split", results: []string{"predictions"}}
	// Scripts of Azure ML answer what they like: these are the usual forms.
	azureTable = style{member: "input_data", index: true, bare: true,
		results: []string{"predictions", "result", "results", "output", "outputs", "data"}}
)

func (t table) request(in frame.Batch) ([]byte, error) {
	dst := append([]byte(`{"`), t.style.member...)
	dst = append(dst, `":{"columns":[`...)
	for i, f := range in.Schema().Fields() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = columns.AppendString(dst, f.Name)
	}
	dst = append(dst, ']')
	n := int(in.NumRows())
	if t.style.index {
		dst = append(dst, `,"index":[`...)
		for row := range n {
			if row > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(row), 10)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `,"data":[`...)
	for row := range n {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		for i, col := range in.Columns() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = columns.AppendCell(dst, col, row, columns.Text)
		}
		dst = append(dst, ']')
	}
	return append(dst, "]}}"...), nil
}

func (t table) answer(body []byte, in frame.Batch) (frame.Batch, error) {
	text, err := t.predictions(body, 2)
	if err != nil {
		return nil, err
	}
	n := int(in.NumRows())
	b := columns.NewBuilder(t.manifest.Signature.Outputs)
	defer b.Release()
	r := read(text)
	switch r.PeekKind() {
	case '{':
		err = t.byColumn(b, r, n)
	case '[':
		err = t.byRow(b, r, n)
	default:
		err = fault.New(fault.Corrupt, "the predictions are neither a list nor an object")
	}
	if err != nil {
		return nil, err
	}
	return b.Batch(n)
}

// predictions finds the predictions in an answer. Scripts often answer JSON
// as text inside of JSON.
func (t table) predictions(body []byte, depth int) ([]byte, error) {
	r := read(body)
	switch kind := r.PeekKind(); {
	case kind == '"' && t.style.bare && depth > 0:
		token, err := r.ReadToken()
		if err != nil {
			return nil, err
		}
		return t.predictions([]byte(token.String()), depth-1)
	case kind == '[' && t.style.bare:
		return body, nil
	case kind != '{':
		return nil, fault.New(fault.Corrupt, "the answer has no predictions")
	}
	results := t.style.results
	if t.manifest.Result != "" {
		results = []string{t.manifest.Result}
	}
	members := map[string][]byte{}
	err := r.members(func(name string) error {
		for _, known := range results {
			if name == known {
				v, err := r.value()
				members[name] = v
				return err
			}
		}
		return r.SkipValue()
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the answer is not JSON")
	}
	for _, name := range results {
		if v, ok := members[name]; ok {
			return v, nil
		}
	}
	return nil, fault.New(fault.Corrupt, "the answer has no member %q", results[0]).
		Hint("name the member that has the predictions as result: in the Model resource")
}

// byColumn reads {name: [cell, …], …}, or {name: {"0": cell, …}} as pandas
// writes it.
func (t table) byColumn(b *columns.Builder, r reader, rows int) error {
	return r.members(func(name string) error {
		at := position(t.manifest.Signature.Outputs, name)
		if at < 0 {
			return r.SkipValue()
		}
		row := 0
		cell := func(v jsontext.Value) error {
			if row++; row > rows {
				return tooMany(rows)
			}
			return add(b, at, row-1, v)
		}
		if r.PeekKind() != '{' {
			return r.scalars(cell)
		}
		return r.members(func(index string) error {
			if index != strconv.Itoa(row) {
				return fault.New(fault.Corrupt, "the answered rows are not in their order")
			}
			v, err := r.ReadValue()
			if err != nil {
				return err
			}
			return cell(v)
		})
	})
}

// byRow reads [cell, …] for one output, [[cell, …], …] by position, or
// [{name: cell}, …] by name.
func (t table) byRow(b *columns.Builder, r reader, rows int) error {
	fields := t.manifest.Signature.Outputs
	return r.elements(func(row int) error {
		if row >= rows {
			return tooMany(rows)
		}
		switch r.PeekKind() {
		case '{':
			seen := 0
			err := r.members(func(name string) error {
				at := position(fields, name)
				if at < 0 {
					return r.SkipValue()
				}
				seen++
				v, err := r.ReadValue()
				if err != nil {
					return err
				}
				return add(b, at, row, v)
			})
			if err == nil && seen != len(fields) {
				return fault.New(fault.Corrupt, "row %d has %d of the outputs %s", row, seen, names(fields))
			}
			return err
		case '[':
			at := 0
			return r.scalars(func(v jsontext.Value) error {
				if at++; at > len(fields) {
					return fault.New(fault.Corrupt, "row %d has more values than the model has outputs", row)
				}
				return add(b, at-1, row, v)
			})
		}
		if len(fields) != 1 {
			return fault.New(fault.Corrupt, "a row has one value, and the model %d outputs", len(fields))
		}
		v, err := r.ReadValue()
		if err != nil {
			return fault.Wrap(err, fault.Corrupt, "%s", fmt.Sprintf("row %d", row))
		}
		return add(b, 0, row, v)
	})
}
