package ingest

import (
	"bytes"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// parser returns what reads a chunk of text into the picked columns.
func (r *Rows) parser(picks []Pick) (func(chunk) (frame.Batch, error), error) {
	fields := make([]field, len(picks))
	for i, p := range picks {
		fields[i] = field{Column: p.Column, order: anyOrder, fixed: true}
	}
	t := &rowsText{rows: r, fields: fields, to: newFitter(nil, picks)}
	if r.format == "libsvm" {
		return t.sparse(picks)
	}
	t.targets = make([]int, r.width)
	for i := range t.targets {
		t.targets[i] = -1
	}
	for i, p := range picks {
		t.targets[p.At] = i
	}
	return t.chunk, nil
}

// rowsText reads text into columns.
type rowsText struct {
	rows    *Rows
	fields  []field
	targets []int // by cell of a row: the column that it goes to, or -1
	to      *fitter
	base    int // of sparse rows: the index of the first column
}

// chunk reads the rows of a chunk of a delimited file.
func (t *rowsText) chunk(c chunk) (frame.Batch, error) {
	if c.broken != "" {
		return nil, fault.New(fault.Invalid, "%s", c.broken).At("%s", t.rows.at(c.line))
	}
	d := t.rows.text.dialect
	out := newRows(pickedColumns(t.to.picks), bytes.Count(c.data, []byte{d.newline})+1)
	var cells cellReader
	line := c.line
	for data := c.data; len(data) > 0; {
		row, rest, broken := cells.row(data, d)
		text := data[:len(data)-len(rest)]
		data = rest
		switch {
		case len(bytes.TrimRight(text, "\r\n")) == 0 && len(t.targets) > 1: // an empty line is no row
		case broken != "":
			return nil, fault.New(fault.Invalid, "%s", broken).At("%s", t.rows.at(line))
		case len(row) != len(t.targets):
			return nil, fault.New(fault.Invalid, "the row has %d cells instead of %d", len(row), len(t.targets)).At("%s", t.rows.at(line))
		default:
			for i, raw := range row {
				at := t.targets[i]
				if at < 0 {
					continue
				}
				missing := len(raw) == 0 && !cells.quoted[i]
				if !t.cell(&out.columns[at], at, raw, missing) {
					return nil, t.unfit(at, raw, line)
				}
			}
			out.keep()
		}
		line += int64(bytes.Count(text, []byte{d.newline}))
	}
	return out.batch(t.to.schema), nil
}

// cell reads a cell as its column's type. Numbers may be written as another
// type where nothing is lost: 3.0 as an int, true as 1.
func (t *rowsText) cell(c *column, at int, raw []byte, missing bool) bool {
	var x finding
	if cell(c, &t.fields[at], &x, raw, missing) {
		return true
	}
	switch c.typ {
	case frame.Double:
		if v, ok := parseBool(raw); ok {
			c.double(float64(boolInt(v)))
			return true
		}
	case frame.Int:
		if v, ok := parseDouble(raw); ok {
			if n, whole := wholeNumber(v); whole {
				c.number(n)
				return true
			}
		}
		if v, ok := parseBool(raw); ok {
			c.number(int64(boolInt(v)))
			return true
		}
	}
	return false
}

func (t *rowsText) unfit(at int, raw []byte, line int64) error {
	f := t.fields[at]
	name := f.Name
	if names := t.rows.names; names != nil {
		name = names[t.to.picks[at].At]
	}
	return fault.New(fault.Invalid, "column %q has %q, which is not %s", name, excerpt(raw), typeText(f.Type)).At("%s", t.rows.at(line))
}

// sparse returns the reader of LIBSVM rows: a label, then index:value pairs.
// What is absent is missing.
func (t *rowsText) sparse(picks []Pick) (func(chunk) (frame.Batch, error), error) {
	width := 0
	for _, p := range picks {
		if p.Type == frame.String {
			return nil, fault.New(fault.Unsupported, "the model reads text in %q, and a LIBSVM file has only numbers", p.Name).
				Hint("write the rows as CSV")
		}
		width = max(width, p.At+1)
	}
	t.targets = make([]int, width)
	for i := range t.targets {
		t.targets[i] = -1
	}
	for i, p := range picks {
		t.targets[p.At] = i
	}
	head, _ := t.rows.text.rest.Peek(headSize) // openText has seen that it can be read
	t.base = sparseBase(head, width)
	if b := t.rows.base; b != nil {
		t.base = *b
	}
	return t.sparseChunk, nil
}

// sparseBase finds out what the first column's index is: 0 as soon as there is
// one, 1 when there is none and an index is as large as the model is wide.
func sparseBase(head []byte, width int) int {
	if end := bytes.LastIndexByte(head, '\n'); end > 0 {
		head = head[:end] // the last line may be cut
	}
	base := 0
	for _, word := range bytes.Fields(head) {
		index, _, pair := bytes.Cut(word, []byte(":"))
		if !pair {
			continue
		}
		switch n, ok := parseInt(index); {
		case ok && n == 0:
			return 0
		case ok && n == int64(width):
			base = 1
		}
	}
	return base
}

// SparseBase is the index that the first column has in a LIBSVM file whose
// rows have width columns: as given, or as its first rows show. It is 0 for
// other files.
func (r *Rows) SparseBase(width int) int {
	switch {
	case r.format != "libsvm":
		return 0
	case r.base != nil:
		return *r.base
	}
	head, _ := r.text.rest.Peek(headSize) // openText has seen that it can be read
	return sparseBase(head, width)
}

// sparseChunk reads the rows of a chunk of a LIBSVM file.
func (t *rowsText) sparseChunk(c chunk) (frame.Batch, error) {
	if c.broken != "" {
		return nil, fault.New(fault.Invalid, "%s", c.broken).At("%s", t.rows.at(c.line))
	}
	newline := t.rows.text.dialect.newline
	out := newRows(pickedColumns(t.to.picks), bytes.Count(c.data, []byte{newline})+1)
	line := c.line
	for data := c.data; len(data) > 0; line++ {
		row, rest := cutLine(data, newline)
		data = rest
		if at := bytes.IndexByte(row, '#'); at >= 0 {
			row = row[:at]
		}
		if len(bytes.TrimSpace(row)) == 0 {
			continue
		}
		if err := t.sparseRow(out, row, line); err != nil {
			return nil, err
		}
	}
	return out.batch(t.to.schema), nil
}

func (t *rowsText) sparseRow(out *rows, row []byte, line int64) error {
	for i, word := range bytes.Fields(row) {
		name, value, pair := bytes.Cut(word, []byte(":"))
		switch {
		case !pair && i == 0, string(name) == "qid": // the label, or a group of rows
			continue
		case !pair:
			return fault.New(fault.Invalid, "%q is not of the form index:value", excerpt(word)).At("%s", t.rows.at(line))
		}
		n, ok := parseInt(name)
		n -= int64(t.base)
		if !ok || n < 0 || n >= int64(len(t.targets)) {
			return fault.New(fault.Invalid, "the index %s is not one of %d to %d, the columns that the model reads", excerpt(name), t.base, len(t.targets)-1+t.base).
				At("%s", t.rows.at(line)).Hint("is the first column 0 or 1 in this file? Say which with --index-base")
		}
		at := t.targets[n]
		if at < 0 {
			continue
		}
		col := &out.columns[at]
		if len(col.valid) > out.n {
			return fault.New(fault.Invalid, "the index %s stands there twice", excerpt(name)).At("%s", t.rows.at(line))
		}
		if !t.cell(col, at, value, false) {
			return t.unfit(at, value, line)
		}
	}
	for at := range out.columns {
		if len(out.columns[at].valid) == out.n {
			out.columns[at].missing()
		}
	}
	out.keep()
	return nil
}

// Ordinal names column i of files without names, for people.
func Ordinal(i int) string { return "column " + strconv.Itoa(i+1) }
