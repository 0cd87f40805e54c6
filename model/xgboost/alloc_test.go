package xgboost_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model/xgboost"
)

// allocated returns how many bytes loading a file allocates in all, however
// short they live.
func allocated(t *testing.T, data []byte) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := xgboost.Parse(data, nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemoryIsBoundedByTheFile holds that a model needs no more than four
// times its file beside what any model needs, even one that was written to be
// small.
func TestMemoryIsBoundedByTheFile(t *testing.T) {
	files := map[string][]byte{"made to be small": smallest(2000, 255)}
	for _, name := range []string{"adult-categorical-binary", "adult-onehot-binary", "bike-regression", "telco-dart", "wine-multiclass"} {
		for _, file := range []string{"model.json", "model.ubj"} {
			path := filepath.Join("model-xgboost-trained", name, file)
			files[path] = readFile(t, realdata.Path(t, path))
		}
	}
	for name, data := range files {
		used := allocated(t, data)
		t.Logf("%s: %.2f of its size", name, float64(used)/float64(len(data)))
		if used > 4*uint64(len(data))+1<<16 {
			t.Errorf("%s has %d bytes, and loading it allocates %d", name, len(data), used)
		}
	}
}

// smallest writes trees in as few characters as JSON allows.
func smallest(trees, nodes int) []byte {
	var b bytes.Buffer
	list := func(of func(i int) string) string {
		words := make([]string, nodes)
		for i := range words {
			words[i] = of(i)
		}
		return "[" + strings.Join(words, ",") + "]"
	}
	child := func(side int) func(int) string {
		return func(i int) string {
			if 2*i+2 < nodes {
				return fmt.Sprint(2*i + side)
			}
			return "-1"
		}
	}
	zero := list(func(int) string { return "0" })
	tree := fmt.Sprintf(`{"tree_param":{"num_nodes":%d},"left_children":%s,"right_children":%s,"split_conditions":%s`,
		nodes, list(child(1)), list(child(2)), list(func(i int) string { return fmt.Sprint(i % 10) }))
	for _, name := range []string{"parents", "split_indices", "default_left", "base_weights", "loss_changes", "sum_hessian"} {
		tree += fmt.Sprintf(`,"%s":%s`, name, zero)
	}
	b.WriteString(`{"learner":{"learner_model_param":{"num_feature":1},"objective":{"name":"reg:linear"},"gradient_booster":{"name":"gbtree","model":{"tree_info":[0`)
	b.WriteString(strings.Repeat(",0", trees-1))
	b.WriteString(`],"trees":[` + strings.Repeat(tree+"},", trees-1) + tree + `}]}}}}`)
	return b.Bytes()
}
