package graph_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/corpus"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/graph"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/tree"
)

// floats declares an input of rows of floats.
func floats(name string, dims ...int64) onnxtest.Values {
	return onnxtest.Values{Name: name, Dims: dims, Floats: []float32{}}
}

func node(op string, in []string, out ...string) onnxtest.Node {
	return onnxtest.Node{Op: op, Inputs: in, Outputs: out}
}

func newModel(t testing.TB, f onnxtest.File, c graph.Columns) *graph.Model {
	t.Helper()
	m, err := graph.New(context.Background(), f.Bytes(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestColumns(t *testing.T) {
	wide := onnxtest.File{Inputs: []onnxtest.Values{floats("X", 0, 3)}, Nodes: []onnxtest.Node{node("Neg", []string{"X"}, "y")}, Outputs: []string{"y"}}
	for _, c := range []struct {
		columns graph.Columns
		inputs  string
	}{
		{graph.Columns{}, "X_0 X_1 X_2"},
		{graph.Columns{Columns: []string{"a", "b", "c"}}, "a b c"},
	} {
		m := newModel(t, wide, c.columns)
		var names []string
		for _, f := range m.Signature().Inputs {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != c.inputs {
			t.Errorf("the inputs are %s, not %s", got, c.inputs)
		}
		if s := m.Signature(); s.Task != model.Custom || len(s.Outputs) != 3 || s.Outputs[2].Name != "y2" {
			t.Errorf("the outputs are %s %v", s.Task, s.Outputs)
		}
	}
	for name, columns := range map[string][]string{"2 names": {"a", "b"}, "twice": {"a", "b", "a"}} {
		if _, err := graph.New(context.Background(), wide.Bytes(), graph.Columns{Columns: columns}, nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestColumnsFile(t *testing.T) {
	wide := onnxtest.File{Inputs: []onnxtest.Values{floats("X", 0, 2)}, Nodes: []onnxtest.Node{node("Neg", []string{"X"}, "y")}, Outputs: []string{"y"}}
	for _, text := range []string{`["a", "b"]`, `{"columns": ["a", "b"], "engine": "go"}`} {
		m, err := graph.Format{}.Load(context.Background(), fstest.MapFS{
			graph.ModelFile: {Data: wide.Bytes()}, graph.ColumnsFile: {Data: []byte(text)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Signature().Inputs; got[0].Name != "a" || got[1].Name != "b" {
			t.Errorf("the inputs are %v", got)
		}
	}
	for _, text := range []string{`[1]`, `{"names": []}`, `"a"`, `{"engine": "x"}`} {
		if _, err := (graph.Format{}).Load(context.Background(), fstest.MapFS{graph.ModelFile: {Data: wide.Bytes()}, graph.ColumnsFile: {Data: []byte(text)}}); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// TestRowsOfOne runs a graph that takes one row at a time.
func TestRowsOfOne(t *testing.T) {
	f := onnxtest.File{
		Inputs:    []onnxtest.Values{floats("X", 0, 2)},
		Constants: []onnxtest.Values{{Name: "shape", Dims: []int64{2}, Ints: []int64{1, 2}}, {Name: "axis", Dims: []int64{1}, Ints: []int64{1}}},
		Nodes: []onnxtest.Node{
			node("Reshape", []string{"X", "shape"}, "row"), node("ReduceSum", []string{"row", "axis"}, "y"),
		},
		Outputs: []string{"y"},
	}
	file := f.Bytes()
	at := strings.Index(string(file), "\x0a\x03\x12\x01N") // the dimension named N
	if at < 0 {
		t.Fatal("the first dimension is not there")
	}
	fixed := append([]byte(nil), file...)
	copy(fixed[at:], "\x0a\x03\x08\x81\x00") // is 1, in as many bytes
	m, err := graph.New(context.Background(), fixed, graph.Columns{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(m.Signature().Inputs))
	defer b.Release()
	for i := range 50 {
		b.Field(0).(*array.Float64Builder).Append(float64(i))
		b.Field(1).(*array.Float64Builder).Append(0.5)
	}
	in := b.NewRecordBatch()
	defer in.Release()
	out, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	for i := range 50 {
		if got := out.Column(0).(*array.Float64).Value(i); got != float64(i)+0.5 {
			t.Fatalf("row %d is %v", i, got)
		}
	}
	copy(fixed[at:], "\x0a\x03\x08\x85\x00")
	if _, err := graph.New(context.Background(), fixed, graph.Columns{}, nil); !fault.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "exactly 5 rows") {
		t.Errorf("five rows at a time: %v", err)
	}
}

// TestMissingValues gives NULLs to inputs that can take them, and to those that
// cannot.
func TestMissingValues(t *testing.T) {
	f := onnxtest.File{
		Inputs: []onnxtest.Values{floats("x", 0, 1), {Name: "n", Dims: []int64{0, 1}, Ints: []int64{}}},
		Nodes: []onnxtest.Node{
			{Op: "Cast", Inputs: []string{"n"}, Outputs: []string{"m"}, Attributes: []onnx.Attribute{onnx.Int("to", 1)}},
			{Op: "Imputer", Domain: "ai.onnx.ml", Inputs: []string{"x"}, Outputs: []string{"z"}, Attributes: []onnx.Attribute{
				onnx.Floats("imputed_value_floats", []float32{7}), onnx.Float("replaced_value_float", nan()),
			}},
			node("Add", []string{"z", "m"}, "y"),
		},
		Outputs: []string{"y"},
	}
	m := newModel(t, f, graph.Columns{})
	if s := m.Signature(); s.Inputs[0].Required || !s.Inputs[1].Required || s.Task != model.Regression {
		t.Errorf("the signature is %v", s)
	}
	row := func(x, n bool) frame.Batch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(m.Signature().Inputs))
		defer b.Release()
		b.Field(0).(*array.Float64Builder).AppendValues([]float64{1}, []bool{x})
		b.Field(1).(*array.Int64Builder).AppendValues([]int64{5}, []bool{n})
		return b.NewRecordBatch()
	}
	in := row(false, true)
	defer in.Release()
	out, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	if got := out.Column(0).(*array.Float64).Value(0); got != 12 {
		t.Errorf("7 + 5 is %v", got)
	}
	bad := row(true, false)
	defer bad.Release()
	if _, err := m.Predict(context.Background(), bad); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"n"`) {
		t.Errorf("a missing integer: %v", err)
	}
}

func nan() float32 {
	zero := float32(0)
	return zero / zero
}

// TestShapesThatExplode gives rows to graphs that make much of little.
func TestShapesThatExplode(t *testing.T) {
	shape := func(dims ...int64) onnxtest.Values {
		return onnxtest.Values{Name: "shape", Dims: []int64{int64(len(dims))}, Ints: dims}
	}
	for name, f := range map[string]onnxtest.File{
		"expand":   {Constants: []onnxtest.Values{shape(1<<20, 1<<20)}, Nodes: []onnxtest.Node{node("Expand", []string{"x", "shape"}, "y")}},
		"overflow": {Constants: []onnxtest.Values{shape(1<<31, 1<<31, 1<<31)}, Nodes: []onnxtest.Node{node("Expand", []string{"x", "shape"}, "y")}},
		"constant": {Constants: []onnxtest.Values{shape(1<<14, 1<<14, 1<<3)}, Nodes: []onnxtest.Node{node("ConstantOfShape", []string{"shape"}, "z"), node("Add", []string{"x", "z"}, "y")}},
		"twice": {Constants: []onnxtest.Values{shape(1 << 24)}, Nodes: []onnxtest.Node{
			node("Expand", []string{"x", "shape"}, "a"), node("Neg", []string{"a"}, "b"), node("Neg", []string{"b"}, "c"), node("Neg", []string{"c"}, "d"), node("Neg", []string{"d"}, "y"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f.Inputs, f.Outputs = []onnxtest.Values{floats("x", 0, 1)}, []string{"y"}
			_, err := graph.New(context.Background(), f.Bytes(), graph.Columns{}, nil)
			if !fault.Is(err, fault.TooLarge) && !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v", err)
			}
		})
	}
}

// TestLargePartsAreHalved runs a graph whose rows are too much together.
func TestLargePartsAreHalved(t *testing.T) {
	f := onnxtest.File{
		Inputs:    []onnxtest.Values{floats("x", 0, 1)},
		Constants: []onnxtest.Values{{Name: "times", Dims: []int64{2}, Ints: []int64{1, 1 << 18}}, {Name: "axis", Dims: []int64{1}, Ints: []int64{1}}},
		Nodes:     []onnxtest.Node{node("Tile", []string{"x", "times"}, "wide"), node("ReduceMax", []string{"wide", "axis"}, "y")},
		Outputs:   []string{"y"}, Opset: 18,
	}
	m := newModel(t, f, graph.Columns{})
	in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, 90, 1)
	defer in.Release()
	out, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	x, y := in.Column(0).(*array.Float64), out.Column(0).(*array.Float64)
	for row := range 90 {
		if x.IsValid(row) && float64(float32(x.Value(row))) != y.Value(row) && x.Value(row) == x.Value(row) {
			t.Fatalf("row %d is %v, not %v", row, y.Value(row), x.Value(row))
		}
	}
}

// TestOwnExportsComeBack reads what Leat wrote: the same model.
func TestOwnExportsComeBack(t *testing.T) {
	e := exportedEnsemble(t)
	file, err := e.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(context.Background(), file, graph.Columns{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, got := e.Signature(), m.Signature()
	if want.Task != got.Task || len(want.Inputs) != len(got.Inputs) || strings.Join(want.Classes, " ") != strings.Join(got.Classes, " ") {
		t.Fatalf("the signature is %v, not %v", got, want)
	}
	in := modeltest.Rows(memory.DefaultAllocator, want.Inputs, 500, 3)
	defer in.Release()
	a, err := e.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	b, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	country := in.Column(2).(*array.String)
	for c := range int(a.NumCols()) {
		for row := range int(a.NumRows()) {
			if country.IsValid(row) && country.Value(row) == "" {
				continue // ONNX has no missing text: the empty one stands for it
			}
			x, isNumber := a.Column(c).(*array.Float64)
			switch {
			case !isNumber && a.Column(c).ValueStr(row) != b.Column(c).ValueStr(row):
				t.Fatalf("row %d is labelled %s, not %s", row, b.Column(c).ValueStr(row), a.Column(c).ValueStr(row))
			case isNumber:
				if diff := x.Value(row) - b.Column(c).(*array.Float64).Value(row); diff > 2e-6 || diff < -2e-6 {
					t.Fatalf("row %d differs by %v", row, diff)
				}
			}
		}
	}
}

func exportedEnsemble(t *testing.T) *tree.Ensemble {
	t.Helper()
	e, err := tree.New(definition())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestLoadingTakesBoundedMemory measures what loading allocates in all.
func TestLoadingTakesBoundedMemory(t *testing.T) {
	for name := range folders {
		file, err := os.ReadFile(realdata.Path(t, "model-onnx/"+name+"/model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := graph.New(context.Background(), file, graph.Columns{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		took := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(file))
		t.Logf("%s: %d bytes, allocated %.1f times as many, of which %.1f stay", name, len(file), took, float64(m.Size())/float64(len(file)))
		if after.TotalAlloc-before.TotalAlloc > 6*uint64(len(file))+64<<10 {
			t.Errorf("%s: loading allocates %.0f times the file", name, took)
		}
	}
}

func FuzzPredict(f *testing.F) {
	f.Add((&onnxtest.File{Inputs: []onnxtest.Values{floats("X", 0, 3)}, Nodes: []onnxtest.Node{node("Softmax", []string{"X"}, "y")}, Outputs: []string{"y"}}).Bytes())
	f.Add((&onnxtest.File{
		Inputs: []onnxtest.Values{floats("x", 0, 1), {Name: "s", Dims: []int64{0, 1}, Texts: []string{}}},
		Nodes: []onnxtest.Node{
			{Op: "OneHotEncoder", Domain: "ai.onnx.ml", Inputs: []string{"s"}, Outputs: []string{"h"}, Attributes: []onnx.Attribute{onnx.Strings("cats_strings", []string{"a", "b"})}},
			node("Flatten", []string{"h"}, "flat"),
			{Op: "Concat", Inputs: []string{"x", "flat"}, Outputs: []string{"all"}, Attributes: []onnx.Attribute{onnx.Int("axis", 1)}},
			{Op: "LinearClassifier", Domain: "ai.onnx.ml", Inputs: []string{"all"}, Outputs: []string{"label", "p"}, Attributes: []onnx.Attribute{
				onnx.Floats("coefficients", []float32{1, 2, 3}), onnx.Floats("intercepts", []float32{1}), onnx.Ints("classlabels_ints", []int64{0, 1}), onnx.Text("post_transform", "LOGISTIC"),
			}},
			{Op: "ZipMap", Domain: "ai.onnx.ml", Inputs: []string{"p"}, Outputs: []string{"probabilities"}, Attributes: []onnx.Attribute{onnx.Ints("classlabels_int64s", []int64{0, 1})}},
		},
		Outputs: []string{"label", "probabilities"},
	}).Bytes())
	e, err := tree.New(definition())
	if err != nil {
		f.Fatal(err)
	}
	own, err := e.ONNX()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := graph.New(context.Background(), file, graph.Columns{}, nil)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 6*uint64(len(file))+16<<20 {
			t.Fatalf("%d bytes made it allocate %d", len(file), used)
		}
		if err != nil || len(m.Signature().Inputs) > 100 {
			return
		}
		in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, 5, 1)
		defer in.Release()
		for _, of := range []func() (frame.Batch, error){
			func() (frame.Batch, error) { return m.Predict(context.Background(), in) },
			func() (frame.Batch, error) { return m.Native(context.Background(), in, false) },
		} {
			if out, err := of(); err == nil {
				if out.NumRows() != in.NumRows() {
					t.Errorf("%d rows for %d", out.NumRows(), in.NumRows())
				}
				out.Release()
			}
		}
	})
}
