package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// quarantineColumns are those of every quarantine table.
func quarantineColumns() []frame.Column {
	return []frame.Column{
		{Name: "file", Type: frame.String},
		{Name: "line", Type: frame.Int}, // of text; of Parquet and queries the number of the row; from 1
		{Name: "reason", Type: frame.String},
		{Name: "detail", Type: frame.String}, // the cell that was wrong
		{Name: "row", Type: frame.String},    // JSON: an object by column, or a list of cells
		{Name: "run", Type: frame.String},
		{Name: "at", Type: frame.Timestamp},
	}
}

const (
	// maxKept bounds what is kept of a bad row.
	maxKept = 64 << 10
	// maxDetail bounds what is kept of a bad cell.
	maxDetail = 200
	// maxReasons bounds how many reasons are told apart; further ones count
	// as otherReason.
	maxReasons  = 200
	otherReason = "other reasons"
	// badBatch is how many bad rows are written at a time.
	badBatch = 4096
)

// badRow is a row that goes to the quarantine.
type badRow struct {
	line   int64
	reason string
	detail string
	row    []byte // JSON
}

// quarantine writes bad rows. Its table is only touched when there are any.
type quarantine struct {
	job     *job
	stem    string
	at      time.Time
	target  Target
	part    Part
	paths   []string
	rows    int64
	reasons map[string]int64
	pending *rows
}

func (q *quarantine) add(ctx context.Context, file string, bad []badRow) error {
	for _, b := range bad {
		q.count(b.reason)
		if q.pending == nil {
			q.pending = newRows(quarantineColumns(), badBatch)
		}
		c := q.pending.columns
		c[0].text([]byte(file))
		c[1].number(b.line)
		c[2].text([]byte(b.reason))
		c[3].text([]byte(b.detail))
		c[4].text(b.row)
		c[5].text([]byte(q.job.id))
		c[6].number(q.at.UnixMicro())
		q.pending.keep()
		if q.pending.n >= badBatch || len(c[4].bytes) > 16<<20 {
			if err := q.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *quarantine) count(reason string) {
	q.rows++
	if _, known := q.reasons[reason]; !known && len(q.reasons) >= maxReasons {
		reason = otherReason
	}
	q.reasons[reason]++
}

func (q *quarantine) flush(ctx context.Context) (err error) {
	if q.pending == nil {
		return nil
	}
	if q.target == nil {
		if q.target, err = q.job.in.Sink.Draft(ctx, QuarantineTable(q.job.src.Name), quarantineColumns()); err != nil {
			return err
		}
	}
	if q.part == nil {
		if q.part, err = q.target.Stage(ctx, partName(q.stem, len(q.paths))); err != nil {
			return err
		}
	}
	batch := q.pending.batch(frame.SchemaOf(quarantineColumns()))
	defer batch.Release()
	q.pending = nil
	if err := q.part.Write(batch); err != nil || q.part.Rows() < partRows {
		return err
	}
	return q.finishPart(ctx)
}

func (q *quarantine) finishPart(ctx context.Context) error {
	path, err := q.part.Finish(ctx)
	if err == nil {
		q.paths = append(q.paths, path)
		q.part = nil
	}
	return err
}

func (q *quarantine) finish(ctx context.Context) error {
	if err := q.flush(ctx); err != nil {
		return err
	}
	if q.part != nil {
		if err := q.finishPart(ctx); err != nil {
			return err
		}
	}
	if q.target != nil || !q.job.replaces() {
		return nil
	}
	// A run without bad rows that replaces the table empties its quarantine.
	columns, err := q.job.in.Sink.Columns(ctx, QuarantineTable(q.job.src.Name))
	if err != nil || columns == nil {
		return err
	}
	q.target, err = q.job.in.Sink.Draft(ctx, QuarantineTable(q.job.src.Name), quarantineColumns())
	return err
}

func (q *quarantine) abort() {
	if q.part != nil {
		q.part.Abort()
		q.part = nil
	}
	if q.target != nil {
		q.target.Discard()
	}
}

func partName(stem string, part int) string { return fmt.Sprintf("%s-%06d", stem, part) }

// rule is an expectation that rows must meet.
type rule struct {
	source  string
	program *expr.Program
}

func bindRules(src spec.Source, columns []frame.Column) ([]rule, error) {
	var mistakes fault.List
	rules := make([]rule, 0, len(src.Expect))
	for _, text := range src.Expect {
		parsed, err := expr.Parse(text)
		if err != nil {
			mistakes.Add(fault.Wrap(err, fault.Invalid, "source %q expects %q", src.Name, text))
			continue
		}
		program, err := parsed.Bind(columns)
		if err == nil && program.Type() != frame.Bool {
			err = fault.New(fault.Invalid, "the expression is a %s, not true or false", program.Type())
		}
		if err != nil {
			mistakes.Add(fault.Wrap(err, fault.Invalid, "source %q expects %q", src.Name, text))
			continue
		}
		rules = append(rules, rule{text, program})
	}
	return rules, mistakes.Err()
}

// applyRules takes the rows out of a batch that break a rule. A rule that is
// NULL for a row is broken by it: "amount >= 0" does not hold where there is
// no amount. A row is put aside once, for the first rule that it breaks. It
// takes the batch over; the one it returns is nil without rows.
func applyRules(rules []rule, batch frame.Batch, line func(i int) int64) (frame.Batch, []badRow, error) {
	broken := make(map[int]int) // row: rule
	for n, r := range rules {
		holds, err := r.program.Eval(batch)
		if err != nil {
			batch.Release()
			return nil, nil, fault.Wrap(err, fault.KindOf(err), "the expectation %q", r.source)
		}
		met, ok := holds.(*array.Boolean)
		for i := range int(batch.NumRows()) {
			if !ok || met.IsNull(i) || !met.Value(i) {
				if _, already := broken[i]; !already {
					broken[i] = n
				}
			}
		}
		holds.Release()
	}
	if len(broken) == 0 {
		return batch, nil, nil
	}
	defer batch.Release()
	bad := make([]badRow, 0, len(broken))
	for i := range int(batch.NumRows()) {
		if n, ok := broken[i]; ok {
			bad = append(bad, badRow{line: line(i), reason: "breaks " + rules[n].source, row: rowJSON(batch, i)})
		}
	}
	kept, err := without(batch, broken)
	return kept, bad, err
}

// without copies a batch's rows except some.
func without(batch frame.Batch, rows map[int]int) (frame.Batch, error) {
	total := int(batch.NumRows())
	if len(rows) == total {
		return nil, nil
	}
	columns := make([]arrow.Array, batch.NumCols())
	for c := range columns {
		var runs []arrow.Array
		start := 0
		for i := range total + 1 {
			if _, out := rows[i]; out || i == total {
				if i > start {
					runs = append(runs, array.NewSlice(batch.Column(c), int64(start), int64(i)))
				}
				start = i + 1
			}
		}
		joined, err := array.Concatenate(runs, memory.DefaultAllocator)
		for _, r := range runs {
			r.Release()
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "rows cannot be taken out of a batch")
		}
		defer joined.Release()
		columns[c] = joined
	}
	return array.NewRecordBatch(batch.Schema(), columns, int64(total-len(rows))), nil
}

// rowJSON writes a row as a JSON object in the order of its columns.
func rowJSON(batch frame.Batch, i int) []byte {
	out := []byte{'{'}
	for c, f := range batch.Schema().Fields() {
		if c > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, f.Name), ':')
		out = appendValue(out, batch.Column(c), i)
		if len(out) > maxKept {
			return truncated(out)
		}
	}
	return append(out, '}')
}

func appendValue(out []byte, a arrow.Array, i int) []byte {
	if a.IsNull(i) {
		return append(out, "null"...)
	}
	switch a := a.(type) {
	case *array.Int64:
		return strconv.AppendInt(out, a.Value(i), 10)
	case *array.Float64:
		if v := a.Value(i); !math.IsInf(v, 0) && !math.IsNaN(v) {
			return strconv.AppendFloat(out, v, 'g', -1, 64)
		}
		return appendText(out, a.ValueStr(i))
	case *array.Boolean:
		return strconv.AppendBool(out, a.Value(i))
	case *array.Timestamp:
		return appendText(out, formatTime(time.UnixMicro(int64(a.Value(i)))))
	case *array.Date32:
		return appendText(out, time.Unix(int64(a.Value(i))*86400, 0).UTC().Format(time.DateOnly))
	}
	return appendText(out, a.ValueStr(i))
}

// cellsJSON writes cells as an object by name, or as a list where their
// number does not fit the names.
func cellsJSON(names []string, cells [][]byte) []byte {
	var out []byte
	if len(names) != len(cells) {
		out = append(out, '[')
		for i, c := range cells {
			if i > 0 {
				out = append(out, ',')
			}
			if out = appendText(out, text(c)); len(out) > maxKept {
				return truncated(out)
			}
		}
		return append(out, ']')
	}
	out = append(out, '{')
	for i, c := range cells {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, names[i]), ':')
		if out = appendText(out, text(c)); len(out) > maxKept {
			return truncated(out)
		}
	}
	return append(out, '}')
}

// truncated keeps the beginning of a row that is too large, as JSON text.
func truncated(out []byte) []byte { return appendText(nil, string(out[:maxKept])+"…") }

// appendText appends a JSON string. What is not UTF-8 is replaced.
func appendText(out []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // a string always can be
		return append(out, `""`...)
	}
	return append(out, quoted...)
}

// excerpt is the beginning of a cell, for the detail of a bad row.
func excerpt(cell []byte) string {
	if len(cell) > maxDetail {
		cell = cell[:maxDetail]
	}
	if !utf8.Valid(cell) {
		return strconv.QuoteToASCII(string(cell))
	}
	return string(cell)
}
