package ops_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// tensorOf makes an input of values.
func tensorOf(v *onnxtest.Values) *ops.Tensor {
	t := &ops.Tensor{Type: v.Type(), F: v.Floats, D: v.Doubles, I: v.Ints, S: v.Texts, B: v.Bools}
	for _, x := range v.Int32s {
		t.I = append(t.I, int64(x))
	}
	for _, d := range v.Dims {
		t.Dims = append(t.Dims, int(d))
	}
	return t
}

// run executes a file with Leat's operators.
func run(c onnxtest.Case) (answer onnxtest.Answer) {
	m, err := proto.Read(c.File)
	if err != nil {
		return onnxtest.Answer{Error: err.Error()}
	}
	p, err := ops.Compile(context.Background(), m)
	if err != nil {
		return onnxtest.Answer{Error: err.Error()}
	}
	var inputs []*ops.Tensor
	for _, in := range m.Graph.Inputs {
		at := slices.IndexFunc(c.Inputs, func(v onnxtest.Values) bool { return v.Name == in.Name })
		inputs = append(inputs, tensorOf(&c.Inputs[at]))
	}
	for range 2 { // memory of the first run is used again
		answer.Outputs = nil
		err = p.Run(context.Background(), inputs, func(outputs []*ops.Tensor) error {
			for _, t := range outputs {
				answer.Outputs = append(answer.Outputs, answered(t))
			}
			return nil
		})
		if err != nil {
			return onnxtest.Answer{Error: err.Error()}
		}
	}
	return answer
}

func answered(t *ops.Tensor) onnxtest.Answered {
	a := onnxtest.Answered{Type: t.Type.String(), Dims: slices.Clone(t.Dims)}
	for _, x := range t.F {
		a.Values = append(a.Values, strconv.FormatFloat(float64(x), 'g', -1, 64))
	}
	for _, x := range t.D {
		a.Values = append(a.Values, strconv.FormatFloat(x, 'g', -1, 64))
	}
	for _, x := range t.I {
		a.Values = append(a.Values, strconv.FormatInt(x, 10))
	}
	for _, x := range t.B {
		a.Values = append(a.Values, strconv.FormatBool(x))
	}
	a.Values = append(a.Values, t.S...)
	return a
}

// difference says how two answers differ: shapes and types equal, floats
// within 1e-5 of their size, everything else equal.
func difference(want, got onnxtest.Answer) string {
	if (want.Error == "") != (got.Error == "") {
		return fmt.Sprintf("error %q, not %q", got.Error, want.Error)
	}
	if len(want.Outputs) != len(got.Outputs) {
		return fmt.Sprintf("%d outputs, not %d", len(got.Outputs), len(want.Outputs))
	}
	for i, w := range want.Outputs {
		g := got.Outputs[i]
		if w.Type != g.Type || !slices.Equal(w.Dims, g.Dims) && len(w.Dims)+len(g.Dims) > 0 || len(w.Values) != len(g.Values) {
			return fmt.Sprintf("output %d is %s%d (%d), not %s%d (%d)", i, g.Type, g.Dims, len(g.Values), w.Type, w.Dims, len(w.Values))
		}
		for k := range w.Values {
			if !alike(w.Type, w.Values[k], g.Values[k]) {
				return fmt.Sprintf("element %d of output %d is %s, not %s", k, i, g.Values[k], w.Values[k])
			}
		}
	}
	return ""
}

func alike(typ, want, got string) bool {
	if want == got {
		return true
	}
	if typ != "float" && typ != "double" {
		return false
	}
	w, err1 := strconv.ParseFloat(want, 64)
	g, err2 := strconv.ParseFloat(got, 64)
	if err1 != nil || err2 != nil {
		return false
	}
	return w == g || math.IsNaN(w) && math.IsNaN(g) || math.Abs(w-g) <= 1e-5*max(math.Abs(w), 0.1)
}
