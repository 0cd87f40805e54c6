package sentence

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/internal/realdata"
)

// theirs asks the tokenizer of Hugging Face for the tokens of texts. It reads
// one JSON string a line and answers one JSON list a line.
const theirs = `
import json, sys
from tokenizers import Tokenizer
t = Tokenizer.from_file(sys.argv[1])
t.no_padding()
t.enable_truncation(int(sys.argv[2]))
for line in sys.stdin:
    print(json.dumps(t.encode(json.loads(line)).ids))
`

func python(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("LEAT_PYTHON"); p != "" {
		return p
	}
	return filepath.Join("..", "..", ".cache", "tools", "venv", "bin", "python")
}

// corpus is every text of XQuAD: paragraphs and questions of five languages.
func corpus(t *testing.T) (texts []string) {
	t.Helper()
	for _, language := range []string{"en", "es", "de", "zh", "ar"} {
		for _, kind := range []string{"corpus", "questions"} {
			f, err := os.Open(realdata.Path(t, "qa-xquad/"+language+"."+kind+".jsonl.gz"))
			if err != nil {
				t.Fatal(err)
			}
			z, err := gzip.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			for d := json.NewDecoder(z); ; {
				var line struct{ Title, Text, Question string }
				if err := d.Decode(&line); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, line.Title+" "+line.Text+line.Question)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return texts
}

// odd texts hold what XQuAD does not. Blocks to which later versions of Unicode
// added much are left out: the tables of Hugging Face's tokenizers are of
// Unicode 8, and know neither accents nor marks that came after.
func odd() []string {
	texts := []string{
		"", " \t\n", "a\u0085b\u000bc\u000cd\u00a0e\u2003f\u3000g\u200bh\u00adi\ufeffj", "[CLS] x[SEP][MASK]y [mask] [PAD", "[[SEP]]",
		strings.Repeat("ab", 60), strings.Repeat("é", 101), strings.Repeat("e\u0301", 100), "İstanbul ıI ẞß ΣΑΣ Ǆ", "한국어 텍스트 ガギグ ﬁ ½ ① Å Ω",
		"\U0002070e \U0002b81d \U0002b820 \U0002b91f \U0002b920 \uf900\u9fff\u4dc0", "don't—stop…now«x»¿que?¡no!", "$100 + 5 = 105 < 200 ^ `x` ~y | z", "a\x00b\ufffdc\ue000d",
		"\u0903\u093f\u0e33 नमस्ते สวัสดี \u1d165", "🙂👩‍👩‍👧🏽", "x\u0327\u0301y\u0335", "\u061c\u200f عَرَبِيّ",
	}
	for _, block := range [][2]rune{{0x80, 0x600}, {0x620, 0x7f0}, {0x1e00, 0x2e40}, {0x2e60, 0x3100}, {0xfe00, 0x10000}} {
		for r := block[0]; r < block[1]; r += 16 {
			line := ""
			for i := range rune(16) {
				line += "a" + string(r+i) + "B "
			}
			texts = append(texts, line)
		}
	}
	return texts
}

func TestTokensAreThoseOfHuggingFace(t *testing.T) {
	m := miniLM(t)
	texts := append(corpus(t), odd()...)
	const longest = "512"
	var in bytes.Buffer
	out := json.NewEncoder(&in)
	for _, text := range texts {
		if err := out.Encode(text); err != nil {
			t.Fatal(err)
		}
	}
	tools := os.Getenv("LEAT_TOOLS")
	if tools == "" {
		tools = filepath.Join("..", "..", ".cache", "tools")
	}
	cmd := exec.Command(python(t), "-c", theirs, filepath.Join(tools, "models", "all-MiniLM-L6-v2", "tokenizer.json"), longest)
	cmd.Stdin = &in
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("Hugging Face's tokenizers: %v", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(answer))
	lines.Buffer(nil, 1<<20)
	wrong := 0
	for _, text := range texts {
		var want []int32
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &want) != nil {
			t.Fatal("there are too few answers")
		}
		if got := m.tokenizer.encode(text, 512); !slices.Equal(got, want) {
			if wrong++; wrong <= 20 {
				t.Errorf("%.200q:\n got %v\nwant %v", text, m.words(got), m.words(want))
			}
		}
	}
	t.Logf("%d texts, %d wrong", len(texts), wrong)
}

// words gives tokens back as words, to read them.
func (m *Model) words(tokens []int32) (words []string) {
	names := make(map[int32]string, len(m.tokenizer.vocabulary))
	for w, id := range m.tokenizer.vocabulary {
		names[id] = w
	}
	for _, id := range tokens[:min(len(tokens), 60)] {
		words = append(words, names[id])
	}
	return words
}

func FuzzTokenizer(f *testing.F) {
	m, err := Open(f.Context(), filepath.Join("testdata", "tiny"), Options{})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range odd()[:18] {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens := m.tokenizer.encode(text, 20)
		if len(tokens) < 2 || len(tokens) > 20 || tokens[0] != m.tokenizer.first || tokens[len(tokens)-1] != m.tokenizer.last {
			t.Fatalf("%q: %v", text, tokens)
		}
		more := m.tokenizer.encode(text, 40)
		if n := len(tokens) - 1; !slices.Equal(tokens[:n], more[:n]) {
			t.Fatalf("%q: %v is not how %v begins", text, tokens, more)
		}
		for _, id := range more {
			if int(id) >= len(m.tokenizer.vocabulary) {
				t.Fatalf("%q: %d is no token", text, id)
			}
		}
	})
}
