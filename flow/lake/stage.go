package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

const (
	// rowGroupRows is how many rows of a file are read, and buffered while
	// writing, as one.
	rowGroupRows = 128 << 10
	// createdBy stands in every file, so it must not change with the version
	// of Leat: a resumed run gives the same bytes after an upgrade.
	createdBy = "leat"
	// staging marks files that are being written.
	staging = ".staging-"
)

// Writer writes one data file that no reader sees until it is committed. It
// is for one goroutine.
type Writer struct {
	table   *Table
	schema  *arrow.Schema
	stem    string
	temp    *os.File
	digest  hash.Hash
	sample  []frame.Batch // the first rows, until there are enough to choose the encoding by
	encoder *encoder      // nil until then
	parquet *pqarrow.FileWriter
	rows    int64
	done    bool
	fresh   bool // no file had its name before
}

// Stage begins a data file. Its name will be the given one and the SHA-256 of
// its content, so the same rows staged again under the same name give the
// same file. Within a table a name stands for a part of a run, such as
// "RUN-00007"; files of one commit keep the order of their names. The caller
// ends with Finish or Abort.
func (t *Table) Stage(ctx context.Context, name string) (*Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !validName("_" + name) {
		return nil, fault.New(fault.Invalid, "%q is no name for a data file", name).Hint("use letters, digits, - and _")
	}
	temp, err := t.scratchFile()
	if err != nil {
		return nil, storeFault(err, "a file for table %q cannot be begun", t.name)
	}
	return &Writer{table: t, schema: fileSchema(t.fields), stem: name, temp: temp, digest: sha256.New()}, nil
}

// begin chooses the encodings and writes the sample.
func (w *Writer) begin() (err error) {
	w.encoder = newEncoder(w.schema, w.table.fields, w.sample)
	out := struct{ io.Writer }{io.MultiWriter(w.temp, w.digest)}
	w.parquet, err = pqarrow.NewFileWriter(w.encoder.schema, out, w.encoder.properties(), pqarrow.DefaultWriterProps())
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a file for table %q cannot be begun", w.table.name)
	}
	for len(w.sample) > 0 {
		batch := w.sample[0]
		w.sample = w.sample[1:]
		err := w.write(batch)
		batch.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) write(batch frame.Batch) error {
	encoded := w.encoder.encode(batch)
	defer encoded.Release()
	return storeFault(w.parquet.WriteBuffered(encoded), "a file of table %q cannot be written", w.table.name)
}

// scratchFile is beside the data files where a rename makes it one of them,
// and in the scratch folder where it will be uploaded.
func (t *Table) scratchFile() (*os.File, error) {
	dir := t.lake.scratch
	if t.lake.local {
		dir = filepath.Join(localPath(t.location), "data")
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return os.CreateTemp(dir, staging+"*.parquet")
}

// Write appends the rows of a batch. Columns are matched by name; one that
// the batch lacks becomes NULL. A column that the table does not have, or has
// with another type, is an Invalid fault.
func (w *Writer) Write(batch frame.Batch) error {
	if w.done {
		return fault.New(fault.Internal, "a finished file is written to")
	}
	if batch.NumRows() == 0 {
		return nil
	}
	fitted, err := fit(batch, w.schema, w.table.name)
	if err != nil {
		return err
	}
	w.rows += batch.NumRows()
	if w.encoder != nil {
		defer fitted.Release()
		return w.write(fitted)
	}
	w.sample = append(w.sample, fitted)
	if w.rows < sampleRows {
		return nil
	}
	return w.begin()
}

// Rows returns how many rows were written.
func (w *Writer) Rows() int64 { return w.rows }

// Finish ends the file durably and returns it. Nobody sees it before its path
// is handed to CommitFiles. An aborted or finished Writer is a fault.
func (w *Writer) Finish(ctx context.Context) (File, error) {
	if w.done {
		return File{}, fault.New(fault.Internal, "a file is finished twice")
	}
	defer w.Abort()
	if w.encoder == nil {
		if err := w.begin(); err != nil {
			return File{}, err
		}
	}
	if err := w.parquet.Close(); err != nil {
		return File{}, storeFault(err, "a file of table %q cannot be written", w.table.name)
	}
	groups := 1
	if meta, err := w.parquet.FileMetadata(); err == nil {
		groups = max(1, meta.NumRowGroups())
	}
	info, err := w.temp.Stat()
	if err == nil {
		err = w.temp.Sync()
	}
	if err != nil {
		return File{}, storeFault(err, "a file of table %q cannot be written", w.table.name)
	}
	where, err := w.place(ctx)
	if err != nil {
		return File{}, storeFault(err, "a file of table %q cannot be stored", w.table.name)
	}
	return File{Path: where, Rows: w.rows, Size: info.Size(), RowGroups: groups}, nil
}

// place gives the finished file its name.
func (w *Writer) place(ctx context.Context) (string, error) {
	name := w.stem + "-" + hex.EncodeToString(w.digest.Sum(nil)) + ".parquet"
	if w.table.lake.local {
		target := filepath.Join(localPath(w.table.location), "data", name)
		_, missing := os.Lstat(target)
		w.fresh = errors.Is(missing, fs.ErrNotExist)
		if err := os.Rename(w.temp.Name(), target); err != nil {
			return "", err
		}
		w.done = true
		return target, errors.Join(w.temp.Close(), syncDir(filepath.Dir(target)))
	}
	target := w.table.location + "/data/" + name
	return target, w.table.lake.upload(ctx, target, w.temp)
}

// Abort throws the file away. After Finish it does nothing.
func (w *Writer) Abort() {
	for _, b := range w.sample {
		b.Release()
	}
	w.sample = nil
	if w.encoder != nil {
		w.encoder.release()
	}
	if w.done {
		return
	}
	w.done = true
	// The file is of no use to anybody: what fails here, Clean removes.
	_ = w.temp.Close()
	_ = os.Remove(w.temp.Name())
}

// fit orders a batch's columns as schema does and fills in missing ones.
func fit(batch frame.Batch, schema *arrow.Schema, table string) (frame.Batch, error) {
	columns := make([]arrow.Array, schema.NumFields())
	matched := 0
	for i, field := range schema.Fields() {
		at := frame.Index(batch.Schema(), field.Name)
		if at < 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, field.Type, int(batch.NumRows()))
			defer columns[i].Release()
			continue
		}
		matched++
		columns[i] = batch.Column(at)
		if got := columns[i].DataType(); !arrow.TypeEqual(got, field.Type) {
			return nil, fault.New(fault.Invalid, "column %q is %s, table %q has it as %s", field.Name, got, table, field.Type)
		}
	}
	if matched < int(batch.NumCols()) {
		for _, f := range batch.Schema().Fields() {
			if frame.Index(schema, f.Name) < 0 {
				return nil, fault.New(fault.Invalid, "table %q has no column %q", table, f.Name).
					Hint("add the column first, or leave it out")
			}
		}
	}
	return array.NewRecordBatch(schema, columns, batch.NumRows()), nil
}

// digestOf returns the digest that a data file's name carries, or "" for a
// file that Leat did not write.
func digestOf(where string) string {
	stem, isParquet := strings.CutSuffix(path.Base(where), ".parquet")
	at := strings.LastIndexByte(stem, '-')
	if !isParquet || at < 0 || len(stem)-at-1 != 2*sha256.Size {
		return ""
	}
	digest := stem[at+1:]
	if _, err := hex.DecodeString(digest); err != nil {
		return ""
	}
	return digest
}

// urlOf is the name by which Iceberg knows a file.
func (l *Lake) urlOf(where string) string {
	if l.local && filepath.IsAbs(where) {
		return (&url.URL{Scheme: "file", Path: where}).String()
	}
	return where
}
