package monitor

import (
	"bytes"
	"context"
	"math"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// skew compares what was served with what the lake has: the share of decisions
// in which a feature differs, bit for bit. Too few decisions say nothing.
func (f *Features) skew(ctx context.Context, m *spec.Monitor, asks []signal) ([]Reading, error) {
	past, err := f.Served.Past(ctx, m.Watch)
	if err != nil || past == nil || past.Until.IsZero() {
		return nil, err
	}
	limit := min(m.Window, maxSkewRows)
	decisions, err := f.Served.Decisions(ctx, m.Watch, past.Release, past.Until, limit)
	if err == nil && past.Time != "" && len(decisions) < minSkewRows { // of rows that say an earlier time themselves
		decisions, err = f.Served.Decisions(ctx, m.Watch, past.Release, f.Clock.Now(), limit)
	}
	if err != nil {
		return nil, err
	}
	decisions = slices.DeleteFunc(decisions, func(d Decision) bool { return len(d.Inputs) == 0 || len(d.Features) == 0 })
	differing, rows, err := past.compare(ctx, decisions)
	if err != nil || rows < minSkewRows {
		return nil, err
	}
	start, end := decisions[0].At, decisions[0].At
	for _, d := range decisions {
		start, end = earlier(start, d.At), later(end, d.At)
	}
	var readings []Reading
	for _, s := range asks {
		for i, c := range past.Outputs {
			if s.column != c.Name && s.column != "*" {
				continue
			}
			share := float64(differing[i]) / float64(rows)
			readings = append(readings, Reading{Monitor: m.Name, Signal: skew, Column: c.Name, Value: share, Threshold: s.above, Fired: share > s.above,
				Rows: int64(rows), Start: start, End: end, Release: past.Release})
		}
	}
	return readings, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// compare counts for each feature the decisions whose value is another one in
// the lake. Decisions whose row says a time beyond Until do not count.
func (p *Past) compare(ctx context.Context, decisions []Decision) (differing []int, rows int, err error) {
	differing = make([]int, len(p.Outputs))
	inputs, served := newObjects(p.Inputs, len(decisions)), newObjects(p.Outputs, len(decisions))
	var at []int64
	for _, d := range decisions {
		if err := inputs.add(d.Inputs); err != nil {
			return nil, 0, err
		}
		if err := served.add(d.Features); err != nil {
			return nil, 0, err
		}
		at = append(at, d.At.UnixMicro())
	}
	in, was := inputs.batch(), served.batch()
	defer in.Release()
	defer was.Release()
	if len(decisions) == 0 {
		return differing, 0, nil
	}
	p.ownTimes(in, at)
	is, err := p.Compute(ctx, in, at)
	if err != nil {
		return nil, 0, err
	}
	defer is.Release()
	for row, t := range at {
		if t > p.Until.UnixMicro() {
			continue
		}
		rows++
		for i, c := range p.Outputs {
			then := frame.Index(is.Schema(), c.Name)
			if then < 0 {
				return nil, 0, fault.New(fault.Internal, "feature %q was not computed", c.Name)
			}
			if !same(was.Column(i), is.Column(then), row) {
				differing[i]++
			}
		}
	}
	return differing, rows, nil
}

// ownTimes puts the times that rows have of their own in the place of those of
// their decisions.
func (p *Past) ownTimes(in frame.Batch, at []int64) {
	i := slices.IndexFunc(p.Inputs, func(c frame.Column) bool { return c.Name == p.Time })
	if i < 0 {
		return
	}
	if own, ok := in.Column(i).(*array.Timestamp); ok {
		for row := range at {
			if own.IsValid(row) {
				at[row] = int64(own.Value(row))
			}
		}
	}
}

// same compares one value. What is no number is as the log has it, NULL.
func same(a, b arrow.Array, row int) bool {
	if x, ok := b.(*array.Float64); ok && x.IsValid(row) && (math.IsNaN(x.Value(row)) || math.IsInf(x.Value(row), 0)) {
		return a.IsNull(row)
	}
	if a.IsNull(row) || b.IsNull(row) {
		return a.IsNull(row) == b.IsNull(row)
	}
	switch a := a.(type) {
	case *array.Float64:
		b, ok := b.(*array.Float64)
		return ok && a.Value(row) == b.Value(row)
	case *array.Int64:
		b, ok := b.(*array.Int64)
		return ok && a.Value(row) == b.Value(row)
	case *array.Boolean:
		b, ok := b.(*array.Boolean)
		return ok && a.Value(row) == b.Value(row)
	case *array.String:
		b, ok := b.(*array.String)
		return ok && a.Value(row) == b.Value(row)
	case *array.Timestamp:
		b, ok := b.(*array.Timestamp)
		return ok && a.Value(row) == b.Value(row)
	case *array.Date32:
		b, ok := b.(*array.Date32)
		return ok && a.Value(row) == b.Value(row)
	}
	return false
}

// objects reads JSON objects of the decision log into columns.
type objects struct {
	columns []frame.Column
	cells   []*frame.Cells
	rows    int
}

func newObjects(columns []frame.Column, rows int) *objects {
	o := &objects{columns: columns}
	for _, c := range columns {
		o.cells = append(o.cells, frame.NewCells(c.Type, rows))
	}
	return o
}

// add adds a row; a column that the object does not have is NULL.
func (o *objects) add(text []byte) error {
	var values map[string]jsontext.Value
	if err := wire.Unmarshal(text, &values); err != nil {
		return fault.New(fault.Corrupt, "a decision's record is no JSON object").Because(err)
	}
	for i, c := range o.columns {
		if err := addValue(o.cells[i], values[c.Name]); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "column %q of a decision's record", c.Name)
		}
	}
	o.rows++
	return nil
}

func (o *objects) batch() frame.Batch {
	return frame.BatchOf(frame.SchemaOf(o.columns), o.cells, o.rows)
}

// addValue adds a value that the decision log wrote.
func addValue(cells *frame.Cells, v jsontext.Value) error {
	if len(v) == 0 || bytes.Equal(v, []byte("null")) {
		cells.Null()
		return nil
	}
	var err error
	switch cells.Type() {
	case frame.Double:
		var f float64
		err = wire.Unmarshal(v, &f)
		cells.Double(f)
	case frame.Int:
		var n int64
		err = wire.Unmarshal(v, &n)
		cells.Int(n)
	case frame.Bool:
		var b bool
		err = wire.Unmarshal(v, &b)
		cells.Bool(b)
	case frame.String:
		var s string
		if err = wire.Unmarshal(v, &s); err == nil && !cells.TextString(s) {
			return fault.New(fault.TooLarge, "the texts are longer than 2 GiB")
		}
	default:
		return addTime(cells, v)
	}
	if err != nil {
		return fault.New(fault.Corrupt, "%.40s is no %s", v, cells.Type()).Because(err)
	}
	return nil
}

// addTime adds a timestamp or date, which the log has as text.
func addTime(cells *frame.Cells, v jsontext.Value) error {
	layout := time.RFC3339Nano
	if cells.Type() == frame.Date {
		layout = time.DateOnly
	}
	var text string
	if err := wire.Unmarshal(v, &text); err != nil {
		return fault.New(fault.Corrupt, "%.40s is no %s", v, cells.Type()).Because(err)
	}
	at, err := time.Parse(layout, text)
	if err != nil {
		return fault.New(fault.Corrupt, "%.40s is no %s", v, cells.Type()).Because(err)
	}
	if cells.Type() == frame.Date {
		cells.Int(at.Unix() / 86400)
	} else {
		cells.Int(at.UnixMicro())
	}
	return nil
}
