package document_test

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/document"
)

// attack is a source made to do harm, and the kind of its refusal; "" is for
// those that are read after all.
type attack struct {
	name string
	body io.ReaderAt
	size int64
	kind fault.Kind
}

func attackOf(name string, content []byte, kind fault.Kind) attack {
	return attack{name, bytes.NewReader(content), int64(len(content)), kind}
}

// zeros is a source that is as large as it says and holds nothing.
type zeros byte

func (z zeros) ReadAt(p []byte, _ int64) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

const wordHead = `<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>`

// office is an archive with a part; the text may be repeated to any size.
func office(t testing.TB, part, head, body string, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	entry, err := w.Create(part)
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		if _, err := io.WriteString(entry, s); err != nil {
			t.Fatal(err)
		}
	}
	write(head)
	chunk := strings.Repeat(body, max(1, 1<<20/max(1, len(body))))
	for n := 0; n < times*len(body); n += len(chunk) {
		write(chunk)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lying is an archive whose entry says that it is far larger than it is.
func lying(t testing.TB) []byte {
	t.Helper()
	content := office(t, "word/document.xml", wordHead, "x", 10)
	at := bytes.LastIndex(content, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(content[at+24:], 0xf0000000)
	return content
}

func manyEntries(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range n {
		if _, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("word/%d", i), Method: zip.Store}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fewClaimed is an archive of many entries whose end says that there are few.
func fewClaimed(t testing.TB) []byte {
	t.Helper()
	content := manyEntries(t, 60_000)
	end := bytes.LastIndex(content, []byte("PK\x05\x06"))
	binary.LittleEndian.PutUint16(content[end+8:], 3)
	binary.LittleEndian.PutUint16(content[end+10:], 3)
	return content
}

func locked(t testing.TB) []byte {
	t.Helper()
	content := office(t, "word/document.xml", wordHead, "x", 10)
	content[6] |= 1
	at := bytes.LastIndex(content, []byte("PK\x01\x02"))
	content[at+8] |= 1
	return content
}

// pdfOf is a PDF file of one page whose content is a stream with a filter;
// objects may be added. It has no table of objects, so it is looked through.
func pdfOf(filter string, stream []byte, more string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n")
	b.WriteString("3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R>>>>>> endobj\n")
	b.WriteString("5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj\n")
	fmt.Fprintf(&b, "4 0 obj <</Length %d%s>> stream\n", len(stream), filter)
	b.Write(stream)
	b.WriteString("\nendstream endobj\n" + more + "\ntrailer <</Root 1 0 R>>\n%%EOF\n")
	return b.Bytes()
}

func deflated(t testing.TB, text string, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	chunk := []byte(strings.Repeat(text, max(1, 1<<20/len(text))))
	for n := 0; n < times*len(text); n += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func attacks(t testing.TB) []attack {
	deep := 100_000
	form := "6 0 obj <</Type/XObject/Subtype/Form/Length 10/Resources<</XObject<</X 6 0 R>>>>>> stream\n/X Do /X Do\nendstream endobj"
	kids := "2 0 obj <</Type/Pages/Kids[" + strings.Repeat("2 0 R 3 0 R ", 50_000) + "]>> endobj"
	return []attack{
		attackOf("bomb.docx", office(t, "word/document.xml", wordHead, "A", 256<<20), fault.TooLarge),
		attackOf("tags.docx", office(t, "word/document.xml", wordHead, "<w:b/>", 6<<20), fault.TooLarge),
		attackOf("long-tag.docx", office(t, "word/document.xml", "<w:document w:a=\"", "a", 64<<20), fault.TooLarge),
		attackOf("deep.docx", office(t, "word/document.xml", "", "<a>", deep), fault.TooLarge),
		attackOf("laughs.docx", office(t, "word/document.xml", `<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><w:document>`, "&b;", 10), fault.Invalid),
		attackOf("lying.docx", lying(t), fault.TooLarge),
		attackOf("locked.docx", locked(t), fault.Unsupported),
		attackOf("entries.docx", manyEntries(t, 60_000), fault.TooLarge),
		attackOf("few-claimed.docx", fewClaimed(t), fault.Invalid),
		attackOf("no-parts.docx", office(t, "word/other.xml", "", "x", 1), fault.Unsupported),
		attackOf("nested.zip", office(t, "inner.docx", string(office(t, "word/document.xml", wordHead, "x", 1)), "x", 1), fault.Unsupported),
		attackOf("strings.xlsx", office(t, "xl/workbook.xml", "", "<sheet>", 1), fault.TooLarge),
		attackOf("old.doc", append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 4096)...), fault.Unsupported),
		attackOf("bomb.pdf", pdfOf("/Filter/FlateDecode", deflated(t, "BT /F 9 Tf (A) Tj ET ", 16<<20), ""), fault.TooLarge),
		attackOf("bomb2.pdf", pdfOf("/Filter[/FlateDecode/FlateDecode]", deflated(t, string(deflated(t, " ", 64<<20)), 1), ""), fault.TooLarge),
		attackOf("string.pdf", pdfOf("/Filter/FlateDecode", deflated(t, "((((", 64<<20), ""), fault.TooLarge),
		attackOf("arrays.pdf", pdfOf("", []byte(strings.Repeat("[", deep)), ""), ""),
		attackOf("dicts.pdf", pdfOf("", []byte(strings.Repeat("<</A", deep)), ""), ""),
		attackOf("forms.pdf", pdfOf("", []byte("/X Do"), form), ""),
		attackOf("kids.pdf", pdfOf("", []byte("BT ET"), kids), ""),
		attackOf("saves.pdf", pdfOf("", []byte(strings.Repeat("q ", 1<<20)), ""), ""),
		attackOf("size.pdf", []byte("%PDF-1.7\n1 0 obj <</Type/XRef/Size 99999999999/W[8 8 8]/Index[0 99999999]/Root 1 0 R/Length 3>> stream\nabc\nendstream endobj\nstartxref\n9\n%%EOF"), fault.Invalid),
		attackOf("prev.pdf", []byte("%PDF-1.7\nxref\n0 1\n0000000000 65535 f\ntrailer <</Prev 9/Root 1 0 R>>\nstartxref\n9\n%%EOF"), fault.Invalid),
		attackOf("empty.pdf", []byte("%PDF-1.7\n"), fault.Invalid),
		attackOf("deep.html", []byte(strings.Repeat("<div>", deep)+"x"), ""),
		attackOf("ends.html", []byte(strings.Repeat("<b>", 5000)+strings.Repeat("</i>", deep)+"x"), ""),
		attackOf("tables.html", []byte(strings.Repeat("<table><tr><td>", deep)+"x"), ""),
		attackOf("lists.html", []byte(strings.Repeat("<ul><li>", deep)+"x"), ""),
		attackOf("spans.html", []byte("<table>"+strings.Repeat("<tr><th colspan=99999999>x", 2000)), ""),
		attackOf("text.html", bytes.Repeat([]byte("x "), 20<<20), fault.TooLarge),
		attackOf("quotes.md", []byte(strings.Repeat(">", deep)+"x"), ""),
		attackOf("lists.md", []byte(strings.Repeat("- ", deep)+"x"), ""),
		attackOf("links.md", []byte(strings.Repeat("[", deep)+strings.Repeat("[a](", deep)), ""),
		attackOf("definitions.md", []byte(strings.Repeat("[a]: b\n", deep)), ""),
		attackOf("columns.md", []byte(strings.Repeat("|a", deep)+"\n"+strings.Repeat("|-", deep)+"\n"+strings.Repeat("|\n", deep)), ""),
		attackOf("deep.json", []byte(strings.Repeat("[", deep)+strings.Repeat("]", deep)), ""),
		attackOf("objects.json", []byte(strings.Repeat(`{"a":`, deep)), ""),
		attackOf("many.json", []byte("["+strings.Repeat("0,", 2<<20)+"0]"), ""),
		attackOf("open.csv", []byte("a,b\n"+strings.Repeat("\"x\n", 1<<20)), ""),
		attackOf("lines.txt", []byte(strings.Repeat("x\n\n", 2<<20)), ""),
		attackOf("parts.eml", []byte("Content-Type: multipart/mixed; boundary=b\n\n"+strings.Repeat("--b\nContent-Type: multipart/mixed; boundary=b\n\n", deep)), fault.TooLarge),
		attackOf("head.eml", []byte("Subject: "+strings.Repeat("x", 4<<20)+"\n\nx"), fault.TooLarge),
		{"half-a-gigabyte.txt", zeros('x'), 500 << 20, fault.TooLarge},
		{"half-a-gigabyte.pdf", zeros('x'), 500 << 20, fault.TooLarge},
	}
}

// TestHostile reads sources that are made to do harm. What reading them holds
// stays within the limit of text and 32 MB.
func TestHostile(t *testing.T) {
	limits := document.Limits{Text: 8 << 20}
	const beyond = 32 << 20
	for _, a := range attacks(t) {
		t.Run(a.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var doc document.Document
			var err error
			peak := held(func() {
				doc, err = document.Read(ctx, document.Source{Name: a.name, Body: a.body, Size: a.size}, limits)
			})
			t.Logf("%.1f MB were held", float64(peak)/(1<<20))
			if peak > int64(limits.Text)+beyond {
				t.Errorf("%d MB were held", peak>>20)
			}
			if a.kind == "" {
				if err != nil {
					t.Fatalf("it is not read: %v", err)
				}
				tiled(t, doc)
				return
			}
			if err == nil || fault.KindOf(err) != a.kind {
				t.Fatalf("the error is %v, not of the kind %s", err, a.kind)
			}
			checkError(t, err)
			if !strings.Contains(err.Error(), a.name) {
				t.Errorf("%q does not say of which source it is", err)
			}
		})
	}
}

// held measures the most memory that a function holds at once: what the
// collector finds alive, while it is made to look often.
func held(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	before, peak := live(), int64(0)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				peak = max(peak, live()-before)
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return peak
}

// live is what was alive at the end of the last collection.
func live() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()) //nolint:gosec // far from the bound
}

// TestBroken reads files that say no more than that they cannot be read.
func TestBroken(t *testing.T) {
	for name, kind := range map[string]fault.Kind{"encrypted.pdf": fault.Unsupported, "encrypted-r4.pdf": fault.Unsupported, "scanned.pdf": fault.Unsupported} {
		content, err := os.ReadFile(filepath.Join("testdata", "broken", name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = document.Read(context.Background(), document.Source{Name: name, Body: bytes.NewReader(content), Size: int64(len(content))}, document.Limits{})
		if fault.KindOf(err) != kind {
			t.Errorf("%s: %v", name, err)
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Advice == "" {
			t.Errorf("%s: nothing says what to do: %v", name, err)
		}
	}
}

// TestDamaged cuts golden files off and turns bits of them.
func TestDamaged(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		for i := range 12 {
			try(t, name, content[:len(content)*i/12])
			turned := bytes.Clone(content)
			for at := i; at < len(turned); at += 97 + i*13 {
				turned[at] ^= byte(1 << (i % 8))
			}
			try(t, name, turned)
		}
	}
}

// TestCanceled ends the context before and while a source is read.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, file := range []string{"page.html", "page.md", "reportlab.pdf", "python-docx.docx", "letter.eml"} {
		content, err := os.ReadFile(filepath.Join("testdata", "golden", file))
		if err != nil {
			t.Fatal(err)
		}
		_, err = document.Read(ctx, document.Source{Name: file, Body: bytes.NewReader(content), Size: int64(len(content))}, document.Limits{})
		if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Canceled {
			t.Errorf("%s: %v", file, err)
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	bomb := pdfOf("", bytes.Repeat([]byte("BT /F 9 Tf 1 0 0 1 9 9 Tm (A) Tj ET\n"), 1<<20), "")
	_, err := document.Read(ctx, document.Source{Name: "slow.pdf", Body: bytes.NewReader(bomb), Size: int64(len(bomb))}, document.Limits{})
	if k := fault.KindOf(err); k != fault.Timeout && k != fault.TooLarge {
		t.Errorf("a slow file: %v", err)
	}
}
