package app

import (
	"context"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/surface/api"
)

// lakeSQL answers SQL over the lake and over the decisions that are not in it
// yet. It is made before the decision log, which it gets later.
type lakeSQL struct {
	sql     lake.SQL
	records *record.Writer
}

func (a *App) openSQL(ctx context.Context) (func(context.Context) error, error) {
	engine, err := backends.Engine(ctx, a.scratch(), a.lake.Folder())
	if err != nil {
		return nil, err
	}
	a.engine = engine
	a.sql = &lakeSQL{sql: lake.SQL{Lake: a.lake, Engine: engine}}
	return func(context.Context) error { return engine.Close() }, nil
}

// Query answers a query while no decision moves from the log into the lake, so
// that each is found once.
func (l *lakeSQL) Query(ctx context.Context, query string) (r frame.Reader, err error) {
	if strings.EqualFold(strings.TrimSpace(strings.TrimRight(query, "; \n")), "show tables") {
		return l.list(ctx)
	}
	if l.records == nil {
		return l.sql.Query(ctx, query)
	}
	err = l.records.Stable(func() error {
		r, err = l.sql.Query(ctx, query)
		return err
	})
	return r, err
}

// list answers "show tables".
func (l *lakeSQL) list(ctx context.Context) (frame.Reader, error) {
	tables, err := l.Tables(ctx)
	if err != nil {
		return nil, err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{
		{Name: "name", Type: frame.String}, {Name: "rows", Type: frame.Int}, {Name: "columns", Type: frame.Int},
	}))
	defer b.Release()
	for _, t := range tables {
		b.Field(0).(*array.StringBuilder).Append(t.Name)
		b.Field(1).(*array.Int64Builder).Append(t.Rows)
		b.Field(2).(*array.Int64Builder).Append(int64(len(t.Columns)))
	}
	rows := b.NewRecordBatch()
	defer rows.Release()
	return frame.FromBatches(rows.Schema(), rows), nil
}

// Tables describes every table.
func (l *lakeSQL) Tables(ctx context.Context) ([]api.Table, error) {
	names, err := l.sql.Lake.Tables(ctx)
	if err != nil {
		return nil, err
	}
	list := []api.Table{}
	for _, name := range names {
		t, err := l.sql.Lake.Table(ctx, name)
		if err != nil {
			return nil, err
		}
		described := api.Table{Name: name, Rows: t.Rows(), Snapshot: t.Snapshot()}
		for _, c := range t.Columns() {
			described.Columns = append(described.Columns, api.Column{Name: c.Name, Type: string(c.Type)})
		}
		list = append(list, described)
	}
	return list, nil
}

// fresh is the decision log as rows of the lake's table.
type fresh struct{ records *record.Writer }

func (f fresh) Fresh(ctx context.Context, table string) (batches []frame.Batch, columns []frame.Column, err error) {
	if !strings.EqualFold(table, record.Table) {
		return nil, nil, nil
	}
	r, err := f.records.Fresh(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = frame.Each(ctx, r, func(b frame.Batch) error {
		b.Retain()
		batches = append(batches, b)
		return nil
	})
	if err != nil {
		for _, b := range batches {
			b.Release()
		}
		return nil, nil, err
	}
	return batches, record.Columns(), nil
}

// decisions finds decisions wherever they are: in the log, in the lake, or as
// rows of a batch's output.
type decisions struct{ app *App }

func (d decisions) Find(ctx context.Context, id string) (record.Decision, error) {
	found, err := d.app.records.Find(ctx, id)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return found, err
	}
	list, err := d.inLake(ctx, "id = ?", id, 1)
	if err != nil {
		return record.Decision{}, err
	}
	if len(list) == 0 {
		return record.Decision{}, fault.New(fault.NotFound, "there is no decision %q", id).
			Hint("decisions of a batch are rows of its output: select * from that table where decision_id = '…'")
	}
	return list[0], nil
}

func (d decisions) Latest(ctx context.Context, endpoint string, limit int) ([]record.Decision, error) {
	list, err := d.app.records.Latest(ctx, endpoint, limit)
	if err != nil || len(list) >= limit {
		return list, err
	}
	older, err := d.inLake(ctx, "(? = '' or endpoint = ?)", endpoint, limit-len(list))
	return append(list, older...), err
}

// inLake reads decisions of the lake's table that match a condition, newest
// first.
func (d decisions) inLake(ctx context.Context, condition, arg string, limit int) (list []record.Decision, err error) {
	if _, err := d.app.lake.Table(ctx, record.Table); fault.Is(err, fault.NotFound) {
		return nil, nil // nothing was moved into the lake yet
	}
	args := make([]any, 0, 3)
	for range strings.Count(condition, "?") {
		args = append(args, arg)
	}
	only := lake.SQL{Lake: d.app.lake, Engine: d.app.engine}
	r, err := only.Query(ctx, "select * from decisions where "+condition+" order by at desc limit ?", append(args, limit)...)
	if err != nil {
		return nil, err
	}
	err = frame.Each(ctx, r, func(b frame.Batch) error {
		for row := range int(b.NumRows()) {
			list = append(list, decisionAt(b, row))
		}
		return nil
	})
	return list, err
}

// decisionAt reads a row with the columns of record.Columns.
func decisionAt(b frame.Batch, row int) record.Decision {
	text := func(name string) string {
		at := frame.Index(b.Schema(), name)
		if at < 0 || b.Column(at).IsNull(row) {
			return ""
		}
		c, _ := b.Column(at).(*array.String)
		return c.Value(row)
	}
	number := func(name string) int64 {
		at := frame.Index(b.Schema(), name)
		if c, ok := b.Column(at).(*array.Int64); ok && !c.IsNull(row) {
			return c.Value(row)
		}
		return 0
	}
	d := record.Decision{
		ID: text("id"), Pattern: text("pattern"), Endpoint: text("endpoint"), Release: text("release"), Variant: text("variant"),
		Model: text("model"), Version: int(number("version")), Caller: text("caller"), Key: text("key"), Run: text("run"),
		Inputs: jsonOrNil(text("inputs")), Features: jsonOrNil(text("features")), Output: jsonOrNil(text("output")),
		Decision: text("decision"), Error: text("error"), LatencyUS: number("latency_us"),
	}
	if c, ok := b.Column(frame.Index(b.Schema(), "at")).(*array.Timestamp); ok {
		d.At = c.Value(row).ToTime(frame.TimestampType.Unit)
	}
	if c, ok := b.Column(frame.Index(b.Schema(), "score")).(*array.Float64); ok && !c.IsNull(row) {
		score := c.Value(row)
		d.Score = &score
	}
	return d
}

func jsonOrNil(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}
