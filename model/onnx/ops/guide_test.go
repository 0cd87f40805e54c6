package ops_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/model/onnx/ops"
)

// TestGuideListsTheOperators holds docs/guides/onnx.md against the tables.
func TestGuideListsTheOperators(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guides", "onnx.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"ai.onnx.ml", ""} {
		if list := strings.Join(ops.Operators(domain), ", "); !strings.Contains(string(page), list+".") {
			t.Errorf("the guide does not have this list of %q:\n%s.", domain, list)
		}
	}
}
