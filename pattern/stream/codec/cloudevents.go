package codec

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
	"github.com/leat-ai/leat/model/columns"
	"github.com/leat-ai/leat/store/bus"
)

// cloudCodec reads and writes CloudEvents 1.0. The attributes of an event go
// into columns named ce_id, ce_source, ce_type, ce_time, ce_subject and ce_ of
// an extension's name; all other columns are of the data, which is of the
// format that the Config says. Structured events (one JSON object with the
// data inside) and binary ones (attributes in headers, the data as body) are
// told apart event by event.
type cloudCodec struct {
	config Config
	schema *arrow.Schema
	inner  Codec
	// attributes are the columns that are no data, by the attribute's name.
	attributes map[string]int
	// data are the positions of the inner codec's columns.
	data []int
}

const attributePrefix = "ce_"

func newCloud(c Config) (*cloudCodec, error) {
	out := &cloudCodec{config: c, schema: frame.SchemaOf(c.columns()), attributes: map[string]int{}}
	inner := c
	inner.Format, inner.Columns = c.Data, nil
	for i, col := range c.Columns {
		if isAttribute(col) {
			out.attributes[strings.TrimPrefix(col.Name, attributePrefix)] = i
			continue
		}
		col.Path = strings.TrimPrefix(col.Path, "data.")
		inner.Columns = append(inner.Columns, col)
		out.data = append(out.data, i)
	}
	if inner.Format == "cloudevents" {
		return nil, fault.New(fault.Invalid, "the data of CloudEvents cannot be CloudEvents")
	}
	var err error
	out.inner, err = New(inner)
	return out, err
}

func isAttribute(c Column) bool { return c.Path == "" && strings.HasPrefix(c.Name, attributePrefix) }

func (c *cloudCodec) Schema() *arrow.Schema { return c.schema }

func (c *cloudCodec) ContentType() string { return "application/cloudevents+json; charset=UTF-8" }

func (c *cloudCodec) Decode(ctx context.Context, events []bus.Event) (frame.Batch, []error) {
	outer := Config{Columns: make([]Column, 0, len(c.attributes)), Times: c.config.Times}
	place := map[string]int{} // of an attribute's column among those of outer
	at := make([]int, len(c.config.Columns))
	for name, i := range c.attributes {
		place[name], at[i] = len(outer.Columns), len(outer.Columns)
		outer.Columns = append(outer.Columns, c.config.Columns[i])
	}
	r := newRows(&outer, len(events))
	inside := make([]bus.Event, len(events))
	for i := range events {
		err := r.admit(&events[i])
		if err == nil {
			inside[i].Body, err = c.open(r, place, &events[i])
		}
		r.end(err)
	}
	envelope, faults := r.batch(frame.SchemaOf(outer.columns()))
	defer envelope.Release()
	data, more := c.decodeData(ctx, inside)
	defer data.Release()
	if faults == nil {
		faults = more
	}
	for i := range more {
		if faults[i] == nil {
			faults[i] = more[i]
		}
	}
	arrays := make([]arrow.Array, len(c.config.Columns))
	for i := range arrays {
		if isAttribute(c.config.Columns[i]) {
			arrays[i] = envelope.Column(at[i])
		}
	}
	for k, i := range c.data {
		arrays[i] = data.Column(k)
	}
	return blankFaults(c.schema, arrays, faults, len(events)), faults
}

// decodeData decodes what the events carry; one that carries nothing has a row
// of NULLs.
func (c *cloudCodec) decodeData(ctx context.Context, inside []bus.Event) (frame.Batch, []error) {
	for i := range inside {
		if inside[i].Body == nil {
			_, isJSON := c.inner.(*jsonCodec)
			if isJSON {
				inside[i].Body = []byte("{}")
			}
		}
	}
	return c.inner.Decode(ctx, inside)
}

// blankFaults makes a batch whose faulty rows have no values, wherever the
// fault was found.
func blankFaults(schema *arrow.Schema, arrays []arrow.Array, faults []error, rows int) frame.Batch {
	if faults == nil {
		return newBatch(schema, arrays, rows)
	}
	cells := make([]*frame.Cells, len(arrays))
	for i, a := range arrays {
		t, _ := frame.TypeOf(a.DataType())
		cells[i] = frame.NewCells(t, rows)
		for row := range rows {
			if faults[row] != nil {
				cells[i].Null()
			} else {
				cells[i].From(a, row)
			}
		}
	}
	return frame.BatchOf(schema, cells, rows)
}

// open reads the attributes of an event and returns its data, nil without any.
func (c *cloudCodec) open(r *rows, place map[string]int, e *bus.Event) ([]byte, error) {
	s := plain.Scanner{Text: e.Body}
	if version, attributes := binaryAttributes(e); version != "" {
		for name, value := range attributes {
			if column, ok := place[name]; ok {
				if err := r.text(column, []byte(value), 0); err != nil {
					return nil, err
				}
			}
		}
		if column, ok := place["datacontenttype"]; ok && r.cells[column].Len() == r.done {
			if value := e.Header("content-type"); value != "" {
				return e.Body, r.text(column, []byte(value), 0)
			}
		}
		return e.Body, nil
	}
	if !s.TakeAfterSpace('{') {
		return nil, fault.New(fault.Invalid, "the event is no CloudEvent: it has neither its headers nor its JSON")
	}
	data, err := c.structured(r, place, &s)
	if err == errSyntax {
		err = explain(e.Body)
	}
	return data, err
}

// binaryAttributes finds the attributes in headers: ce-id over HTTP and NATS,
// ce_id in Kafka, cloudEvents:id in AMQP, and id alone in MQTT.
func binaryAttributes(e *bus.Event) (version string, attributes map[string]string) {
	for _, h := range e.Headers {
		name := strings.ToLower(h.Name)
		for _, prefix := range []string{"ce-", "ce_", "cloudevents:", "cloudevents_", ""} {
			bare, ok := strings.CutPrefix(name, prefix)
			if !ok {
				continue
			}
			if bare == "specversion" {
				return h.Value, prefixed(e, prefix)
			}
			break
		}
	}
	return "", nil
}

func prefixed(e *bus.Event, prefix string) map[string]string {
	out := map[string]string{}
	for _, h := range e.Headers {
		if name, ok := strings.CutPrefix(strings.ToLower(h.Name), prefix); ok {
			out[name] = h.Value
		}
	}
	return out
}

// structured reads the members of an event's object.
func (c *cloudCodec) structured(r *rows, place map[string]int, s *plain.Scanner) (data []byte, err error) {
	d := jsonReader{Scanner: *s, rows: r}
	seen := map[string]bool{}
	if d.TakeAfterSpace('}') {
		return nil, notCloud("specversion")
	}
	for {
		name, err := d.name()
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fault.New(fault.Invalid, "%q stands twice in the event", clip([]byte(name))).At("byte %d", d.At)
		}
		if len(seen) < MaxColumns {
			seen[strings.Clone(name)] = true
		}
		if data, err = c.structuredMember(&d, name, place, data); err != nil {
			return nil, err
		}
		if d.TakeAfterSpace(',') {
			continue
		}
		if !d.Take('}') || !d.End() {
			return nil, errSyntax
		}
		break
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if !seen[name] {
			return nil, notCloud(name)
		}
	}
	return data, nil
}

func notCloud(lacks string) error {
	return fault.New(fault.Invalid, "the event is no CloudEvent: it lacks %q", lacks)
}

func (c *cloudCodec) structuredMember(d *jsonReader, name string, place map[string]int, data []byte) ([]byte, error) {
	d.Space()
	start := d.At
	switch name {
	case "data":
		value, ok := d.Skip()
		if !ok {
			return nil, errSyntax
		}
		if _, isJSON := c.inner.(*jsonCodec); !isJSON && value[0] == '"' {
			return jsontext.AppendUnquote(nil, value) // a text as data is the text
		}
		if string(value) == "null" {
			return data, nil
		}
		return value, nil
	case "data_base64":
		text, _, ok := d.Quoted()
		if !ok {
			return nil, errSyntax
		}
		plain, err := jsontext.AppendUnquote(nil, text)
		if err != nil {
			return nil, errSyntax
		}
		out, err := base64.StdEncoding.AppendDecode(nil, plain)
		if err != nil {
			return nil, fault.New(fault.Invalid, "data_base64 of the event is not base64").At("byte %d", start)
		}
		return out, nil
	}
	if column, ok := place[name]; ok {
		return data, d.value(column)
	}
	if _, ok := d.Skip(); !ok {
		return nil, errSyntax
	}
	return data, nil
}

// Encode writes each row as a structured event: attributes of columns ce_…,
// the other columns as its data. Without a column ce_id the id is empty, and
// whoever publishes is to set it.
func (c *cloudCodec) Encode(ctx context.Context, batch frame.Batch) ([][]byte, error) {
	data, attributes := split(batch)
	defer data.Release()
	inside, err := c.inner.Encode(ctx, data)
	if err != nil {
		return nil, err
	}
	_, isJSON := c.inner.(*jsonCodec)
	var out []byte
	ends := make([]int, len(inside))
	for row := range inside {
		out = c.attributesOf(append(out, `{"specversion":"1.0"`...), batch, attributes, row)
		if isJSON {
			out = append(out, `,"datacontenttype":"application/json","data":`...)
			out = append(out, inside[row]...)
		} else {
			out = append(out, `,"datacontenttype":`+strconv.Quote(c.inner.ContentType())+`,"data_base64":"`...)
			out = append(base64.StdEncoding.AppendEncode(out, inside[row]), '"')
		}
		out = append(out, '}')
		ends[row] = len(out)
	}
	return cut(out, ends), nil
}

func (c *cloudCodec) attributesOf(out []byte, batch frame.Batch, attributes map[string]int, row int) []byte {
	for _, required := range []struct{ name, otherwise string }{{"id", ""}, {"source", c.config.Source}, {"type", c.config.Type}} {
		out = append(append(out, `,"`...), required.name+`":`...)
		if i, ok := attributes[required.name]; ok && batch.Column(i).IsValid(row) {
			out = columns.AppendCell(out, batch.Column(i), row, columns.Text)
		} else {
			out = columns.AppendString(out, required.otherwise)
		}
	}
	for i := range int(batch.NumCols()) {
		name, is := strings.CutPrefix(batch.ColumnName(i), attributePrefix)
		switch name {
		case "id", "source", "type", "specversion", "datacontenttype", "data", "data_base64":
			continue
		}
		if is && batch.Column(i).IsValid(row) {
			out = append(columns.AppendString(append(out, ','), name), ':')
			out = columns.AppendCell(out, batch.Column(i), row, columns.Text)
		}
	}
	return out
}

// split tells the columns of attributes from those of data.
func split(batch frame.Batch) (data frame.Batch, attributes map[string]int) {
	attributes = map[string]int{}
	var fields []arrow.Field
	var arrays []arrow.Array
	for i, f := range batch.Schema().Fields() {
		if name, is := strings.CutPrefix(f.Name, attributePrefix); is {
			attributes[name] = i
			continue
		}
		fields, arrays = append(fields, f), append(arrays, batch.Column(i))
	}
	return newBatch(arrow.NewSchema(fields, nil), arrays, int(batch.NumRows())), attributes
}
