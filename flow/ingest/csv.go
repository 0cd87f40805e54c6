package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// dialect is how a delimited file is written.
type dialect struct {
	delim   byte
	quote   byte
	newline byte
}

// dialectOf finds out how a file is written: declared, or by its beginning.
func (j *job) dialectOf(head []byte) (dialect, error) {
	d := dialect{quote: '"', newline: '\n'}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		d.newline = '\r'
	}
	if j.src.Delimiter != "" {
		if len(j.src.Delimiter) != 1 || strings.ContainsAny(j.src.Delimiter, "\"\r\n") {
			return d, fault.New(fault.Invalid, "the delimiter %q is not one plain character", j.src.Delimiter)
		}
		d.delim = j.src.Delimiter[0]
		return d, nil
	}
	d.delim = sniff(head, d)
	return d, nil
}

// sniffRows is how many rows the delimiter is guessed by.
const sniffRows = 200

// sniff returns the delimiter by which most rows have as many cells as the
// first; of equals the one with more cells.
func sniff(head []byte, d dialect) byte {
	best, bestScore := byte(','), 0.0
	for _, delim := range []byte{',', ';', '\t', '|'} {
		d.delim = delim
		var cells cellReader
		width, rows, same := 0, 0, 0
		for data := head; len(data) > 0 && rows < sniffRows; rows++ {
			end, whole := rowEnd(data, d.delim, d.quote, d.newline)
			if !whole {
				if rows > 0 {
					break // the beginning of a row that goes on behind the head
				}
				end = len(data)
			}
			row, _, _ := cells.row(data[:end], d)
			data = data[end:]
			if rows == 0 {
				width = len(row)
			}
			if len(row) == width {
				same++
			}
		}
		if width < 2 || rows == 0 {
			continue
		}
		if score := float64(same)/float64(rows) + float64(min(width, 100))/1000; score > bestScore {
			best, bestScore = delim, score
		}
	}
	return best
}

// readHeader reads the names of the cells off the head, or makes them up.
func (j *job) readHeader(t *textFile, head []byte) error {
	var cells cellReader
	named := j.src.Header == nil || *j.src.Header
	skipped := 0
	for len(head) > skipped && (head[skipped] == '\n' || head[skipped] == '\r') {
		if head[skipped] == t.dialect.newline {
			t.line++
		}
		skipped++
	}
	end, whole := rowEnd(head[skipped:], t.dialect.delim, t.dialect.quote, t.dialect.newline)
	if !whole {
		if len(head) == headSize {
			return fault.New(fault.Invalid, "the first row of %q does not end within %d bytes", t.Name, headSize).
				Hint("is it a CSV file? Is a quote not closed?")
		}
		end = len(head) - skipped
	}
	if end == 0 {
		return fault.New(fault.Invalid, "%q is empty", t.Name)
	}
	row := head[skipped : skipped+end]
	first, _, broken := cells.row(row, t.dialect)
	if broken != "" {
		return fault.New(fault.Invalid, "the first row of %q cannot be read: %s", t.Name, broken)
	}
	if len(first) > j.limits.MaxColumns {
		return fault.New(fault.TooLarge, "%q has %d columns, more than %d", t.Name, len(first), j.limits.MaxColumns)
	}
	if !named {
		t.header = j.positional(len(first))
		return nil
	}
	t.header = columnNames(first)
	t.line += int64(bytes.Count(row, []byte{t.dialect.newline}))
	_, err := t.rest.Discard(skipped + end)
	return err
}

// positional names the cells of a file without a header: by the schema where
// there is one.
func (j *job) positional(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("column%d", i+1)
		if i < len(j.src.Schema) {
			names[i] = j.src.Schema[i].Name
		}
	}
	return names
}

// columnNames makes usable names of a header: none empty, none twice, not
// even in other case.
func columnNames(cells [][]byte) []string {
	const longest = 200
	taken := map[string]bool{}
	names := make([]string, len(cells))
	for i, c := range cells {
		name := strings.ToValidUTF8(strings.TrimSpace(string(c)), "?")
		if name == "" {
			name = fmt.Sprintf("column%d", i+1)
		}
		for len(name) > longest || !utf8.ValidString(name) {
			name = name[:min(len(name)-1, longest)]
		}
		unique := name
		for n := 2; taken[strings.ToLower(unique)]; n++ {
			unique = fmt.Sprintf("%s_%d", name, n)
		}
		taken[strings.ToLower(unique)] = true
		names[i] = unique
	}
	return names
}

// mapCells returns, for each cell of a row, the column of the plan that it
// goes to, or -1.
func (l *load) mapCells(t *textFile) ([]int, error) {
	targets := make([]int, len(t.header))
	for i, name := range t.header {
		targets[i] = l.plan.index(name)
		if targets[i] < 0 && !l.plan.complete {
			return nil, fault.New(fault.Invalid, "%q has a column %q that the first files lack", t.Name, name).
				Hint("declare the source's schema")
		}
	}
	for _, f := range l.plan.fields {
		if l.plan.complete && !slices.Contains(t.header, f.Name) {
			return nil, absent(l.job.src.Name, f.Name, t.header)
		}
	}
	return targets, nil
}

// cellReader splits rows into cells. Its cells are valid until the next row.
type cellReader struct {
	cells  [][]byte
	quoted []bool
	buf    []byte // of cells that had doubled quotes
}

// row splits off the first row of data. broken says what is wrong with it;
// its cells are then what could be made out.
func (r *cellReader) row(data []byte, d dialect) (cells [][]byte, rest []byte, broken string) {
	r.cells, r.quoted, r.buf = r.cells[:0], r.quoted[:0], r.buf[:0]
	for i := 0; ; {
		var more bool
		var next int
		if start := skipSpaces(data, i, d.delim); start < len(data) && data[start] == d.quote {
			var why string
			next, more, why = r.quotedCell(data, start+1, d)
			if why != "" && broken == "" {
				broken = why
			}
		} else {
			next, more = r.plainCell(data, i, d)
		}
		i = next
		if !more {
			return r.cells, data[i:], broken
		}
	}
}

// plainCell takes a cell up to its delimiter or the row's end.
func (r *cellReader) plainCell(data []byte, i int, d dialect) (next int, more bool) {
	end := i
	for end < len(data) && data[end] != d.delim && data[end] != d.newline {
		end++
	}
	next, more = after(data, end, d)
	content := data[i:end]
	if !more && len(content) > 0 && content[len(content)-1] == '\r' {
		content = content[:len(content)-1]
	}
	r.add(trimSpace(content), false)
	return next, more
}

func after(data []byte, end int, d dialect) (next int, more bool) {
	if end == len(data) {
		return end, false
	}
	return end + 1, data[end] == d.delim
}

// quotedCell takes a cell whose opening quote stands before i.
func (r *cellReader) quotedCell(data []byte, i int, d dialect) (next int, more bool, broken string) {
	start, doubled := i, -1
	end := -1
	for {
		at := bytes.IndexByte(data[i:], d.quote)
		if at < 0 {
			r.add(data[start:], true)
			return len(data), false, "a quote is not closed"
		}
		i += at + 1
		if i < len(data) && data[i] == d.quote {
			if doubled < 0 {
				doubled = len(r.buf)
			}
			r.buf = append(r.buf, data[start:i]...)
			i++
			start = i
			continue
		}
		end = i - 1
		break
	}
	content := data[start:end]
	if doubled >= 0 {
		r.buf = append(r.buf, content...)
		content = r.buf[doubled:len(r.buf):len(r.buf)]
	}
	tail := i
	for i < len(data) && data[i] != d.delim && data[i] != d.newline {
		i++
	}
	if len(bytes.TrimSpace(data[tail:i])) > 0 {
		broken = "there is text after a closing quote"
	}
	r.add(content, true)
	next, more = after(data, i, d)
	return next, more, broken
}

func (r *cellReader) add(cell []byte, quoted bool) {
	r.cells = append(r.cells, cell)
	r.quoted = append(r.quoted, quoted)
}

// parseCSV parses the rows of a chunk.
func (l *load) parseCSV(t *textFile, targets []int, c chunk) (parsed, error) {
	p := parsed{found: newFindings(l.plan), file: t.Name}
	if c.broken != "" {
		p.bad = []badRow{brokenRow(c)}
		return p, nil
	}
	w := &csvWorker{load: l, file: t, targets: targets, seen: make([]bool, len(l.plan.fields))}
	w.rows = newRows(l.plan.columns(), bytes.Count(c.data, []byte{t.dialect.newline})+1)
	line := c.line
	for data := c.data; len(data) > 0; {
		cells, rest, broken := w.cells.row(data, t.dialect)
		row := data[:len(data)-len(rest)]
		data = rest
		blank := len(bytes.TrimRight(row, "\r\n")) == 0
		switch {
		case blank && len(t.header) > 1: // an empty line is no row
		case broken != "":
			p.bad = append(p.bad, badRow{line: line, reason: broken, row: cellsJSON(t.header, cells)})
		case len(cells) != len(t.header):
			reason := fmt.Sprintf("%d cells instead of %d", len(cells), len(t.header))
			p.bad = append(p.bad, badRow{line: line, reason: reason, row: cellsJSON(t.header, cells)})
		default:
			if bad := w.row(cells, line, &p.found); bad != nil {
				p.bad = append(p.bad, *bad)
			}
		}
		line += int64(bytes.Count(row, []byte{t.dialect.newline}))
	}
	return l.end(w.rows, w.lines, p)
}

func brokenRow(c chunk) badRow {
	kept := c.data[:min(len(c.data), maxKept)]
	return badRow{line: c.line, reason: c.broken, row: appendText(nil, strings.TrimRight(string(kept), "\r\n"))}
}

// csvWorker parses one chunk.
type csvWorker struct {
	load    *load
	file    *textFile
	targets []int
	cells   cellReader
	rows    *rows
	lines   []int64
	seen    []bool
}

// row reads the cells of a row, or says why the row is bad.
func (w *csvWorker) row(cells [][]byte, line int64, found *findings) *badRow {
	clear(w.seen)
	var bad *badRow
	for i, raw := range cells {
		at := w.targets[i]
		if at < 0 {
			continue
		}
		f := &w.load.plan.fields[at]
		w.seen[at] = true
		missing := w.load.job.isNull(raw, w.cells.quoted[i])
		if cell(&w.rows.columns[at], f, &found.fields[at], raw, missing) {
			continue
		}
		if bad == nil {
			bad = &badRow{line: line, reason: unfitReason(f), detail: excerpt(raw), row: cellsJSON(w.file.header, cells)}
		}
	}
	if bad != nil {
		w.rows.drop()
		return bad
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

// isNull tells whether a cell means that there is no value: one that the
// source declares, or an empty one without quotes.
func (j *job) isNull(raw []byte, quoted bool) bool {
	if len(j.src.Null) == 0 {
		return len(raw) == 0 && !quoted
	}
	for _, n := range j.src.Null {
		if text(raw) == n {
			return true
		}
	}
	return false
}
