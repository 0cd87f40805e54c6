package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/spec"
)

// columns are those of labels and events alike.
var columns = []frame.Column{
	{Name: "id", Type: frame.Int}, {Name: "at", Type: frame.Timestamp},
	{Name: "n", Type: frame.Int}, {Name: "amount", Type: frame.Double}, {Name: "country", Type: frame.String},
}

// mix is the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// days is the time over which events and labels lie.
const days = 60

// write makes a file whose rows are a function of their number. n is a
// function of customer and time, so that ties do not matter.
func write(path string, rows, customers int, seed uint64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	const group = 1 << 17
	schema := frame.SchemaOf(columns)
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(group)), pqarrow.DefaultWriterProps())
	if err != nil {
		return errors.Join(err, f.Close())
	}
	countries := []string{"DE", "FR", "PL", "ES", "IT", "NL", "SE", "CZ"}
	for from := 0; from < rows && err == nil; from += group {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for row := from; row < min(from+group, rows); row++ {
			h := mix(uint64(row)<<8 | seed)
			id := int64(h % uint64(customers))
			at := int64(mix(h) % (days * 86_400_000_000))
			b.Field(0).(*array.Int64Builder).Append(id)
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(at))
			b.Field(2).(*array.Int64Builder).Append(int64(mix(uint64(id)^uint64(at)) % 1000))
			b.Field(3).(*array.Float64Builder).Append(float64(h>>40) / 100)
			b.Field(4).(*array.StringBuilder).Append(countries[h>>20%8])
		}
		batch := b.NewRecordBatch()
		err = w.Write(batch)
		batch.Release()
		b.Release()
	}
	if cerr := w.Close(); err == nil { // closes the file too
		err = cerr
	}
	return err
}

// rows reads some columns of a file.
type rows struct {
	file    *file.Reader
	records pqarrow.RecordReader
}

func read(ctx context.Context, path string, names []string) (frame.Reader, error) {
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return nil, err
	}
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1 << 14}, memory.DefaultAllocator)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var at []int
	for _, name := range names {
		at = append(at, f.MetaData().Schema.ColumnIndexByName(name))
	}
	records, err := r.GetRecordReader(ctx, at, nil)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &rows{f, records}, nil
}

func (r *rows) Schema() *arrow.Schema { return r.records.Schema() }

func (r *rows) Next(context.Context) (frame.Batch, error) {
	if !r.records.Next() {
		if err := r.records.Err(); err != nil && err != io.EOF {
			return nil, err
		}
		return nil, io.EOF
	}
	b := r.records.RecordBatch()
	b.Retain()
	return b, nil
}

func (r *rows) Close() error { return r.file.Close() }

func views(dir string, plain bool) ([]past.View, error) {
	events := func(ctx context.Context, names []string) (frame.Reader, error) {
		return read(ctx, filepath.Join(dir, "events.parquet"), names)
	}
	newest, err := past.Latest(past.Newest{Name: "newest", Keys: columns[:1], Columns: columns[2:3], Time: "at", Events: events})
	if err != nil || plain {
		return []past.View{newest}, err
	}
	where, err := past.Latest(past.Newest{Name: "where", Keys: columns[:1], Columns: columns[3:], Time: "at", TTL: 7 * 24 * time.Hour, Events: events})
	if err != nil {
		return nil, err
	}
	list := []past.View{newest, where}
	day := spec.Duration(24 * time.Hour)
	for _, v := range []spec.FeatureView{
		{Name: "day", Features: spec.Features{
			{Name: "day_spend", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{day}}},
			{Name: "day_count", Aggregate: &spec.Aggregate{Count: "*", Window: spec.Durations{day}}}}},
		{Name: "week", Features: spec.Features{
			{Name: "week_mean", Aggregate: &spec.Aggregate{Avg: "amount", Window: spec.Durations{7 * day}}},
			{Name: "week_most", Aggregate: &spec.Aggregate{Max: "amount", Window: spec.Durations{7 * day}}},
			{Name: "week_countries", Aggregate: &spec.Aggregate{Distinct: "country", Window: spec.Durations{7 * day}}}}},
		{Name: "ever", Features: spec.Features{
			{Name: "ever_count", Aggregate: &spec.Aggregate{Count: "*"}},
			{Name: "ever_last", Aggregate: &spec.Aggregate{Last: "country"}}}},
	} {
		v.Source, v.Entity, v.Timestamp = "events", spec.Names{"id"}, "at"
		plan, err := window.Compile(v, columns)
		if err != nil {
			return nil, err
		}
		w, err := past.Window(v.Name, plan, events)
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

// join runs one join, reads everything that it found, and prints an outcome.
func join(ctx context.Context, dir string, plain bool, bytes int64) error {
	began := time.Now()
	list, err := views(dir, plain)
	if err != nil {
		return err
	}
	labels, err := read(ctx, filepath.Join(dir, "labels.parquet"), []string{"id", "at"})
	if err != nil {
		return err
	}
	j, err := past.Join(ctx, labels, "at", list, past.Options{Scratch: dir, Memory: bytes})
	if err != nil {
		return err
	}
	defer j.Close()
	s := j.Stats()
	o := outcome{Rows: s.Rows, Events: s.Events, Spilled: s.Spilled}
	for j.Left() > 0 {
		found, err := j.Next(ctx, int(min(1<<16, j.Left())))
		if err != nil {
			return err
		}
		n := found["newest"][0].(*array.Int64)
		o.Found += int64(n.Len() - n.NullN())
		for i, v := range n.Int64Values() {
			if n.IsValid(i) {
				o.Sum += v
			}
		}
		past.Release(found)
	}
	o.Seconds = time.Since(began).Seconds()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	o.Peak = usage.Maxrss * 1024
	return json.NewEncoder(os.Stdout).Encode(o)
}
