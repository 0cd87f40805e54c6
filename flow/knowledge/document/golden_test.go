package document_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/flow/knowledge/document"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden reads every file of testdata/golden and compares what comes out
// with the file of the same name and the ending .golden.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := dump(readFile(t, file))
			if again := dump(readFile(t, file)); again != got {
				t.Fatal("reading twice gives two results")
			}
			if *update {
				if err := os.WriteFile(file+".golden", []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file + ".golden")
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from its golden file; look at\n%s", file, got)
			}
		})
	}
}

func readFile(t testing.TB, file string) document.Document {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document.Read(context.Background(), document.Source{Name: filepath.Base(file), Body: bytes.NewReader(content), Size: int64(len(content))}, document.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if doc.Verbatim != bytes.Equal(doc.Text, content) {
		t.Fatalf("verbatim is %v", doc.Verbatim)
	}
	tiled(t, doc)
	return doc
}

// dump is a document as people read it.
func dump(doc document.Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "title: %s\nformat: %s\nverbatim: %v\nlanguage: %s\n", doc.Title, doc.Format, doc.Verbatim, doc.Language)
	for _, k := range slices.Sorted(maps.Keys(doc.Meta)) {
		fmt.Fprintf(&b, "meta %s: %s\n", k, doc.Meta[k])
	}
	for _, x := range doc.Blocks {
		fmt.Fprintf(&b, "--- %v", x.Kind)
		if x.Level > 0 {
			fmt.Fprintf(&b, " level %d", x.Level)
		}
		if x.Page > 0 {
			fmt.Fprintf(&b, " page %d", x.Page)
		}
		if x.Anchor != "" {
			fmt.Fprintf(&b, " #%s", x.Anchor)
		}
		fmt.Fprintf(&b, "\n%s\n", doc.Text[x.Start:x.End])
	}
	return b.String()
}
