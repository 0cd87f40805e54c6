package lightgbm_test

import (
	"context"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/lightgbm"
)

// fresh trains the models of testdata/train_lightgbm.py once for all tests, and
// returns their folder.
var fresh = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "leat-lightgbm-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(os.Getenv("LEAT_PYTHON"), "testdata/train_lightgbm.py", folder).CombinedOutput()
	if err != nil {
		err = &trainingError{err, string(out)}
	}
	return folder, err
})

type trainingError struct {
	error
	out string
}

func (e *trainingError) Error() string { return e.error.Error() + "\n" + e.out }

func TestMain(m *testing.M) {
	code := m.Run()
	if folder, _ := fresh(); folder != "" {
		os.RemoveAll(folder)
	}
	os.Exit(code)
}

func freshFolder(t testing.TB) string {
	t.Helper()
	if os.Getenv("LEAT_PYTHON") == "" {
		t.Fatal("LEAT_PYTHON is not set: it names a Python with lightgbm and pandas; `make tools` installs one")
	}
	folder, err := fresh()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// cells makes rows of the cells of a CSV file, for the inputs of a model in
// their order. An empty cell is a missing value.
func cells(t testing.TB, m model.Model, path string) frame.Batch {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(read(t, path))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	inputs := m.Signature().Inputs
	columns := make([]frame.Column, len(inputs))
	for i, f := range inputs {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for _, record := range records[1:] {
		for i, cell := range record {
			if cell == "" {
				b.Field(i).AppendNull()
			} else if err := b.Field(i).AppendValueFromString(cell); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.NewRecordBatch()
}

// Fresh models of the newest LightGBM: the same leaf in every row and tree, and
// the same answers.
func TestFreshModels(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(freshFolder(t), "*", "model.txt"))
	if err != nil || len(folders) < 30 {
		t.Fatalf("%d models were trained: %v", len(folders), err)
	}
	for _, path := range folders {
		folder := filepath.Dir(path)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			m := parse(t, read(t, path))
			in := cells(t, m, filepath.Join(folder, "rows.csv"))
			defer in.Release()
			sameLeaves(t, m, in, table(t, read(t, filepath.Join(folder, "leaves.csv")), ","))
			same(t, native(t, m, in, true), table(t, read(t, filepath.Join(folder, "raw.csv")), ","), "margin")
			same(t, native(t, m, in, false), table(t, read(t, filepath.Join(folder, "predict.csv")), ","), "prediction")
		})
	}
}

// parse reads a model, and holds that this allocates no more in all than four
// times the text, beside what any model may: tables for answers of one row
// take 64 KiB in the smallest, and scratch the same again.
func parse(t *testing.T, text string) *lightgbm.Model {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := lightgbm.Parse(text)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4*uint64(len(text))+128<<10 {
		t.Errorf("%d bytes made it allocate %d", len(text), used)
	}
	return m
}

func sameLeaves(t *testing.T, m *lightgbm.Model, in frame.Batch, want [][]float64) {
	t.Helper()
	got, err := m.Leaves(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	for row := range want {
		if len(want[row]) != len(got) {
			t.Fatalf("%d trees, not %d", len(got), len(want[row]))
		}
		for k := range got {
			if int(want[row][k]) != int(got[k][row]) {
				t.Fatalf("row %d reaches leaf %d of tree %d, not %v", row, got[k][row], k, want[row][k])
			}
		}
	}
}

// same compares answers by column and row with those by row and column.
func same(t *testing.T, got, want [][]float64, what string) {
	t.Helper()
	for row := range want {
		if len(want[row]) != len(got) {
			t.Fatalf("%d columns of %s, not %d", len(got), what, len(want[row]))
		}
		for k := range got {
			if !near(got[k][row], want[row][k], 1e-12) {
				t.Fatalf("row %d: %s%d is %v, not %v", row, what, k, got[k][row], want[row][k])
			}
		}
	}
	if len(got) > 0 && len(got[0]) != len(want) {
		t.Fatalf("%d rows of %s, not %d", len(got[0]), what, len(want))
	}
}

// What LightGBM says of itself reaches the signature.
func TestSignatures(t *testing.T) {
	folder := freshFolder(t)
	for name, want := range map[string]struct {
		task    model.Task
		outputs string
	}{
		"binary":            {model.Binary, "score label"},
		"multiclass":        {model.Multiclass, "label score_0 score_1 score_2"},
		"ova":               {model.Multiclass, "label score_0 score_1 score_2"},
		"poisson":           {model.Regression, "score"},
		"custom_multiclass": {model.Custom, "score_0 score_1 score_2"},
	} {
		m, err := lightgbm.Parse(read(t, filepath.Join(folder, name, "model.txt")))
		if err != nil {
			t.Fatal(err)
		}
		s := m.Signature()
		var outputs []string
		for _, f := range s.Outputs {
			outputs = append(outputs, f.Name)
		}
		if s.Task != want.task || strings.Join(outputs, " ") != want.outputs || len(s.Inputs) != 6 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	m, err := lightgbm.Parse(read(t, filepath.Join(folder, "pandas", "model.txt")))
	if err != nil {
		t.Fatal(err)
	}
	var inputs []string
	for _, f := range m.Signature().Inputs {
		inputs = append(inputs, f.Name+":"+string(f.Type)+":"+strconv.Itoa(len(f.Categories)))
	}
	if got, want := strings.Join(inputs, " "), "amount_due:double:0 city:string:6 plan:double:0 size:string:4 member:bool:0 visits:double:0 rate:double:0"; got != want {
		t.Errorf("inputs %s, not %s", got, want)
	}
}
