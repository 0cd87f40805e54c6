package document_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/internal/realdata"
)

func readText(t testing.TB, name, text string) document.Document {
	t.Helper()
	doc, err := document.Read(context.Background(), document.Source{Name: name, Body: bytes.NewReader([]byte(text)), Size: int64(len(text))}, document.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	tiled(t, doc)
	return doc
}

// tiled fails where blocks are empty, overlap or begin or end with space.
func tiled(t testing.TB, doc document.Document) {
	t.Helper()
	last := 0
	for i, b := range doc.Blocks {
		if b.Start < last || b.End <= b.Start || b.End > len(doc.Text) {
			t.Fatalf("block %d is %d:%d after %d in %d bytes", i, b.Start, b.End, last, len(doc.Text))
		}
		if len(bytes.TrimSpace(doc.Text[b.Start:b.End])) == 0 {
			t.Fatalf("block %d is empty", i)
		}
		last = b.End
	}
}

type page struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

func awsPages(t testing.TB) []page {
	t.Helper()
	var pages []page
	for _, name := range []string{"corpus", "corpus-extra"} {
		f, err := os.Open(realdata.Path(t, "retrieval-aws-docs/"+name+".jsonl.gz"))
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(z)
		for d.More() {
			var p page
			if err := d.Decode(&p); err != nil {
				t.Fatal(err)
			}
			pages = append(pages, p)
		}
		f.Close()
	}
	return pages
}

func TestAWS(t *testing.T) {
	pages := awsPages(t)
	start := time.Now()
	kinds := map[document.Kind]int{}
	size := 0
	for _, p := range pages {
		doc := readText(t, p.ID, p.Text)
		size += len(p.Text)
		for _, b := range doc.Blocks {
			kinds[b.Kind]++
		}
	}
	t.Log(len(pages), size, kinds, time.Since(start))
	for _, p := range pages[:3] {
		doc := readText(t, p.ID, p.Text)
		for _, b := range doc.Blocks {
			t.Logf("%v %d %q: %.90q", b.Kind, b.Level, b.Anchor, doc.Text[b.Start:b.End])
		}
		t.Log(doc.Title)
	}
}
