package document_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
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

// TestRealPages reads pages that people wrote: each is verbatim, and its blocks
// leave out no more than space and marks.
func TestRealPages(t *testing.T) {
	kinds := map[document.Kind]int{}
	for i, p := range awsPages(t) {
		if i%10 != 0 {
			continue
		}
		doc := readText(t, p.ID+".md", p.Text)
		if !doc.Verbatim || doc.Title == "" {
			t.Fatalf("%s: verbatim %v, title %q", p.ID, doc.Verbatim, doc.Title)
		}
		covered := 0
		for _, b := range doc.Blocks {
			kinds[b.Kind]++
			covered += b.End - b.Start
		}
		if covered*20 < len(bytes.TrimSpace(doc.Text))*17 {
			t.Errorf("%s: blocks cover %d of %d bytes", p.ID, covered, len(doc.Text))
		}
	}
	for _, k := range []document.Kind{document.Heading, document.Paragraph, document.List, document.Table, document.Row, document.Code} {
		if kinds[k] < 100 {
			t.Errorf("%d blocks are a %v", kinds[k], k)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		head, name, mime string
		want             document.Format
		kind             fault.Kind
	}{
		{"%PDF-1.4\n", "report", "", document.PDF, ""},
		{"junk %PDF-1.4\n", "report.bin", "", document.PDF, ""},
		{"A file begins with %PDF-1.4.", "about.md", "", document.Markdown, ""},
		{"PK\x03\x04", "a.docx", "", document.DOCX, ""},
		{"PK\x03\x04", "https://example.org/download?id=1", "application/vnd.openxmlformats-officedocument.presentationml.presentation", document.PPTX, ""},
		{"PK\x03\x04", "a.zip", "", "", fault.Unsupported},
		{"<!-- x -->\n<!DOCTYPE HTML>", "", "", document.HTML, ""},
		{"# x", "https://example.org/a.MD?raw=1#top", "", document.Markdown, ""},
		{"x", "page", "text/html; charset=utf-8", document.HTML, ""},
		{"a,b", "x", "text/csv", document.CSV, ""},
		{" {\"a\":1}", "x", "application/vnd.api+json", document.JSON, ""},
		{"Return-Path: <a@example.org>\n", "1.msg", "", document.Mail, ""},
		{"package x", "x.go", "text/plain", document.Program, ""},
		{"hello", "x", "application/octet-stream", document.Text, ""},
		{"BZhang is a name", "x", "", document.Text, ""},
		{"BZh91AY&SY\x00", "x", "", "", fault.Unsupported},
		{"\x89PNG\r\n", "x.png", "", "", fault.Unsupported},
		{"{\\rtf1", "x.rtf", "", "", fault.Unsupported},
		{"<html>sign in", "report.pdf", "text/html", "", fault.Invalid},
	} {
		got, err := document.FormatOf([]byte(c.head), c.name, c.mime)
		if got != c.want || err != nil && fault.KindOf(err) != c.kind || err == nil && c.kind != "" {
			t.Errorf("%q %q %q: %q, %v", c.head, c.name, c.mime, got, err)
		}
	}
}

func TestEncodings(t *testing.T) {
	for _, c := range []struct {
		text, mime, want string
		verbatim         bool
	}{
		{"Zürich", "", "Zürich", true},
		{"\xef\xbb\xbfZürich", "", "\xef\xbb\xbfZürich", true},
		{"Z\xfcrich", "", "Zürich", false},
		{"\x80 5 \x93x\x94", "", "€ 5 “x”", false},
		{"\xcf\xf0\xe8\xe2\xe5\xf2", "text/plain; charset=windows-1251", "Привет", false},
		{"\xcf\xf0", "text/plain; charset=nonsense", "Ïð", false},
		{"\xff\xfeZ\x00\xfc\x00", "", "Zü", false},
		{"\xfe\xff\x00Z\x00\xfc", "", "Zü", false},
		{"l\x00o\x00n\x00g\x00e\x00r\x00", "", "longer", false},
		{"one stray \xff byte among äöüßéèê", "", "one stray \uFFFD byte among äöüßéèê", false},
	} {
		doc, err := document.Read(context.Background(), document.Source{Name: "a.txt", MIME: c.mime, Body: strings.NewReader(c.text), Size: int64(len(c.text))}, document.Limits{})
		if err != nil || string(doc.Text) != c.want || doc.Verbatim != c.verbatim {
			t.Errorf("%q: %q, verbatim %v, %v", c.text, doc.Text, doc.Verbatim, err)
		}
	}
	binary := "a\x00b\x00\x00c binary"
	_, err := document.Read(context.Background(), document.Source{Name: "a.txt", Body: strings.NewReader(binary), Size: int64(len(binary))}, document.Limits{})
	if fault.KindOf(err) != fault.Unsupported {
		t.Errorf("binary: %v", err)
	}
}

func TestPlain(t *testing.T) {
	for markdown, want := range map[string]string{
		"## A *b* `c_d` [e](http://f)<a name=\"g\"></a> ##": "A b c_d e",
		"Title\n=====":             "Title",
		"# snake_case and 5 \\* 3": "snake_case and 5 * 3",
		"### AT&amp;T <b>bold</b>": "AT&T bold",
		"# 1 < 2":                  "1 < 2",
	} {
		if got := document.Plain(document.Markdown, []byte(markdown)); got != want {
			t.Errorf("%q: %q, not %q", markdown, got, want)
		}
	}
}
