package codec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
	"github.com/leat-ai/leat/model/columns"
	"github.com/leat-ai/leat/store/bus"
)

// jsonCodec reads and writes JSON objects, one an event.
type jsonCodec struct {
	config Config
	schema *arrow.Schema
	root   *node
	nodes  int
}

func newJSON(c Config) (*jsonCodec, error) {
	root, count, err := tree(c.Columns)
	if err != nil {
		return nil, err
	}
	return &jsonCodec{config: c, schema: frame.SchemaOf(c.columns()), root: root, nodes: count}, nil
}

func (j *jsonCodec) Schema() *arrow.Schema { return j.schema }

func (j *jsonCodec) ContentType() string { return "application/json" }

func (j *jsonCodec) Decode(_ context.Context, events []bus.Event) (frame.Batch, []error) {
	r := newRows(&j.config, len(events))
	d := jsonReader{codec: j, rows: r, seen: make([]int, j.nodes)}
	for i := range events {
		if err := r.admit(&events[i]); err != nil {
			r.fail(err)
			continue
		}
		r.end(d.event(events[i].Body))
	}
	return r.batch(j.schema)
}

// jsonReader reads events one after the other.
type jsonReader struct {
	plain.Scanner
	codec   *jsonCodec
	rows    *rows
	seen    []int // by node: the last event, counted from 1, that had it
	serial  int
	scratch []byte
}

// errSyntax says that a text is not JSON; explain finds out why.
var errSyntax = errors.New("not JSON")

// event reads one body into the columns.
func (d *jsonReader) event(body []byte) error {
	d.Text, d.At = body, 0
	d.serial++
	d.Space()
	if d.Next() != '{' {
		if _, ok := d.Skip(); ok && d.End() {
			return fault.New(fault.Invalid, "the event is no JSON object")
		}
		return explain(body)
	}
	err := d.object(d.codec.root, 1)
	if err == nil && !d.End() {
		err = errSyntax
	}
	if err == errSyntax {
		return explain(body)
	}
	return err
}

// object reads the members of an object that columns are below of. The depth
// of a tree of columns is bounded, and so is that of the recursion.
func (d *jsonReader) object(n *node, depth int) error {
	d.At++
	if d.TakeAfterSpace('}') {
		return nil
	}
	for guess := 0; ; guess++ {
		name, err := d.name()
		if err != nil {
			return err
		}
		if err := d.member(n.find(name, guess), depth); err != nil {
			return err
		}
		if d.TakeAfterSpace(',') {
			continue
		}
		if d.Take('}') {
			return nil
		}
		return errSyntax
	}
}

// list reads the elements of a list that columns are below of.
func (d *jsonReader) list(n *node, depth int) error {
	d.At++
	if d.TakeAfterSpace(']') {
		return nil
	}
	for i := 0; ; i++ {
		var at *node
		for _, c := range n.below {
			if c.index == i {
				at = c
			}
		}
		if err := d.member(at, depth); err != nil {
			return err
		}
		if d.TakeAfterSpace(',') {
			continue
		}
		if d.Take(']') {
			return nil
		}
		return errSyntax
	}
}

// name reads a member's name and its colon.
func (d *jsonReader) name() (string, error) {
	start := d.At
	if name, ok := d.Name(); ok {
		return name, nil
	}
	d.At = start
	d.Space()
	text, _, ok := d.Quoted()
	if !ok {
		return "", errSyntax
	}
	name, err := jsontext.AppendUnquote(nil, text)
	if err != nil || !d.TakeAfterSpace(':') {
		return "", errSyntax
	}
	return string(name), nil
}

// member reads the value at a node, or passes over one that nothing reads.
func (d *jsonReader) member(n *node, depth int) error {
	d.Space()
	if n == nil {
		if _, ok := d.Skip(); !ok {
			return errSyntax
		}
		return nil
	}
	if d.seen[n.at] == d.serial {
		return fault.New(fault.Invalid, "%q stands twice in the event", n.name).At("byte %d", d.At)
	}
	d.seen[n.at] = d.serial
	start := d.At
	if len(n.below) > 0 {
		var err error
		switch d.Next() {
		case '{':
			err = d.object(n, depth+1)
		case '[':
			err = d.list(n, depth+1)
		default:
			if _, ok := d.Skip(); !ok {
				err = errSyntax
			}
		}
		if err != nil || n.column < 0 {
			return err
		}
		d.At = start
	}
	return d.value(n.column)
}

// value reads a value into a column.
func (d *jsonReader) value(column int) error {
	c := d.rows.cells[column]
	start := d.At
	switch first := d.Next(); {
	case first == 'n':
		if !d.Word("null") {
			return errSyntax
		}
		c.Null()
		return nil
	case first == '"':
		text, simple, ok := d.Quoted()
		if !ok {
			return errSyntax
		}
		inside := text[1 : len(text)-1]
		if !simple {
			var err error
			if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], text); err != nil {
				return errSyntax
			}
			inside = d.scratch
		}
		return d.rows.text(column, inside, start)
	case (first == '-' || first-'0' <= 9) && c.Type() != frame.String:
		text, ok := d.Number()
		if !ok {
			return errSyntax
		}
		return d.rows.number(column, text, start)
	case first == 't' || first == 'f':
		yes := d.Word("true")
		if !yes && !d.Word("false") {
			return errSyntax
		}
		return d.rows.boolean(column, yes, start)
	}
	text, ok := d.Skip()
	if !ok {
		return errSyntax
	}
	if c.Type() == frame.String {
		return d.rows.text(column, text, start)
	}
	return d.rows.wrong(column, "something nested", start)
}

// explain says why a body is not JSON, and where.
func explain(body []byte) error {
	dec := jsontext.NewDecoder(strings.NewReader(string(body)), jsontext.AllowDuplicateNames(true))
	var err error
	for err == nil {
		if dec.StackDepth() > MaxDepth {
			return fault.New(fault.Invalid, "the event is nested deeper than %d", MaxDepth).At("byte %d", dec.InputOffset())
		}
		_, err = dec.ReadToken()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return fault.New(fault.Invalid, "the event ends before its JSON does").At("byte %d", len(body))
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fault.New(fault.Invalid, "the event is not JSON: %v", syntax.Err).At("byte %d", syntax.ByteOffset)
	}
	return fault.New(fault.Invalid, "the event is not JSON")
}

// Encode writes a row as an object of all its columns, NULL as null. A column
// with a path of its own goes where the path says.
func (j *jsonCodec) Encode(_ context.Context, batch frame.Batch) ([][]byte, error) {
	names := make([][]byte, batch.NumCols())
	for i := range names {
		names[i] = append(columns.AppendString(nil, batch.ColumnName(i)), ':')
	}
	n := int(batch.NumRows())
	ends := make([]int, n)
	var out []byte
	for row := range n {
		out = append(out, '{')
		for i, name := range names {
			if i > 0 {
				out = append(out, ',')
			}
			out = columns.AppendCell(append(out, name...), batch.Column(i), row, columns.Text)
		}
		out = append(out, '}')
		ends[row] = len(out)
		if row == 0 {
			out = append(make([]byte, 0, (len(out)+16)*n), out...)
		}
	}
	return cut(out, ends), nil
}

// cut takes bodies that stand one after the other apart.
func cut(all []byte, ends []int) [][]byte {
	bodies := make([][]byte, len(ends))
	start := 0
	for i, end := range ends {
		bodies[i] = all[start:end:end]
		start = end
	}
	return bodies
}

// rows gathers decoded events.
type rows struct {
	config *Config
	cells  []*frame.Cells
	done   int // events so far
	total  int // events altogether
	bytes  int64
	faults []error
	micros func(v int64) (int64, bool)
}

func newRows(c *Config, events int) *rows {
	r := &rows{config: c, cells: make([]*frame.Cells, len(c.Columns)), total: events, micros: counted(c.Times)}
	for i, col := range c.Columns {
		r.cells[i] = frame.NewCells(col.Type, events)
	}
	return r
}

// admit refuses an event that is too large to look at.
func (r *rows) admit(e *bus.Event) error {
	size := int64(len(e.Body))
	if said := e.Header(bus.HeaderTooLarge); said != "" {
		return fault.New(fault.TooLarge, "the event has %s bytes, more than the stream takes", said)
	}
	if size > MaxEvent {
		return fault.New(fault.TooLarge, "the event has %d bytes, more than %d", size, int64(MaxEvent))
	}
	if r.bytes += size; r.bytes > MaxBatch {
		return fault.New(fault.Overloaded, "more than %d bytes are decoded at once", int64(MaxBatch)).Hint("make the stream's batch smaller")
	}
	return nil
}

// end ends the row of an event: with the fault, or with NULL for what was
// absent.
func (r *rows) end(err error) {
	if err != nil {
		r.fail(err)
		return
	}
	r.done++
	for _, c := range r.cells {
		if c.Len() < r.done {
			c.Null()
		}
	}
}

// fail makes the row of an event one of NULLs with a fault.
func (r *rows) fail(err error) {
	if r.faults == nil {
		r.faults = make([]error, r.total)
	}
	r.faults[r.done] = err
	for _, c := range r.cells {
		c.Truncate(r.done)
		c.Null()
	}
	r.done++
}

func (r *rows) batch(schema *arrow.Schema) (frame.Batch, []error) {
	return frame.BatchOf(schema, r.cells, r.done), r.faults
}

// text adds a text to a column of any type.
func (r *rows) text(column int, text []byte, at int) error {
	c := r.cells[column]
	switch c.Type() {
	case frame.String:
		if !c.Text(text) {
			return fault.New(fault.Overloaded, "the texts of column %q are too long for one batch", r.config.Columns[column].Name)
		}
		return nil
	case frame.Timestamp:
		if v, ok := expr.ParseTimestamp(string(text)); ok {
			c.Int(v)
			return nil
		}
	case frame.Date:
		if v, ok := dateOf(string(text)); ok {
			c.Int(v)
			return nil
		}
	case frame.Bool:
		if s := string(text); strings.EqualFold(s, "true") || strings.EqualFold(s, "false") {
			c.Bool(len(text) == len("true"))
			return nil
		}
	default:
		s := plain.Scanner{Text: text}
		if number, ok := s.Number(); ok && s.End() {
			return r.number(column, number, at)
		}
	}
	return r.wrong(column, fmt.Sprintf("the text %q", clip(text)), at)
}

// dateOf reads a date, also when it is written as its midnight.
func dateOf(text string) (days int64, ok bool) {
	if days, ok = expr.ParseDate(text); ok {
		return days, fitsDate(days)
	}
	const day = 24 * 3600 * 1_000_000
	v, ok := expr.ParseTimestamp(text)
	return v / day, ok && v%day == 0 && fitsDate(v/day)
}

func fitsDate(days int64) bool { return days == int64(int32(days)) }

// number adds a number, as JSON writes it.
func (r *rows) number(column int, text string, at int) error {
	c := r.cells[column]
	switch c.Type() {
	case frame.String:
		return r.text(column, []byte(text), at)
	case frame.Double:
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			c.Double(v)
			return nil
		}
	case frame.Int:
		if v, ok := wholeNumber(text); ok {
			c.Int(v)
			return nil
		}
	case frame.Timestamp:
		if r.micros == nil {
			err := r.wrong(column, "the number "+clip([]byte(text)), at)
			return err.Hint("say what times count: times: s, ms, us or ns")
		}
		if v, ok := r.time(text); ok {
			c.Int(v)
			return nil
		}
	case frame.Bool:
		if text == "0" || text == "1" {
			c.Bool(text == "1")
			return nil
		}
	}
	return r.wrong(column, "the number "+clip([]byte(text)), at)
}

// time reads a time that is a number.
func (r *rows) time(text string) (int64, bool) {
	if v, ok := wholeNumber(text); ok {
		return r.micros(v)
	}
	// 1442019600.123: seconds with their fraction, as Python writes them.
	f, err := strconv.ParseFloat(text, 64)
	unit, _ := r.micros(1)
	f *= float64(unit)
	if err != nil || unit == 0 || math.Abs(f) > 1<<62 {
		return 0, false
	}
	return int64(math.Round(f)), true
}

// counted returns what makes microseconds of a number of units, or nil.
func counted(unit string) func(int64) (int64, bool) {
	scale := map[string]int64{"s": 1_000_000, "ms": 1000, "us": 1}[unit]
	switch {
	case unit == "ns":
		return func(v int64) (int64, bool) { return floorDiv(v, 1000), true }
	case scale == 0:
		return nil
	}
	return func(v int64) (int64, bool) {
		return v * scale, v <= math.MaxInt64/scale && v >= math.MinInt64/scale
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// boolean adds true or false.
func (r *rows) boolean(column int, v bool, at int) error {
	c := r.cells[column]
	switch c.Type() {
	case frame.Bool:
		c.Bool(v)
	case frame.Int:
		c.Int(int64(bit(v)))
	case frame.Double:
		c.Double(float64(bit(v)))
	case frame.String:
		return r.text(column, strconv.AppendBool(nil, v), at)
	default:
		return r.wrong(column, strconv.FormatBool(v), at)
	}
	return nil
}

func bit(v bool) int {
	if v {
		return 1
	}
	return 0
}

// wholeNumber reads an int, also when it is written like 3.0 or 1e3.
func wholeNumber(text string) (int64, bool) {
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// wrong is the fault of a value that its column does not take.
func (r *rows) wrong(column int, got string, at int) *fault.Error {
	c := r.config.Columns[column]
	err := fault.New(fault.Invalid, "column %q takes %s, not %s", c.Name, article(c.Type), got).At("byte %d", at)
	if c.Type == frame.Timestamp || c.Type == frame.Date {
		err = err.Hint(`write times like "2026-01-31T10:00:00Z"`)
	}
	return err
}

func article(t frame.Type) string {
	if t == frame.Int {
		return "an int"
	}
	return "a " + string(t)
}

func clip(s []byte) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(string(s[:40]), "") + "…"
	}
	return string(s)
}
