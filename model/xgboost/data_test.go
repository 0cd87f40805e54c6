package xgboost_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/xgboost"
)

// table is a CSV file as columns of cells.
type table struct {
	names []string
	cells [][]string // by row
}

func readTable(t testing.TB, path string) table {
	t.Helper()
	data := readFile(t, path)
	r := csv.NewReader(strings.NewReader(string(data)))
	all, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return table{names: all[0], cells: all[1:]}
}

// readFile reads a file, and unpacks it when it is packed.
func readFile(t testing.TB, path string) []byte {
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
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// batch makes the rows that a model reads of the columns of a table, by their
// place when the model has no names of its own. An empty cell is missing.
func (x table) batch(t testing.TB, m model.Model) frame.Batch {
	t.Helper()
	inputs := m.Signature().Inputs
	columns := make([]frame.Column, len(inputs))
	for i, f := range inputs {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for i, f := range inputs {
		at := i
		for k, name := range x.names {
			if name == f.Name {
				at = k
			}
		}
		for _, row := range x.cells {
			if row[at] == "" {
				b.Field(i).AppendNull()
			} else if err := b.Field(i).AppendValueFromString(row[at]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.NewRecordBatch()
}

func parseFloat(t testing.TB, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// compare holds the columns of a table against what a model answers in the
// columns of its library: margins bit for bit as float32, and predictions to
// six digits. It returns how many margins differ in any bit.
func compare(t testing.TB, m *xgboost.Model, in frame.Batch, want table) {
	t.Helper()
	margins := native(t, m, in, true)
	defer margins.Release()
	predictions := native(t, m, in, false)
	defer predictions.Release()
	seen := 0
	for k, name := range want.names {
		from := predictions
		if strings.HasPrefix(name, "margin") {
			from = margins
		}
		at := frame.Index(from.Schema(), name)
		if at < 0 {
			t.Fatalf("the model has no column %s: %v", name, from.Schema())
		}
		seen++
		values := from.Column(at).(*array.Float64).Float64Values()
		for row, cells := range want.cells {
			w, got := parseFloat(t, cells[k]), values[row]
			if from == margins && float32(w) != float32(got) || from == predictions && !near(w, got) {
				t.Fatalf("%s of row %d is %v, not %v", name, row, got, w)
			}
		}
	}
	if total := int(margins.NumCols() + predictions.NumCols()); seen != total {
		t.Fatalf("%d of %d columns were expected", seen, total)
	}
}

func near(want, got float64) bool {
	return want == got || math.Abs(want-got) <= 1e-6*math.Max(math.Abs(want), math.Abs(got))
}

func native(t testing.TB, m *xgboost.Model, in frame.Batch, raw bool) frame.Batch {
	t.Helper()
	out, err := m.Native(context.Background(), in, raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t testing.TB, path string, categories map[string][]string) *xgboost.Model {
	t.Helper()
	m, err := xgboost.Parse(readFile(t, path), categories)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return m
}

// TestTrainedModels compares with the answers of XGBoost 1.7.
func TestTrainedModels(t *testing.T) {
	for _, name := range []string{"adult-categorical-binary", "adult-onehot-binary", "bike-poisson", "bike-regression", "telco-dart", "wine-multiclass"} {
		for _, file := range []string{"model.json", "model.ubj"} {
			t.Run(name+"/"+file, func(t *testing.T) {
				folder := realdata.Path(t, "model-xgboost-trained/"+name)
				var manifest struct {
					Objective  string
					Categories map[string][]string
					Version    string `json:"xgboost_version"`
				}
				if err := json.Unmarshal(readFile(t, filepath.Join(folder, "manifest.json")), &manifest); err != nil {
					t.Fatal(err)
				}
				m := parse(t, filepath.Join(folder, file), manifest.Categories)
				if d := m.Describe(); d.Objective != manifest.Objective || d.LibraryVersion != manifest.Version || d.Trees == 0 || d.Leaves < d.Trees {
					t.Errorf("it is described as %+v", d)
				}
				in := readTable(t, filepath.Join(folder, "features.csv.gz")).batch(t, m)
				defer in.Release()
				compare(t, m, in, readTable(t, filepath.Join(folder, "expected.csv")))
			})
		}
	}
}

// TestServerExamples compares with the example models of KServe and MLServer.
func TestServerExamples(t *testing.T) {
	iris := readTable(t, realdata.Path(t, "model-server-examples/iris.csv"))
	for file, rows := range map[string]table{
		"kserve-iris-xgboost.json":       iris,
		"kserve-iris-xgboost.ubj":        iris,
		"mlserver-mushroom-xgboost.json": readLibSVM(t, realdata.Path(t, "model-leaves/agaricus_test.libsvm.gz"), 126),
	} {
		t.Run(file, func(t *testing.T) {
			m := parse(t, realdata.Path(t, "model-server-examples/"+file), nil)
			in := rows.batch(t, m)
			defer in.Release()
			compare(t, m, in, readTable(t, realdata.Path(t, "model-server-examples/"+file+".expected.csv")))
		})
	}
}

// readLibSVM reads rows of column:value, columns counted from 1.
func readLibSVM(t testing.TB, path string, columns int) table {
	t.Helper()
	var x table
	for i := range columns {
		x.names = append(x.names, strconv.Itoa(i))
	}
	lines := bufio.NewScanner(strings.NewReader(string(readFile(t, path))))
	for lines.Scan() {
		row := make([]string, columns)
		for _, word := range strings.Fields(lines.Text())[1:] {
			column, value, _ := strings.Cut(word, ":")
			at, err := strconv.Atoi(column)
			if err != nil {
				t.Fatal(err)
			}
			row[at-1] = value
		}
		x.cells = append(x.cells, row)
	}
	return x
}

// TestOldBinaryIsRefused holds that the refusal says how to go on.
func TestOldBinaryIsRefused(t *testing.T) {
	for _, file := range []string{"model-server-examples/kserve-iris-xgboost.bst", "model-leaves/xgagaricus.model",
		"model-leaves/xg_dart_agaricus.model", "model-leaves/xgblin_agaricus.model", "model-leaves/xgdermatology.model"} {
		data := readFile(t, realdata.Path(t, file))
		_, err := xgboost.Parse(data, nil)
		if !fault.Is(err, fault.Unsupported) || !strings.Contains(fault.HintOf(err), "save_model") {
			t.Errorf("%s gives %v (%s)", file, err, fault.HintOf(err))
		}
		if _, err := xgboost.Sniff(data[:512]); !fault.Is(err, fault.Unsupported) {
			t.Errorf("sniffing at %s gives %v", file, err)
		}
	}
}

// TestONNXGivesTheSameAnswers exports models and runs them in ONNX Runtime,
// which adds up in another order.
func TestONNXGivesTheSameAnswers(t *testing.T) {
	for name, tolerance := range map[string]float64{"adult-onehot-binary": 1e-5, "wine-multiclass": 1e-5, "bike-regression": 1e-4} {
		t.Run(name, func(t *testing.T) {
			onnxtest.Equal(t, parse(t, realdata.Path(t, "model-xgboost-trained/"+name+"/model.ubj"), nil), tolerance)
		})
	}
	poisson := parse(t, realdata.Path(t, "model-xgboost-trained/bike-poisson/model.json"), nil)
	if _, err := poisson.ONNX(); !fault.Is(err, fault.Unsupported) {
		t.Errorf("a link that the export does not know gives %v", err)
	}
}
