package lake

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest/convert"
)

const (
	defaultBatchRows = 16 << 10
	// readBuffer is what is held of each column of a row group at a time.
	readBuffer = 256 << 10
)

// Part is a data file, or some of its row groups.
type Part struct {
	Path      string // as Files gives it
	RowGroups []int  // indices from 0; nil: all
}

// ScanOptions say what to read. The zero value reads everything.
type ScanOptions struct {
	Columns   []string // in this order; nil: all
	BatchRows int      // most rows of a batch; 0: a sensible number
	Parts     []Part   // in this order; nil: every file
}

// Scan reads the rows of t's snapshot, or of some parts of it. A column or
// file that the table does not have is a NotFound fault; bytes that are not
// those that were stored are a Corrupt one.
func (t *Table) Scan(ctx context.Context, o ScanOptions) (frame.Reader, error) {
	fields, err := t.choose(o.Columns)
	if err != nil {
		return nil, err
	}
	parts, err := t.parts(ctx, o.Parts)
	if err != nil {
		return nil, err
	}
	if o.BatchRows <= 0 {
		o.BatchRows = defaultBatchRows
	}
	columns := make([]frame.Column, len(fields))
	for i, f := range fields {
		columns[i] = f.Column
	}
	return &scanner{
		table: t, fields: fields, schema: frame.SchemaOf(columns), parts: parts, batchRows: int64(o.BatchRows),
	}, nil
}

func (t *Table) choose(names []string) ([]fieldOf, error) {
	if names == nil {
		return t.fields, nil
	}
	var mistakes fault.List
	fields := make([]fieldOf, 0, len(names))
	for _, name := range names {
		at := slices.IndexFunc(t.fields, func(f fieldOf) bool { return f.Name == name })
		if at < 0 {
			mistakes.Add(unknownColumn(t, name))
			continue
		}
		fields = append(fields, t.fields[at])
	}
	return fields, mistakes.Err()
}

func unknownColumn(t *Table, name string) error {
	var known []string
	for _, f := range t.fields {
		known = append(known, f.Name)
	}
	err := fault.New(fault.NotFound, "table %q has no column %q", t.name, name)
	if near := nearest(name, known); near != "" {
		return err.Hint("did you mean %q?", near)
	}
	return err
}

// parts checks the chosen parts against the files that the snapshot has.
func (t *Table) parts(ctx context.Context, chosen []Part) ([]Part, error) {
	files, err := t.Files(ctx)
	if err != nil {
		return nil, err
	}
	if chosen == nil {
		all := make([]Part, len(files))
		for i, f := range files {
			all[i].Path = f.Path
		}
		return all, nil
	}
	for _, p := range chosen {
		if !slices.ContainsFunc(files, func(f File) bool { return f.Path == p.Path }) {
			return nil, fault.New(fault.NotFound, "snapshot %d of table %q has no file %q", t.Snapshot(), t.name, p.Path)
		}
	}
	return chosen, nil
}

// scanner reads one part after the other.
type scanner struct {
	table     *Table
	fields    []fieldOf
	schema    *arrow.Schema
	parts     []Part
	batchRows int64

	open    *file.Reader
	records pqarrow.RecordReader
	source  []int // of each field: its column among the records', or -1
	closed  bool
}

// Schema returns the schema of the chosen columns.
func (s *scanner) Schema() *arrow.Schema { return s.schema }

// Next returns the next batch. Batches do not cross files.
func (s *scanner) Next(ctx context.Context) (_ frame.Batch, err error) {
	if s.closed {
		return nil, fault.New(fault.Internal, "a closed scan is read")
	}
	// The Parquet library checks less than it should of a broken file.
	defer func() {
		if r := recover(); r != nil {
			err = s.corrupt(fmt.Errorf("%v", r))
		}
	}()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.records == nil {
			if len(s.parts) == 0 {
				return nil, io.EOF
			}
			if err := s.openPart(ctx, s.parts[0]); err != nil {
				return nil, err
			}
		}
		batch, err := s.records.Read()
		if err == nil && batch != nil && batch.NumRows() > 0 {
			return s.project(batch)
		}
		if err != nil && err != io.EOF {
			return nil, s.corrupt(err)
		}
		s.closePart()
		s.parts = s.parts[1:]
	}
}

func (s *scanner) openPart(ctx context.Context, p Part) (err error) {
	source, err := s.table.lake.open(ctx, s.table, p.Path)
	if err != nil {
		return err
	}
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	props.BufferSize = readBuffer
	s.open, err = file.NewParquetReader(source, file.WithReadProps(props))
	if err != nil {
		_ = source.Close()
		return s.corrupt(err)
	}
	reader, err := pqarrow.NewFileReader(s.open, pqarrow.ArrowReadProperties{BatchSize: s.batchRows}, memory.DefaultAllocator)
	if err != nil {
		return s.corrupt(err)
	}
	have, err := reader.Schema()
	if err != nil {
		return s.corrupt(err)
	}
	for _, g := range p.RowGroups {
		if g < 0 || g >= s.open.NumRowGroups() {
			return fault.New(fault.NotFound, "a file of table %q has no row group %d, only %d", s.table.name, g, s.open.NumRowGroups())
		}
	}
	var leaves []int
	leaves, s.source = s.match(reader, have)
	if len(leaves) == 0 {
		leaves = []int{0} // none of the columns is in the file, but its rows count
	}
	s.records, err = reader.GetRecordReader(ctx, leaves, p.RowGroups)
	if err != nil {
		return s.corrupt(err)
	}
	return nil
}

// match finds the chosen fields in a file, by id and, for files of other
// engines without ids, by name. A column that was added to the table after
// the file was written is not in it.
func (s *scanner) match(reader *pqarrow.FileReader, have *arrow.Schema) (leaves, source []int) {
	source = make([]int, len(s.fields))
	at := make(map[int]int) // field of the file: column of the records
	var order []int
	for i, f := range s.fields {
		source[i] = fieldIndex(have, f)
		if source[i] >= 0 {
			order = append(order, source[i])
		}
	}
	slices.Sort(order)
	order = slices.Compact(order)
	for n, field := range order {
		at[field] = n
		leaves = append(leaves, leavesOf(reader.Manifest.Fields[field])...)
	}
	for i := range source {
		if source[i] >= 0 {
			source[i] = at[source[i]]
		}
	}
	return leaves, source
}

func fieldIndex(schema *arrow.Schema, f fieldOf) int {
	named := -1
	for i, have := range schema.Fields() {
		id, ok := have.Metadata.GetValue(fieldIDKey)
		if ok && id == strconv.Itoa(f.id) {
			return i
		}
		if !ok && have.Name == f.Name {
			named = i
		}
	}
	return named
}

func leavesOf(f pqarrow.SchemaField) []int {
	if f.IsLeaf() {
		return []int{f.ColIndex}
	}
	var out []int
	for _, c := range f.Children {
		out = append(out, leavesOf(c)...)
	}
	return out
}

// project gives a batch the schema of the scan. It takes the reader's batch.
func (s *scanner) project(batch frame.Batch) (frame.Batch, error) {
	columns := make([]arrow.Array, len(s.fields))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, field := range s.schema.Fields() {
		if s.source[i] < 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, field.Type, int(batch.NumRows()))
			continue
		}
		col := batch.Column(s.source[i])
		if arrow.TypeEqual(col.DataType(), field.Type) {
			col.Retain()
			columns[i] = col
			continue
		}
		cast, err := convert.Array(col, s.fields[i].Type)
		if err != nil {
			return nil, fault.Wrap(err, fault.Unsupported, "column %q of table %q", field.Name, s.table.name)
		}
		columns[i] = cast
	}
	return array.NewRecordBatch(s.schema, columns, batch.NumRows()), nil
}

func (s *scanner) corrupt(err error) error {
	if k := fault.KindOf(err); k != fault.Internal {
		return err
	}
	name := ""
	if len(s.parts) > 0 {
		name = s.parts[0].Path
	}
	return corruptFile(s.table.name, name, err)
}

func (s *scanner) closePart() {
	if s.records != nil {
		s.records.Release()
		s.records = nil
	}
	if s.open != nil {
		_ = s.open.Close() // it was only read
		s.open = nil
	}
}

// Close ends the scan.
func (s *scanner) Close() error {
	s.closed = true
	s.closePart()
	return nil
}
