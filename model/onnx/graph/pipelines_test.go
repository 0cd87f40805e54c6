package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/graph"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
)

// TestFreshPipelines trains models with the newest libraries, converts them,
// and compares every row with ONNX Runtime.
func TestFreshPipelines(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(onnxtest.Python(t), filepath.Join("testdata", "train.py"), dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	list, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	lines := bufio.NewScanner(bytes.NewReader(list))
	trained := 0
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		if name == "failed" {
			t.Errorf("not converted: %s", rest)
			continue
		}
		trained++
		t.Run(name, func(t *testing.T) { pipeline(t, dir, name) })
	}
	if trained < 50 {
		t.Errorf("only %d models", trained)
	}
}

// needsRuntime are the pipelines with operators that Leat has not.
var needsRuntime = map[string]string{
	"knn":              "Scan",
	"gaussian-process": "Scan",
}

func pipeline(t *testing.T, dir, name string) {
	data, err := os.ReadFile(filepath.Join(dir, name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(context.Background(), data, graph.Columns{}, nil)
	if operator := needsRuntime[name]; operator != "" {
		if !fault.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), operator) {
			t.Fatalf("the operator %s is not there, and the error is %v", operator, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	inputs := readTable(t, filepath.Join(dir, name+".csv"))
	in := inputs.batch(t, m.Signature().Inputs)
	defer in.Release()
	native, err := m.Native(context.Background(), in, false)
	if err != nil {
		t.Fatal(err)
	}
	defer native.Release()
	want := readTable(t, filepath.Join(dir, name+".expected.csv"))
	if int(native.NumCols()) != len(want.header) {
		t.Fatalf("the columns are %v, not %d", native.Schema(), len(want.header))
	}
	for i := range want.header {
		want.header[i] = native.ColumnName(i)
	}
	worst := compare(t, native, want, 1e-5, 0.3)
	s := m.Signature()
	t.Logf("%s %q, largest relative difference %.1e", s.Task, s.Classes, worst)
}
