package codec

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/columns"
	"github.com/leat-ai/leat/store/bus"
)

func newBatch(schema *arrow.Schema, arrays []arrow.Array, rows int) frame.Batch {
	return array.NewRecordBatch(schema, arrays, int64(rows))
}

// csvCodec reads events of one line of CSV, whose cells are the columns in
// their order; a cell without content is NULL.
type csvCodec struct {
	config Config
	schema *arrow.Schema
}

func newCSV(c Config) (Codec, error) {
	for _, col := range c.Columns {
		if col.Path != "" {
			return nil, fault.New(fault.Invalid, "column %q has a path, and a line of CSV has none", col.Name)
		}
	}
	return &csvCodec{config: c, schema: frame.SchemaOf(c.columns())}, nil
}

func (c *csvCodec) Schema() *arrow.Schema { return c.schema }

func (c *csvCodec) ContentType() string { return "text/csv; header=absent" }

func (c *csvCodec) Decode(_ context.Context, events []bus.Event) (frame.Batch, []error) {
	r := newRows(&c.config, len(events))
	for i := range events {
		err := r.admit(&events[i])
		if err == nil {
			err = c.line(r, events[i].Body)
		}
		r.end(err)
	}
	return r.batch(c.schema)
}

func (c *csvCodec) line(r *rows, body []byte) error {
	plain := bytes.TrimSuffix(body, []byte("\n"))
	if len(plain) > 0 && !bytes.ContainsAny(plain, "\"\r\n") {
		return c.plain(r, plain)
	}
	reader := csv.NewReader(bytes.NewReader(body))
	reader.FieldsPerRecord = -1
	cells, err := reader.Read()
	if err == io.EOF {
		return fault.New(fault.Invalid, "the event is empty")
	}
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return fault.New(fault.Invalid, "the event is not CSV: %v", parse.Err).At("byte %d", parse.Column-1)
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the event is not CSV")
	}
	if len(cells) != len(r.cells) {
		return fault.New(fault.Invalid, "the line has %d cells, and the schema %d columns", len(cells), len(r.cells))
	}
	for i, cell := range cells {
		if cell == "" {
			r.cells[i].Null()
			continue
		}
		_, at := reader.FieldPos(i)
		if err := r.text(i, []byte(cell), at-1); err != nil {
			return err
		}
	}
	if _, err := reader.Read(); err != io.EOF {
		return fault.New(fault.Invalid, "the event has more than one line")
	}
	return nil
}

// plain reads a line in which nothing is quoted, as most are.
func (c *csvCodec) plain(r *rows, line []byte) error {
	if n := bytes.Count(line, []byte{','}) + 1; n != len(r.cells) {
		return fault.New(fault.Invalid, "the line has %d cells, and the schema %d columns", n, len(r.cells))
	}
	at := 0
	for i := range r.cells {
		cell, _, _ := bytes.Cut(line[at:], []byte{','})
		if len(cell) == 0 {
			r.cells[i].Null()
		} else if err := r.text(i, appendBinary(nil, cell), at); err != nil {
			return err
		}
		at += len(cell) + 1
	}
	return nil
}

func (c *csvCodec) Encode(_ context.Context, batch frame.Batch) ([][]byte, error) {
	var out bytes.Buffer
	ends := make([]int, batch.NumRows())
	w := csv.NewWriter(&out)
	cells := make([]string, batch.NumCols())
	for row := range ends {
		for i, col := range batch.Columns() {
			cells[i] = ""
			if col.IsValid(row) {
				cells[i] = string(unquoted(columns.AppendCell(nil, col, row, columns.Text)))
			}
		}
		if err := w.Write(cells); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "row %d cannot be written as CSV", row)
		}
		w.Flush()
		out.Truncate(out.Len() - 1) // its line's end
		ends[row] = out.Len()
	}
	return cut(out.Bytes(), ends), nil
}

// textCodec reads events that are one text, such as a line of a log.
type textCodec struct {
	config Config
	schema *arrow.Schema
}

func newText(c Config) (Codec, error) {
	if len(c.Columns) != 1 || c.Columns[0].Type != frame.String || c.Columns[0].Path != "" {
		return nil, fault.New(fault.Invalid, "events of text have one column, of type string").Hint("schema: {line: string}")
	}
	return &textCodec{config: c, schema: frame.SchemaOf(c.columns())}, nil
}

func (t *textCodec) Schema() *arrow.Schema { return t.schema }

func (t *textCodec) ContentType() string { return "text/plain; charset=UTF-8" }

func (t *textCodec) Decode(_ context.Context, events []bus.Event) (frame.Batch, []error) {
	r := newRows(&t.config, len(events))
	for i := range events {
		err := r.admit(&events[i])
		if err == nil {
			err = r.text(0, appendBinary(nil, events[i].Body), 0)
		}
		r.end(err)
	}
	return r.batch(t.schema)
}

// Encode writes the one column of text; a row that is NULL is an empty body.
func (t *textCodec) Encode(_ context.Context, batch frame.Batch) ([][]byte, error) {
	if batch.NumCols() != 1 {
		return nil, fault.New(fault.Invalid, "events of text are written of one column, not %d", batch.NumCols()).Hint("publish as JSON")
	}
	bodies := make([][]byte, batch.NumRows())
	for row := range bodies {
		if batch.Column(0).IsValid(row) {
			bodies[row] = unquoted(columns.AppendCell(nil, batch.Column(0), row, columns.Text))
		}
	}
	return bodies, nil
}
