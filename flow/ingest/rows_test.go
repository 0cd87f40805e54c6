package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
)

func rowsFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readRows reads picked columns as text, NULL as "-".
func readRows(path string, o ingest.RowsOptions, picks []ingest.Pick) (cells [][]string, names []string, err error) {
	r, err := ingest.OpenRows(context.Background(), path, o)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	_, err = ingest.EachRows(context.Background(), r, picks, func(b frame.Batch) ([][]string, error) {
		var part [][]string
		for row := range int(b.NumRows()) {
			var line []string
			for _, col := range b.Columns() {
				cell := "-"
				if col.IsValid(row) {
					cell = col.ValueStr(row)
				}
				line = append(line, cell)
			}
			part = append(part, line)
		}
		return part, nil
	}, func(part [][]string) error {
		cells = append(cells, part...)
		return nil
	})
	return cells, r.Names(), err
}

func pick(at int, name string, typ frame.Type) ingest.Pick {
	return ingest.Pick{Column: frame.Column{Name: name, Type: typ}, At: at}
}

func packed(t testing.TB, data string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	return b.Bytes()
}

func TestRowsAreReadAsTheirColumnsSay(t *testing.T) {
	picks := []ingest.Pick{pick(2, "x", frame.Double), pick(0, "n", frame.Int), pick(1, "s", frame.String)}
	want := "[[1.5 3 a] [- - -] [1 0 b c] [-0.1 7 true]]"
	text := "n,s,x\n3,a,1.5\n,,\nfalse,\"b c\",true\n7.0, true ,-1e-1\n"
	for name, content := range map[string][]byte{
		"rows.csv": []byte(text), "rows.csv.gz": packed(t, text), "rows.tsv": []byte(strings.ReplaceAll(text, ",", "\t")),
		"rows.data": []byte(strings.ReplaceAll(text, ",", ";")), "crlf.csv": []byte(strings.ReplaceAll(text, "\n", "\r\n")),
		"bom.csv": []byte("\xEF\xBB\xBF" + text),
	} {
		got, names, err := readRows(rowsFile(t, name, content), ingest.RowsOptions{}, picks)
		if err != nil || fmt.Sprint(got) != want || fmt.Sprint(names) != "[n s x]" {
			t.Errorf("%s: %v, %v, %v", name, got, names, err)
		}
	}
}

func TestWhetherThereIsAHeaderIsFoundOut(t *testing.T) {
	yes, no := true, false
	for text, c := range map[string]struct {
		header *bool
		names  string
		rows   int
	}{
		"a,b\n1,2\n":     {nil, "[a b]", 1},
		"1.5,2\n3,4\n":   {nil, "[]", 2},
		"0,1\n3,4\n":     {nil, "[0 1]", 1}, // as a table without names is written
		"1,2\n3,4\n":     {nil, "[1 2]", 1},
		"5,6\n3,4\n":     {nil, "[]", 2},
		"5,6\n3,4\n\n":   {&yes, "[5 6]", 1},
		"0,1\n3,4\n ":    {&no, "[]", 2},
		"1,\n3,4\n":      {nil, "[]", 2},
		"a,a\n1,2\n":     {nil, "[a a]", 1},
		"Name,\"b,c\"\n": {nil, "[Name b,c]", 0},
	} {
		got, names, err := readRows(rowsFile(t, "rows.csv", []byte(strings.TrimRight(text, " "))), ingest.RowsOptions{Header: c.header}, []ingest.Pick{pick(0, "a", frame.Double)})
		if err != nil || fmt.Sprint(names) != c.names || len(got) != c.rows {
			t.Errorf("%q: %v, %v, %v", text, got, names, err)
		}
	}
}

func TestSparseRows(t *testing.T) {
	picks := []ingest.Pick{pick(0, "a", frame.Double), pick(1, "b", frame.Double), pick(2, "c", frame.Double)}
	one := 1
	for text, c := range map[string]struct {
		base *int
		want string
	}{
		"1 0:5 2:7\n-1 1:2.5 # note\n\n0\n": {nil, "[[5 - 7] [- 2.5 -] [- - -]]"},
		"1 qid:4 1:5 3:7\n":                 {nil, "[[5 - 7]]"}, // 3 can only be the third column
		"1 1:5 2:7\n":                       {nil, "[[- 5 7]]"}, // as written
		"2 1:5 2:7\n":                       {&one, "[[5 7 -]]"},
	} {
		got, _, err := readRows(rowsFile(t, "rows.libsvm", []byte(text)), ingest.RowsOptions{IndexBase: c.base}, picks)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"1 0:1 7:1\n", "1 0:1 0:2\n", "1 0:x\n", "1 0:1 word\n", "1 -1:2\n"} {
		_, _, err := readRows(rowsFile(t, "rows.libsvm", []byte(text)), ingest.RowsOptions{}, picks)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "rows.libsvm:1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParquetRowsAreFitted(t *testing.T) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "n", Type: frame.Int}, {Name: "yes", Type: frame.Bool}, {Name: "x", Type: frame.Double}}))
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2}, []bool{true, false})
	b.Field(1).(*array.BooleanBuilder).AppendValues([]bool{true, false}, nil)
	b.Field(2).(*array.Float64Builder).AppendValues([]float64{3, 4.5}, nil)
	batch := b.NewRecordBatch()
	defer batch.Release()
	path := rowsFile(t, "rows.parquet", nil)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(batch.Schema(), f, nil, pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	got, names, err := readRows(path, ingest.RowsOptions{}, []ingest.Pick{pick(1, "a", frame.Double), pick(0, "b", frame.Double), pick(0, "c", frame.String)})
	if err != nil || fmt.Sprint(got) != "[[1 1 1] [0 - -]]" || fmt.Sprint(names) != "[n yes x]" {
		t.Errorf("%v, %v, %v", got, names, err)
	}
	if _, _, err := readRows(path, ingest.RowsOptions{}, []ingest.Pick{pick(2, "x", frame.Int)}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("%v", err)
	}
}

// TestTheFirstMistakeIsTold: whatever the parts are parsed by, the error is
// that of the first row that does not fit.
func TestTheFirstMistakeIsTold(t *testing.T) {
	var text strings.Builder
	text.WriteString("a,b\n")
	for i := range 400_000 {
		if i == 250_000 || i > 300_000 {
			text.WriteString("1,x\n")
		} else {
			text.WriteString("1,2.25\n")
		}
	}
	path := rowsFile(t, "rows.csv", []byte(text.String()))
	for range 5 {
		_, _, err := readRows(path, ingest.RowsOptions{Limits: ingest.Limits{Workers: 4}}, []ingest.Pick{pick(1, "b", frame.Double)})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "rows.csv:250002") {
			t.Fatalf("%v", err)
		}
	}
}

// TestEveryRowComesInItsOrder writes random doubles and reads the same bits.
func TestEveryRowComesInItsOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64(), 1, 2000).Draw(rt, "values")
		var text strings.Builder
		text.WriteString("other,v\n")
		for i, v := range values {
			fmt.Fprintf(&text, "%d,%v\n", i, v)
		}
		r, err := ingest.OpenRows(context.Background(), rowsFile(t, "rows.csv", []byte(text.String())), ingest.RowsOptions{})
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		var got []float64
		n, err := ingest.EachRows(context.Background(), r, []ingest.Pick{pick(1, "v", frame.Double)}, func(b frame.Batch) ([]float64, error) {
			part := make([]float64, b.NumRows())
			return part, frame.Floats(b.Column(0), part)
		}, func(part []float64) error {
			got = append(got, part...)
			return nil
		})
		if err != nil || n != int64(len(values)) || len(got) != len(values) {
			rt.Fatalf("%d rows of %d, %v", n, len(values), err)
		}
		for i := range values {
			if math.Float64bits(got[i]) != math.Float64bits(values[i]) && !(math.IsNaN(got[i]) && math.IsNaN(values[i])) {
				rt.Fatalf("row %d is %v, not %v", i, got[i], values[i])
			}
		}
	})
}
