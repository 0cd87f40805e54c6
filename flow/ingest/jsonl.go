package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// maxKey bounds the name of a JSON member that becomes a column.
const maxKey = 200

// kind says what a JSON value is.
type kind byte

const (
	jsonNull kind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonNested
)

// member is a member of a JSON object. Its value is a view of the line.
type member struct {
	name string
	kind kind
	raw  []byte // of a string without escapes: between its quotes
}

// errNoObject says that a line is JSON, but no object.
type errNoObject struct{}

func (errNoObject) Error() string { return "the line is not an object" }

// readObject takes a line apart into the members of its object. It looks
// inside no nested value, so a line's depth costs nothing.
func readObject(line []byte) ([]member, error) {
	if !json.Valid(line) {
		return nil, fault.New(fault.Invalid, "the line is not JSON")
	}
	s := bytes.TrimSpace(line)
	if s[0] != '{' {
		return nil, errNoObject{}
	}
	var members []member
	for i := 1; ; {
		i = skipBlank(s, i)
		if s[i] == '}' {
			return members, nil
		}
		if s[i] == ',' {
			i = skipBlank(s, i+1)
		}
		end := stringEnd(s, i)
		name, err := unquote(s[i:end])
		if err != nil {
			return nil, err
		}
		i = skipBlank(s, skipBlank(s, end)+1) // over the colon
		end = valueEnd(s, i)
		m, err := memberOf(string(name), s[i:end])
		if err != nil {
			return nil, err
		}
		members = append(members, m)
		i = end
	}
}

func memberOf(name string, raw []byte) (member, error) {
	m := member{name: name, raw: raw}
	switch raw[0] {
	case 'n':
		m.kind = jsonNull
	case 't', 'f':
		m.kind = jsonBool
	case '"':
		m.kind = jsonString
		var err error
		m.raw, err = unquote(raw)
		return m, err
	case '{', '[':
		m.kind = jsonNested
	default:
		m.kind = jsonNumber
	}
	return m, nil
}

func skipBlank(s []byte, i int) int {
	for s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n' {
		i++
	}
	return i
}

// stringEnd returns where the string that begins at i ends, behind its quote.
func stringEnd(s []byte, i int) int {
	for i++; s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns where the value that begins at i ends. The text is valid.
func valueEnd(s []byte, i int) int {
	depth := 0
	for {
		switch s[i] {
		case '"':
			i = stringEnd(s, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			if depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
}

// unquote returns the text of a JSON string.
func unquote(s []byte) ([]byte, error) {
	inner := s[1 : len(s)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		if !utf8.Valid(inner) {
			return nil, fault.New(fault.Invalid, "a string is not UTF-8")
		}
		return inner, nil
	}
	var text string
	if err := json.Unmarshal(s, &text); err != nil {
		return nil, fault.New(fault.Invalid, "a string cannot be read")
	}
	return []byte(text), nil
}

// observeJSON counts a value by its own kind; only strings are looked into,
// for dates.
func observeJSON(g *guess, m member) {
	switch m.kind {
	case jsonBool:
		g.bools++
	case jsonNumber:
		if _, ok := parseInt(m.raw); ok {
			g.ints++
		} else {
			g.doubles++
		}
	case jsonNested:
		g.texts++
	case jsonString:
		if _, _, ok := parseTime(m.raw, yearFirst); !ok {
			g.texts++
			return
		}
		g.orders[bit(yearFirst)]++
		if _, _, rest := parseDay(m.raw, yearFirst); len(rest) > 0 {
			g.times++
		} else {
			g.dates++
		}
	}
}

// parseJSON parses the lines of a chunk.
func (l *load) parseJSON(t *textFile, c chunk) (parsed, error) {
	p := parsed{found: newFindings(l.plan), file: t.Name}
	if c.broken != "" {
		p.bad = []badRow{brokenRow(c)}
		return p, nil
	}
	w := &jsonWorker{load: l, seen: make([]bool, len(l.plan.fields)), index: make(map[string]int)}
	for i, f := range l.plan.fields {
		w.index[f.Name] = i
	}
	w.rows = newRows(l.plan.columns(), bytes.Count(c.data, []byte{'\n'})+1)
	line := c.line - 1
	for data := c.data; len(data) > 0; {
		var row []byte
		row, data = cutLine(data, '\n')
		line++
		if len(bytes.TrimSpace(row)) == 0 {
			continue // an empty line is no row
		}
		if bad := w.row(row, line, &p.found); bad != nil {
			bad.line, bad.row = line, keptJSON(row)
			p.bad = append(p.bad, *bad)
		}
	}
	if len(p.found.added) > l.job.limits.MaxColumns {
		return p, fault.New(fault.TooLarge, "%q has more than %d names", t.Name, l.job.limits.MaxColumns).
			Hint("declare the source's schema; names that it does not have are left out")
	}
	return p, l.fill(w, &p)
}

func (l *load) fill(w *jsonWorker, p *parsed) (err error) {
	*p, err = l.end(w.rows, w.lines, *p)
	return err
}

// keptJSON keeps a bad line as it is where it is JSON, and as text otherwise.
func keptJSON(row []byte) []byte {
	if len(row) <= maxKept && json.Valid(row) && utf8.Valid(row) {
		return row
	}
	if len(row) > maxKept {
		return truncated(row)
	}
	return appendText(nil, string(row))
}

// jsonWorker parses one chunk.
type jsonWorker struct {
	load  *load
	index map[string]int
	rows  *rows
	lines []int64
	seen  []bool
}

// row reads the members of a line, or says why the row is bad.
func (w *jsonWorker) row(row []byte, line int64, found *findings) *badRow {
	members, err := readObject(row)
	if err != nil {
		return &badRow{reason: err.Error()}
	}
	clear(w.seen)
	for _, m := range members {
		if len(m.name) > maxKey || m.name == "" {
			w.rows.drop()
			return &badRow{reason: "a name is empty or too long", detail: excerpt([]byte(m.name))}
		}
		at, known := w.index[m.name]
		if !known {
			if !w.load.plan.complete {
				var g guess
				observeJSON(&g, m)
				found.add(sampled{name: m.name, guess: g})
			}
			continue
		}
		f := &w.load.plan.fields[at]
		if w.seen[at] {
			w.rows.drop()
			return &badRow{reason: fmt.Sprintf("column %q: two values", m.name)}
		}
		w.seen[at] = true
		if !jsonCell(&w.rows.columns[at], f, &found.fields[at], m) {
			w.rows.drop()
			return &badRow{reason: unfitReason(f), detail: excerpt(m.raw)}
		}
	}
	for at, seen := range w.seen {
		if !seen {
			w.rows.columns[at].missing()
		}
	}
	w.rows.keep()
	w.lines = append(w.lines, line)
	return nil
}

// jsonCell reads a value into a column, as cell does. A text that stands
// where a number is declared is read like a cell of CSV.
func jsonCell(c *column, f *field, x *finding, m member) bool {
	if m.kind == jsonNull {
		c.missing()
		return true
	}
	if f.open {
		observeJSON(&x.guesses, m)
	}
	fits := false
	switch f.Type {
	case frame.String:
		fits = true
	case frame.Int:
		fits = m.kind == jsonNumber
	case frame.Double:
		fits = m.kind == jsonNumber
	case frame.Bool:
		fits = m.kind == jsonBool
	case frame.Timestamp, frame.Date:
		fits = m.kind == jsonString
	}
	if !fits && (!f.fixed || m.kind != jsonString) {
		x.values++
		x.unfit++
		return false
	}
	if f.Type == frame.String || m.kind != jsonString || !looksMissing(m.raw) {
		open := *f
		open.open = false // it was observed above, as JSON
		return cell(c, &open, x, m.raw, false)
	}
	c.missing()
	return true
}
