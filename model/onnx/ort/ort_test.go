package ort_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/graph"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/onnx/ort"
)

// library lets the tests load the library that `make tools` installs, unless
// the environment names another.
func library(t testing.TB) {
	t.Helper()
	if os.Getenv(ort.Variable) != "" {
		return
	}
	tools := os.Getenv("LEAT_TOOLS")
	if tools == "" {
		_, file, _, _ := runtime.Caller(0)
		tools = filepath.Join(filepath.Dir(file), "..", "..", "..", ".cache", "tools")
	}
	path := filepath.Join(tools, "lib", "libonnxruntime.so")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("ONNX Runtime is not installed: %v; run `make tools`, or name the library in %s", err, ort.Variable)
	}
	t.Setenv(ort.Variable, path)
}

func open(t testing.TB, file []byte, c graph.Columns) (*graph.Model, error) {
	t.Helper()
	library(t)
	m, err := graph.New(context.Background(), file, c, ort.Runtime{})
	if err == nil {
		t.Cleanup(func() { _ = m.Close() })
	}
	return m, err
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(realdata.Path(t, "model-onnx/"+name+"/model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestBothEnginesAgree runs the files of the data in both.
func TestBothEnginesAgree(t *testing.T) {
	for _, name := range []string{"adult-pipeline-logistic", "adult-random-forest", "bike-gradient-boosting", "iris-forest-skl2onnx", "wine-forest-multiclass"} {
		t.Run(name, func(t *testing.T) {
			file := read(t, name)
			own, err := open(t, file, graph.Columns{})
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := open(t, file, graph.Columns{Engine: graph.EngineORT})
			if err != nil {
				t.Fatal(err)
			}
			if d := theirs.Describe(); d.Runtime != "ONNX Runtime" {
				t.Fatalf("it is executed by %s", d.Runtime)
			}
			in := modeltest.Rows(memory.DefaultAllocator, own.Signature().Inputs, 400, 5)
			defer in.Release()
			same(t, in, own, theirs)
		})
	}
}

func same(t *testing.T, in frame.Batch, a, b *graph.Model) {
	t.Helper()
	x, err := a.Native(context.Background(), in, false)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Release()
	y, err := b.Native(context.Background(), in, false)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Release()
	if !x.Schema().Equal(y.Schema()) {
		t.Fatalf("the columns are %v and %v", x.Schema(), y.Schema())
	}
	for c := range int(x.NumCols()) {
		size := 0.1 // what large numbers leave of each other counts by their size
		if column, ok := x.Column(c).(*array.Float64); ok {
			for _, v := range column.Float64Values() {
				size = max(size, math.Abs(v)/50)
			}
		}
		for row := range int(x.NumRows()) {
			v, w := x.Column(c).ValueStr(row), y.Column(c).ValueStr(row)
			if v == w {
				continue
			}
			f, err1 := strconv.ParseFloat(v, 64)
			g, err2 := strconv.ParseFloat(w, 64)
			if err1 != nil || err2 != nil || math.Abs(f-g) > 1e-5*max(math.Abs(f), size) {
				t.Fatalf("row %d of %s is %s here and %s there", row, x.ColumnName(c), v, w)
			}
		}
	}
}

// unknown is a graph with an operator that Leat has not: the determinant of a
// matrix of two by two, row by row.
func unknown() []byte {
	f := onnxtest.File{
		Inputs:    []onnxtest.Values{{Name: "X", Dims: []int64{0, 4}, Floats: []float32{}}},
		Constants: []onnxtest.Values{{Name: "shape", Dims: []int64{3}, Ints: []int64{-1, 2, 2}}},
		Nodes: []onnxtest.Node{
			{Op: "Reshape", Inputs: []string{"X", "shape"}, Outputs: []string{"M"}},
			{Op: "Det", Inputs: []string{"M"}, Outputs: []string{"determinant"}},
		},
		Outputs: []string{"determinant"},
	}
	return f.Bytes()
}

func TestOperatorsThatLeatHasNot(t *testing.T) {
	if _, err := graph.New(context.Background(), unknown(), graph.Columns{}, nil); !fault.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "Det") {
		t.Fatalf("without a runtime: %v", err)
	}
	m, err := open(t, unknown(), graph.Columns{})
	if err != nil {
		t.Fatal(err)
	}
	in := rowOf(t, m.Signature().Inputs, 1, 2, 3, 4)
	defer in.Release()
	out, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	if got := out.Column(0).(*array.Float64).Value(0); math.Abs(got+2) > 1e-6 {
		t.Fatalf("the determinant is %v", got)
	}
	if m.Signature().Task != model.Regression {
		t.Errorf("the task is %s", m.Signature().Task)
	}
}

func rowOf(t *testing.T, fields []model.Field, values ...float64) frame.Batch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(fields))
	defer b.Release()
	for i, v := range values {
		b.Field(i).(*array.Float64Builder).Append(v)
	}
	return b.NewRecordBatch()
}

func TestConformance(t *testing.T) {
	m, err := open(t, read(t, "adult-random-forest"), graph.Columns{Engine: graph.EngineORT})
	if err != nil {
		t.Fatal(err)
	}
	modeltest.Run(t, m)
}

func TestAbsentLibrarySaysHowToGetIt(t *testing.T) {
	t.Setenv(ort.Variable, filepath.Join(t.TempDir(), "libonnxruntime.so"))
	_, err := graph.New(context.Background(), unknown(), graph.Columns{}, ort.Runtime{})
	if !fault.Is(err, fault.Unsupported) {
		t.Fatalf("the fault is %v", err)
	}
	for _, part := range []string{"Det", ort.Variable} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	for _, part := range []string{"npm pack", "pip", "github.com/microsoft/onnxruntime", "docs/guides/onnx.md"} {
		if !strings.Contains(fault.HintOf(err), part) {
			t.Errorf("%q is not in the hint %q", part, fault.HintOf(err))
		}
	}
}

// TestMemoryIsBounded gives a graph that makes of each row as many elements as
// its number says, in an operator that Leat has not.
func TestMemoryIsBounded(t *testing.T) {
	f := onnxtest.File{
		Inputs:    []onnxtest.Values{{Name: "n", Dims: []int64{0, 1}, Floats: []float32{}}},
		Constants: []onnxtest.Values{{Name: "axis", Dims: []int64{1}, Ints: []int64{1}}, {Name: "flat", Dims: []int64{1}, Ints: []int64{-1}}},
		Nodes: []onnxtest.Node{
			{Op: "Cast", Inputs: []string{"n"}, Outputs: []string{"whole"}, Attributes: []onnx.Attribute{onnx.Int("to", 7)}},
			{Op: "ReduceMax", Inputs: []string{"whole"}, Outputs: []string{"most"}},
			{Op: "Reshape", Inputs: []string{"most", "flat"}, Outputs: []string{"shape"}},
			{Op: "ConstantOfShape", Inputs: []string{"shape"}, Outputs: []string{"wide"}},
			{Op: "Mish", Inputs: []string{"wide"}, Outputs: []string{"wider"}},
			{Op: "ReduceSum", Inputs: []string{"wider"}, Outputs: []string{"sum"}},
			{Op: "Add", Inputs: []string{"n", "sum"}, Outputs: []string{"y"}},
		},
		Outputs: []string{"y"},
	}
	m, err := open(t, f.Bytes(), graph.Columns{})
	if err != nil {
		t.Fatal(err)
	}
	in := rowOf(t, m.Signature().Inputs, 1e9) // 4 GB
	defer in.Release()
	if out, err := m.Predict(context.Background(), in); err == nil {
		out.Release()
		t.Fatal("a tensor of 4 GB was made")
	} else if !fault.Is(err, fault.TooLarge) {
		t.Errorf("the fault is %s: %v", fault.KindOf(err), err)
	}
	small := rowOf(t, m.Signature().Inputs, 1000)
	defer small.Release()
	out, err := m.Predict(context.Background(), small)
	if err != nil {
		t.Fatalf("afterwards: %v", err)
	}
	out.Release()
}

func TestManyAtOnceAndAnEndedContext(t *testing.T) {
	m, err := open(t, unknown(), graph.Columns{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		in := rowOf(t, m.Signature().Inputs, float64(g), 2, 3, 4)
		wg.Go(func() {
			defer in.Release()
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(g%4)*time.Millisecond+time.Nanosecond)
			defer cancel()
			for {
				out, err := m.Predict(ctx, in)
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					return
				}
				if got := out.Column(0).(*array.Float64).Value(0); math.Abs(got-float64(4*g-6)) > 1e-4 {
					t.Errorf("the answer is %v, not %v", got, 4*g-6)
				}
				out.Release()
			}
		})
	}
	wg.Wait()
}

func TestRefusedGraphs(t *testing.T) {
	library(t)
	f := onnxtest.File{
		Inputs:  []onnxtest.Values{{Name: "X", Dims: []int64{0, 4}, Floats: []float32{}}},
		Nodes:   []onnxtest.Node{{Op: "NoSuchOperator", Inputs: []string{"X"}, Outputs: []string{"y"}}},
		Outputs: []string{"y"},
	}
	_, err := open(t, f.Bytes(), graph.Columns{})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "NoSuchOperator") || strings.Contains(err.Error(), "onnxruntime_src") {
		t.Errorf("%v", err)
	}
}
