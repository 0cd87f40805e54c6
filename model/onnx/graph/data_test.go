package graph_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/onnx/graph"
)

// table is a CSV file: its header and its rows.
type table struct {
	header []string
	rows   [][]string
}

func readTable(t testing.TB, path string) table {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("%s: %v", path, err)
	}
	return table{rows[0], rows[1:]}
}

// batch makes the rows of a table a batch of the fields of a signature. An
// empty cell is missing.
func (b *table) batch(t testing.TB, fields []model.Field) frame.Batch {
	t.Helper()
	rb := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(fields))
	defer rb.Release()
	for i, f := range fields {
		at := -1
		for k, name := range b.header {
			if name == f.Name {
				at = k
			}
		}
		if at < 0 {
			t.Fatalf("there is no column %q among %q", f.Name, b.header)
		}
		for _, row := range b.rows {
			if err := appendCell(rb.Field(i), row[at]); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		}
	}
	return rb.NewRecordBatch()
}

func appendCell(b array.Builder, cell string) error {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(cell)
		return nil
	case *array.Int64Builder:
		v, err := strconv.ParseFloat(cell, 64)
		b.Append(int64(v))
		return err
	case *array.Float64Builder:
		if cell == "" {
			b.AppendNull()
			return nil
		}
		v, err := strconv.ParseFloat(cell, 64)
		b.Append(v)
		return err
	}
	return fmt.Errorf("no column of %T", b)
}

// compare holds a batch against a table of the same columns: text equal,
// numbers within a relative tolerance: relative to what is wanted, or to some
// size where that is smaller. It returns the largest difference.
func compare(t testing.TB, got frame.Batch, want table, tolerance, size float64) float64 {
	t.Helper()
	worst := 0.0
	if int(got.NumRows()) != len(want.rows) {
		t.Fatalf("%d rows, not %d", got.NumRows(), len(want.rows))
	}
	for c, name := range want.header {
		if got.ColumnName(c) != name {
			t.Fatalf("column %d is %q, not %q", c, got.ColumnName(c), name)
		}
		for row := range want.rows {
			w := want.rows[row][c]
			column, ok := got.Column(c).(*array.Float64)
			if !ok {
				if g := got.Column(c).ValueStr(row); g != w {
					t.Fatalf("row %d: %s is %s, not %s", row, name, g, w)
				}
				continue
			}
			v, err := strconv.ParseFloat(w, 64)
			if err != nil {
				t.Fatal(err)
			}
			diff := math.Abs(column.Value(row)-v) / max(math.Abs(v), size)
			if worst = max(worst, diff); !(diff <= tolerance) {
				t.Fatalf("row %d: %s is %v, not %s", row, name, column.Value(row), w)
			}
		}
	}
	return worst
}

func load(t testing.TB, file string, c graph.Columns) *graph.Model {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(context.Background(), data, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// ofData loads a model of the data folder with its inputs.
func ofData(t testing.TB, name string) (*graph.Model, frame.Batch, string) {
	t.Helper()
	dir := filepath.Dir(realdata.Path(t, "model-onnx/"+name+"/model.onnx"))
	inputs := readTable(t, filepath.Join(dir, "inputs.csv.gz"))
	m := load(t, filepath.Join(dir, "model.onnx"), graph.Columns{})
	if m.Signature().Inputs[0].Name != inputs.header[0] {
		m = load(t, filepath.Join(dir, "model.onnx"), graph.Columns{Columns: inputs.header})
	}
	in := inputs.batch(t, m.Signature().Inputs)
	t.Cleanup(in.Release)
	return m, in, dir
}

var folders = map[string]model.Signature{
	"adult-pipeline-logistic": {Task: model.Binary, Classes: []string{"0", "1"}},
	"adult-random-forest":     {Task: model.Binary, Classes: []string{"0", "1"}},
	"bike-gradient-boosting":  {Task: model.Regression},
	"iris-forest-skl2onnx":    {Task: model.Multiclass, Classes: []string{"0", "1", "2"}},
	"wine-forest-multiclass":  {Task: model.Multiclass, Classes: []string{"3", "4", "5", "6", "7", "8", "9"}},
}

func TestFilesOfTheDataAnswerAsExpected(t *testing.T) {
	for name, want := range folders {
		t.Run(name, func(t *testing.T) {
			m, in, dir := ofData(t, name)
			native, err := m.Native(context.Background(), in, false)
			if err != nil {
				t.Fatal(err)
			}
			defer native.Release()
			worst := compare(t, native, readTable(t, filepath.Join(dir, "expected.csv")), 1e-5, 1e-2)
			t.Logf("%d rows, largest relative difference %.1e", in.NumRows(), worst)
			s := m.Signature()
			if s.Task != want.Task || strings.Join(s.Classes, " ") != strings.Join(want.Classes, " ") {
				t.Errorf("the task is %s of %q, not %s of %q", s.Task, s.Classes, want.Task, want.Classes)
			}
			if d := m.Describe(); d.Runtime != "Leat" {
				t.Errorf("it is executed by %s", d.Runtime)
			}
			agree(t, m, in, native)
		})
	}
}

// agree compares the columns of the signature with those of the graph.
func agree(t *testing.T, m *graph.Model, in, native frame.Batch) {
	t.Helper()
	out, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	text := func(c arrow.Array, row int) string { return c.ValueStr(row) }
	for row := range int(in.NumRows()) {
		switch m.Signature().Task {
		case model.Binary:
			if text(out.Column(0), row) != text(native.Column(2), row) || text(out.Column(1), row) != text(native.Column(0), row) {
				t.Fatalf("row %d: score and label are %s and %s", row, text(out.Column(0), row), text(out.Column(1), row))
			}
		default:
			for c := range int(out.NumCols()) {
				if text(out.Column(c), row) != text(native.Column(c), row) {
					t.Fatalf("row %d: %s is %s", row, out.ColumnName(c), text(out.Column(c), row))
				}
			}
		}
	}
}

func TestConformance(t *testing.T) {
	for _, name := range []string{"adult-random-forest", "bike-gradient-boosting"} {
		t.Run(name, func(t *testing.T) {
			m, _, _ := ofData(t, name)
			modeltest.Run(t, m)
		})
	}
}

func BenchmarkPredict(b *testing.B) {
	for _, name := range []string{"adult-pipeline-logistic", "adult-random-forest", "wine-forest-multiclass"} {
		for _, rows := range []int64{1, 250} {
			b.Run(fmt.Sprint(name, "/", rows), func(b *testing.B) {
				m, in, _ := ofData(b, name)
				part := in.NewSlice(0, rows)
				defer part.Release()
				b.ReportAllocs()
				for b.Loop() {
					out, err := m.Predict(context.Background(), part)
					if err != nil {
						b.Fatal(err)
					}
					out.Release()
				}
			})
		}
	}
}
