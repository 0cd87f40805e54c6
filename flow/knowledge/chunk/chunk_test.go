package chunk_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/flow/knowledge/chunk"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/internal/realdata"
)

type fataler interface {
	Fatalf(format string, args ...any)
}

func read(t fataler, name, text string) document.Document {
	doc, err := document.Read(context.Background(), document.Source{Name: name, Body: strings.NewReader(text), Size: int64(len(text))}, document.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

// holds fails where chunks break what the package promises.
func holds(t fataler, doc document.Document, o chunk.Options) []chunk.Chunk {
	chunks := chunk.Split(doc, o)
	covered := make([]bool, len(doc.Text))
	last := 0
	for i, c := range chunks {
		if c.Ordinal != i || c.Start < last || c.End <= c.Start || c.End > len(doc.Text) {
			t.Fatalf("chunk %d is %+v after %d", i, c, last)
		}
		if c.Parent >= i || c.Parent < -1 {
			t.Fatalf("chunk %d has the parent %d", i, c.Parent)
		}
		text := doc.Text[c.Start:c.End]
		if !utf8.Valid(text) || len(bytes.TrimSpace(text)) == 0 {
			t.Fatalf("chunk %d is %q", i, text)
		}
		if o.Most > 0 && c.End-c.Start > max(o.Most, 16) {
			t.Fatalf("chunk %d has %d bytes; at most %d", i, c.End-c.Start, o.Most)
		}
		for at := c.Start; at < c.End; at++ {
			covered[at] = true
		}
		last = c.End
	}
	for _, b := range doc.Blocks {
		for at := b.Start; at < b.End; at++ {
			if !covered[at] && !strings.ContainsRune(" \t\r\n\v\f", rune(doc.Text[at])) {
				t.Fatalf("byte %d, %q, of a %v is in no chunk", at, doc.Text[at], b.Kind)
			}
		}
	}
	return chunks
}

const handbook = `---
title: Handbook
---
# Travel<a name="travel"></a>

Who travels, books early. Trains come before planes.

## Hotels

The company pays up to 120 EUR a night.

| City | Most |
| --- | --- |
| Berlin | 120 |
| Paris | 160 |

### Abroad

- Ask first.
- Keep the bill.

# Expenses

Send them within a month.
`

func TestSplit(t *testing.T) {
	doc := read(t, "handbook.md", handbook)
	var got []string
	for _, c := range holds(t, doc, chunk.Options{}) {
		got = append(got, fmt.Sprintf("%d %s #%s: %.20q", c.Parent, strings.Join(c.Headings, " > "), c.Anchor, doc.Text[c.Start:c.End]))
	}
	want := []string{
		`-1 Travel #travel: "# Travel<a name=\"tra"`,
		`0 Travel > Hotels #hotels: "## Hotels\n\nThe compa"`,
		`1 Travel > Hotels > Abroad #abroad: "### Abroad\n\n- Ask fi"`,
		`-1 Expenses #expenses: "# Expenses\n\nSend the"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if doc.Title != "Handbook" {
		t.Errorf("the title is %q", doc.Title)
	}
}

func TestTableCarriesItsHeader(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Cities\n\n| City | Most |\n| --- | --- |\n")
	for i := range 100 {
		fmt.Fprintf(&b, "| City %d | %d |\n", i, i*7919%1000)
	}
	b.WriteString("\nThat is all.\n")
	doc := read(t, "cities.md", b.String())
	chunks := holds(t, doc, chunk.Options{Target: 400, Most: 600})
	if len(chunks) < 4 {
		t.Fatalf("%d chunks", len(chunks))
	}
	for i, c := range chunks {
		text := string(doc.Text[c.Start:c.End])
		if i > 0 && (c.Context != "| City | Most |\n| --- | --- |" || !strings.HasPrefix(text, "| City ")) {
			t.Errorf("chunk %d: context %q, text %q", i, c.Context, text)
		}
		if i == 0 && c.Context != "" {
			t.Errorf("the first chunk holds the header, and has it as context too")
		}
	}
}

func TestCodeAndListsStayWhole(t *testing.T) {
	code := "```go\n" + strings.Repeat("x := 1\n\n", 60) + "```"
	list := strings.TrimSpace(strings.Repeat("- an item of some length that goes on\n", 15))
	doc := read(t, "a.md", "# A\n\nSome words.\n\n"+code+"\n\n"+list+"\n")
	for _, whole := range []string{code, list} {
		found := false
		for _, c := range holds(t, doc, chunk.Options{Target: 300, Most: 600}) {
			found = found || strings.Contains(string(doc.Text[c.Start:c.End]), whole)
		}
		if !found {
			t.Errorf("%.20q is cut", whole)
		}
	}
}

func TestLongParagraphIsCutAtSentences(t *testing.T) {
	text := strings.Repeat("This is a sentence of Dr. Smith, who wrote it. ", 100)
	doc := read(t, "a.txt", text)
	for i, c := range holds(t, doc, chunk.Options{Target: 300, Most: 600}) {
		if s := string(doc.Text[c.Start:c.End]); !strings.HasPrefix(s, "This is") || !strings.HasSuffix(s, "wrote it.") {
			t.Errorf("chunk %d: %q", i, s)
		}
	}
}

// markdown draws a page of sections; each is a heading and blocks.
func markdown(t *rapid.T) []string {
	word := rapid.SampledFrom([]string{"alpha", "beta.", "Gamma", "ü中文。", "x|y", "- z", "`code`", "12.", "delta?", "مرحبا"})
	line := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 1, 30).Draw(t, "words"), " ")
	})
	block := rapid.Custom(func(t *rapid.T) string {
		lines := rapid.SliceOfN(line, 1, 8).Draw(t, "lines")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return "- " + strings.Join(lines, "\n- ")
		case 1:
			return "```\n" + strings.Join(lines, "\n") + "\n```"
		case 2:
			return "| a | b |\n|---|---|\n| " + strings.Join(lines, " | 1 |\n| ") + " | 2 |"
		case 3:
			return "> " + strings.Join(lines, "\n> ")
		}
		return "P" + strings.Join(lines, "\n")
	})
	section := rapid.Custom(func(t *rapid.T) string {
		level := rapid.IntRange(1, 4).Draw(t, "level")
		blocks := rapid.SliceOfN(block, 1, 5).Draw(t, "blocks")
		return strings.Repeat("#", level) + " H " + line.Draw(t, "heading") + "\n\n" + strings.Join(blocks, "\n\n") + "\n\n"
	})
	return rapid.SliceOfN(section, 1, 6).Draw(t, "sections")
}

func TestSplitHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := rapid.IntRange(1, 600).Draw(t, "target")
		o := chunk.Options{Target: target, Most: rapid.IntRange(target, 2*target).Draw(t, "most")}
		holds(t, read(t, "a.md", strings.Join(markdown(t), "")), o)
	})
}

// TestEditLeavesOtherSections changes one section and expects the chunks of
// the others to have the same texts.
func TestEditLeavesOtherSections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := chunk.Options{Target: 200, Most: 400}
		sections := markdown(t)
		at := rapid.IntRange(0, len(sections)-1).Draw(t, "at")
		edited := slices.Clone(sections)
		edited[at] = strings.TrimRight(edited[at], "\n") + "\n\nPNew words here.\n\n"
		before := texts(t, strings.Join(sections, ""), o)
		after := texts(t, strings.Join(edited, ""), o)
		for i, s := range sections {
			if i == at {
				continue
			}
			doc := read(t, "a.md", s)
			for _, c := range holds(t, doc, o) {
				text := string(doc.Text[c.Start:c.End])
				if slices.Contains(before, text) != slices.Contains(after, text) {
					t.Fatalf("an edit of section %d changed %q of section %d", at, text, i)
				}
			}
		}
	})
}

func texts(t fataler, text string, o chunk.Options) []string {
	doc := read(t, "a.md", text)
	var all []string
	for _, c := range holds(t, doc, o) {
		all = append(all, string(doc.Text[c.Start:c.End]))
	}
	return all
}

// TestRowMovesFewChunks adds a row at the head of a long table.
func TestRowMovesFewChunks(t *testing.T) {
	var rows strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&rows, "%d,name %d,%d\n", i, i*31, i*7919%1013)
	}
	o := chunk.Options{}
	seen := map[string]bool{}
	doc := read(t, "a.csv", "id,name,value\n"+rows.String())
	chunks := holds(t, doc, o)
	for _, c := range chunks {
		seen[string(doc.Text[c.Start:c.End])] = true
	}
	doc = read(t, "a.csv", "id,name,value\n-1,new,0\n"+rows.String())
	moved := 0
	for _, c := range holds(t, doc, o) {
		if !seen[string(doc.Text[c.Start:c.End])] {
			moved++
		}
	}
	if moved > 3 {
		t.Errorf("%d of %d chunks changed", moved, len(chunks))
	}
}

// TestRealPages cuts pages that people wrote, and our own.
func TestRealPages(t *testing.T) {
	f, err := os.Open(realdata.Path(t, "retrieval-aws-docs/corpus.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	chunks, short := 0, 0
	for i, d := 0, json.NewDecoder(z); d.More(); i++ {
		var page struct{ Text string }
		if err := d.Decode(&page); err != nil {
			t.Fatal(err)
		}
		if i%10 != 0 {
			continue
		}
		for _, c := range holds(t, read(t, "page.md", page.Text), chunk.Options{}) {
			chunks++
			if c.End-c.Start < 100 {
				short++
			}
		}
	}
	if chunks < 1000 || short*10 > chunks {
		t.Errorf("%d of %d chunks are shorter than 100 bytes", short, chunks)
	}
	own, err := filepath.Glob("../../../docs/*/*.md")
	if err != nil || len(own) < 20 {
		t.Fatalf("%d pages of our own: %v", len(own), err)
	}
	for _, name := range own {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range holds(t, read(t, name, string(text)), chunk.Options{}) {
			if c.Start > 0 && len(c.Headings) == 0 {
				t.Errorf("%s: the chunk at %d is under no heading", name, c.Start)
			}
		}
	}
}
