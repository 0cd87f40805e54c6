package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

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

// parquetFiles are the local Parquet files of a glob, in the order of their
// names. They are read in place.
type parquetFiles struct {
	pattern string
	pin     string
}

// stamp tells whether a file is still what it was at the plan.
type stamp struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, readFault(err, path)
	}
	return stamp{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()}, nil
}

func (p parquetFiles) Plan(ctx context.Context, rows int64) (Content, error) {
	paths, err := filepath.Glob(p.pattern)
	if err != nil {
		return Content{}, fault.Wrap(err, fault.Invalid, "%q is no pattern of files", p.pattern)
	}
	if len(paths) == 0 {
		return Content{}, fault.New(fault.NotFound, "there is no file %q", p.pattern)
	}
	slices.Sort(paths)
	var c Content
	var cut cutter
	stamps := make([]stamp, len(paths))
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			return Content{}, err
		}
		if stamps[i], err = stampOf(path); err != nil {
			return Content{}, err
		}
		columns, groups, err := describe(path)
		if err != nil {
			return Content{}, err
		}
		if i == 0 {
			c.Columns = columns
		} else if !slices.Equal(columns, c.Columns) {
			return Content{}, fault.New(fault.Invalid, "%q has other columns than %q", path, paths[0]).
				Hint("score files of one schema at a time, or ingest them as a Source")
		}
		cut.file(path, groups, rows)
	}
	pin, err := json.Marshal(stamps)
	c.Pin, c.Chunks = string(pin), cut.chunks
	return c, errors.Join(err, tooMany(c.Chunks))
}

// describe reads a file's columns and the rows of its row groups.
func describe(path string) (columns []frame.Column, groups []int64, err error) {
	defer recovered(path, &err)
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return nil, nil, readFault(err, path)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, nil, readFault(err, path)
	}
	schema, err := r.Schema()
	if err != nil {
		return nil, nil, readFault(err, path)
	}
	groups = make([]int64, f.NumRowGroups())
	for i := range groups {
		groups[i] = f.MetaData().RowGroup(i).NumRows()
	}
	return convert.Columns(schema), groups, nil
}

func (p parquetFiles) Read(ctx context.Context, c Chunk, columns []string) (frame.Reader, error) {
	var stamps []stamp
	if err := json.Unmarshal([]byte(p.pin), &stamps); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the plan of the run cannot be read")
	}
	now, err := stampOf(c.File)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(stamps, now) {
		return nil, fault.New(fault.Conflict, "the file %q changed while it was being scored", c.File).
			Hint("start a new run")
	}
	return readParquet(ctx, c.File, c.Groups, columns)
}

// readParquet reads some columns of some row groups of a file.
func readParquet(ctx context.Context, path string, groups []int, columns []string) (_ frame.Reader, err error) {
	defer recovered(path, &err)
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	props.BufferSize = 256 << 10
	f, err := file.OpenParquetFile(path, false, file.WithReadProps(props))
	if err != nil {
		return nil, readFault(err, path)
	}
	p := &parquetReader{path: path, file: f}
	if err := p.open(ctx, groups, columns); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// parquetReader yields the rows of one file with Leat's types.
type parquetReader struct {
	path    string
	file    *file.Reader
	schema  *arrow.Schema
	columns []frame.Column
	records pqarrow.RecordReader
}

func (p *parquetReader) open(ctx context.Context, groups []int, columns []string) error {
	r, err := pqarrow.NewFileReader(p.file, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return readFault(err, p.path)
	}
	have, err := r.Schema()
	if err != nil {
		return readFault(err, p.path)
	}
	var leaves []int
	for _, name := range columns {
		at := frame.Index(have, name)
		if at < 0 {
			return fault.New(fault.Conflict, "%q has lost its column %q", p.path, name)
		}
		p.columns = append(p.columns, frame.Column{Name: name, Type: convert.TypeOf(have.Field(at).Type)})
		leaves = append(leaves, leavesOf(r.Manifest.Fields[at])...)
	}
	slices.Sort(leaves)
	p.schema = frame.SchemaOf(p.columns)
	p.records, err = r.GetRecordReader(ctx, leaves, groups)
	return readFault(err, p.path)
}

func leavesOf(f pqarrow.SchemaField) []int {
	if f.IsLeaf() {
		return []int{f.ColIndex}
	}
	var out []int
	for _, child := range f.Children {
		out = append(out, leavesOf(child)...)
	}
	return out
}

func (p *parquetReader) Schema() *arrow.Schema { return p.schema }

func (p *parquetReader) Next(ctx context.Context) (_ frame.Batch, err error) {
	defer recovered(p.path, &err)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p.records == nil {
			return nil, fault.New(fault.Internal, "a closed file is read")
		}
		rows, err := p.records.Read()
		if err == io.EOF || err == nil && rows == nil {
			return nil, io.EOF
		}
		if err != nil {
			return nil, readFault(err, p.path)
		}
		if rows.NumRows() > 0 {
			return p.convert(rows)
		}
	}
}

func (p *parquetReader) convert(rows frame.Batch) (frame.Batch, error) {
	out := make([]arrow.Array, len(p.columns))
	for i, c := range p.columns {
		col := rows.Column(frame.Index(rows.Schema(), c.Name))
		if !arrow.TypeEqual(col.DataType(), c.Type.Arrow()) {
			converted, err := convert.Array(col, c.Type)
			if err != nil {
				return nil, fault.Wrap(err, fault.KindOf(err), "column %q of %q", c.Name, p.path)
			}
			defer converted.Release()
			col = converted
		}
		out[i] = col
	}
	return array.NewRecordBatch(p.schema, out, rows.NumRows()), nil
}

func (p *parquetReader) Close() error {
	if p.records == nil {
		return nil
	}
	p.records.Release()
	p.records = nil
	return readFault(p.file.Close(), p.path)
}

// recovered turns a panic of the Parquet library, which checks less than it
// should of a broken file, into a fault.
func recovered(path string, err *error) {
	if p := recover(); p != nil {
		*err = readFault(fmt.Errorf("%v", p), path)
	}
}

// readFault gives an error of reading a file its kind.
func readFault(err error, path string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fault.Wrap(err, fault.NotFound, "there is no file %q", path)
	case errors.Is(err, os.ErrPermission):
		return fault.Wrap(err, fault.Forbidden, "the file %q may not be read", path)
	}
	if kind := fault.KindOf(err); kind != fault.Internal {
		return err
	}
	return fault.New(fault.Corrupt, "the file %q is no readable Parquet file", path).Because(err)
}
