// Package traintest reads real tables for the tests of the train stage: CSV
// with types found out from all of its cells.
package traintest

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/internal/realdata"
)

// batchRows is odd on purpose: nothing may depend on where batches end.
const batchRows = 4999

// Table is what a file holds.
type Table struct {
	Columns []frame.Column
	Cells   [][]string // by row; blank is missing
}

// Read reads a gzipped file of the data folder. A comma-separated file has
// its names in the first line; a tab-separated one has none, and its columns
// are called f0, f1, ….
func Read(t testing.TB, name string, comma rune) *Table {
	t.Helper()
	f, err := os.Open(realdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	r.Comma = comma
	table := &Table{}
	for {
		line, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		table.Cells = append(table.Cells, line)
	}
	table.name(comma == ',')
	return table
}

func (t *Table) name(header bool) {
	names := slices.Clone(t.Cells[0])
	if header {
		t.Cells = t.Cells[1:]
	}
	for i, name := range names {
		if !header {
			name = "f" + strconv.Itoa(i)
		}
		t.Columns = append(t.Columns, frame.Column{Name: name, Type: t.guess(i)})
	}
}

func blank(cell string) bool { return strings.TrimSpace(cell) == "" }

func (t *Table) guess(column int) frame.Type {
	kinds := []frame.Type{frame.Int, frame.Double, frame.Timestamp}
	for _, row := range t.Cells {
		cell := row[column]
		if blank(cell) {
			continue
		}
		kinds = slices.DeleteFunc(kinds, func(kind frame.Type) bool { return !reads(kind, cell) })
		if len(kinds) == 0 {
			return frame.String
		}
	}
	return kinds[0]
}

const timeLayout = "2006-01-02T15:04:05"

func reads(kind frame.Type, cell string) bool {
	var err error
	switch kind {
	case frame.Int:
		_, err = strconv.ParseInt(cell, 10, 64)
	case frame.Double:
		_, err = strconv.ParseFloat(cell, 64)
	default:
		_, err = time.Parse(timeLayout, cell)
	}
	return err == nil
}

// Drop removes columns.
func (t *Table) Drop(names ...string) *Table {
	for _, name := range names {
		at := slices.IndexFunc(t.Columns, func(c frame.Column) bool { return c.Name == name })
		t.Columns = slices.Delete(t.Columns, at, at+1)
		for i, row := range t.Cells {
			t.Cells[i] = slices.Delete(row, at, at+1)
		}
	}
	return t
}

// Interleave makes one table of which every n-th row, counted from 0, is one
// of test's and the others are train's; train rows beyond that come in blocks
// at the end, and then a few test rows are rows of train.
func Interleave(train, test *Table, every int) *Table {
	t := &Table{Columns: train.Columns}
	rest := train.Cells
	for _, row := range test.Cells {
		t.Cells = append(t.Cells, row)
		n := min(every-1, len(rest))
		t.Cells, rest = append(t.Cells, rest[:n]...), rest[n:]
	}
	t.Cells = append(t.Cells, rest...)
	return t
}

// Input gives the table to the train stage, in several batches.
func (t *Table) Input() train.Input {
	schema := frame.SchemaOf(t.Columns)
	in := train.Input{Schema: schema}
	for rows := range slices.Chunk(t.Cells, batchRows) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for _, row := range rows {
			for i, cell := range row {
				appendCell(b.Field(i), cell)
			}
		}
		in.Batches = append(in.Batches, b.NewRecordBatch())
		b.Release()
	}
	return in
}

func appendCell(b array.Builder, cell string) {
	if blank(cell) {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(cell)
	case *array.Int64Builder:
		v, _ := strconv.ParseInt(cell, 10, 64) // guess has read it
		b.Append(v)
	case *array.Float64Builder:
		v, _ := strconv.ParseFloat(cell, 64)
		b.Append(v)
	case *array.TimestampBuilder:
		v, _ := time.Parse(timeLayout, cell)
		b.Append(arrow.Timestamp(v.UnixMicro()))
	}
}
