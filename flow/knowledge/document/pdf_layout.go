package document

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/leat-ai/leat/flow/knowledge/document/pdf"
)

// pdfLine is a line of a page.
type pdfLine struct {
	text   string
	pieces []piece // what stands between gaps that may part the cells of a table
	wide   bool    // one of the gaps is too wide to be anything else
	left   float64 // of the line
	right  float64
	y      float64
	size   float64
	bold   bool
	mono   bool
	turned int
	mark   bool // it begins with the mark of a list
}

// layout makes blocks of the runs of a page. Programs write the text of a page
// in the order in which it is read; where a page jumps about, its lines are
// taken from top to bottom instead.
func layout(page pdf.Page) []pdfBlock {
	lines := linesOf(page.Runs)
	if jumps := jumpsUp(lines); page.Fields > 0 || jumps > 3 && jumps*4 > len(lines) {
		byPlace(page.Runs)
		lines = linesOf(page.Runs)
	}
	return blocksOf(lines, page.Height)
}

func jumpsUp(lines []pdfLine) int {
	n := 0
	for i := 1; i < len(lines); i++ {
		if lines[i].y > lines[i-1].y+lines[i].size/2 {
			n++
		}
	}
	return n
}

// piece is a part of a line.
type piece struct {
	text string
	left float64
}

// The gaps within a line, in units of the font's size: what is a space between
// words, what may part the cells of a table, and what surely does.
const (
	wordGap = 0.15
	cellGap = 0.7
	wideGap = 1.8
)

// Lines of more pieces, and paragraphs of more bytes, are none that people
// write: the work of comparing and joining them would grow with the square.
const (
	mostPieces       = 256
	longestParagraph = 64 << 10
)

// ligatures are characters that stand for several.
var ligatures = strings.NewReplacer("ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "st", "ﬆ", "st")

func linesOf(runs []pdf.Run) []pdfLine {
	m := lineMaker{}
	for _, r := range runs {
		m.add(r)
	}
	m.flush()
	return m.lines
}

// lineMaker puts runs together.
type lineMaker struct {
	lines      []pdfLine
	line       pdfLine
	text       strings.Builder // of the piece that is open
	left       float64         // of the piece
	size       int             // bytes of the line
	bold, mono int             // bytes of them
	last       pdf.Run
}

func (m *lineMaker) add(r pdf.Run) {
	blank := strings.TrimSpace(r.Text) == ""
	switch {
	case m.size > 0 && sameLine(m.line, r):
		gap := (r.X - m.line.right) / m.line.size
		switch {
		case r.Text == m.last.Text && math.Abs(r.X-m.last.X) < 0.1*r.Size && math.Abs(r.Y-m.last.Y) < 0.1*r.Size:
			return // drawn twice, to look bold
		case blank:
		case gap < 0 && m.accented(r.Text):
			m.last = r
			return
		case gap > cellGap && len(m.line.pieces) < mostPieces && !(len(m.line.pieces) == 0 && markOnly(m.text.String())):
			m.cut()
			m.left = r.X
			m.line.wide = m.line.wide || gap > wideGap
		case gap > wordGap:
			m.text.WriteByte(' ')
		}
	case blank:
		return
	default:
		m.flush()
		m.line = pdfLine{left: r.X, y: r.Y, size: r.Size, turned: r.Turned, right: r.X}
		m.left = r.X
	}
	m.text.WriteString(ligatures.Replace(r.Text))
	m.size += len(r.Text)
	if r.Bold {
		m.bold += len(r.Text)
	}
	if r.Mono {
		m.mono += len(r.Text)
	}
	if !blank {
		m.line.right = max(m.line.right, r.X+r.Width)
		if r.Size > m.line.size && r.Size < 3*m.line.size {
			m.line.size, m.line.y = r.Size, r.Y
		}
	}
	m.last = r
}

// marks are accents that old fonts draw on their own, and what they are on a
// letter.
var marks = map[rune]rune{'`': '\u0300', '´': '\u0301', 'ˆ': '\u0302', '˜': '\u0303', '¯': '\u0304', '˘': '\u0306', '˙': '\u0307',
	'¨': '\u0308', '˚': '\u030a', '˝': '\u030b', 'ˇ': '\u030c', '¸': '\u0327'}

// accented puts a letter under the accent that was drawn before it.
func (m *lineMaker) accented(text string) bool {
	before := m.text.String()
	if len(before) > longestParagraph {
		return false
	}
	accent, n := utf8.DecodeLastRuneInString(before)
	mark, ok := marks[accent]
	letter, size := utf8.DecodeRuneInString(text)
	if letter == 'ı' {
		letter = 'i'
	}
	if !ok || !unicode.IsLetter(letter) {
		return false
	}
	m.text.Reset()
	m.text.WriteString(before[:len(before)-n] + norm.NFC.String(string(letter)+string(mark)) + text[size:])
	return true
}

// cut ends the open piece.
func (m *lineMaker) cut() {
	text := logical(clean(m.text.String()))
	if m.mono*5 < m.size*4 {
		text = strings.Join(strings.Fields(text), " ")
	}
	if text != "" {
		m.line.pieces = append(m.line.pieces, piece{text, m.left})
	}
	m.text.Reset()
}

// flush ends the open line.
func (m *lineMaker) flush() {
	m.cut()
	if l := m.line; len(l.pieces) > 0 {
		l.bold, l.mono = m.bold*2 > m.size, m.mono*5 >= m.size*4
		between := " "
		if l.wide && !l.mono {
			between = " | "
		}
		l.text = l.joined(between)
		l.trimMark()
		m.lines = append(m.lines, l)
	}
	m.line = pdfLine{}
	m.size, m.bold, m.mono = 0, 0, 0
}

func (l pdfLine) joined(between string) string {
	texts := make([]string, len(l.pieces))
	rightToLeft := 0
	for i, p := range l.pieces {
		texts[i] = p.text
		if _, rtl := directions(p.text); rtl > 0 {
			rightToLeft++
		}
	}
	if rightToLeft*2 > len(texts) {
		slices.Reverse(texts)
	}
	return strings.Join(texts, between)
}

// sameLine tells whether a run goes on in a line: on its baseline, or a little
// off it for an index, and not before its end.
func sameLine(l pdfLine, r pdf.Run) bool {
	size := max(l.size, r.Size)
	off := math.Abs(r.Y - l.y)
	if r.Turned != l.turned || r.X < l.right-0.6*size || off > 0.5*size {
		return false
	}
	return off <= 0.25*size || r.Size < 0.85*l.size || l.size < 0.85*r.Size
}

// bullets are marks of lists, those of symbol fonts among them.
const bullets = "•◦▪‣●○■□–-*·➢✓\uf0b7\uf0a7\uf0fc\uf076\uf0d8\u2043"

// markOnly tells that a text is nothing but the mark of a list.
func markOnly(text string) bool {
	text = strings.TrimSpace(text)
	if r, n := utf8.DecodeRuneInString(text); n == len(text) && n > 0 && strings.ContainsRune(bullets, r) {
		return true
	}
	digits := strings.TrimLeft(text, "0123456789")
	return len(text)-len(digits) > 0 && len(text)-len(digits) <= 3 && (digits == "." || digits == ")")
}

// trimMark finds the mark of a list at the beginning of a line and writes it as
// the other formats do.
func (l *pdfLine) trimMark() {
	mark, rest, ok := strings.Cut(l.text, " ")
	if !ok || !markOnly(mark) || l.wide || l.mono {
		return
	}
	l.mark = true
	if mark[0] < '0' || mark[0] > '9' {
		mark = "-"
	}
	l.text = mark + " " + rest
}

// blocksOf joins lines into paragraphs, lists and tables.
func blocksOf(lines []pdfLine, height float64) []pdfBlock {
	b := blockMaker{lines: lines, leading: leading(lines), height: height}
	for i := 0; i < len(lines); i++ {
		if n := tableAt(lines[i:]); n > 1 {
			b.flush()
			b.table(i, i+n)
			i += n - 1
			continue
		}
		if b.open && !b.goesOn(i) {
			b.flush()
		}
		b.add(i)
	}
	b.flush()
	return b.blocks
}

// leading is the usual distance of baselines, in units of the size.
func leading(lines []pdfLine) float64 {
	var steps []float64
	for i := 1; i < len(lines); i++ {
		if step := (lines[i-1].y - lines[i].y) / lines[i].size; step > 0.8 && step < 2.5 && lines[i].turned == lines[i-1].turned {
			steps = append(steps, step)
		}
	}
	if len(steps) == 0 {
		return 1.2
	}
	slices.Sort(steps)
	return steps[len(steps)/3]
}

// tableAt counts the lines of cells that stand one below the other: with
// gaps too wide for words, or with cells that begin at the same places.
func tableAt(lines []pdfLine) int {
	n := 0
	for n < len(lines) && len(lines[n].pieces) > 1 && lines[n].turned == lines[0].turned && !lines[n].mono {
		if n > 0 {
			above, l := lines[n-1], lines[n]
			if l.y >= above.y || above.y-l.y > 6*l.size || !(l.wide && above.wide) && !aligned(above, l) {
				break
			}
		}
		n++
	}
	return n
}

// aligned tells that a cell of a line, after its first, begins below one of the
// line above.
func aligned(above, l pdfLine) bool {
	for _, p := range l.pieces[1:] {
		for _, q := range above.pieces[1:] {
			if math.Abs(p.left-q.left) < 0.4*l.size {
				return true
			}
		}
	}
	return false
}

type blockMaker struct {
	lines   []pdfLine
	leading float64
	height  float64
	blocks  []pdfBlock

	open  bool
	block pdfBlock
	text  strings.Builder
	left  float64 // of the lines after the first
	right float64 // the furthest end of a line
	first pdfLine
	last  pdfLine
}

// goesOn tells whether a line continues the open block.
func (b *blockMaker) goesOn(i int) bool {
	l, last := b.lines[i], b.last
	step := last.y - l.y
	switch {
	case l.turned != last.turned, l.wide, last.wide, l.mono != last.mono, b.text.Len() > longestParagraph:
		return false
	case l.mono:
		return step > 0 && step < 2.5*b.leading*l.size
	case l.mark && b.block.kind == List:
		return step > 0 && step < 3*b.leading*l.size && math.Abs(l.size-last.size) < 0.35*last.size
	case math.Abs(l.size-last.size) > 0.08*last.size, l.bold != last.bold && (b.block.lines == 1 || l.bold):
		return false
	case l.mark:
		return false
	case step <= 0: // the next column: within a sentence it goes on
		r, _ := utf8.DecodeRuneInString(l.text)
		return !endsSentence(last.text) && unicode.IsLower(r)
	case step > 1.3*b.leading*l.size:
		return false
	case b.block.kind == List:
		return l.left > b.first.left+0.3*l.size
	case l.left > b.left+0.7*l.size && l.left < b.left+5*l.size && b.block.lines > 1:
		return false // the first line of a paragraph is set in
	case endsSentence(last.text) && last.right < b.right-0.2*(b.right-b.left):
		return false // the last line of a paragraph is short
	}
	return true
}

func endsSentence(text string) bool {
	text = strings.TrimRight(text, "\"'”’»)]")
	r, _ := utf8.DecodeLastRuneInString(text)
	return strings.ContainsRune(".!?:。！？؟", r)
}

func (b *blockMaker) add(i int) {
	l := b.lines[i]
	switch {
	case !b.open:
		b.open, b.first, b.right = true, l, l.right
		b.block = pdfBlock{kind: Paragraph, size: l.size, bold: l.bold, edge: b.isEdge(l)}
		if l.mark {
			b.block.kind = List
		} else if l.mono {
			b.block.kind = Code
		}
		b.text.WriteString(l.text)
	case l.mono:
		indent := math.Round((l.left - b.first.left) / (0.6 * l.size))
		b.text.WriteString("\n" + strings.Repeat(" ", int(min(max(indent, 0), 80))) + l.text)
	case l.mark:
		b.text.WriteString("\n" + l.text)
		b.first = l
	default:
		b.join(l.text)
	}
	if b.block.lines > 0 {
		b.left = min(b.left, l.left)
	} else {
		b.left = l.left
	}
	b.block.lines++
	b.block.bold = b.block.bold && l.bold
	b.right = max(b.right, l.right)
	b.last = l
}

// isEdge tells lines in the upper and lower tenth of an upright page.
func (b *blockMaker) isEdge(l pdfLine) bool {
	return b.height > 0 && l.turned == 0 && (l.y > 0.9*b.height || l.y < 0.1*b.height)
}

// join adds a line to a paragraph: a hyphen that parts a word goes, and no
// space comes between characters of scripts that have none.
func (b *blockMaker) join(line string) {
	text := b.text.String()
	first, _ := utf8.DecodeRuneInString(line)
	if rest, ok := strings.CutSuffix(text, "-"); ok {
		if before, _ := utf8.DecodeLastRuneInString(rest); unicode.IsLetter(before) && unicode.IsLower(first) {
			b.text.Reset()
			b.text.WriteString(rest + line)
			return
		}
	}
	if last, _ := utf8.DecodeLastRuneInString(text); !isUnspaced(last) || !isUnspaced(first) {
		b.text.WriteByte(' ')
	}
	b.text.WriteString(line)
}

func isUnspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) || r >= 0x3000 && r < 0x3040 || r >= 0xff00 && r < 0xffef
}

func (b *blockMaker) flush() {
	if b.open {
		b.block.text = b.text.String()
		b.blocks = append(b.blocks, b.block)
	}
	b.text.Reset()
	b.open = false
}

// table adds lines of cells as rows. The first is the header where it holds no
// number.
func (b *blockMaker) table(from, to int) {
	for i := from; i < to; i++ {
		l := b.lines[i]
		block := pdfBlock{kind: Row, text: l.joined(" | "), size: l.size, bold: l.bold, lines: 1}
		if i == from {
			block.level = 1
			if !strings.ContainsAny(l.text, "0123456789") {
				block.kind, block.level = Table, 0
			}
		}
		b.blocks = append(b.blocks, block)
	}
}
