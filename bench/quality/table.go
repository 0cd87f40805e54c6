package main

import (
	"compress/gzip"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/realdata"
)

// table is a file of real data with the types found out from all cells.
type table struct {
	columns []frame.Column
	cells   [][]string // by row; blank is missing
}

// read reads a gzipped file of the data folder. A tab-separated one has no
// header; its columns are called f0, f1, ….
func read(name string, comma rune, drop ...string) (*table, error) {
	f, err := os.Open(filepath.Join(realdata.Root(), filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(z)
	r.Comma = comma
	cells, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	t := &table{cells: cells}
	names := slices.Clone(cells[0])
	if comma == ',' {
		t.cells = cells[1:]
	} else {
		for i := range names {
			names[i] = "f" + strconv.Itoa(i)
		}
	}
	for i, name := range names {
		t.columns = append(t.columns, frame.Column{Name: name, Type: t.guess(i)})
	}
	for _, name := range drop {
		t.drop(name)
	}
	return t, nil
}

func (t *table) drop(name string) {
	at := slices.IndexFunc(t.columns, func(c frame.Column) bool { return c.Name == name })
	t.columns = slices.Delete(t.columns, at, at+1)
	for i, row := range t.cells {
		t.cells[i] = slices.Delete(row, at, at+1)
	}
}

func blank(cell string) bool { return strings.TrimSpace(cell) == "" }

const timeLayout = "2006-01-02T15:04:05"

func (t *table) guess(column int) frame.Type {
	kinds := []frame.Type{frame.Int, frame.Double, frame.Timestamp, frame.String}
	for _, row := range t.cells {
		if cell := row[column]; !blank(cell) {
			kinds = slices.DeleteFunc(kinds, func(kind frame.Type) bool { return !reads(kind, cell) })
		}
	}
	return kinds[0]
}

func reads(kind frame.Type, cell string) (ok bool) {
	var err error
	switch kind {
	case frame.Int:
		_, err = strconv.ParseInt(cell, 10, 64)
	case frame.Double:
		_, err = strconv.ParseFloat(cell, 64)
	case frame.Timestamp:
		_, err = time.Parse(timeLayout, cell)
	}
	return err == nil
}

// interleave puts a row of test before every n-1 rows of train, so that each
// n-th row of the result is one of test, as a split by n asks for.
func interleave(train, test *table, n int) *table {
	t := &table{columns: train.columns}
	rest := train.cells
	for _, row := range test.cells {
		t.cells = append(append(t.cells, row), rest[:n-1]...)
		rest = rest[n-1:]
	}
	return t
}

// batch returns rows of the table, which the caller releases.
func (t *table) batch(rows [][]string) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(t.columns))
	defer b.Release()
	for _, row := range rows {
		for i, cell := range row {
			appendCell(b.Field(i), cell)
		}
	}
	return b.NewRecordBatch()
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
