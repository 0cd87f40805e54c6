package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// table collects small graphs, each with inputs.
type table struct {
	names []string
	cases []onnxtest.Case
	r     *rand.Rand
}

func newTable() *table { return &table{r: rand.New(rand.NewPCG(3, 4))} }

type attributes = []onnx.Attribute

// add adds a graph of one node. Inputs without a name are inputs of the graph.
func (t *table) add(op string, a attributes, inputs ...onnxtest.Values) {
	t.addAs(op, "", 0, 0, 1, a, inputs...)
}

func (t *table) ml(op string, a attributes, inputs ...onnxtest.Values) {
	outputs := 1
	if op == "LinearClassifier" || op == "SVMClassifier" || op == "TreeEnsembleClassifier" {
		outputs = 2
	}
	t.addAs(op, "ai.onnx.ml", 0, 0, outputs, a, inputs...)
}

func (t *table) addAs(op, domain string, opset, ml int64, outputs int, a attributes, inputs ...onnxtest.Values) {
	n := onnxtest.Node{Op: op, Domain: domain, Attributes: a}
	f := onnxtest.File{Opset: opset, MLOpset: ml}
	for i := range inputs {
		inputs[i].Name = fmt.Sprint("x", i)
		n.Inputs = append(n.Inputs, inputs[i].Name)
	}
	f.Inputs = inputs
	for i := range outputs {
		f.Outputs = append(f.Outputs, fmt.Sprint("y", i))
	}
	n.Outputs = f.Outputs
	f.Nodes = []onnxtest.Node{n}
	t.names = append(t.names, fmt.Sprintf("%d %s-%d", len(t.names), op, opset))
	t.cases = append(t.cases, onnxtest.Case{File: f.Bytes(), Inputs: inputs})
}

// tables are all graphs of one operator.
func tables() map[string]*table {
	return map[string]*table{
		"element by element": elementByElementTable(), "casts": castsTable(), "shapes": shapesTable(),
		"reductions": reductionsTable(), "products": productsTable(), "preparation": preparationTable(),
		"label encoders": labelEncodersTable(), "linear models": linearModelsTable(),
		"support vector machines": supportVectorMachinesTable(), "tree regressors": treeRegressorsTable(),
		"tree classifiers": treeClassifiersTable(), "shared nodes": sharedNodesTable(), "tree ensembles": treeEnsembleTable(),
	}
}

// TestOperatorsAnswerAsONNXRuntime runs all tables there, in one process, and
// here.
func TestOperatorsAnswerAsONNXRuntime(t *testing.T) {
	all := tables()
	var cases []onnxtest.Case
	start := map[string]int{}
	for name, b := range all {
		start[name] = len(cases)
		cases = append(cases, b.cases...)
	}
	want := onnxtest.Reference(t, cases)
	for name, b := range all {
		t.Run(name, func(t *testing.T) { b.compare(t, want[start[name]:]) })
	}
	t.Logf("%d graphs", len(cases))
}

// compare runs the graphs here.
func (t *table) compare(tt *testing.T, want []onnxtest.Answer) {
	tt.Helper()
	for i, c := range t.cases {
		if want[i].Error != "" {
			tt.Errorf("%s: the reference refuses: %s", t.names[i], want[i].Error)
			continue
		}
		if diff := difference(want[i], run(c)); diff != "" {
			tt.Errorf("%s: %s", t.names[i], diff)
		}
	}
}

func (t *table) floats(dims ...int64) onnxtest.Values {
	v := onnxtest.Values{Dims: dims, Floats: []float32{}}
	for range count(dims) {
		v.Floats = append(v.Floats, float32(t.r.NormFloat64()*2))
	}
	return v
}

func (t *table) doubles(dims ...int64) onnxtest.Values {
	v := onnxtest.Values{Dims: dims, Doubles: []float64{}}
	for range count(dims) {
		v.Doubles = append(v.Doubles, t.r.NormFloat64()*2)
	}
	return v
}

func (t *table) ints(below int64, dims ...int64) onnxtest.Values {
	v := onnxtest.Values{Dims: dims, Ints: []int64{}}
	for range count(dims) {
		v.Ints = append(v.Ints, t.r.Int64N(below))
	}
	return v
}

func (t *table) bools(dims ...int64) onnxtest.Values {
	v := onnxtest.Values{Dims: dims, Bools: []bool{}}
	for range count(dims) {
		v.Bools = append(v.Bools, t.r.IntN(2) == 0)
	}
	return v
}

func (t *table) texts(dims ...int64) onnxtest.Values {
	v := onnxtest.Values{Dims: dims, Texts: []string{}}
	for range count(dims) {
		v.Texts = append(v.Texts, []string{"a", "b", "ccc", "", "Ä"}[t.r.IntN(5)])
	}
	return v
}

func integers(v ...int64) onnxtest.Values {
	return onnxtest.Values{Dims: []int64{int64(len(v))}, Ints: v}
}

func count(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// odd puts values into floats that operators treat in their own way.
func odd(v onnxtest.Values) onnxtest.Values {
	strange := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 0.5, -0.5, 2.5}
	copy(v.Floats, strange)
	return v
}

func elementByElementTable() *table {
	b := newTable()
	for _, op := range []string{"Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"} {
		b.add(op, nil, b.floats(3, 4), b.floats(3, 4))
		b.add(op, nil, b.floats(3, 4), b.floats(4))
		b.add(op, nil, b.floats(3, 4), b.floats(3, 1))
		b.add(op, nil, b.floats(3, 1), b.floats(1, 5))
		b.add(op, nil, b.floats(2, 3, 4), b.floats(3, 1))
		b.add(op, nil, b.floats(2, 1, 4), b.floats(2, 3, 1))
		b.add(op, nil, b.doubles(3, 4), b.doubles())
		b.add(op, nil, b.floats(0, 4), b.floats(1, 4))
		divisor := b.ints(5, 6)
		for i := range divisor.Ints {
			divisor.Ints[i]++
		}
		b.add(op, nil, b.ints(9, 2, 6), divisor)
	}
	b.add("Max", nil, odd(b.floats(8)), b.floats(8), b.floats(1))
	b.add("Min", nil, b.floats(2, 4), odd(b.floats(2, 4)), b.floats(2, 1), b.floats(4))
	b.add("Sum", nil, b.floats(2, 4), b.floats(2, 4), b.floats(4))
	b.add("Mean", nil, b.floats(2, 4), b.floats(2, 4), b.floats(4))
	b.add("Mean", nil, b.floats(2, 4))
	b.addAs("Equal", "", 19, 0, 1, nil, b.texts(9), b.texts(9))
	b.add("Equal", nil, b.bools(9), b.bools(9))
	for _, op := range []string{"And", "Or", "Xor"} {
		b.add(op, nil, b.bools(3, 4), b.bools(4))
	}
	b.add("Not", nil, b.bools(5))
	for _, op := range []string{"Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Reciprocal", "Sin", "Cos", "Atan", "Softplus", "IsNaN", "IsInf"} {
		b.add(op, nil, b.floats(3, 40))
		if op != "IsNaN" && op != "IsInf" && op != "Erf" && op != "Atan" {
			b.add(op, nil, b.doubles(5))
		}
	}
	for _, op := range []string{"Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "IsNaN", "IsInf", "Sigmoid"} {
		b.add(op, nil, odd(b.floats(8)))
	}
	for _, op := range []string{"Abs", "Neg", "Sign"} {
		b.add(op, nil, integers(-3, 0, 7))
	}
	positive := b.floats(20)
	for i, v := range positive.Floats {
		positive.Floats[i] = float32(math.Abs(float64(v)))
	}
	b.add("Sqrt", nil, positive)
	b.add("Log", nil, positive)
	b.add("Pow", nil, positive, b.floats(1))
	b.add("Pow", nil, b.floats(2, 3), onnxtest.Values{Dims: []int64{}, Ints: []int64{2}})
	b.add("Pow", nil, b.floats(2, 3), onnxtest.Values{Dims: []int64{}, Floats: []float32{3}})
	b.add("Mod", nil, integers(-7, 7, 5), integers(3, -3, 2))
	b.add("Mod", attributes{onnx.Int("fmod", 1)}, b.floats(9), b.floats(9))
	b.add("LeakyRelu", attributes{onnx.Float("alpha", 0.3)}, b.floats(9))
	b.add("Elu", nil, b.floats(9))
	b.add("HardSigmoid", nil, b.floats(9))
	b.add("PRelu", nil, b.floats(2, 4), b.floats(4))
	scalar := func(v float32) onnxtest.Values { return onnxtest.Values{Dims: []int64{}, Floats: []float32{v}} }
	b.add("Clip", nil, b.floats(20), scalar(-0.5), scalar(1))
	b.add("Clip", nil, b.floats(20), scalar(-0.5))
	b.add("Clip", nil, odd(b.floats(20)), scalar(-0.5), scalar(1))
	b.addAs("Clip", "", 6, 0, 1, attributes{onnx.Float("min", -0.1), onnx.Float("max", 0.4)}, b.floats(20))
	b.add("Where", nil, b.bools(2, 1), b.floats(2, 3), b.floats(3))
	b.add("Where", nil, b.bools(3), b.floats(2, 1), scalar(7))
	b.add("Where", nil, b.bools(4, 1, 3), b.ints(9, 2, 1), b.ints(9, 3))
	b.add("Where", nil, b.bools(5), b.texts(5), b.texts(1))
	return b
}

func castsTable() *table {
	b := newTable()
	to := func(typ proto.Type) attributes { return attributes{onnx.Int("to", int64(typ))} }
	wide := onnxtest.Values{Dims: []int64{6}, Floats: []float32{1e-7, 123456.78, 1e10, 3, -2.5, 16777216}}
	for _, typ := range []proto.Type{proto.Float, proto.Double, proto.Int64, proto.Int32, proto.Bool, proto.String} {
		b.add("Cast", to(typ), b.floats(3, 4))
		b.add("Cast", to(typ), b.doubles(3, 4))
		b.add("Cast", to(typ), integers(-3, 0, 7, 1<<20))
		b.add("Cast", to(typ), b.bools(4))
		b.add("Cast", to(typ), onnxtest.Values{Dims: []int64{2}, Int32s: []int32{4, -9}})
	}
	b.add("Cast", to(proto.String), wide)
	b.add("Cast", to(proto.String), odd(b.floats(8)))
	b.add("Cast", to(proto.Uint8), integers(-3, 0, 255, 300))
	b.add("Cast", to(proto.Int8), integers(-3, 0, 255, 300))
	numbers := onnxtest.Values{Dims: []int64{4}, Texts: []string{"1.5", "-2", "1e3", "7"}}
	b.add("Cast", to(proto.Float), numbers)
	b.add("Cast", to(proto.Double), numbers)
	b.add("Cast", to(proto.Int64), onnxtest.Values{Dims: []int64{2}, Texts: []string{"15", "-2"}})
	return b
}

func shapesTable() *table {
	b := newTable()
	axis := func(v int64) attributes { return attributes{onnx.Int("axis", v)} }
	b.add("Identity", nil, b.texts(2, 3))
	b.add("Concat", axis(1), b.floats(3, 1), b.floats(3, 4), b.floats(3, 0))
	b.add("Concat", axis(-1), b.texts(3, 1), b.texts(3, 2))
	b.add("Concat", axis(0), b.ints(9, 2, 3), b.ints(9, 1, 3))
	b.add("Reshape", nil, b.floats(2, 6), integers(3, -1))
	b.add("Reshape", nil, b.floats(2, 6), integers(0, 2, -1))
	b.add("Reshape", nil, b.floats(0, 6), integers(-1, 6))
	b.add("Flatten", nil, b.floats(2, 3, 4))
	b.add("Flatten", axis(0), b.floats(2, 3, 4))
	b.add("Flatten", axis(-1), b.floats(2, 3, 4))
	b.add("Transpose", nil, b.floats(2, 3, 4))
	b.add("Transpose", attributes{onnx.Ints("perm", []int64{1, 2, 0})}, b.floats(2, 3, 4))
	b.add("Squeeze", nil, b.floats(2, 1, 4, 1))
	b.add("Squeeze", nil, b.floats(2, 1, 4, 1), integers(-1))
	b.addAs("Squeeze", "", 11, 0, 1, attributes{onnx.Ints("axes", []int64{1})}, b.floats(2, 1, 4, 1))
	b.add("Unsqueeze", nil, b.floats(2, 4), integers(0, -1))
	b.addAs("Unsqueeze", "", 11, 0, 1, attributes{onnx.Ints("axes", []int64{1})}, b.floats(2, 4))
	b.add("Gather", axis(1), b.floats(3, 4, 2), integers(0, 3, -1))
	b.add("Gather", axis(0), b.texts(5), b.ints(5, 2, 2))
	b.add("Gather", axis(-1), b.texts(2, 5), onnxtest.Values{Dims: []int64{}, Ints: []int64{1}})
	b.add("GatherElements", axis(1), b.floats(3, 4), b.ints(4, 3, 2))
	b.add("GatherElements", axis(0), b.floats(3, 4), b.ints(3, 2, 4))
	b.add("Slice", nil, b.floats(4, 5), integers(1, 0), integers(3, 1000), integers(0, 1), integers(1, 2))
	b.add("Slice", nil, b.floats(4, 5), integers(-1), integers(-1000), integers(1), integers(-2))
	b.add("Slice", nil, b.floats(4, 5), integers(3), integers(1))
	b.add("Slice", nil, b.floats(4, 5), integers(1), integers(math.MaxInt64), integers(1))
	b.addAs("Slice", "", 9, 0, 1, attributes{onnx.Ints("starts", []int64{0, 1}), onnx.Ints("ends", []int64{3, -1}), onnx.Ints("axes", []int64{0, 1})}, b.floats(4, 5))
	b.addAs("Split", "", 0, 0, 2, attributes{onnx.Int("axis", 1)}, b.floats(3, 5), integers(2, 3))
	b.addAs("Split", "", 0, 0, 3, attributes{onnx.Int("axis", 1), onnx.Int("num_outputs", 3)}, b.floats(3, 5))
	b.addAs("Split", "", 13, 0, 2, attributes{onnx.Int("axis", 0)}, b.floats(4, 5))
	b.addAs("Split", "", 11, 0, 2, attributes{onnx.Int("axis", 0), onnx.Ints("split", []int64{1, 3})}, b.floats(4, 5))
	b.add("Expand", nil, b.floats(3, 1), integers(2, 1, 4))
	b.add("Tile", nil, b.floats(2, 3), integers(2, 3))
	b.add("Tile", nil, b.texts(2, 2), integers(1, 2))
	b.add("Shape", nil, b.floats(2, 0, 4))
	b.add("Shape", attributes{onnx.Int("start", 1), onnx.Int("end", -1)}, b.floats(2, 3, 4))
	b.add("Size", nil, b.floats(2, 3))
	b.add("ConstantOfShape", attributes{onnxtest.TensorAttribute("value", integers(7))}, integers(2, 3))
	b.add("ConstantOfShape", nil, integers(2, 3))
	b.add("Range", nil, onnxtest.Values{Dims: []int64{}, Ints: []int64{10}}, onnxtest.Values{Dims: []int64{}, Ints: []int64{-1}}, onnxtest.Values{Dims: []int64{}, Ints: []int64{-3}})
	b.add("Range", nil, onnxtest.Values{Dims: []int64{}, Floats: []float32{0}}, onnxtest.Values{Dims: []int64{}, Floats: []float32{1}}, onnxtest.Values{Dims: []int64{}, Floats: []float32{0.25}})
	b.add("OneHot", nil, integers(0, 2, -1, 5), onnxtest.Values{Dims: []int64{}, Ints: []int64{3}}, onnxtest.Values{Dims: []int64{2}, Floats: []float32{-1, 2}})
	b.add("OneHot", axis(0), b.ints(4, 2, 3), onnxtest.Values{Dims: []int64{1}, Ints: []int64{4}}, integers(0, 1))
	b.add("Compress", axis(1), b.floats(2, 4), b.bools(4))
	b.add("Compress", nil, b.floats(2, 4), b.bools(6))
	b.add("NonZero", nil, b.bools(3, 4))
	b.add("NonZero", nil, b.ints(2, 3, 4))
	b.add("CumSum", nil, b.floats(3, 4), onnxtest.Values{Dims: []int64{}, Ints: []int64{1}})
	b.add("CumSum", attributes{onnx.Int("exclusive", 1), onnx.Int("reverse", 1)}, b.floats(3, 4), onnxtest.Values{Dims: []int64{}, Ints: []int64{0}})
	return b
}

func reductionsTable() *table {
	b := newTable()
	for _, op := range []string{"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd", "ReduceLogSumExp"} {
		b.add(op, nil, b.floats(2, 3, 4), integers(1))
		b.add(op, attributes{onnx.Int("keepdims", 0)}, b.floats(2, 3, 4), integers(-1, 0))
		b.add(op, nil, b.floats(2, 3, 4))
		b.add(op, attributes{onnx.Int("keepdims", 0)}, b.doubles(2, 3))
		b.add(op, attributes{onnx.Int("noop_with_empty_axes", 1)}, b.floats(2, 3))
		b.addAs(op, "", 11, 0, 1, attributes{onnx.Ints("axes", []int64{1})}, b.floats(2, 3))
	}
	b.add("ReduceSum", nil, b.ints(9, 2, 3), integers(1))
	b.add("ReduceLogSum", nil, onnxtest.Values{Dims: []int64{2, 2}, Floats: []float32{1, 2, 3, 4}}, integers(1))
	for _, op := range []string{"ArgMax", "ArgMin"} {
		b.add(op, attributes{onnx.Int("axis", 1)}, b.floats(5, 4))
		b.add(op, attributes{onnx.Int("axis", 1), onnx.Int("keepdims", 0)}, b.ints(2, 5, 4))
		b.add(op, attributes{onnx.Int("axis", -1), onnx.Int("select_last_index", 1)}, b.ints(2, 5, 4))
		b.add(op, nil, b.floats(5, 4))
	}
	for _, k := range []int64{1, 3, 6} {
		b.addAs("TopK", "", 0, 0, 2, attributes{onnx.Int("axis", 1)}, b.floats(4, 6), integers(k))
		b.addAs("TopK", "", 0, 0, 2, attributes{onnx.Int("axis", 0), onnx.Int("largest", 0)}, b.floats(6, 3), integers(k))
		b.addAs("TopK", "", 0, 0, 2, nil, b.ints(3, 2, 6), integers(k))
	}
	for _, opset := range []int64{11, 13} {
		b.addAs("Softmax", "", opset, 0, 1, nil, b.floats(2, 3, 4))
		b.addAs("Softmax", "", opset, 0, 1, attributes{onnx.Int("axis", 0)}, b.floats(2, 3))
		b.addAs("LogSoftmax", "", opset, 0, 1, attributes{onnx.Int("axis", -1)}, b.floats(2, 3))
	}
	return b
}

func productsTable() *table {
	b := newTable()
	b.add("MatMul", nil, b.floats(3, 4), b.floats(4, 5))
	b.add("MatMul", nil, b.floats(4), b.floats(4, 5))
	b.add("MatMul", nil, b.floats(3, 4), b.floats(4))
	b.add("MatMul", nil, b.floats(4), b.floats(4))
	b.add("MatMul", nil, b.floats(2, 1, 3, 4), b.floats(5, 4, 2))
	b.add("MatMul", nil, b.doubles(3, 4), b.doubles(4, 5))
	b.add("MatMul", nil, b.ints(9, 3, 4), b.ints(9, 4, 5))
	b.add("Gemm", nil, b.floats(3, 4), b.floats(4, 5), b.floats(5))
	b.add("Gemm", attributes{onnx.Int("transA", 1), onnx.Int("transB", 1), onnx.Float("alpha", 0.5), onnx.Float("beta", 2)}, b.floats(4, 3), b.floats(5, 4), b.floats(3, 1))
	b.add("Gemm", nil, b.floats(3, 4), b.floats(4, 5))
	b.add("Gemm", nil, b.doubles(3, 4), b.doubles(4, 5), b.doubles(1))
	return b
}
