package sentence

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// miniLM opens all-MiniLM-L6-v2, which the tools bring.
func miniLM(t testing.TB) *Model {
	t.Helper()
	tools := os.Getenv("LEAT_TOOLS")
	if tools == "" {
		tools = filepath.Join("..", "..", ".cache", "tools")
	}
	m, err := Open(t.Context(), filepath.Join(tools, "models", "all-MiniLM-L6-v2"), Options{})
	if err != nil {
		t.Fatalf("all-MiniLM-L6-v2 is absent: run make tools (%v)", err)
	}
	return m
}

// golden reads what sentence-transformers made of some texts.
func golden(t *testing.T, name string) (texts []string, vectors [][]float32) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Text, Vector string }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		raw, err := base64.StdEncoding.DecodeString(one.Vector)
		if err != nil {
			t.Fatal(err)
		}
		v := make([]float32, len(raw)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		texts, vectors = append(texts, one.Text), append(vectors, v)
	}
	return texts, vectors
}

func cosine(a, b []float32) (s float64) {
	for i, x := range a {
		s += float64(x) * float64(b[i])
	}
	return s
}

// compare embeds the texts of a golden file and holds the vectors against its.
func compare(t *testing.T, m *Model, file string) {
	t.Helper()
	texts, want := golden(t, file)
	got, err := m.Embed(t.Context(), llm.EmbedRequest{Inputs: texts})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.Vectors {
		if c := cosine(v, want[i]); math.Abs(c-1) > 1e-5 {
			t.Errorf("%.60q: the cosine is %.7f", texts[i], c)
		}
		for d, x := range v {
			if math.Abs(float64(x-want[i][d])) > 1e-4 {
				t.Errorf("%.60q: number %d is %g, want %g", texts[i], d, x, want[i][d])
				break
			}
		}
	}
}

func TestVectorsAreThoseOfThePythonLibrary(t *testing.T) {
	compare(t, miniLM(t), "minilm.json")
}

func TestOtherSettings(t *testing.T) {
	m, err := Open(t.Context(), filepath.Join("testdata", "tiny"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, m, "tiny/golden.json")
	if m.Dimensions() != 40 || m.Longest() != 20 || !strings.HasPrefix(m.Name(), "tiny@") {
		t.Errorf("%s has %d dimensions and reads %d tokens", m.Name(), m.Dimensions(), m.Longest())
	}
}

func TestATextGetsTheSameVectorInAnyCompany(t *testing.T) {
	m := miniLM(t)
	texts, _ := golden(t, "minilm.json")
	together, err := m.Embed(t.Context(), llm.EmbedRequest{Inputs: texts})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		alone, err := m.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{text}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone.Vectors[0], together.Vectors[i]) {
			t.Errorf("%.60q has another vector alone", text)
		}
	}
	if together.Usage.Input == 0 || together.Model != m.Name() {
		t.Errorf("used %+v, model %s", together.Usage, together.Model)
	}
}

func TestWhatIsRefused(t *testing.T) {
	m, err := Open(t.Context(), filepath.Join("testdata", "tiny"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for kind, r := range map[fault.Kind]llm.EmbedRequest{
		fault.Unsupported: {Tokens: [][]int{{1, 2}}},
		fault.Invalid:     {Inputs: []string{"a"}, Dimensions: 7},
		fault.TooLarge:    {Inputs: make([]string, maxInputs+1)},
	} {
		if _, err := m.Embed(t.Context(), r); !fault.Is(err, kind) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if e, err := m.Embed(t.Context(), llm.EmbedRequest{}); err != nil || len(e.Vectors) != 0 {
		t.Errorf("nothing: %v, %v", e, err)
	}
}

// changed copies the tiny folder with one file changed, or left out where the
// change gives nil.
func changed(t *testing.T, name string, change func([]byte) []byte) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(filepath.Join("testdata", "tiny"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, filepath.FromSlash(name))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if b = change(b); b != nil {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestFoldersThatAreNotRun(t *testing.T) {
	replace := func(old, text string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(strings.Replace(string(b), old, text, 1)) }
	}
	gone := func([]byte) []byte { return nil }
	for _, c := range []struct {
		file   string
		change func([]byte) []byte
		kind   fault.Kind
	}{
		{"modules.json", gone, fault.NotFound},
		{"modules.json", replace("models.Pooling", "models.Dense"), fault.Unsupported},
		{"modules.json", replace(`"1_Pooling"`, `"../tiny/1_Pooling"`), fault.Unavailable},
		{"config.json", gone, fault.NotFound},
		{"config.json", replace(`"bert"`, `"mpnet"`), fault.Unsupported},
		{"config.json", replace(`"hidden_size": 40`, `"hidden_size": 44`), fault.Corrupt},
		{"config.json", replace(`"num_attention_heads": 4`, `"num_attention_heads": 3`), fault.Invalid},
		{"config.json", replace(`"num_hidden_layers": 2`, `"num_hidden_layers": 1000000000`), fault.Invalid},
		{"vocab.txt", gone, fault.NotFound},
		{"vocab.txt", replace("[CLS]", "none"), fault.Unsupported},
		{"vocab.txt", func(b []byte) []byte { return append(b, "\nmore\nwords"...) }, fault.Invalid},
		{"model.safetensors", gone, fault.NotFound},
		{"model.safetensors", func(b []byte) []byte { return b[:len(b)-1] }, fault.Corrupt},
		{"model.safetensors", func(b []byte) []byte { b[3] = 1; return b }, fault.Corrupt},
		{"model.safetensors", replace(`"F32"`, `"I32"`), fault.Corrupt},
		{"1_Pooling/config.json", replace(`"pooling_mode_mean_tokens": false`, `"pooling_mode_mean_tokens": true`), fault.Unsupported},
	} {
		if _, err := Open(t.Context(), changed(t, c.file, c.change), Options{}); !fault.Is(err, c.kind) {
			t.Errorf("%s: %s is wanted: %v", c.file, c.kind, err)
		}
	}
}

func TestThePromptOfAPurposeIsTaken(t *testing.T) {
	folder := changed(t, "config_sentence_transformers.json", func([]byte) []byte {
		return []byte(`{"prompts": {"query": "the ", "passage": "fox "}, "default_prompt_name": null}`)
	})
	m, err := Open(t.Context(), folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	embed := func(p llm.Purpose, text string) []float32 {
		e, err := m.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{text}, Purpose: p})
		if err != nil {
			t.Fatal(err)
		}
		return e.Vectors[0]
	}
	if !slices.Equal(embed(llm.ForQuery, "quick"), embed("", "the quick")) || !slices.Equal(embed(llm.ForDocument, "quick"), embed("", "fox quick")) {
		t.Error("a prompt is not what goes before a text")
	}
}

func FuzzSafetensors(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "tiny", weightsFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte("\x45\x00\x00\x00\x00\x00\x00\x00" + `{"a":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]}}             ab`))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := readWeights(b)
		if err != nil {
			return
		}
		for name, tensor := range w.tensors {
			v, err := w.floats(name, tensor.Shape...)
			if err == nil && len(v) > len(b) {
				t.Errorf("%d numbers of %d bytes", len(v), len(b))
			}
		}
	})
}

func BenchmarkEmbed(b *testing.B) {
	m := miniLM(b)
	text := strings.Repeat("the quick brown fox jumps over the lazy dog and ", 25)
	texts := make([]string, 16)
	for i := range texts {
		texts[i] = text
	}
	tokens := 0
	for b.Loop() {
		e, err := m.Embed(b.Context(), llm.EmbedRequest{Inputs: texts})
		if err != nil {
			b.Fatal(err)
		}
		tokens += e.Usage.Input
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkQuery(b *testing.B) {
	m := miniLM(b)
	for b.Loop() {
		if _, err := m.Embed(b.Context(), llm.EmbedRequest{Inputs: []string{"how do I put tags on a volume that is attached?"}}); err != nil {
			b.Fatal(err)
		}
	}
}
