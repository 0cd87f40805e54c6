package document_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/internal/corpus"
)

// small are limits under which an input of a fuzz target may not be slow.
var small = document.Limits{Text: 1 << 20, Unpack: 16 << 20, Entries: 200, Pages: 50, Blocks: 1 << 14}

// try reads bytes under a name and fails where the package breaks a promise: a
// panic that was caught, an error without a kind, blocks out of order, text that
// is not UTF-8, or two readings that differ.
func try(t *testing.T, name string, content []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	src := document.Source{Name: name, Body: bytes.NewReader(content), Size: int64(len(content))}
	doc, err := document.Read(ctx, src, small)
	if err != nil {
		checkError(t, err)
		return
	}
	tiled(t, doc)
	if !utf8.Valid(doc.Text) || !utf8.ValidString(doc.Title) {
		t.Fatal("the text is not UTF-8")
	}
	if doc.Verbatim && !bytes.Equal(doc.Text, content) {
		t.Fatal("verbatim text is not the source")
	}
	for i, b := range doc.Blocks {
		if !utf8.Valid(doc.Text[b.Start:b.End]) {
			t.Fatalf("block %d is cut within a character", i)
		}
	}
	again, err := document.Read(ctx, src, small)
	if err != nil || !bytes.Equal(doc.Text, again.Text) || len(doc.Blocks) != len(again.Blocks) {
		t.Fatalf("reading again gives something else: %v", err)
	}
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var f *fault.Error
	switch {
	case !errors.As(err, &f):
		t.Fatalf("%v is no fault", err)
	case strings.Contains(f.What, "confuse the reader"):
		t.Fatalf("a panic was caught: %v", err)
	case f.Kind == fault.Timeout:
		t.Fatal("it took too long")
	case f.Kind != fault.Invalid && f.Kind != fault.TooLarge && f.Kind != fault.Unsupported:
		t.Fatalf("%v has the kind %s", err, f.Kind)
	}
}

// seeds adds the golden and broken files of some endings.
func seeds(f *testing.F, patterns ...string) {
	f.Helper()
	corpus.Add(f)
	for _, p := range patterns {
		for _, folder := range []string{"golden", "broken"} {
			files, err := filepath.Glob(filepath.Join("testdata", folder, p))
			if err != nil {
				f.Fatal(err)
			}
			for _, file := range files {
				content, err := os.ReadFile(file)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(content)
			}
		}
	}
}

func FuzzPDF(f *testing.F) {
	seeds(f, "*.pdf")
	f.Fuzz(func(t *testing.T, content []byte) { try(t, "a.pdf", content) })
}

func FuzzHTML(f *testing.F) {
	seeds(f, "*.html")
	f.Fuzz(func(t *testing.T, content []byte) { try(t, "a.html", content) })
}

func FuzzMarkdown(f *testing.F) {
	seeds(f, "*.md")
	f.Fuzz(func(t *testing.T, content []byte) { try(t, "a.md", content) })
}

func FuzzRows(f *testing.F) {
	seeds(f, "*.csv", "*.json", "*.jsonl")
	f.Fuzz(func(t *testing.T, content []byte) {
		try(t, "a.csv", content)
		try(t, "a.json", content)
		try(t, "a.jsonl", content)
	})
}

func FuzzText(f *testing.F) {
	seeds(f, "*.txt", "*.go")
	f.Fuzz(func(t *testing.T, content []byte) {
		try(t, "a.txt", content)
		try(t, "a.go", content)
		try(t, "a", content)
	})
}

func FuzzMail(f *testing.F) {
	seeds(f, "*.eml")
	f.Fuzz(func(t *testing.T, content []byte) { try(t, "a.eml", content) })
}

// FuzzOffice reads whole archives.
func FuzzOffice(f *testing.F) {
	seeds(f, "python-docx.docx", "libreoffice.xlsx", "openpyxl.xlsx")
	f.Fuzz(func(t *testing.T, content []byte) { try(t, "a.docx", content) })
}

// The targets below read the XML within, which no fuzzer finds under the
// compression.

func FuzzDOCX(f *testing.F) {
	fuzzPart(f, "libreoffice.docx", "word/document.xml")
}

func FuzzPPTX(f *testing.F) {
	fuzzPart(f, "python-pptx.pptx", "ppt/slides/slide2.xml")
}

func FuzzXLSX(f *testing.F) {
	fuzzPart(f, "openpyxl.xlsx", "xl/worksheets/sheet1.xml")
}

// fuzzPart puts inputs into the place of one part of a golden file.
func fuzzPart(f *testing.F, file, part string) {
	corpus.Add(f)
	archive, err := zip.OpenReader(filepath.Join("testdata", "golden", file))
	if err != nil {
		f.Fatal(err)
	}
	defer archive.Close()
	parts := map[string][]byte{}
	for _, entry := range archive.File {
		parts[entry.Name] = unzipped(f, entry)
	}
	f.Add(parts[part])
	f.Fuzz(func(t *testing.T, content []byte) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, text := range parts {
			if name == part {
				text = content
			}
			store(t, w, name, text)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		try(t, file, b.Bytes())
	})
}

func unzipped(t testing.TB, entry *zip.File) []byte {
	t.Helper()
	r, err := entry.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func store(t testing.TB, w *zip.Writer, name string, text []byte) {
	t.Helper()
	entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err == nil {
		_, err = entry.Write(text)
	}
	if err != nil {
		t.Fatal(err)
	}
}
