package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

const (
	parquetBatch  = 32 << 10
	parquetBuffer = 512 << 10
)

// parquetFile is an open Parquet file, read batch by batch.
type parquetFile struct {
	name    string
	opened  *os.File
	temp    bool // opened is a copy from a bucket
	file    *file.Reader
	arrow   *pqarrow.FileReader
	schema  *arrow.Schema
	records pqarrow.RecordReader
}

func (j *job) openParquet(ctx context.Context, f source) (_ *parquetFile, err error) {
	p := &parquetFile{name: path.Base(f.Name)}
	if p.opened, err = j.seekable(ctx, f); err != nil {
		return nil, err
	}
	p.temp = f.local == ""
	defer func() {
		// The library panics on some broken files.
		if r := recover(); r != nil {
			err = p.broken(fmt.Errorf("%v", r))
		}
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	props.BufferSize = parquetBuffer
	if p.file, err = file.NewParquetReader(p.opened, file.WithReadProps(props)); err != nil {
		return nil, p.broken(err)
	}
	if err := p.checkSizes(); err != nil {
		return nil, err
	}
	if p.arrow, err = pqarrow.NewFileReader(p.file, pqarrow.ArrowReadProperties{BatchSize: parquetBatch}, memory.DefaultAllocator); err != nil {
		return nil, p.broken(err)
	}
	if p.schema, err = p.arrow.Schema(); err != nil {
		return nil, p.broken(err)
	}
	if n := p.schema.NumFields(); n > j.limits.MaxColumns {
		return nil, fault.New(fault.TooLarge, "%q has %d columns, more than %d", p.name, n, j.limits.MaxColumns)
	}
	return p, nil
}

// seekable returns a local file to read from. An object of a bucket is copied
// to the scratch folder first: its footer stands at its end.
func (j *job) seekable(ctx context.Context, f source) (*os.File, error) {
	if f.local != "" {
		opened, err := os.Open(f.local)
		if err != nil {
			return nil, openFault(err, f.local)
		}
		return opened, nil
	}
	raw, err := j.raw(ctx, f)
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }() // it was only read
	temp, err := os.CreateTemp(j.in.Scratch, "leat-ingest-*.parquet")
	if err != nil {
		return nil, fault.Wrap(err, fault.Full, "%q cannot be copied", f.Name)
	}
	if _, err = io.Copy(temp, cancelable{ctx, raw}); err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		err = errors.Join(readFault(err, f.Name), temp.Close(), os.Remove(temp.Name()))
		return nil, err
	}
	return temp, nil
}

// checkSizes compares what the footer says with the file, before anything is
// allocated by it.
func (p *parquetFile) checkSizes() error {
	info, err := p.opened.Stat()
	if err != nil {
		return p.broken(err)
	}
	meta := p.file.MetaData()
	for g := range p.file.NumRowGroups() {
		group := meta.RowGroup(g)
		if n := group.NumRows(); n < 0 || n > math.MaxInt32 {
			return p.broken(fmt.Errorf("row group %d says that it has %d rows", g, n))
		}
		for c := range group.NumColumns() {
			chunk, err := group.ColumnChunk(c)
			if err != nil {
				return p.broken(err)
			}
			start := chunk.DataPageOffset()
			if chunk.HasDictionaryPage() && chunk.DictionaryPageOffset() > 0 {
				start = min(start, chunk.DictionaryPageOffset())
			}
			size := chunk.TotalCompressedSize()
			if start < 0 || size < 0 || start > info.Size() || size > info.Size()-start || chunk.NumValues() < 0 {
				return p.broken(fmt.Errorf("column %d of row group %d lies outside of the file", c, g))
			}
		}
	}
	return nil
}

func (p *parquetFile) broken(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.Wrap(err, fault.Corrupt, "%q is not a sound Parquet file", p.name)
}

// Schema returns the file's own schema.
func (p *parquetFile) Schema() *arrow.Schema { return p.schema }

// Next returns the next batch.
func (p *parquetFile) Next(ctx context.Context) (_ frame.Batch, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = p.broken(fmt.Errorf("%v", r))
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.records == nil {
		if p.records, err = p.arrow.GetRecordReader(ctx, nil, nil); err != nil {
			return nil, p.broken(err)
		}
	}
	batch, err := p.records.Read()
	switch {
	case err == io.EOF || err == nil && batch == nil:
		return nil, io.EOF
	case err != nil:
		return nil, p.broken(err)
	}
	batch.Retain() // the reader releases it with the next one
	return batch, nil
}

// Close closes the file, and removes it when it is a copy.
func (p *parquetFile) Close() error {
	if p.opened == nil {
		return nil
	}
	if p.records != nil {
		p.records.Release()
		p.records = nil
	}
	_ = p.opened.Close() // it was only read
	var err error
	if p.temp {
		err = os.Remove(p.opened.Name())
	}
	p.opened = nil
	return err
}

func (j *job) sampleParquet(ctx context.Context, f source) ([]sampled, error) {
	p, err := j.openParquet(ctx, f)
	if err != nil {
		return nil, err
	}
	return typedColumns(p.schema), p.Close()
}

func (l *load) readParquet(ctx context.Context, f source) error {
	before := l.read.Load()
	p, err := l.job.openParquet(ctx, f)
	if err != nil {
		return err
	}
	rows := p.file.NumRows()
	seen := int64(0)
	r := &counted{Reader: p, each: func(n int64) {
		seen += n
		l.read.Store(before + f.Size*seen/max(rows, 1))
	}}
	if err := l.readBatches(ctx, r, f.Name, 0); err != nil {
		return err
	}
	if seen != rows {
		return p.broken(fmt.Errorf("it says that it has %d rows, and has %d", rows, seen))
	}
	return nil
}

// counted tells how many rows went through a reader.
type counted struct {
	frame.Reader
	each func(rows int64)
}

func (c *counted) Next(ctx context.Context) (frame.Batch, error) {
	b, err := c.Reader.Next(ctx)
	if err == nil {
		c.each(b.NumRows())
	}
	return b, err
}
