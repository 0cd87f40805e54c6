package process_test

import (
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/process"
)

// BenchmarkPython is what a call of a Python worker costs that does next to
// nothing: the way there and back, with pandas and Arrow.
func BenchmarkPython(b *testing.B) {
	c := process.Config{Python: os.Getenv("LEAT_PYTHON"), Temp: b.TempDir()}
	packed, _, err := process.Pack(b.Context(), c, process.Manifest{Python: &process.Python{Kind: process.Function, File: "m.py"}},
		map[string][]byte{"m.py": []byte("inputs = {f'x{i}': 'double' for i in range(10)}\noutputs = {'y': 'double'}\ndef predict(f):\n    return f['x0']\n")})
	if err != nil {
		b.Fatal(err, fault.HintOf(err))
	}
	files := fstest.MapFS{}
	for name, content := range packed {
		files[name] = &fstest.MapFile{Data: content}
	}
	m, err := process.Format{Config: c}.Load(b.Context(), files)
	if err != nil {
		b.Fatal(err)
	}
	defer m.(*process.Model).Close()
	for _, rows := range []int{1, 100, 8192} {
		in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, rows, 1)
		b.Run(fmt.Sprint(rows, " rows"), func(b *testing.B) {
			for b.Loop() {
				out, err := m.Predict(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				out.Release()
			}
		})
		in.Release()
	}
}
