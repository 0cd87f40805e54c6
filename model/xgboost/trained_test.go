package xgboost_test

import (
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/xgboost"
)

// train runs testdata/train.py with the newest XGBoost and returns the folder
// of the models. LEAT_XGBOOST_MODELS names a folder that was made before, such
// as by another version.
func train(t *testing.T) string {
	t.Helper()
	if folder := os.Getenv("LEAT_XGBOOST_MODELS"); folder != "" {
		return folder
	}
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		t.Fatal("LEAT_PYTHON is not set: it names a Python with what internal/tools/requirements-test.txt lists, as `make tools` installs it")
	}
	folder := t.TempDir()
	cmd := exec.Command(python, filepath.Join("testdata", "train.py"), folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("training failed: %v\n%s", err, out)
	}
	return folder
}

// TestFreshModels compares models of every sort with the XGBoost that trained
// them: margins bit for bit, predictions, and the leaf of every row in every
// tree. The conformance suite runs on each too.
func TestFreshModels(t *testing.T) {
	folder := train(t)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	models := 0
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		models++
		t.Run(entry.Name(), func(t *testing.T) { checkFresh(t, filepath.Join(folder, entry.Name())) })
	}
	if models < 40 {
		t.Errorf("%d models were trained", models)
	}
}

func checkFresh(t *testing.T, folder string) {
	rows, want := readTable(t, filepath.Join(folder, "rows.csv")), readTable(t, filepath.Join(folder, "expected.csv"))
	for _, file := range []string{"model.json", "model.ubj"} {
		m := parse(t, filepath.Join(folder, file), nil)
		in := rows.batch(t, m)
		defer in.Release()
		compare(t, m, in, want)
		compareLeaves(t, m, in, filepath.Join(folder, "leaves.csv"))
	}
	// What a linear model answers has no bound; exp of it not even a number.
	if m := parse(t, filepath.Join(folder, "model.ubj"), nil); filepath.Base(folder) != "linear-poisson" {
		modeltest.Run(t, m)
	}
}

func compareLeaves(t *testing.T, m *xgboost.Model, in frame.Batch, path string) {
	t.Helper()
	leaves, err := m.Leaves(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(m.Describe().Kind, "boosted linear") {
		if len(leaves) != 0 {
			t.Errorf("a linear model has leaves")
		}
		return
	}
	want, err := csv.NewReader(strings.NewReader(string(readFile(t, path)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for row, cells := range want {
		if len(cells) != len(leaves) {
			t.Fatalf("%d leaves were expected, of %d trees", len(cells), len(leaves))
		}
		for tree, cell := range cells {
			if got := strconv.Itoa(int(leaves[tree][row])); got != cell {
				t.Fatalf("row %d reaches the leaf %s of tree %d, not %s", row, got, tree, cell)
			}
		}
	}
}
