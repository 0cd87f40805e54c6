package collection

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
)

func TestLinesOfCollections(t *testing.T) {
	name := filepath.Join(t.TempDir(), "corpus.jsonl.gz")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	_, err = z.Write([]byte("{\"_id\":\"a\",\"title\":\"T\",\"text\":\"x\"}\n\n{\"id\":\"b\",\"contents\":\"y\",\"more\":[1]}\n{\"_id\":\"c\",\"question\":\"z\"}\n"))
	if err != nil || z.Close() != nil || f.Close() != nil {
		t.Fatal("the file cannot be written")
	}
	var got []Document
	if err := Documents(name, func(d Document) error { got = append(got, d); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0] != (Document{"a", "T", "x"}) || got[1] != (Document{"b", "", "y"}) {
		t.Errorf("%+v", got)
	}
	questions, err := Questions(name)
	if err != nil || len(questions) != 3 || questions[2] != (Question{"c", "z"}) {
		t.Errorf("%+v, %v", questions, err)
	}
	for text, kind := range map[string]fault.Kind{"{": fault.Invalid, "{\"text\":\"x\"}": fault.Invalid, "[]": fault.Invalid} {
		plain := filepath.Join(t.TempDir(), "wrong.jsonl")
		if err := os.WriteFile(plain, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Questions(plain); !fault.Is(err, kind) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Questions("nowhere"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

// TestPiecesAreTheDocument puts the pieces together again.
func TestPiecesAreTheDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Document{ID: "d", Text: strings.Join(rapid.SliceOf(rapid.StringN(0, 20, -1)).Draw(t, "words"), " ")}
		piece := rapid.IntRange(1, 50).Draw(t, "piece")
		var text string
		for i, p := range passages(d, 60, piece) {
			text += p.Text
			if p.Ordinal != i || p.Text != d.Text[p.Start:p.End] || utf8.ValidString(d.Text) && !utf8.ValidString(p.Text) {
				t.Fatalf("piece %d is %+v", i, p)
			}
		}
		if text != d.Text {
			t.Fatalf("%q comes to %q", d.Text, text)
		}
	})
}
