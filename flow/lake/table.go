package lake

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Table is a table of the lake at one snapshot. It is immutable and safe for
// many goroutines; what writes returns the table as it is afterwards.
type Table struct {
	lake     *Lake
	name     string
	ident    table.Identifier
	location string // URL of its folder
	ice      *table.Table
	snap     *table.Snapshot // nil: nothing was ever committed
	fields   []fieldOf
	draft    bool // fields or the table itself come with its first commit
}

// Snapshot is one committed state of a table.
type Snapshot struct {
	ID      int64             `json:"id"`
	Parent  int64             `json:"parent,omitempty"` // 0 for the first
	Time    time.Time         `json:"time"`
	Rows    int64             `json:"rows"` // of the whole table, at this snapshot
	Summary map[string]string `json:"summary,omitempty"`
}

// File is a data file of a table.
type File struct {
	Path      string `json:"path"` // local path, or URL in a bucket
	Rows      int64  `json:"rows"`
	Size      int64  `json:"size"`       // bytes
	RowGroups int    `json:"row_groups"` // parts that can be read apart, by index from 0
}

func (l *Lake) tableOf(name string, ice *table.Table) (*Table, error) {
	ident, err := identOf(name)
	if err != nil {
		return nil, err
	}
	fields, err := fieldsOf(ice.Schema())
	if err != nil {
		return nil, fault.Wrap(err, fault.Unsupported, "table %q", name)
	}
	return &Table{
		lake: l, name: name, ident: ident, location: ice.Location(), ice: ice, snap: ice.CurrentSnapshot(), fields: fields,
	}, nil
}

// Name returns the table's name.
func (t *Table) Name() string { return t.name }

// Columns returns the table's columns, in order.
func (t *Table) Columns() []frame.Column {
	columns := make([]frame.Column, len(t.fields))
	for i, f := range t.fields {
		columns[i] = f.Column
	}
	return columns
}

// Snapshot returns the id of the snapshot that t is pinned to, or 0 when
// nothing was ever committed.
func (t *Table) Snapshot() int64 {
	if t.snap == nil {
		return 0
	}
	return t.snap.SnapshotID
}

// Rows returns the number of rows at t's snapshot.
func (t *Table) Rows() int64 {
	if t.snap == nil {
		return 0
	}
	return snapshotOf(*t.snap).Rows
}

// Snapshots lists the snapshots that have not expired, oldest first.
func (t *Table) Snapshots() []Snapshot {
	if t.ice == nil {
		return nil
	}
	var out []Snapshot
	for _, s := range t.ice.Metadata().Snapshots() {
		out = append(out, snapshotOf(s))
	}
	slices.SortStableFunc(out, func(a, b Snapshot) int { return a.Time.Compare(b.Time) })
	return out
}

func snapshotOf(s table.Snapshot) Snapshot {
	out := Snapshot{ID: s.SnapshotID, Time: time.UnixMilli(s.TimestampMs).UTC()}
	if s.ParentSnapshotID != nil {
		out.Parent = *s.ParentSnapshotID
	}
	if s.Summary != nil {
		out.Summary = s.Summary.Properties
		out.Rows, _ = strconv.ParseInt(s.Summary.Properties["total-records"], 10, 64)
	}
	return out
}

// At returns the table at an earlier snapshot, with the columns it had. An
// unknown or expired one is a NotFound fault.
func (t *Table) At(snapshot int64) (*Table, error) {
	if snapshot == t.Snapshot() {
		return t, nil
	}
	var snap *table.Snapshot
	if t.ice != nil {
		snap = t.ice.SnapshotByID(snapshot)
	}
	if snap == nil {
		return nil, fault.New(fault.NotFound, "table %q has no snapshot %d", t.name, snapshot).
			Hint("it never existed, or has expired; the newest is %d", t.Snapshot())
	}
	past := *t
	past.snap, past.draft = snap, false
	if snap.SchemaID != nil {
		if schema := t.ice.Schemas()[*snap.SchemaID]; schema != nil {
			fields, err := fieldsOf(schema)
			if err != nil {
				return nil, fault.Wrap(err, fault.Unsupported, "table %q", t.name)
			}
			past.fields = fields
		}
	}
	return &past, nil
}

// Files lists the data files of t's snapshot, always in the same order: that
// of the rows.
func (t *Table) Files(ctx context.Context) ([]File, error) {
	planned, err := t.plan(ctx)
	if err != nil {
		return nil, err
	}
	files := make([]File, len(planned))
	for i, p := range planned {
		files[i] = File{
			Path: localPath(p.file.FilePath()), Rows: p.file.Count(), Size: p.file.FileSizeBytes(),
			RowGroups: max(1, len(p.file.SplitOffsets())),
		}
	}
	return files, nil
}

// fs is the file system of the table's files.
func (t *Table) fs(ctx context.Context) (icebergio.IO, error) {
	if t.ice != nil {
		return t.ice.FS(ctx)
	}
	return icebergio.LoadFS(ctx, t.lake.properties, t.location)
}

// planned is a data file with the commit that added its rows.
type planned struct {
	file     iceberg.DataFile
	sequence int64
}

func (t *Table) plan(ctx context.Context) ([]planned, error) {
	if t.snap == nil {
		return nil, nil
	}
	tasks, err := t.ice.Scan(table.WithSnapshotID(t.snap.SnapshotID)).PlanFiles(ctx)
	if err != nil {
		return nil, storeFault(err, "the files of table %q cannot be listed", t.name)
	}
	out := make([]planned, 0, len(tasks))
	seen := make(map[string]bool, len(tasks))
	for _, task := range tasks {
		// A large file is several tasks, of some row groups each.
		if seen[task.File.FilePath()] {
			continue
		}
		seen[task.File.FilePath()] = true
		if len(task.DeleteFiles)+len(task.EqualityDeleteFiles)+len(task.DeletionVectorFiles) > 0 {
			return nil, fault.New(fault.Unsupported, "table %q has rows that another engine marked as deleted", t.name).
				Hint("compact the table with that engine; then its deletions are part of the files")
		}
		if f := task.File.FileFormat(); f != iceberg.ParquetFile {
			return nil, fault.New(fault.Unsupported, "table %q has files of format %s", t.name, f).
				Hint("rewrite the table as Parquet with the engine that wrote it")
		}
		p := planned{file: task.File}
		if task.DataSequenceNumber != nil {
			p.sequence = *task.DataSequenceNumber
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b planned) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence),
			strings.Compare(path.Base(a.file.FilePath()), path.Base(b.file.FilePath())))
	})
	return out, nil
}
