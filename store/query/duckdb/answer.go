//go:build duckdb_arrow

package duckdb

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	driver "github.com/duckdb/duckdb-go/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

const (
	// smallCells is how large an answer may be to come through memory.
	// DuckDB's Arrow interface makes the whole answer before the first row of
	// it can be read, so a larger one goes through a file.
	smallCells = 1 << 20
	// smallRows bounds the rows of a small answer whatever their width: each
	// may have a long text.
	smallRows = 32 << 10
	// batchRows is how many rows a batch has, about.
	batchRows = 16 << 10
)

// answer runs a checked statement and returns its rows in the six types.
func (r *run) answer(ctx context.Context, statement string, args []any) (frame.Reader, error) {
	columns, wrapped, err := r.normalise(ctx, statement, args)
	if err != nil {
		return nil, err
	}
	schema := frame.SchemaOf(columns)
	limit := min(smallRows, max(1, smallCells/max(1, len(columns))))
	batches, rows, err := r.collect(ctx, fmt.Sprintf("%s LIMIT %d", wrapped, limit+1), args, schema)
	if err != nil {
		return nil, err
	}
	if rows <= limit {
		reader := frame.FromBatches(schema, batches...)
		release(batches)
		return reader, nil
	}
	release(batches)
	return r.spool(ctx, wrapped, args, schema)
}

func release(batches []frame.Batch) {
	for _, b := range batches {
		b.Release()
	}
}

// normalise finds the types of a statement's columns and wraps it so that
// they become the six of package frame, and its names unlike each other.
func (r *run) normalise(ctx context.Context, statement string, args []any) ([]frame.Column, string, error) {
	rows, err := r.conn.QueryContext(ctx, "SELECT * FROM ("+statement+") LIMIT 0", args...)
	if err != nil {
		return nil, "", engineFault(ctx, err)
	}
	types, err := rows.ColumnTypes()
	if cerr := rows.Close(); err == nil { //nolint:sqlclosecheck // here its error can be told
		err = cerr
	}
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return nil, "", engineFault(ctx, err)
	}
	columns := make([]frame.Column, len(types))
	inner, outer := make([]string, len(types)), make([]string, len(types))
	taken := map[string]bool{}
	for i, t := range types {
		unique := t.Name()
		for n := 2; taken[strings.ToLower(unique)]; n++ {
			unique = fmt.Sprintf("%s_%d", t.Name(), n)
		}
		taken[strings.ToLower(unique)] = true
		inner[i] = fmt.Sprintf("c%d", i)
		columns[i].Name = unique
		var expression string
		columns[i].Type, expression = cast(t.DatabaseTypeName(), inner[i])
		outer[i] = expression + " AS " + name(unique)
	}
	return columns, "SELECT " + strings.Join(outer, ", ") + " FROM (" + statement + ") AS q(" + strings.Join(inner, ", ") + ")", nil
}

// cast returns the type that a DuckDB type becomes, and how.
func cast(from, column string) (frame.Type, string) {
	base, _, _ := strings.Cut(from, "(")
	if strings.HasSuffix(from, "]") {
		return frame.String, "CAST(to_json(" + column + ") AS VARCHAR)"
	}
	switch base {
	case "BOOLEAN":
		return frame.Bool, column
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER":
		return frame.Int, "CAST(" + column + " AS BIGINT)"
	case "UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM", "DECIMAL", "FLOAT", "DOUBLE":
		return frame.Double, "CAST(" + column + " AS DOUBLE)"
	case "DATE":
		return frame.Date, column
	case "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE":
		return frame.Timestamp, "CAST(" + column + " AS TIMESTAMP WITH TIME ZONE)"
	case "STRUCT", "MAP", "UNION", "LIST", "ARRAY", "VARIANT":
		return frame.String, "CAST(to_json(" + column + ") AS VARCHAR)"
	case "BLOB":
		return frame.String, "base64(" + column + ")"
	}
	return frame.String, "CAST(" + column + " AS VARCHAR)"
}

// collect reads an answer into memory, in batches of a useful size.
func (r *run) collect(ctx context.Context, statement string, args []any, schema *arrow.Schema) (batches []frame.Batch, rows int, err error) {
	err = r.conn.Raw(func(c any) error {
		view, err := driver.NewArrowFromConn(c.(*driver.Conn))
		if err != nil {
			return err
		}
		stream, err := view.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer stream.Release()
		var pending []frame.Batch
		held := int64(0)
		flush := func() error {
			if len(pending) == 0 {
				return nil
			}
			joined, err := join(pending, schema)
			release(pending)
			pending, held = nil, 0
			if err == nil {
				batches = append(batches, joined)
			}
			return err
		}
		for stream.Next() {
			b := stream.RecordBatch()
			b.Retain()
			pending = append(pending, b)
			held += b.NumRows()
			rows += int(b.NumRows())
			if held >= batchRows {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := stream.Err(); err != nil {
			release(pending)
			return err
		}
		return flush()
	})
	if err != nil {
		release(batches)
		return nil, 0, engineFault(ctx, err)
	}
	return batches, rows, nil
}

// join copies DuckDB's small batches, which live in its memory, into one.
func join(batches []frame.Batch, schema *arrow.Schema) (frame.Batch, error) {
	columns := make([]arrow.Array, schema.NumFields())
	total := int64(0)
	for _, b := range batches {
		total += b.NumRows()
	}
	for i := range columns {
		parts := make([]arrow.Array, len(batches))
		for n, b := range batches {
			parts[n] = b.Column(i)
		}
		joined, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the answer cannot be put together")
		}
		defer joined.Release()
		if got := joined.DataType(); !arrow.TypeEqual(got, schema.Field(i).Type) {
			return nil, fault.New(fault.Internal, "the answer's column %q is %s, not %s", schema.Field(i).Name, got, schema.Field(i).Type)
		}
		columns[i] = joined
	}
	return array.NewRecordBatch(schema, columns, total), nil
}

// spool writes an answer to a file and returns a reader of it. The file has
// no name any more when spool returns, so it goes with its reader.
func (r *run) spool(ctx context.Context, statement string, args []any, schema *arrow.Schema) (frame.Reader, error) {
	where := filepath.Join(r.engine.temp, fmt.Sprintf("answer-%d.parquet", r.engine.next.Add(1)))
	defer func() { _ = os.Remove(where) }()
	err := r.exec(ctx, "COPY ("+statement+") TO "+literal(where)+" (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 65536)", args...)
	if err != nil {
		return nil, err
	}
	opened, err := os.Open(where)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the answer cannot be read back")
	}
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	props.BufferSize = 256 << 10
	content, err := file.NewParquetReader(opened, file.WithReadProps(props))
	if err != nil {
		_ = opened.Close()
		return nil, fault.Wrap(err, fault.Internal, "the answer cannot be read back")
	}
	a := &spooled{schema: schema, content: content}
	rows, err := pqarrow.NewFileReader(content, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err == nil {
		a.rows, err = rows.GetRecordReader(context.WithoutCancel(ctx), nil, nil)
	}
	if err != nil {
		_ = a.Close()
		return nil, fault.Wrap(err, fault.Internal, "the answer cannot be read back")
	}
	return a, nil
}

// spooled reads an answer from its file.
type spooled struct {
	schema  *arrow.Schema
	content *file.Reader
	rows    pqarrow.RecordReader
}

// Schema returns the answer's columns.
func (s *spooled) Schema() *arrow.Schema { return s.schema }

// Next returns the next batch.
func (s *spooled) Next(ctx context.Context) (frame.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.rows == nil {
		return nil, fault.New(fault.Internal, "a closed answer is read")
	}
	b, err := s.rows.Read()
	if err == io.EOF || err == nil && b == nil {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the answer cannot be read back")
	}
	return array.NewRecordBatch(s.schema, b.Columns(), b.NumRows()), nil
}

// Close ends the reading and frees the file.
func (s *spooled) Close() error {
	if s.rows != nil {
		s.rows.Release()
		s.rows = nil
	}
	if s.content != nil {
		_ = s.content.Close() // it was only read
		s.content = nil
	}
	return nil
}
