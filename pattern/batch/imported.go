package batch

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// imported is a source of files that cannot be read in parts where they are:
// CSV, JSON lines, anything in a bucket. The plan ingests them, once, into
// Parquet files in the scratch folder of the run, which the chunks are then
// read from.
type imported struct {
	ingester ingest.Ingester // a copy, with a sink of its own
	from     string
	run      string
	dir      string
	pin      string
	progress *work.Progress
}

// importedTable is the name under which ingest knows the rows.
const importedTable = "rows"

func (s imported) Plan(ctx context.Context, rows int64) (Content, error) {
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o700)); err != nil {
		return Content{}, writeFault(err, s.dir)
	}
	sink := &importSink{dir: s.dir, tables: map[string]*importTable{}}
	s.ingester.Sink, s.ingester.Ledger, s.ingester.Scratch = sink, nil, s.dir
	if _, err := s.ingester.Run(ctx, spec.Source{Name: importedTable, From: s.from, Mode: "replace"}, s.run, s.report()); err != nil {
		return Content{}, err
	}
	table := sink.tables[importedTable]
	if table == nil {
		return Content{}, fault.New(fault.NotFound, "there is nothing in %q", s.from)
	}
	var c Content
	var err error
	if c.Columns, err = frame.ColumnsOf(table.schema); err != nil {
		return Content{}, err
	}
	if bad := sink.tables[ingest.QuarantineTable(importedTable)]; bad != nil {
		c.Unreadable = bad.committed
	}
	return cutFiles(c, table.committed, rows)
}

// report turns bytes of the input into progress of the step.
func (s imported) report() func(ingest.Progress) {
	var before int64
	return func(p ingest.Progress) {
		s.progress.Total(p.Total, "bytes")
		s.progress.Add(p.Done - before) // goes back where a pass begins anew
		before = p.Done
	}
}

// cutFiles cuts Parquet files that nobody else writes into chunks.
func cutFiles(c Content, paths []string, rows int64) (Content, error) {
	var cut cutter
	stamps := make([]stamp, len(paths))
	for i, path := range paths {
		var err error
		if stamps[i], err = stampOf(path); err != nil {
			return Content{}, err
		}
		_, groups, err := describe(path)
		if err != nil {
			return Content{}, err
		}
		cut.file(path, groups, rows)
	}
	pin, err := json.Marshal(stamps)
	c.Pin, c.Chunks = string(pin), cut.chunks
	return c, errors.Join(err, tooMany(c.Chunks))
}

func (s imported) Read(ctx context.Context, c Chunk, columns []string) (frame.Reader, error) {
	r, err := parquetFiles{pin: s.pin}.Read(ctx, c, columns)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.Conflict, "what the run read from %q is gone from its scratch folder", s.from).
			Because(err).Hint("start a new run")
	}
	return r, err
}

// importSink is what ingest fills instead of the lake: a folder of Parquet
// files.
type importSink struct {
	dir    string
	mu     sync.Mutex
	tables map[string]*importTable
}

func (*importSink) Columns(context.Context, string) ([]frame.Column, error) { return nil, nil }
func (*importSink) Snapshot(context.Context, string) (int64, error)         { return 0, nil }

func (s *importSink) Draft(_ context.Context, table string, columns []frame.Column) (ingest.Target, error) {
	t := &importTable{staging: staging{
		target: filepath.Join(s.dir, table), run: "import", schema: frame.SchemaOf(columns),
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables[table] = t // a wider one takes the place of an earlier one
	return t, nil
}

type importTable struct {
	staging
	committed []string // paths, in the order of the rows
}

func (t *importTable) Stage(ctx context.Context, name string) (ingest.Part, error) {
	w, err := t.stage(ctx, name, parquetFormat{})
	if err != nil {
		return nil, err
	}
	return &importPart{w}, nil
}

func (t *importTable) Commit(_ context.Context, paths []string, _ ingest.Commit) (int64, error) {
	t.committed = paths
	return 1, nil
}

// Discard throws away the folder of a table that ingest gave up.
func (t *importTable) Discard() {
	if t.committed == nil {
		_ = os.RemoveAll(t.dir()) // the run's scratch folder goes with its end anyway
	}
}

type importPart struct{ *stagedPart }

func (p *importPart) Rows() int64 { return p.count }

func (p *importPart) Write(rows frame.Batch) error {
	fitted, err := byName(rows, p.staging.schema)
	if err != nil {
		return err
	}
	defer fitted.Release()
	return p.stagedPart.Write(fitted)
}

func (p *importPart) Finish(ctx context.Context) (string, error) {
	name, _, err := p.stagedPart.Finish(ctx)
	return filepath.Join(p.staging.dir(), name), err
}

// byName orders the columns of a batch as a schema does; what the batch lacks
// is NULL.
func byName(rows frame.Batch, schema *arrow.Schema) (frame.Batch, error) {
	columns := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		at := frame.Index(rows.Schema(), f.Name)
		if at < 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(rows.NumRows()))
			defer columns[i].Release()
			continue
		}
		if columns[i] = rows.Column(at); !arrow.TypeEqual(columns[i].DataType(), f.Type) {
			return nil, fault.New(fault.Internal, "column %q comes as %s, not as %s", f.Name, columns[i].DataType(), f.Type)
		}
	}
	return array.NewRecordBatch(schema, columns, rows.NumRows()), nil
}
