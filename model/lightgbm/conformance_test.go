package lightgbm_test

import (
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
)

func parseFresh(t testing.TB, name string) *lightgbm.Model {
	t.Helper()
	m, err := lightgbm.Parse(read(t, filepath.Join(freshFolder(t), name, "model.txt")))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConformance(t *testing.T) {
	for _, name := range []string{
		"binary", "multiclass", "poisson", "regression_sqrt", "linear_tree", "zero_as_missing", "no_missing",
		"rf_multiclass", "pandas", "codes_sparse", "constant",
	} {
		t.Run(name, func(t *testing.T) { modeltest.Run(t, parseFresh(t, name)) })
	}
}

// ONNX Runtime answers as we do for what ONNX can say.
func TestONNX(t *testing.T) {
	for _, name := range []string{"binary", "multiclass", "regression"} {
		t.Run(name, func(t *testing.T) { onnxtest.Equal(t, parseFresh(t, name), 1e-5) })
	}
}
