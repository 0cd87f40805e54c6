package batch

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/work"
)

// batchRows is how many rows go through the path at a time: enough to make
// the cost of a call vanish, few enough to stay in the cache between two of
// its stages.
const batchRows = 16 << 10

// maxChunks bounds the plan that is kept with a run.
const maxChunks = 200_000

// Chunk is a part of a source: whole row groups of one file.
type Chunk struct {
	File     string `json:"file"`
	Groups   []int  `json:"groups,omitempty"` // row groups, from 0; all when empty
	FirstRow int64  `json:"first_row"`        // position in the source, from 0
	Rows     int64  `json:"rows"`
}

// Content is what a source has at the moment of the plan.
type Content struct {
	Pin      string // names exactly this content, for a later life of the run
	Snapshot int64  // of a lake table
	Columns  []frame.Column
	Chunks   []Chunk // in the order of the rows
	// Unreadable are files of rows that could not be read, as ingest
	// quarantines them.
	Unreadable []string
}

// Source is where rows come from.
type Source interface {
	// Plan cuts the content into chunks of about rows rows, always the same
	// way.
	Plan(ctx context.Context, rows int64) (Content, error)
	// Read yields the rows of a chunk in order, in batches of a bounded size.
	// Bytes that are not those of the plan are a Corrupt or Conflict fault.
	Read(ctx context.Context, c Chunk, columns []string) (frame.Reader, error)
}

// source opens what a resource reads; pin is empty for the present content.
// progress may be nil.
func (d Deps) source(ctx context.Context, run, from, pin string, progress *work.Progress) (Source, error) {
	if table, ok := strings.CutPrefix(from, lakeScheme); ok {
		return d.lakeSource(ctx, table, pin)
	}
	local := !strings.Contains(from, "://")
	if local && !filepath.IsAbs(from) {
		from = filepath.Join(d.Root, from)
	}
	if local && strings.HasSuffix(from, ".parquet") {
		return parquetFiles{pattern: from, pin: pin}, nil
	}
	if d.Ingest == nil || d.Scratch == "" {
		return nil, fault.New(fault.Unsupported, "a batch cannot read %q here", from).Hint("name Parquet files or a lake table")
	}
	return imported{ingester: *d.Ingest, from: from, run: run, dir: d.scratch(run), pin: pin, progress: progress}, nil
}

// scratch is the folder of what a run imports.
func (d Deps) scratch(run string) string {
	if d.Scratch == "" {
		return ""
	}
	return filepath.Join(d.Scratch, "batch-"+run)
}

// lakeTable is a table at one snapshot.
type lakeTable struct{ table *lake.Table }

// lakeSource opens "name" or "name@snapshot".
func (d Deps) lakeSource(ctx context.Context, from, pin string) (Source, error) {
	if d.Lake == nil {
		return nil, fault.New(fault.Unsupported, "there is no lake to read %q from", from)
	}
	name, snapshot, pinned := strings.Cut(from, "@")
	if pin != "" {
		snapshot, pinned = pin, true
	}
	t, err := d.Lake.Table(ctx, name)
	if err != nil || !pinned || snapshot == "0" {
		return lakeTable{t}, err
	}
	id, err := strconv.ParseInt(snapshot, 10, 64)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no snapshot id", snapshot).Hint("write lake://NAME@NUMBER")
	}
	t, err = t.At(id)
	return lakeTable{t}, err
}

func (l lakeTable) Plan(ctx context.Context, rows int64) (Content, error) {
	c := Content{Pin: strconv.FormatInt(l.table.Snapshot(), 10), Snapshot: l.table.Snapshot(), Columns: l.table.Columns()}
	if c.Snapshot == 0 { // nothing was ever committed
		return c, nil
	}
	files, err := l.table.Files(ctx)
	if err != nil {
		return Content{}, err
	}
	var cut cutter
	for _, f := range files {
		groups := []int64{f.Rows}
		if f.RowGroups > 1 {
			if groups, err = l.table.GroupRows(ctx, f.Path); err != nil {
				return Content{}, err
			}
		}
		cut.file(f.Path, groups, rows)
	}
	c.Chunks = cut.chunks
	return c, tooMany(c.Chunks)
}

func (l lakeTable) Read(ctx context.Context, c Chunk, columns []string) (frame.Reader, error) {
	return l.table.Scan(ctx, lake.ScanOptions{
		Columns: columns, BatchRows: batchRows, Parts: []lake.Part{{Path: c.File, RowGroups: c.Groups}},
	})
}

// cutter cuts files into chunks.
type cutter struct {
	chunks []Chunk
	at     int64
}

// file cuts one file: row groups are put together as long as they fit.
func (c *cutter) file(path string, groups []int64, rows int64) {
	var open *Chunk
	for i, n := range groups {
		if n == 0 {
			continue
		}
		if open == nil || open.Rows+n > rows {
			c.chunks = append(c.chunks, Chunk{File: path, FirstRow: c.at})
			open = &c.chunks[len(c.chunks)-1]
		}
		open.Groups = append(open.Groups, i)
		open.Rows += n
		c.at += n
	}
}

func tooMany(chunks []Chunk) error {
	if len(chunks) <= maxChunks {
		return nil
	}
	return fault.New(fault.TooLarge, "the source has %d parts, more than a run can keep track of", len(chunks)).
		Hint("compact the table, or set a larger chunk")
}
