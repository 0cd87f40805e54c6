package process_test

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/process"
)

// python is an interpreter with pandas, pyarrow and scikit-learn.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("LEAT_PYTHON")
	if path == "" {
		t.Fatal("LEAT_PYTHON is not set: it names a Python with pandas, pyarrow and scikit-learn; `make tools` installs one")
	}
	return path
}

// mlflowPython is an interpreter with MLflow.
func mlflowPython(t *testing.T) string {
	t.Helper()
	path := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-mlflow3", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		t.Fatal("LEAT_TOOLS names no folder with venv-mlflow3: `make tools` installs it: ", err)
	}
	return path
}

const function = `
import math
print("this goes to stderr")
inputs = {"a": "double", "n": "int", "s": "string", "b": "bool", "t": "timestamp", "d": "date"}
outputs = {"score": "double"}

def cells(column):
    return column.tolist() if hasattr(column, "tolist") else column

def predict(frame):
    scores = []
    for a, n, s, b in zip(cells(frame["a"]), cells(frame["n"]), cells(frame["s"]), cells(frame["b"])):
        if s == "broken":
            raise ValueError("that is a broken row")
        total = 0.0 if a is None or a != a else max(min(a, 1e9), -1e9)
        total += 0 if n is None or n != n else n % 1000
        scores.append(total + len(s or "") + (b is True))
    print("scored", len(scores))
    return scores
`

func functionModel(t *testing.T, interpreter string) model.Model {
	t.Helper()
	m, err := load(t, process.Config{Python: interpreter}, process.Manifest{Python: &process.Python{Kind: process.Function, File: "score.py"},
		Signature: model.Signature{Task: model.Regression}}, map[string][]byte{"score.py": []byte(function)})
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	return m
}

func TestFunctionFile(t *testing.T) {
	t.Run("pandas and Arrow", func(t *testing.T) { modeltest.Run(t, functionModel(t, python(t))) })
	t.Run("nothing but the standard library", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "python") // -S leaves every installed library out
		if err := os.WriteFile(path, []byte("#!/bin/sh\nexec python3 -S -E \"$@\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		m := functionModel(t, path)
		if got := m.(model.Describer).Describe().Notes["encoding"]; got != "json" {
			t.Errorf("rows go as %s", got)
		}
		modeltest.Run(t, m)
	})
}

func TestWhatAPythonModelRaisesIsAnAnswer(t *testing.T) {
	m := functionModel(t, python(t))
	in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, 1, 1)
	defer in.Release()
	at := frame.Index(in.Schema(), "s")
	broken := array.NewStringBuilder(memory.DefaultAllocator)
	broken.Append("broken")
	in, err := in.SetColumn(at, broken.NewArray())
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Predict(t.Context(), in)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "ValueError: that is a broken row") {
		t.Error(err)
	}
	if strings.Contains(err.Error(), "Traceback") {
		t.Error("the caller sees a traceback: ", err)
	}
}

// folderOf reads a folder as the files of a model.
func folderOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	fsys := os.DirFS(dir)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(fsys, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestMLflowFolders saves models with MLflow and compares what their workers
// predict with what MLflow did, with MLflow in the interpreter and without.
func TestMLflowFolders(t *testing.T) {
	dir := t.TempDir()
	if text, err := exec.Command(mlflowPython(t), "testdata/save_models.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var expected struct {
		Rows         map[string][]float64
		Linear, High []float64
		Label        []string
	}
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err == nil {
		err = json.Unmarshal(text, &expected)
	}
	if err != nil {
		t.Fatal(err)
	}
	in := tableOf(expected.Rows)
	defer in.Release()
	for name, c := range map[string]struct{ model, python string }{
		"mlflow, linear":          {"linear", mlflowPython(t)},
		"mlflow, python_function": {"both", mlflowPython(t)},
		"scikit-learn alone":      {"linear", python(t)},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := load(t, process.Config{Python: c.python}, process.Manifest{Python: &process.Python{Kind: process.MLflow}},
				folderOf(t, filepath.Join(dir, c.model)))
			if err != nil {
				t.Fatal(err, fault.HintOf(err))
			}
			out, err := m.Predict(t.Context(), in)
			if err != nil {
				t.Fatal(err, fault.HintOf(err))
			}
			defer out.Release()
			want := expected.High
			if c.model == "linear" {
				want = expected.Linear
			}
			for i, got := range out.Column(0).(*array.Float64).Float64Values() {
				if math.Abs(got-want[i]) > 1e-9*math.Abs(want[i]) {
					t.Fatalf("row %d is %v, MLflow says %v", i, got, want[i])
				}
				if c.model == "both" && out.Column(1).(*array.String).Value(i) != expected.Label[i] {
					t.Fatalf("row %d is %s, MLflow says %s", i, out.Column(1).ValueStr(i), expected.Label[i])
				}
			}
		})
	}
	_, err = load(t, process.Config{Python: python(t)}, process.Manifest{Python: &process.Python{Kind: process.MLflow}}, folderOf(t, filepath.Join(dir, "both")))
	if !strings.Contains(fault.HintOf(err), "install mlflow") {
		t.Errorf("a model that needs MLflow says %v: %s", err, fault.HintOf(err))
	}
}

func tableOf(rows map[string][]float64) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{
		{Name: "amount", Type: frame.Double}, {Name: "visits", Type: frame.Int}, {Name: "weight", Type: frame.Double}}))
	defer b.Release()
	b.Field(0).(*array.Float64Builder).AppendValues(rows["amount"], nil)
	for _, v := range rows["visits"] {
		b.Field(1).(*array.Int64Builder).Append(int64(v))
	}
	b.Field(2).(*array.Float64Builder).AppendValues(rows["weight"], nil)
	return b.NewRecordBatch()
}
