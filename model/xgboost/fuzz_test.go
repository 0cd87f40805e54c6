package xgboost_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/corpus"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/xgboost"
)

func FuzzJSON(f *testing.F) {
	f.Add(readFile(f, realdata.Path(f, "model-server-examples/mlserver-mushroom-xgboost.json")))
	f.Add([]byte(`{"learner":{"gradient_booster":{"model":{"trees":[{"split_conditions":[NaN,-Infinity,"\ud83d\ude00"]}]}}}}`))
	f.Add([]byte(`{"a":}`))
	fuzz(f, "json")
}

func FuzzUBJSON(f *testing.F) { fuzz(f, "ubj") }

// fuzz holds that a file either loads into a model that scores, or is refused
// by a fault that is not Internal; and that reading it allocates no more than
// four times its size, beside what any model needs.
func fuzz(f *testing.F, form string) {
	seeds, err := filepath.Glob(filepath.Join("testdata", "seeds", "*."+form))
	if err != nil || len(seeds) == 0 {
		f.Fatalf("there are no seeds: %v", err)
	}
	for _, path := range seeds {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := xgboost.Parse(data, nil)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4*uint64(len(data))+8<<20 {
			t.Fatalf("%d bytes made it allocate %d", len(data), used)
		}
		if err != nil {
			if fault.Is(err, fault.Internal) {
				t.Fatalf("a hostile file gives an internal fault: %v", err)
			}
			return
		}
		if len(m.Signature().Inputs) > 1000 {
			return // sound, and slow to make rows for
		}
		for _, rows := range []int{1, 20} {
			in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, rows, 1)
			out, err := m.Native(context.Background(), in, true)
			if err != nil {
				t.Fatalf("a model that loaded does not score: %v", err)
			}
			out.Release()
			if _, err := m.Leaves(context.Background(), in); err != nil {
				t.Fatalf("a model that loaded has no leaves: %v", err)
			}
			in.Release()
		}
	})
}
