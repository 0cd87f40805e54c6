// Package onnxtest compares an exported ONNX file with the model that it was
// made from, row by row, in ONNX Runtime.
//
// ONNX Runtime runs in the Python that the environment variable LEAT_PYTHON
// names, which needs the packages onnxruntime and numpy. A test fails without
// it, and says so.
package onnxtest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/modeltest"
)

//go:embed run.py
var script string

// rows is how many rows are compared.
const rows = 700

// Equal fails unless the ONNX file of m gives the same answers as m: labels
// equal, numbers within tolerance, relative where they are over 1. Rows whose
// two best classes are that close may be labelled either way.
func Equal(t *testing.T, m model.Model, tolerance float64) {
	t.Helper()
	in := rowsFor(m)
	defer in.Release()
	want, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Release()
	got := Run(t, m, in)
	for i, f := range m.Signature().Outputs {
		values, ok := got[f.Name]
		if !ok || len(values) != rows {
			t.Fatalf("output %q: %d values", f.Name, len(values))
		}
		for row, text := range values {
			if diff := differ(want, i, row, text, tolerance); diff != "" {
				t.Fatalf("row %d: %s of the ONNX file is %s", row, f.Name, diff)
			}
		}
	}
}

func differ(want frame.Batch, column, row int, got string, tolerance float64) string {
	switch c := want.Column(column).(type) {
	case *array.Float64:
		v, err := strconv.ParseFloat(got, 64)
		if err != nil || !(math.Abs(v-c.Value(row)) <= tolerance*max(1, math.Abs(c.Value(row)))) {
			return fmt.Sprintf("%s, not %v", got, c.Value(row))
		}
	case *array.String:
		if got != c.Value(row) && !undecided(want, row, tolerance) {
			return fmt.Sprintf("%q, not %q", got, c.Value(row))
		}
	}
	return ""
}

// undecided tells whether the scores of a row leave its label to rounding.
func undecided(b frame.Batch, row int, tolerance float64) bool {
	var best, second float64
	scores := 0
	for i := range int(b.NumCols()) {
		if c, ok := b.Column(i).(*array.Float64); ok {
			scores++
			if v := c.Value(row); v > best {
				best, second = v, best
			} else if v > second {
				second = v
			}
		}
	}
	if scores == 1 {
		return math.Abs(best-0.5) <= tolerance
	}
	return best-second <= tolerance
}

// rowsFor makes rows in which empty text, which ONNX takes for missing, is
// missing; and missing text is empty where that was a category in training,
// because ONNX then knows no missing text.
func rowsFor(m model.Model) frame.Batch {
	in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, rows, 42)
	defer in.Release()
	columns := make([]arrow.Array, in.NumCols())
	for i := range columns {
		columns[i] = in.Column(i)
		text, ok := columns[i].(*array.String)
		if !ok {
			continue
		}
		emptyKnown := slices.Contains(m.Signature().Inputs[i].Categories, "")
		b := array.NewStringBuilder(memory.DefaultAllocator)
		for row := range text.Len() {
			switch missing := text.IsNull(row) || text.Value(row) == ""; {
			case missing && emptyKnown:
				b.Append("")
			case missing:
				b.AppendNull()
			default:
				b.Append(text.Value(row))
			}
		}
		columns[i] = b.NewArray()
	}
	return array.NewRecordBatch(in.Schema(), columns, in.NumRows())
}

// Run scores a batch with the ONNX file of m and returns the outputs as text.
func Run(t *testing.T, m model.Model, in frame.Batch) map[string][]string {
	t.Helper()
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		t.Fatal("LEAT_PYTHON is not set: it names a Python with onnxruntime and numpy, such as one made by `python3 -m venv DIR && DIR/bin/pip install onnxruntime`")
	}
	exporter, ok := m.(model.ONNXExporter)
	if !ok {
		t.Fatalf("%T cannot be written as ONNX", m)
	}
	file, err := exporter.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	inputs, err := json.Marshal(inputsOf(m, in))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", script, path)
	cmd.Stdin = bytes.NewReader(inputs)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ONNX Runtime: %v\n%s", err, stderr.String())
	}
	var got map[string][]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got
}

// inputsOf writes every value as text: JSON has no NaN.
func inputsOf(m model.Model, in frame.Batch) map[string][]string {
	inputs := map[string][]string{}
	for _, f := range m.Signature().Inputs {
		col := in.Column(frame.Index(in.Schema(), f.Name))
		values := make([]string, col.Len())
		if text, ok := col.(*array.String); ok {
			for row := range values {
				if text.IsValid(row) {
					values[row] = "=" + text.Value(row)
				} else {
					values[row] = "="
				}
			}
		} else {
			numbers := make([]float64, col.Len())
			if err := frame.Floats(col, numbers); err != nil {
				panic(err) // the test's own rows
			}
			for row, v := range numbers {
				values[row] = strconv.FormatFloat(v, 'g', -1, 64)
			}
		}
		inputs[f.Name] = values
	}
	return inputs
}
