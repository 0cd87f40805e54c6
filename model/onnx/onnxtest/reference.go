package onnxtest

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/leat-ai/leat/model/onnx/proto"
)

//go:embed reference.py
var reference string

// Case is a file with inputs for it.
type Case struct {
	File   []byte
	Inputs []Values
}

// Answer is what ONNX Runtime says: outputs in order, or an error.
type Answer struct {
	Outputs []Answered `json:"outputs"`
	Error   string     `json:"error"`
}

// Answered is one output, its elements as text.
type Answered struct {
	Type   string   `json:"type"`
	Dims   []int    `json:"dims"`
	Values []string `json:"values"`
}

// Python returns the Python that LEAT_PYTHON names, and fails without one.
func Python(t testing.TB) string {
	t.Helper()
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		t.Fatal("LEAT_PYTHON is not set: it names a Python with onnxruntime and numpy, such as one made by `python3 -m venv DIR && DIR/bin/pip install onnxruntime`")
	}
	return python
}

// Reference runs all cases in ONNX Runtime, in one process.
func Reference(t testing.TB, cases []Case) []Answer {
	t.Helper()
	type input struct {
		Type   string   `json:"type"`
		Dims   []int64  `json:"dims"`
		Values []string `json:"values"`
	}
	type request struct {
		File   string           `json:"file"`
		Inputs map[string]input `json:"inputs"`
	}
	var requests []request
	for _, c := range cases {
		q := request{File: base64.StdEncoding.EncodeToString(c.File), Inputs: map[string]input{}}
		for _, v := range c.Inputs {
			q.Inputs[v.Name] = input{v.Type().String(), v.Dims, v.words()}
		}
		requests = append(requests, q)
	}
	body, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Python(t), "-c", reference)
	cmd.Stdin = bytes.NewReader(body)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ONNX Runtime: %v\n%s", err, stderr.String())
	}
	var answers []Answer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(cases) {
		t.Fatalf("%v: %.200s", err, out)
	}
	return answers
}

// words returns the elements as text.
func (v *Values) words() []string {
	words := []string{}
	switch v.Type() {
	case proto.Float:
		for _, x := range v.Floats {
			words = append(words, strconv.FormatFloat(float64(x), 'g', -1, 32))
		}
	case proto.Double:
		for _, x := range v.Doubles {
			words = append(words, strconv.FormatFloat(x, 'g', -1, 64))
		}
	case proto.Int64:
		for _, x := range v.Ints {
			words = append(words, strconv.FormatInt(x, 10))
		}
	case proto.Int32:
		for _, x := range v.Int32s {
			words = append(words, strconv.Itoa(int(x)))
		}
	case proto.String:
		words = append(words, v.Texts...)
	case proto.Bool:
		for _, x := range v.Bools {
			words = append(words, strconv.FormatBool(x))
		}
	}
	return words
}
