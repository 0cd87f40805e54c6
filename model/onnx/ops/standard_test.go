package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/onnx/ops"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// given is a tensor of a case, its elements as text.
type given struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Dims   []int64  `json:"dims"`
	Values []string `json:"values"`
}

// TestCasesOfTheStandard runs the cases that the standard has for each
// operator. Types that Leat leaves to ONNX Runtime are counted.
func TestCasesOfTheStandard(t *testing.T) {
	cmd := exec.Command(onnxtest.Python(t), filepath.Join("testdata", "standard.py"))
	cmd.Stdin = strings.NewReader(strings.Join(slices.Concat(ops.Operators(""), ops.Operators("ai.onnx.ml")), " "))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var cases []struct {
		Name    string  `json:"name"`
		File    []byte  `json:"file"`
		Inputs  []given `json:"inputs"`
		Outputs []given `json:"outputs"`
	}
	if err := json.Unmarshal(out, &cases); err != nil {
		t.Fatal(err)
	}
	passed, left := 0, 0
	for _, c := range cases {
		var want onnxtest.Answer
		for _, o := range c.Outputs {
			a := onnxtest.Answered{Type: o.Type, Values: o.Values}
			for _, d := range o.Dims {
				a.Dims = append(a.Dims, int(d))
			}
			want.Outputs = append(want.Outputs, a)
		}
		got, err := execute(c.File, c.Inputs)
		if fault.Is(err, fault.Unsupported) {
			left++
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if diff := difference(want, got); diff != "" {
			t.Errorf("%s: %s", c.Name, diff)
			continue
		}
		passed++
	}
	t.Logf("%d cases, %d for ONNX Runtime", passed, left)
	if passed < 300 {
		t.Errorf("only %d cases", passed)
	}
}

// execute runs a file whose inputs may have no names in common order.
func execute(file []byte, inputs []given) (answer onnxtest.Answer, err error) {
	m, err := proto.Read(file)
	if err != nil {
		return answer, err
	}
	p, err := ops.Compile(context.Background(), m)
	if err != nil {
		return answer, err
	}
	var tensors []*ops.Tensor
	for _, in := range m.Graph.Inputs {
		at := slices.IndexFunc(inputs, func(g given) bool { return g.Name == in.Name })
		tensors = append(tensors, inputs[at].tensor())
	}
	err = p.Run(context.Background(), tensors, func(outputs []*ops.Tensor) error {
		for _, o := range outputs {
			answer.Outputs = append(answer.Outputs, answered(o))
		}
		return nil
	})
	return answer, err
}

func (g *given) tensor() *ops.Tensor {
	t := &ops.Tensor{Type: map[string]proto.Type{
		"float": proto.Float, "double": proto.Double, "int64": proto.Int64, "int32": proto.Int32, "bool": proto.Bool, "string": proto.String,
	}[g.Type]}
	for _, d := range g.Dims {
		t.Dims = append(t.Dims, int(d))
	}
	for _, word := range g.Values {
		number, _ := strconv.ParseFloat(word, 64) // of text it is not used
		whole, _ := strconv.ParseInt(word, 10, 64)
		switch t.Type {
		case proto.Float:
			t.F = append(t.F, float32(number))
		case proto.Double:
			t.D = append(t.D, number)
		case proto.Bool:
			t.B = append(t.B, word == "true")
		case proto.String:
			t.S = append(t.S, word)
		default:
			t.I = append(t.I, whole)
		}
	}
	return t
}
