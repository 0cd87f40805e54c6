package feast

import (
	"bytes"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// table is {"column": [values], …} as it came: the values are read once it is
// known which are wanted, and of what type. Its order is that of the message.
type table struct {
	names  []string
	values []jsontext.Value
}

// UnmarshalJSON takes the columns apart.
func (t *table) UnmarshalJSON(text []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if d.PeekKind() != '{' {
		return fault.New(fault.Invalid, "columns are an object of arrays, by name")
	}
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() != '}' {
		var name jsontext.Token
		if name, err = d.ReadToken(); err != nil {
			break
		}
		t.names = append(t.names, name.String())
		var v jsontext.Value
		if v, err = d.ReadValue(); err != nil {
			break
		}
		if v.Kind() != '[' {
			return fault.New(fault.Invalid, "column %.64q is not an array of values", t.names[len(t.names)-1])
		}
		t.values = append(t.values, v.Clone())
	}
	return err
}

// value is the text of a column.
func (t *table) value(name string) (jsontext.Value, bool) {
	at := slices.Index(t.names, name)
	if at < 0 {
		return nil, false
	}
	return t.values[at], true
}

// rows counts the values of the columns, which have to have equally many.
func (t *table) rows() (n int, err error) {
	for i, v := range t.values {
		rows, err := elements(v)
		if err != nil {
			return 0, err
		}
		if i > 0 && rows != n {
			return 0, fault.New(fault.Invalid, "column %.64q has %d values, column %.64q %d", t.names[i], rows, t.names[0], n).
				Hint("all columns must have the same number of rows")
		}
		n = rows
	}
	return n, nil
}

func elements(v jsontext.Value) (n int, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadToken(); err != nil {
		return 0, unread(err)
	}
	for ; d.PeekKind() != ']'; n++ {
		if n == maxRows {
			return 0, fault.New(fault.TooLarge, "more than %d rows in one request", maxRows).Hint("send fewer at a time")
		}
		if err := d.SkipValue(); err != nil {
			return 0, unread(err)
		}
	}
	return n, nil
}

// batch reads some columns. from names the column of the table that one is
// read from.
func (t *table) batch(columns []frame.Column, from func(name string) string, rows int) (frame.Batch, error) {
	cells := make([]*frame.Cells, len(columns))
	for i, c := range columns {
		v, ok := t.value(from(c.Name))
		if !ok {
			return nil, fault.New(fault.Invalid, "the column %q is missing", c.Name).Hint("it is a %s", c.Type)
		}
		cells[i] = frame.NewCells(c.Type, rows)
		if err := fill(cells[i], v); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "column %q", c.Name)
		}
	}
	return frame.BatchOf(frame.SchemaOf(columns), cells, rows), nil
}

// fill reads an array of JSON into a column.
func fill(cells *frame.Cells, v jsontext.Value) error {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	_, err := d.ReadToken()
	for row := 0; err == nil && d.PeekKind() != ']'; row++ {
		var t jsontext.Token
		if t, err = d.ReadToken(); err != nil {
			break
		}
		if !put(cells, t) {
			return fault.New(fault.Invalid, "row %d has another value than a %s", row, cells.Type()).Hint("%s", examples[cells.Type()])
		}
	}
	if err != nil {
		return unread(err)
	}
	return nil
}

var examples = map[frame.Type]string{
	frame.String: `it is written "in quotes"`, frame.Int: "it is a whole number", frame.Double: "it is a number", frame.Bool: "it is true or false",
	frame.Timestamp: `times are written like "2026-01-31T10:00:00Z", or as seconds since 1970`, frame.Date: `dates are written like "2026-01-31"`,
}

// put adds a value to a column; false when it does not fit.
func put(cells *frame.Cells, t jsontext.Token) bool {
	if t.Kind() == 'n' {
		cells.Null()
		return true
	}
	switch cells.Type() {
	case frame.String:
		if t.Kind() != '"' {
			return false
		}
		s := t.String()
		return utf8.ValidString(s) && cells.TextString(s)
	case frame.Bool:
		if t.Kind() != 't' && t.Kind() != 'f' {
			return false
		}
		cells.Bool(t.Bool())
		return true
	case frame.Double:
		f, ok := number(t)
		if ok {
			cells.Double(f)
		}
		return ok
	case frame.Int:
		i, ok := whole(t)
		if ok {
			cells.Int(i)
		}
		return ok
	}
	at, ok := moment(t)
	if ok && cells.Type() == frame.Timestamp {
		cells.Int(at.UnixMicro())
	} else if ok {
		cells.Int(floorDays(at.Unix()))
	}
	return ok
}

func floorDays(seconds int64) int64 {
	const day = 86400
	if seconds < 0 {
		return (seconds - day + 1) / day
	}
	return seconds / day
}

// number reads a number; those that JSON has no form for are words, as in the
// JSON of Protocol Buffers.
func number(t jsontext.Token) (float64, bool) {
	switch text := t.String(); {
	case t.Kind() == '0':
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil
	case t.Kind() == '"' && (text == "NaN" || text == "Infinity" || text == "-Infinity"):
		f, _ := strconv.ParseFloat(text, 64) // one of the three
		return f, true
	}
	return 0, false
}

// whole reads an integer. pandas has integers as 3.0 in a column with gaps.
func whole(t jsontext.Token) (int64, bool) {
	if t.Kind() != '0' {
		return 0, false
	}
	if i, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(t.String(), 64)
	const exact = 1 << 53
	if err != nil || f != float64(int64(f)) || f > exact || f < -exact {
		return 0, false
	}
	return int64(f), true
}

// moment reads a time: text as Python writes it, in UTC where it does not say,
// or seconds since 1970.
func moment(t jsontext.Token) (time.Time, bool) {
	if t.Kind() == '0' {
		f, err := strconv.ParseFloat(t.String(), 64)
		const most = 1 << 37 // beyond the year 6000
		if err != nil || f < -most || f > most {
			return time.Time{}, false
		}
		return time.UnixMicro(int64(f * 1e6)), true
	}
	if t.Kind() != '"' {
		return time.Time{}, false
	}
	return parseTime(t.String())
}

// layouts are the forms of ISO 8601 that Python and pandas write.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly,
}

func parseTime(text string) (time.Time, bool) {
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
