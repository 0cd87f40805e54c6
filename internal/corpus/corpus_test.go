package corpus_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/internal/corpus"
)

func TestArgument(t *testing.T) {
	for text, want := range map[string]any{
		"go test fuzz v1\nstring(\"a\\x00\\n(b)\")\n": "a\x00\n(b)",
		"go test fuzz v1\n[]byte(\"\\xff\")":          []byte{0xff},
	} {
		got, err := corpus.Argument([]byte(text))
		if b, ok := want.([]byte); err != nil || !ok && got != want || ok && !bytes.Equal(got.([]byte), b) {
			t.Errorf("%q is %q: %v", text, got, err)
		}
	}
	for _, text := range []string{"", "go test fuzz v2\nstring(\"\")", "go test fuzz v1\nint(3)", "go test fuzz v1\nstring(\"a"} {
		if got, err := corpus.Argument([]byte(text)); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}

func TestTheSameInputsAreTheSameArchive(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("go test fuzz v1\nstring(\""+name+"\")\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(t.TempDir(), "corpus", "Fuzz.zip")
		n, err := corpus.Pack(folder, path)
		if err != nil || n != 2 {
			t.Fatal(n, err)
		}
		if archives[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same inputs differ")
	}
}
