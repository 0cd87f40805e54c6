package lightgbm_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/lightgbm"
)

// text reads a file of the real data, unpacked.
func text(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(realdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func load(t testing.TB, name string) *lightgbm.Model {
	t.Helper()
	m, err := lightgbm.Parse(text(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// table reads lines of numbers that one of separators parts.
func table(t testing.TB, data, separators string) [][]float64 {
	t.Helper()
	var rows [][]float64
	scan := bufio.NewScanner(strings.NewReader(data))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var row []float64
		for _, word := range strings.FieldsFunc(scan.Text(), func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			v, err := strconv.ParseFloat(word, 64)
			if err != nil {
				t.Fatal(err)
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	return rows
}

// batch makes rows of numbers for the inputs of a model, in their order.
func batch(t testing.TB, m model.Model, rows [][]float64) frame.Batch {
	t.Helper()
	inputs := m.Signature().Inputs
	columns := make([]frame.Column, len(inputs))
	for i, f := range inputs {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for _, row := range rows {
		for i := range inputs {
			if i < len(row) {
				b.Field(i).(*array.Float64Builder).Append(row[i])
			} else {
				b.Field(i).AppendNull()
			}
		}
	}
	return b.NewRecordBatch()
}

// native returns what the model answers as LightGBM would, by column and row.
func native(t testing.TB, m *lightgbm.Model, in frame.Batch, raw bool) [][]float64 {
	t.Helper()
	out, err := m.Native(context.Background(), in, raw)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	values := make([][]float64, out.NumCols())
	for i := range values {
		values[i] = append([]float64(nil), out.Column(i).(*array.Float64).Float64Values()...)
	}
	return values
}

// near tells whether two numbers agree to a part of the larger.
func near(a, b, part float64) bool {
	return a == b || math.Abs(a-b) <= part*max(math.Abs(a), math.Abs(b))
}

// The files of others with the answers that LightGBM gave for them.
func TestAnswersOfLightGBM(t *testing.T) {
	const leaves, servers = "model-leaves/", "model-server-examples/"
	for _, c := range []struct {
		model, rows, want string
		raw               bool
		skip              int // columns of rows in front of the features
		first             int // column of want
	}{
		{leaves + "lgmulticlass.model", leaves + "multiclass_test.tsv.gz", leaves + "lgmulticlass_true_predictions.txt", false, 1, 0},
		{leaves + "lgmulticlass.model", leaves + "multiclass_test.tsv.gz", leaves + "lgmulticlass_true_raw_predictions.txt", true, 1, 0},
		{leaves + "lg_dart_breast_cancer.model", leaves + "breast_cancer_test.tsv", leaves + "lg_dart_breast_cancer_true_predictions.txt", false, 0, 0},
		{leaves + "lg_rf_iris.model", leaves + "iris_test.libsvm", leaves + "lg_rf_iris_true_predictions.txt", false, 1, 0},
		{servers + "kserve-iris-lightgbm.txt", servers + "iris.csv", servers + "kserve-iris-lightgbm.txt.expected.csv", true, 0, 0},
		{servers + "kserve-iris-lightgbm.txt", servers + "iris.csv", servers + "kserve-iris-lightgbm.txt.expected.csv", false, 0, 3},
		{servers + "mlserver-iris-lightgbm.txt", servers + "iris.csv", servers + "mlserver-iris-lightgbm.txt.expected.csv", true, 0, 0},
		{servers + "mlserver-iris-lightgbm.txt", servers + "iris.csv", servers + "mlserver-iris-lightgbm.txt.expected.csv", false, 0, 3},
	} {
		t.Run(c.model[strings.Index(c.model, "/")+1:], func(t *testing.T) {
			m := load(t, c.model)
			rows, want := numbers(t, c.rows), numbers(t, c.want)
			for i := range rows {
				rows[i] = rows[i][c.skip:]
			}
			in := batch(t, m, rows)
			defer in.Release()
			got := native(t, m, in, c.raw)
			for row := range want {
				for k := range got {
					if w := want[row][c.first+k]; !near(got[k][row], w, 1e-12) {
						t.Fatalf("row %d, output %d: %v, not %v", row, k, got[k][row], w)
					}
				}
			}
			if len(want) != len(rows) {
				t.Errorf("%d rows, %d answers", len(rows), len(want))
			}
		})
	}
}

// numbers reads any of the tables: with a header, or with "column:" before
// each number.
func numbers(t testing.TB, name string) [][]float64 {
	data := text(t, name)
	switch {
	case strings.HasSuffix(name, ".csv"):
		_, data, _ = strings.Cut(data, "\n")
		return table(t, data, ",")
	case strings.HasSuffix(name, ".libsvm"):
		for i := range 10 {
			data = strings.ReplaceAll(data, " "+strconv.Itoa(i)+":", " ")
		}
	}
	return table(t, data, " \t")
}

func TestLeavesOfLightGBM(t *testing.T) {
	m := load(t, "model-leaves/lg_breast_cancer.txt.gz")
	in := batch(t, m, numbers(t, "model-leaves/lg_breast_cancer_data.txt"))
	defer in.Release()
	sameLeaves(t, m, in, numbers(t, "model-leaves/lg_breast_cancer_data_pred_leaves.txt"))
}
