package document

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/document/pdf"
)

// mostRuns bounds the pieces of text of one page of a PDF file.
const mostRuns = 200_000

// pdf renders the text of a PDF file: lines are put together from the pieces
// that the pages show, paragraphs from lines, headings are told by size and
// weight. What repeats at the edges of pages is left out.
func (j *job) pdf() (Document, error) {
	f, err := pdf.Open(j.ctx, j.src.Body, j.src.Size, pdf.Limits{Unpack: j.limits.Unpack, Pages: j.limits.Pages, Runs: mostRuns})
	if err != nil {
		return Document{}, err
	}
	w := j.writer()
	r := pdfReader{}
	for n := range f.Pages() {
		w.page = n + 1
		page, err := f.Page(n)
		if err != nil {
			return Document{}, onPage(err, n+1)
		}
		r.unknown += page.Unknown
		r.images += page.Images
		r.add(layout(page), n+1)
		if r.size > j.limits.Text || len(r.blocks) > j.limits.Blocks {
			return Document{}, w.over("the text has more than %d bytes or %d blocks", j.limits.Text, j.limits.Blocks)
		}
	}
	if err := r.readable(); err != nil {
		return Document{}, err
	}
	if err := r.write(w, f.Pages()); err != nil {
		return Document{}, err
	}
	doc := w.document()
	r.describe(&doc, f.Info())
	return doc, nil
}

// onPage says on which page an error is, where it does not.
func onPage(err error, page int) error {
	if f, ok := err.(*fault.Error); ok && f.Where == "" { //nolint:errorlint // only the fault of the page itself gets a place
		return f.At("page %d", page)
	}
	return err
}

// pdfBlock is a block of a page before it is known what the document is like.
type pdfBlock struct {
	kind  Kind
	level int
	page  int
	text  string
	size  float64
	bold  bool
	lines int
	edge  bool // at the top or bottom of its page
}

type pdfReader struct {
	blocks  []pdfBlock
	size    int
	letters int
	unknown int
	images  int
}

func (r *pdfReader) add(blocks []pdfBlock, page int) {
	for _, b := range blocks {
		b.page = page
		r.size += len(b.text) + 2
		r.letters += len(b.text)
		r.blocks = append(r.blocks, b)
	}
}

// readable refuses files that show text which cannot be read out.
func (r *pdfReader) readable() error {
	switch {
	case r.letters == 0 && r.images > 0 && r.unknown == 0:
		return fault.New(fault.Unsupported, "the PDF file holds pictures of pages and no text: it is a scan").
			Hint("run text recognition over it and give the result")
	case r.unknown > r.letters:
		return fault.New(fault.Unsupported, "the fonts of the PDF file do not say which characters they show").
			Hint("print it anew as PDF, or run text recognition over it")
	}
	return nil
}

// write writes the blocks, with headings told from the rest by what the
// document mostly looks like.
func (r *pdfReader) write(w *writer, pages int) error {
	body, bold := r.body()
	typed := r.typewritten()
	sizes := r.headingSizes(body, bold)
	repeated := r.repeated(pages)
	for i := range r.blocks {
		b := &r.blocks[i]
		if b.edge && repeated[shape(b.text)] {
			continue
		}
		out := Block{Kind: b.kind, Level: b.level}
		if typed && b.kind == Code {
			out.Kind = Paragraph
		}
		if b.isHeading(body, bold) {
			out.Kind, out.Level = Heading, min(len(sizes)+1, 6)
			if n := slices.Index(sizes, rounded(b.size)); n >= 0 {
				out.Level = min(n+1, 6)
			}
		}
		w.page = b.page
		if err := w.add(out, b.text); err != nil {
			return err
		}
		b.text = "" // written: both need not be held
	}
	return nil
}

func rounded(size float64) float64 { return math.Round(size*2) / 2 }

// body is the size and weight of most of the text.
func (r *pdfReader) body() (size float64, bold bool) {
	weights := map[float64]int{}
	heavy, all := 0, 0
	for _, b := range r.blocks {
		weights[rounded(b.size)] += len(b.text)
		all += len(b.text)
		if b.bold {
			heavy += len(b.text)
		}
	}
	most := 0
	for _, s := range slices.Sorted(maps.Keys(weights)) {
		if weights[s] > most {
			size, most = s, weights[s]
		}
	}
	return size, heavy*2 > all
}

// typewritten tells documents that are written in a font of equal widths as a
// whole: it does not mean code there.
func (r *pdfReader) typewritten() bool {
	code := 0
	for i := range r.blocks {
		if r.blocks[i].kind == Code {
			code += len(r.blocks[i].text)
		}
	}
	return code*5 > r.letters*3
}

// isHeading tells a heading: a short paragraph in a larger font than the body,
// or a single bold line among others that are not.
func (b *pdfBlock) isHeading(body float64, bodyBold bool) bool {
	const longest, longestLine = 200, 120
	if b.kind != Paragraph || len(b.text) > longest || b.lines > 3 || strings.HasSuffix(b.text, ".") || strings.HasSuffix(b.text, ",") ||
		strings.IndexFunc(b.text, unicode.IsLetter) < 0 {
		return false
	}
	if rounded(b.size) >= body*1.12 {
		return true
	}
	return b.bold && !bodyBold && b.lines == 1 && len(b.text) <= longestLine && b.size >= body*0.95 && !strings.HasSuffix(b.text, ":")
}

// headingSizes are the sizes of headings, the largest first.
func (r *pdfReader) headingSizes(body float64, bold bool) []float64 {
	sizes := map[float64]bool{}
	for i := range r.blocks {
		if b := &r.blocks[i]; b.isHeading(body, bold) && rounded(b.size) >= body*1.12 {
			sizes[rounded(b.size)] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(sizes))
	slices.Reverse(sorted)
	return sorted
}

// repeated are the texts at the edges of pages that come again and again: page
// numbers, running titles.
func (r *pdfReader) repeated(pages int) map[string]bool {
	counts := map[string]int{}
	for i := range r.blocks {
		if b := &r.blocks[i]; b.edge {
			counts[shape(b.text)]++
		}
	}
	repeated := map[string]bool{}
	for s, n := range counts {
		number := strings.Trim(s, "#-–—/ |") == "" || strings.TrimSpace(strings.Trim(strings.ToLower(s), "#/ ")) == "page"
		if n >= 2 && number || n >= 3 && n*5 >= pages*2 {
			repeated[s] = true
		}
	}
	return repeated
}

// shape is a text with its numbers taken out.
func shape(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r >= '0' && r <= '9' || r == ' ' }), "#") +
		strings.Repeat("#", min(1, len(text)-len(strings.TrimLeft(text, "0123456789"))))
}

// infoKeys are the names that Document.Meta has for what a PDF file says.
var infoKeys = map[string]string{"Author": "author", "Subject": "subject", "Keywords": "keywords", "CreationDate": "created", "ModDate": "modified", "Producer": "producer"}

func (r *pdfReader) describe(doc *Document, info map[string]string) {
	for key, name := range infoKeys {
		if v := oneLine(clean(info[key]), 1000); v != "" && v[0] != '(' { // "(unspecified)"
			doc.Meta[name] = isoDate(v)
		}
	}
	doc.Language = oneLine(clean(info["Lang"]), 40)
	title := oneLine(clean(info["Title"]), longestTitle)
	if lower := strings.ToLower(title); lower != "untitled" && !strings.HasPrefix(lower, "(") && !strings.HasPrefix(lower, "microsoft word -") {
		doc.Title = title
	}
}

// isoDate turns "D:20260131120000+01'00'" into a date as others write it.
func isoDate(s string) string {
	digits, ok := strings.CutPrefix(s, "D:")
	if !ok || len(digits) < 8 || strings.Trim(digits[:8], "0123456789") != "" {
		return s
	}
	date := digits[:4] + "-" + digits[4:6] + "-" + digits[6:8]
	if len(digits) >= 14 && strings.Trim(digits[8:14], "0123456789") == "" {
		date += "T" + digits[8:10] + ":" + digits[10:12] + ":" + digits[12:14]
	}
	return date
}

// byPlace sorts the runs of a page from top to bottom and left to right.
func byPlace(runs []pdf.Run) {
	slices.SortStableFunc(runs, func(a, b pdf.Run) int {
		if c := cmp.Compare(a.Turned, b.Turned); c != 0 {
			return c
		}
		return cmp.Compare(b.Y, a.Y)
	})
	for from := 0; from < len(runs); {
		to := from + 1
		for to < len(runs) && runs[to].Turned == runs[from].Turned && runs[from].Y-runs[to].Y <= 0.4*runs[from].Size {
			to++
		}
		slices.SortStableFunc(runs[from:to], func(a, b pdf.Run) int { return cmp.Compare(a.X, b.X) })
		from = to
	}
}
