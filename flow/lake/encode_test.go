package lake

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/catalog"
)

func scratchLake(t *testing.T) *Lake {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l, err := Open(t.Context(), Config{Warehouse: filepath.Join(dir, "warehouse"), DB: db, Dialect: catalog.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// texts makes a batch of one column; "" stands for NULL.
func texts(values []string) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "s", Type: frame.String}}))
	defer b.Release()
	for _, v := range values {
		if v == "" {
			b.Field(0).AppendNull()
			continue
		}
		b.Field(0).(*array.StringBuilder).Append(v)
	}
	return b.NewRecordBatch()
}

// stageTexts writes values as a file, in batches of the given sizes.
func stageTexts(t testing.TB, l *Lake, values []string, sizes func(left int) int) File {
	t.Helper()
	tbl, err := l.Draft(t.Context(), "t", []frame.Column{{Name: "s", Type: frame.String}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := tbl.Stage(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for len(values) > 0 {
		n := sizes(len(values))
		b := texts(values[:n])
		err := w.Write(b)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		values = values[n:]
	}
	f, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readTexts(t testing.TB, l *Lake, f File) (values []string) {
	t.Helper()
	tbl, err := l.Draft(t.Context(), "t", []frame.Column{{Name: "s", Type: frame.String}})
	if err != nil {
		t.Fatal(err)
	}
	s := &scanner{table: tbl, fields: tbl.fields, schema: frame.SchemaOf(tbl.Columns()), parts: []Part{{Path: f.Path}}, batchRows: 1000}
	err = frame.Each(t.Context(), s, func(b frame.Batch) error {
		c := b.Column(0).(*array.String)
		for i := range c.Len() {
			if c.IsNull(i) {
				values = append(values, "")
				continue
			}
			values = append(values, strings.Clone(c.Value(i)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// Whatever the values do after the sample, they come back as they were.
func TestEncodingsKeepValues(t *testing.T) {
	l := scratchLake(t)
	rapid.Check(t, func(rt *rapid.T) {
		var values []string
		for len(values) < sampleRows {
			distinct := rapid.SampledFrom([]int{1, 2, 15, 17, 300, 5000}).Draw(rt, "distinct")
			nulls := rapid.IntRange(0, 3).Draw(rt, "nulls")
			for i := range rapid.IntRange(1, 3000).Draw(rt, "rows") {
				if nulls > 0 && i%(nulls+1) == 0 {
					values = append(values, "")
					continue
				}
				values = append(values, fmt.Sprintf("v%d", i*7919%distinct))
			}
		}
		f := stageTexts(t, l, values, func(left int) int { return min(left, rapid.IntRange(1, 3000).Draw(rt, "batch")) })
		got := readTexts(t, l, f)
		if len(got) != len(values) {
			rt.Fatalf("%d rows, wrote %d", len(got), len(values))
		}
		for i := range values {
			if got[i] != values[i] {
				rt.Fatalf("row %d is %q, was %q", i, got[i], values[i])
			}
		}
	})
}

// encodings lists those of every column chunk of a file, by row group.
func encodings(t *testing.T, f File) (groups []string) {
	t.Helper()
	r, err := file.OpenParquetFile(f.Path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for g := range r.NumRowGroups() {
		chunk, err := r.MetaData().RowGroup(g).ColumnChunk(0)
		if err != nil {
			t.Fatal(err)
		}
		kind := "plain"
		for _, e := range chunk.Encodings() {
			switch e {
			case parquet.Encodings.RLEDict, parquet.Encodings.PlainDict:
				kind = "dictionary"
			case parquet.Encodings.Plain, parquet.Encodings.RLE:
			default:
				t.Errorf("encoding %s is not for every reader", e)
			}
		}
		groups = append(groups, kind)
	}
	return groups
}

func TestEncodingsFitTheValues(t *testing.T) {
	l := scratchLake(t)
	many := make([]string, 2*rowGroupRows)
	for name, c := range map[string]struct {
		value func(i int) string
		want  string
	}{
		"one":      {func(int) string { return "8b1a9953c4611296" }, "[dictionary dictionary]"},
		"few":      {func(i int) string { return fmt.Sprint(i % 5) }, "[dictionary dictionary]"},
		"some":     {func(i int) string { return fmt.Sprint(i % 300) }, "[dictionary dictionary]"},
		"all":      {func(i int) string { return fmt.Sprint("id-", i) }, "[plain plain]"},
		"nothing":  {func(int) string { return "" }, "[dictionary dictionary]"},
		"one more": {func(i int) string { return fmt.Sprint(i / (rowGroupRows - 1) % 2) }, "[plain dictionary]"},
	} {
		for i := range many {
			many[i] = c.value(i)
		}
		f := stageTexts(t, l, many, func(left int) int { return min(left, 16<<10) })
		if got := fmt.Sprint(encodings(t, f)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if got := readTexts(t, l, f); len(got) != len(many) || got[len(got)-1] != many[len(many)-1] {
			t.Errorf("%s: %d rows", name, len(got))
		}
	}
}

// The sample is of rows: how they are cut into batches does not choose.
func TestEncodingsDoNotDependOnBatches(t *testing.T) {
	l := scratchLake(t)
	values := make([]string, 10_000)
	for i := range values {
		values[i] = fmt.Sprint(i % 10)
		if i >= sampleRows {
			values[i] = fmt.Sprint(i)
		}
	}
	var first string
	for _, size := range []int{1, 100, 4095, 4096, 10_000} {
		f := stageTexts(t, l, values[:sampleRows], func(left int) int { return min(left, size) })
		if got := fmt.Sprint(encodings(t, f)); first == "" {
			first = got
		} else if got != first {
			t.Errorf("batches of %d: %s, not %s", size, got, first)
		}
	}
}
