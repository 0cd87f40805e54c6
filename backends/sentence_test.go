package backends

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/model/onnx/ort"
)

// An ONNX file gives what sentence-transformers gave of the same weights, in
// ONNX Runtime and on our own operators.
func TestSentenceOfAnONNXFile(t *testing.T) {
	folder := filepath.Join("..", "llm", "sentence", "testdata", "tiny-onnx")
	var golden []struct{ Text, Vector string }
	b, err := os.ReadFile(filepath.Join(folder, "golden.json"))
	if err != nil || json.Unmarshal(b, &golden) != nil {
		t.Fatalf("no golden vectors: %v", err)
	}
	texts := make([]string, len(golden))
	for i, g := range golden {
		texts[i] = g.Text
	}
	if os.Getenv(ort.Variable) == "" { // what `make tools` installs
		t.Setenv(ort.Variable, filepath.Join(os.Getenv("LEAT_TOOLS"), "lib", "libonnxruntime.so"))
	}
	if _, err := ort.Find(); err != nil {
		t.Fatalf("ONNX Runtime is absent: run make tools and set LEAT_TOOLS, or name it in %s (%v)", ort.Variable, err)
	}
	for _, engine := range []string{"ONNX Runtime", "our operators"} {
		if engine == "our operators" {
			t.Setenv(ort.Variable, filepath.Join(t.TempDir(), "absent.so"))
		}
		m, err := Sentence(t.Context(), folder)
		if err != nil {
			t.Fatalf("%s: %v", engine, err)
		}
		e, err := m.Embed(t.Context(), llm.EmbedRequest{Inputs: texts})
		if err != nil {
			t.Fatalf("%s: %v", engine, err)
		}
		for i, v := range e.Vectors {
			raw, err := base64.StdEncoding.DecodeString(golden[i].Vector)
			if err != nil {
				t.Fatal(err)
			}
			var dot float64
			for d, x := range v {
				dot += float64(x) * float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*d:])))
			}
			if math.Abs(dot-1) > 1e-5 {
				t.Errorf("%s: %.40q: the cosine is %.7f", engine, texts[i], dot)
			}
		}
	}
}
