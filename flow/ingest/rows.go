package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest/convert"
	"github.com/leat-ai/leat/spec"
)

// RowsOptions say how a file of rows is written, where its content does not.
type RowsOptions struct {
	Format    string // csv, parquet or libsvm; by the name and the content when empty
	Header    *bool  // of CSV: whether the first row has names; found out when nil
	Delimiter string // of CSV: one character; found out when empty
	IndexBase *int   // of LIBSVM: the index of the first column, 0 or 1; found out when nil
	Limits    Limits
}

// Rows is one local file of rows, for those who read it as it is: without a
// lake, with the columns they ask for, and with an error where a row does not
// fit. Begin with OpenRows; EachRows reads.
type Rows struct {
	name    string
	format  string
	job     *job
	names   []string // of the columns; nil when the file has none
	width   int      // columns; 0 when the file does not say
	base    *int
	text    *textFile
	parquet *parquetFile
	read    atomic.Int64
}

// Pick asks for a column of a file: that at a position, from 0, as a column
// of some name and type.
type Pick struct {
	frame.Column
	At int
}

// OpenRows opens a file, unpacked where it is packed, and reads its header.
func OpenRows(ctx context.Context, location string, o RowsOptions) (*Rows, error) {
	r := &Rows{name: filepath.Base(location), base: o.IndexBase}
	r.job = &job{in: &Ingester{}, limits: o.Limits.withDefaults(), src: spec.Source{
		Name: r.name, From: location, Delimiter: o.Delimiter, Header: o.Header,
	}}
	info, err := os.Stat(location)
	if err != nil {
		return nil, openFault(err, location)
	}
	if info.IsDir() {
		return nil, fault.New(fault.Invalid, "%q is a folder, not a file of rows", location)
	}
	if r.format, err = rowsFormat(location, o.Format); err != nil {
		return nil, err
	}
	f := source{Object: Object{Name: location, Size: info.Size()}, format: "csv", local: location}
	switch r.format {
	case "parquet":
		err = r.openParquet(ctx, f)
	case "libsvm":
		r.job.src.Delimiter = " "
		r.job.src.Header = new(bool)
		r.text, err = r.job.openText(ctx, 0, f, &r.read)
	default:
		if strings.HasPrefix(rowsExtension(location), ".tsv") && o.Delimiter == "" {
			r.job.src.Delimiter = "\t"
		}
		err = r.openCSV(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// rowsFormat finds the format of a file: given, by its name, or for Parquet by
// its first bytes.
func rowsFormat(location, given string) (string, error) {
	switch given {
	case "csv", "parquet", "libsvm":
		return given, nil
	case "":
	default:
		return "", fault.New(fault.Invalid, "rows of the format %q are not read", given).Hint("use csv, parquet or libsvm")
	}
	switch rowsExtension(location) {
	case ".parquet", ".pq":
		return "parquet", nil
	case ".libsvm", ".svm", ".svmlight":
		return "libsvm", nil
	}
	f, err := os.Open(location)
	if err != nil {
		return "", openFault(err, location)
	}
	defer func() { _ = f.Close() }() // it was only read
	var head [4]byte
	if _, err := io.ReadFull(f, head[:]); err == nil && string(head[:]) == "PAR1" {
		return "parquet", nil
	}
	return "csv", nil
}

func rowsExtension(location string) string {
	base := strings.ToLower(filepath.Base(location))
	for _, end := range []string{".gz", ".zst", ".zstd"} {
		base = strings.TrimSuffix(base, end)
	}
	return path.Ext(base)
}

func (r *Rows) openParquet(ctx context.Context, f source) (err error) {
	if r.parquet, err = r.job.openParquet(ctx, f); err != nil {
		return err
	}
	for _, field := range r.parquet.schema.Fields() {
		r.names = append(r.names, field.Name)
	}
	r.width = len(r.names)
	return nil
}

// openCSV opens a delimited file. Whether its first row has names is found out
// by that row: names are not all numbers, unless they count from 0 or 1.
func (r *Rows) openCSV(ctx context.Context, f source) (err error) {
	given := r.job.src.Header
	r.job.src.Header = new(bool)
	if r.text, err = r.job.openText(ctx, 0, f, &r.read); err != nil {
		return err
	}
	r.width = len(r.text.header)
	first := r.firstRow()
	if given != nil && !*given || given == nil && !isHeader(first) {
		return nil
	}
	r.names = first
	r.text.close()
	r.job.src.Header = nil
	r.text, err = r.job.openText(ctx, 0, f, &r.read)
	return err
}

// firstRow returns the cells of the first row as they are.
func (r *Rows) firstRow() []string {
	head, _ := r.text.rest.Peek(headSize) // openText has seen that it can be read
	var cells cellReader
	row, _, _ := cells.row(bytes.TrimLeft(head, "\r\n"), r.text.dialect)
	names := make([]string, len(row))
	for i, c := range row {
		names[i] = strings.ToValidUTF8(string(trimSpace(c)), "?")
	}
	return names
}

func isHeader(first []string) bool {
	counted := len(first) > 0 && (first[0] == "0" || first[0] == "1")
	numbers := true
	for i, cell := range first {
		_, number := parseDouble([]byte(cell))
		numbers = numbers && (number || cell == "")
		if n, err := strconv.Atoi(cell); err != nil || strconv.Itoa(n-i) != first[0] {
			counted = false
		}
	}
	return !numbers || counted && len(first) > 1
}

// Names are the names of the file's columns by position, or nil when it has
// none.
func (r *Rows) Names() []string { return r.names }

// Width is how many columns the file has, or 0 when it does not say, as LIBSVM
// files do not.
func (r *Rows) Width() int { return r.width }

// Close closes the file.
func (r *Rows) Close() error {
	if r.parquet != nil {
		return r.parquet.Close()
	}
	r.text.close()
	return nil
}

// EachRows reads a file in batches of the columns asked for. work is called
// with each batch, by several goroutines; what it makes goes to take in the
// order of the rows. The first error, in that order, ends it: one of a row
// says its line. It returns how many rows were read.
func EachRows[T any](ctx context.Context, r *Rows, picks []Pick, work func(frame.Batch) (T, error), take func(T) error) (rows int64, err error) {
	type made struct {
		value T
		rows  int64
		err   error
	}
	// An error waits for its turn, so that it is always the first in the file
	// that is told.
	collect := func(m made) error {
		if m.err != nil {
			return m.err
		}
		if m.rows == 0 {
			return nil
		}
		rows += m.rows
		return take(m.value)
	}
	do := func(batch frame.Batch, err error) (made, error) {
		m := made{err: err}
		if batch != nil {
			m.rows = batch.NumRows()
			if err == nil && m.rows > 0 {
				m.value, m.err = work(batch)
			}
			batch.Release()
		}
		return m, ctx.Err()
	}
	workers := r.job.limits.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if r.parquet != nil {
		fit := newFitter(r.parquet.schema, picks)
		err = inOrder(ctx, workers, r.batches(ctx),
			func(t typed) (made, error) {
				batch, err := r.fit(fit, t)
				return do(batch, err)
			}, collect)
		return rows, err
	}
	parse, err := r.parser(picks)
	if err != nil {
		return 0, err
	}
	err = inOrder(ctx, workers, r.chunks(),
		func(c chunk) (made, error) { return do(parse(c)) }, collect)
	return rows, err
}

// chunks cuts a text file.
func (r *Rows) chunks() func(emit func(chunk) error) error {
	cut := r.text.chunker(r.job.limits)
	if r.format == "libsvm" {
		cut.quote = 0
	}
	return func(emit func(chunk) error) error {
		for {
			c, err := cut.next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return readFault(err, r.name)
			}
			if err := emit(c); err != nil {
				return err
			}
		}
	}
}

func (r *Rows) batches(ctx context.Context) func(emit func(typed) error) error {
	return func(emit func(typed) error) error {
		row := int64(0)
		for {
			batch, err := r.parquet.Next(ctx)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := emit(typed{batch, row}); err != nil {
				batch.Release()
				return err
			}
			row += batch.NumRows()
		}
	}
}

// fitter takes picked columns out of batches that are typed already.
type fitter struct {
	picks  []Pick
	schema *arrow.Schema
	from   *arrow.Schema
}

func newFitter(from *arrow.Schema, picks []Pick) *fitter {
	return &fitter{picks: picks, schema: frame.SchemaOf(pickedColumns(picks)), from: from}
}

func pickedColumns(picks []Pick) []frame.Column {
	columns := make([]frame.Column, len(picks))
	for i, p := range picks {
		columns[i] = p.Column
	}
	return columns
}

// fit converts the picked columns of a batch. The columns of a damaged file
// may contradict themselves, which the Arrow library answers with a panic.
func (r *Rows) fit(f *fitter, t typed) (_ frame.Batch, err error) {
	defer t.batch.Release()
	columns := make([]arrow.Array, len(f.picks))
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Corrupt, "%q has rows that contradict themselves: %v", r.name, p)
		}
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, p := range f.picks {
		if columns[i], err = fitColumn(t.batch.Column(p.At), p.Type); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "column %q of %s", f.from.Field(p.At).Name, r.name)
		}
	}
	return array.NewRecordBatch(f.schema, columns, t.batch.NumRows()), nil
}

// fitColumn converts a column, also between numbers where nothing is lost.
func fitColumn(col arrow.Array, want frame.Type) (arrow.Array, error) {
	have := convert.TypeOf(col.DataType())
	plain, err := convert.Array(col, have)
	if err != nil {
		return nil, err
	}
	defer plain.Release()
	if have == want || want == frame.String || want == frame.Double && have == frame.Int {
		return convert.Array(plain, want)
	}
	c := newRows([]frame.Column{{Type: want}}, plain.Len())
	for i := range plain.Len() {
		if err := fitCell(&c.columns[0], plain, i); err != nil {
			return nil, err
		}
	}
	return c.columns[0].array(), nil
}

// fitCell converts one value between numbers and bools.
func fitCell(c *column, from arrow.Array, i int) error {
	if from.IsNull(i) {
		c.missing()
		return nil
	}
	switch from := from.(type) {
	case *array.Boolean:
		if c.typ == frame.Double {
			c.double(float64(boolInt(from.Value(i))))
			return nil
		}
		if c.typ == frame.Int {
			c.number(int64(boolInt(from.Value(i))))
			return nil
		}
	case *array.Float64:
		if n, whole := wholeNumber(from.Value(i)); whole && c.typ == frame.Int {
			c.number(n)
			return nil
		}
	case *array.Int64:
		if v := from.Value(i); c.typ == frame.Bool && v|1 == 1 {
			c.number(v)
			return nil
		}
	case *array.Date32:
		if c.typ == frame.Timestamp {
			c.number(int64(from.Value(i)) * dayMicros)
			return nil
		}
	}
	return fault.New(fault.Invalid, "row %d has %s, not %s", i+1, from.ValueStr(i), typeText(c.typ))
}

// wholeNumber returns a double as an int, if it is one.
func wholeNumber(v float64) (int64, bool) {
	const exact = 1 << 53
	if v != v || v > exact || v < -exact {
		return 0, false
	}
	n := int64(v)
	return n, float64(n) == v
}

// at says where a row stands.
func (r *Rows) at(line int64) string { return fmt.Sprintf("%s:%d", r.name, line) }
