package batch

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/frame"
)

// format is how rows stand in a file.
type format interface {
	ext() string
	// open begins a part.
	open(w io.Writer, schema *arrow.Schema) (rowWriter, error)
	// join writes the file that parts are together.
	join(ctx context.Context, w io.Writer, schema *arrow.Schema, parts []string) error
}

type rowWriter interface {
	write(rows frame.Batch) error
	close() error
}

// parquetFormat is a Parquet file, written the same way each time.
type parquetFormat struct{}

func (parquetFormat) ext() string { return ".parquet" }

func (parquetFormat) open(w io.Writer, schema *arrow.Schema) (rowWriter, error) {
	options := []parquet.WriterProperty{
		// It stands in the file, so it must not change with the version of
		// Leat: a resumed run gives the same bytes after an upgrade.
		parquet.WithCreatedBy("leat"),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithMaxRowGroupLength(DefaultChunk),
		parquet.WithDictionaryPageSizeLimit(256 << 10),
		parquet.WithVersion(parquet.V2_LATEST),
	}
	for _, f := range schema.Fields() {
		// Scores and ids seldom repeat; a dictionary would be work thrown away.
		if f.Type.ID() == arrow.FLOAT64 || f.Name == idColumn {
			options = append(options, parquet.WithDictionaryPath(parquet.ColumnPath{f.Name}, false))
		}
	}
	// The library closes what it can; the file is the caller's.
	out := struct{ io.Writer }{w}
	fw, err := pqarrow.NewFileWriter(schema, out, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
	return parquetWriter{fw}, err
}

type parquetWriter struct{ *pqarrow.FileWriter }

func (w parquetWriter) write(rows frame.Batch) error { return w.WriteBuffered(rows) }
func (w parquetWriter) close() error                 { return w.Close() }

// join reads the parts and writes their rows anew, a batch at a time.
func (f parquetFormat) join(ctx context.Context, w io.Writer, schema *arrow.Schema, parts []string) error {
	out, err := f.open(w, schema)
	if err != nil {
		return err
	}
	columns := make([]string, schema.NumFields())
	for i, field := range schema.Fields() {
		columns[i] = field.Name
	}
	for _, path := range parts {
		r, err := readParquet(ctx, path, nil, columns)
		if err != nil {
			return err
		}
		if err := frame.Each(ctx, r, out.write); err != nil {
			return err
		}
	}
	return out.close()
}

// csvFormat is comma-separated text in UTF-8: RFC 4180 with a header and lines
// that end in \n; NULL is an empty cell, an empty text "".
type csvFormat struct{}

func (csvFormat) ext() string { return ".csv" }

func (csvFormat) open(w io.Writer, _ *arrow.Schema) (rowWriter, error) {
	return &csvWriter{out: bufio.NewWriterSize(w, 256<<10)}, nil
}

// join puts the header before the parts, which have none.
func (csvFormat) join(ctx context.Context, w io.Writer, schema *arrow.Schema, parts []string) error {
	var line []byte
	for i, f := range schema.Fields() {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendText(line, f.Name)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return err
	}
	for _, path := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := appendFile(w, path); err != nil {
			return err
		}
	}
	return nil
}

func appendFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

type csvWriter struct {
	out  *bufio.Writer
	line []byte
}

func (w *csvWriter) write(rows frame.Batch) error {
	cells := make([]func(line []byte, i int) []byte, rows.NumCols())
	for c := range cells {
		cells[c] = cellsOf(rows.Column(c))
	}
	for i := range int(rows.NumRows()) {
		line := w.line[:0]
		for c, cell := range cells {
			if c > 0 {
				line = append(line, ',')
			}
			if !rows.Column(c).IsNull(i) {
				line = cell(line, i)
			}
		}
		w.line = append(line, '\n')
		if _, err := w.out.Write(w.line); err != nil {
			return err
		}
	}
	return nil
}

func (w *csvWriter) close() error { return w.out.Flush() }

// cellsOf returns what appends the i-th value of a column, which is not NULL.
func cellsOf(col arrow.Array) func(line []byte, i int) []byte {
	switch col := col.(type) {
	case *array.String:
		return func(line []byte, i int) []byte { return appendText(line, col.Value(i)) }
	case *array.Int64:
		return func(line []byte, i int) []byte { return strconv.AppendInt(line, col.Value(i), 10) }
	case *array.Float64:
		return func(line []byte, i int) []byte { return appendNumber(line, col.Value(i)) }
	case *array.Boolean:
		return func(line []byte, i int) []byte { return strconv.AppendBool(line, col.Value(i)) }
	case *array.Timestamp:
		return func(line []byte, i int) []byte {
			return time.UnixMicro(int64(col.Value(i))).UTC().AppendFormat(line, time.RFC3339Nano)
		}
	case *array.Date32:
		return func(line []byte, i int) []byte { return col.Value(i).ToTime().AppendFormat(line, time.DateOnly) }
	default:
		return func(line []byte, i int) []byte { return appendText(line, col.ValueStr(i)) }
	}
}

// appendNumber writes the shortest text that reads back as the same number.
func appendNumber(line []byte, v float64) []byte {
	if math.Abs(v) >= 1e21 || v != 0 && math.Abs(v) < 1e-6 {
		return strconv.AppendFloat(line, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(line, v, 'f', -1, 64)
}

func appendText(line []byte, v string) []byte {
	if v != "" && !strings.ContainsAny(v, ",\"\r\n") && v[0] != ' ' && v[len(v)-1] != ' ' {
		return append(line, v...)
	}
	line = append(line, '"')
	for i := range len(v) {
		if v[i] == '"' {
			line = append(line, '"')
		}
		line = append(line, v[i])
	}
	return append(line, '"')
}
