package ingest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

const (
	// headSize is how much of a text file is looked at before it is read:
	// for its delimiter, its header and its types.
	headSize = 1 << 20
	// sampleSize is how much of all files together is looked at for types.
	sampleSize = 16 << 20
	// maxSampled bounds how many files are looked at.
	maxSampled = 256
)

// textFile is a text file that was opened: its content after the header.
type textFile struct {
	source
	index   int
	dialect dialect
	header  []string // names of the cells; nil for JSON lines
	rest    *bufio.Reader
	line    int64 // of the first row, from 1
	content io.Closer
}

// openText opens a text file, finds out how it is written and reads its
// header.
func (j *job) openText(ctx context.Context, index int, f source, read *atomic.Int64) (_ *textFile, err error) {
	content, err := j.stream(ctx, f, read)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, content.Close())
		}
	}()
	var decoded io.Reader = content
	switch encoding := strings.ToLower(j.src.Options["encoding"]); encoding {
	case "", "utf-8", "utf8":
	case "latin1", "iso-8859-1":
		decoded = &latin1{r: content}
	default:
		return nil, fault.New(fault.Unsupported, "source %q has the encoding %q", j.src.Name, encoding).
			Hint("use utf-8 or latin1")
	}
	t := &textFile{source: f, index: index, line: 1, content: content, rest: bufio.NewReaderSize(decoded, headSize)}
	head, err := t.rest.Peek(headSize)
	if err != nil && err != io.EOF {
		return nil, readFault(err, f.Name)
	}
	if err := checkText(head); err != nil {
		return nil, fault.Wrap(err, fault.Unsupported, "%q", f.Name)
	}
	if bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")) {
		_, _ = t.rest.Discard(3) // it was peeked at
		head = head[3:]
	}
	if f.format == "jsonl" {
		t.dialect = dialect{newline: '\n'}
		return t, nil
	}
	t.dialect, err = j.dialectOf(head)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "%q", f.Name)
	}
	return t, j.readHeader(t, head)
}

func (t *textFile) close() { _ = t.content.Close() } // it was only read

func (t *textFile) chunker(limits Limits) *chunker {
	return &chunker{
		r: t.rest, file: t.index, quote: t.dialect.quote, delim: t.dialect.delim, newline: t.dialect.newline,
		maxRow: limits.MaxRow, line: t.line,
	}
}

// latin1 reads ISO 8859-1 as UTF-8.
type latin1 struct {
	r   io.Reader
	buf []byte
	out []byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.out) == 0 {
		if l.buf == nil {
			l.buf = make([]byte, 64<<10)
		}
		n, err := l.r.Read(l.buf)
		l.out = l.out[:0]
		for _, b := range l.buf[:n] {
			l.out = utf8.AppendRune(l.out, rune(b))
		}
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// plan looks at the beginning of the files and settles the columns.
func (j *job) plan(ctx context.Context) (*plan, error) {
	if j.input.database != nil {
		return j.planQuery(ctx)
	}
	var all []sampled
	for i, f := range j.input.files {
		if i == maxSampled {
			break
		}
		columns, err := j.sample(ctx, i, f)
		if err != nil {
			return nil, err
		}
		if all, err = merged(all, columns, f.Name); err != nil {
			return nil, err
		}
	}
	return j.planOf(all)
}

func (j *job) planQuery(ctx context.Context) (*plan, error) {
	r, err := j.input.database.Query(ctx, j.input.address, j.input.secret, j.src.Query)
	if err != nil {
		return nil, err
	}
	columns := typedColumns(r.Schema())
	if err := r.Close(); err != nil {
		return nil, err
	}
	return j.planOf(columns)
}

func (j *job) sample(ctx context.Context, index int, f source) ([]sampled, error) {
	if f.format == "parquet" {
		return j.sampleParquet(ctx, f)
	}
	var read atomic.Int64
	t, err := j.openText(ctx, index, f, &read)
	if err != nil {
		return nil, err
	}
	defer t.close()
	budget := max(headSize, sampleSize/len(j.input.files))
	s := &sampler{columns: columnsNamed(t.header)}
	cut := t.chunker(j.limits)
	for seen := 0; seen < budget; {
		c, err := cut.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, readFault(err, f.Name)
		}
		seen += len(c.data)
		if c.broken == "" {
			s.chunk(t, c)
		}
	}
	return s.columns, nil
}

func columnsNamed(names []string) []sampled {
	out := make([]sampled, len(names))
	for i, n := range names {
		out[i].name = n
	}
	return out
}

// merged joins what two files show of the columns.
func merged(all, more []sampled, name string) ([]sampled, error) {
	for _, c := range more {
		at := slices.IndexFunc(all, func(s sampled) bool { return s.name == c.name })
		if at < 0 {
			all = append(all, c)
			continue
		}
		all[at].guess.merge(c.guess)
		if all[at].typ != c.typ {
			if all[at].typ == "" || c.typ == "" {
				return nil, fault.New(fault.Invalid, "%q has another format than the files before it", name)
			}
			all[at].typ = wider(all[at].typ, c.typ)
		}
	}
	return all, nil
}

// sampler counts what cells look like.
type sampler struct {
	columns []sampled
	cells   cellReader
}

func (s *sampler) chunk(t *textFile, c chunk) {
	if t.format == "jsonl" {
		s.jsonChunk(c)
		return
	}
	for data := c.data; len(data) > 0; {
		cells, rest, broken := s.cells.row(data, t.dialect)
		data = rest
		if broken != "" || len(cells) != len(s.columns) {
			continue
		}
		for i, cell := range cells {
			s.columns[i].guess.observe(cell)
		}
	}
}

func (s *sampler) jsonChunk(c chunk) {
	for data := c.data; len(data) > 0; {
		line, rest := cutLine(data, '\n')
		data = rest
		members, err := readObject(line)
		if err != nil {
			continue
		}
		for _, m := range members {
			s.member(m)
		}
	}
}

func (s *sampler) member(m member) {
	at := slices.IndexFunc(s.columns, func(c sampled) bool { return c.name == m.name })
	if at < 0 {
		s.columns = append(s.columns, sampled{name: m.name})
		at = len(s.columns) - 1
	}
	observeJSON(&s.columns[at].guess, m)
}

// readText reads a text file in parallel chunks.
func (l *load) readText(ctx context.Context, index int, f source) error {
	before := l.read.Load()
	t, err := l.job.openText(ctx, index, f, &l.read)
	if err != nil {
		return err
	}
	defer t.close()
	parser, err := l.parser(t)
	if err != nil {
		return err
	}
	produce := func(emit func(chunk) error) error {
		cut := t.chunker(l.job.limits)
		for {
			c, err := cut.next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return readFault(err, f.Name)
			}
			if err := emit(c); err != nil {
				return err
			}
		}
	}
	err = inOrder(ctx, l.workers(), produce, parser, func(p parsed) error { return l.take(ctx, p) })
	if err == nil && f.Size >= 0 {
		l.read.Store(before + f.Size)
	}
	return err
}

func (l *load) parser(t *textFile) (func(chunk) (parsed, error), error) {
	if t.format == "jsonl" {
		return func(c chunk) (parsed, error) { return l.parseJSON(t, c) }, nil
	}
	targets, err := l.mapCells(t)
	if err != nil {
		return nil, err
	}
	return func(c chunk) (parsed, error) { return l.parseCSV(t, targets, c) }, nil
}

// end turns parsed rows into a batch without those that break a rule.
func (l *load) end(r *rows, lines []int64, p parsed) (parsed, error) {
	if r.n == 0 {
		return p, nil
	}
	batch, bad, err := applyRules(l.rules, r.batch(l.schema), func(i int) int64 { return lines[i] })
	if err != nil {
		return p, err
	}
	p.batch = batch
	if len(bad) > 0 {
		p.bad = append(p.bad, bad...)
		slices.SortStableFunc(p.bad, func(a, b badRow) int { return cmp.Compare(a.line, b.line) })
	}
	return p, nil
}

// cell reads one cell into a column. When it does not fit, ok is false, and
// the finding has what the cell needs.
func cell(c *column, f *field, x *finding, raw []byte, missing bool) (ok bool) {
	if missing || f.Type != frame.String && looksMissing(raw) {
		c.missing()
		return true
	}
	x.values++
	if f.open {
		x.guesses.observe(raw)
	}
	switch f.Type {
	case frame.String:
		if !utf8.Valid(raw) {
			return false
		}
		c.text(raw)
		return true
	case frame.Int:
		if v, ok := parseInt(raw); ok {
			c.number(v)
			return true
		}
		if _, ok := parseDouble(raw); ok && !f.fixed {
			x.want = frame.Double
			return false
		}
	case frame.Double:
		if v, ok := parseDouble(raw); ok {
			c.double(v)
			return true
		}
	case frame.Bool:
		if v, ok := parseBool(raw); ok {
			c.number(int64(boolInt(v)))
			return true
		}
		if v, ok := parseInt(raw); ok && f.fixed && v|1 == 1 {
			c.number(v)
			return true
		}
	case frame.Timestamp, frame.Date:
		return temporal(c, f, x, raw)
	}
	x.unfit++
	return false
}

func temporal(c *column, f *field, x *finding, raw []byte) bool {
	parse := parseTime
	if f.Type == frame.Date {
		parse = parseDate
	}
	if v, _, ok := parse(raw, f.order|yearFirst); ok {
		c.number(v)
		return true
	}
	if f.Type == frame.Date && !f.fixed {
		if _, _, ok := parseTime(raw, f.order|yearFirst); ok {
			x.want = frame.Timestamp
			return false
		}
	}
	if _, fits, ok := parse(raw, anyOrder); ok && !f.firm {
		x.order |= fits & (monthFirst | dayFirst)
		return false
	}
	x.unfit++
	return false
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// unfitReason says why a cell made its row bad.
func unfitReason(f *field) string {
	if f.Type == frame.String {
		return fmt.Sprintf("column %q: not UTF-8", f.Name)
	}
	return fmt.Sprintf("column %q: not %s", f.Name, typeText(f.Type))
}

// cutLine splits off the first line, without its end.
func cutLine(data []byte, newline byte) (line, rest []byte) {
	at := bytes.IndexByte(data, newline)
	if at < 0 {
		return bytes.TrimSuffix(data, []byte{'\r'}), nil
	}
	return bytes.TrimSuffix(data[:at], []byte{'\r'}), data[at+1:]
}
