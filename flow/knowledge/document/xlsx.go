package document

import (
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// xlsx renders a workbook, sheet by sheet: the sheet's name as a heading, its
// rows with the values that the program which saved it showed last. Hidden
// sheets, rows' formats, charts and comments are left out.
func (j *job) xlsx() (Document, error) {
	f, err := j.office()
	if err != nil {
		return Document{}, err
	}
	r := &xlsxReader{officeFile: f, w: j.writer()}
	sheets, err := r.workbook()
	if err != nil {
		return Document{}, err
	}
	if err := r.sharedStrings(); err != nil {
		return Document{}, err
	}
	if err := r.readFormats(); err != nil {
		return Document{}, err
	}
	for i, s := range sheets {
		if i >= j.limits.Pages {
			return Document{}, r.w.over("the workbook has more than %d sheets", j.limits.Pages)
		}
		if s.hidden {
			continue
		}
		r.w.page = i + 1
		if err := r.sheet(s); err != nil {
			return Document{}, err
		}
	}
	doc := r.w.document()
	return doc, f.describe(&doc)
}

type xlsxReader struct {
	*officeFile
	w        *writer
	strings  []byte
	ends     []int // of each shared string in strings
	formats  []cellFormat
	from1904 bool
}

type sheet struct {
	name, part string
	hidden     bool
}

func (r *xlsxReader) workbook() ([]sheet, error) {
	var sheets []sheet
	err := r.walk(r.main, r.j.limits.Depth, handler{start: func(name string, a attributes) error {
		switch name {
		case "workbookPr":
			r.from1904 = a.get("date1904") == "1" || a.get("date1904") == "true"
		case "sheet":
			part := r.refs.byID[a.relation("id")]
			if r.has(part) && len(sheets) <= r.j.limits.Pages {
				state := a.get("state")
				sheets = append(sheets, sheet{name: a.get("name"), part: part, hidden: state == "hidden" || state == "veryHidden"})
			}
		}
		return nil
	}})
	return sheets, err
}

// sharedStrings reads the table of strings into one piece of memory.
func (r *xlsxReader) sharedStrings() error {
	part := r.refs.byType["sharedStrings"]
	if !r.has(part) {
		return nil
	}
	inText, phonetic := false, 0
	var over error
	err := r.walk(part, r.j.limits.Depth, handler{
		start: func(name string, _ attributes) error {
			switch name {
			case "t":
				inText = phonetic == 0
			case "rPh":
				phonetic++
			}
			return over
		},
		text: func(text []byte) {
			if !inText {
				return
			}
			if len(r.strings)+len(text) > r.j.limits.Text {
				over = r.w.over("the strings of the workbook have more than %d bytes", r.j.limits.Text)
				return
			}
			r.strings = append(r.strings, text...)
		},
		end: func(name string) error {
			switch name {
			case "t":
				inText = false
			case "rPh":
				phonetic--
			case "si":
				if len(r.ends) >= r.j.limits.Text/8 {
					over = r.w.over("the workbook has more than %d strings", r.j.limits.Text/8)
				}
				r.ends = append(r.ends, len(r.strings))
			}
			return over
		},
	})
	return err
}

func (r *xlsxReader) shared(index string) string {
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(r.ends) {
		return ""
	}
	start := 0
	if i > 0 {
		start = r.ends[i-1]
	}
	return string(r.strings[start:r.ends[i]])
}

// sheetReader takes the rows of a sheet.
type sheetReader struct {
	*xlsxReader
	name  string
	row   int // number of the row that is open
	last  int // number of the last row that was written
	table bool
	cells []cell
	seen  int // column of the last cell, from 1
	first int // column of the first cell with something in it

	open    bool // a cell is open
	kind    string
	style   int
	value   strings.Builder
	formula strings.Builder
	into    *strings.Builder
}

type cell struct {
	text   string
	number bool
}

func (r *xlsxReader) sheet(s sheet) error {
	if err := r.w.add(Block{Kind: Heading, Level: 2, Anchor: s.name}, strings.Join(strings.Fields(s.name), " ")); err != nil {
		return err
	}
	x := &sheetReader{xlsxReader: r, name: s.name}
	return r.walk(s.part, r.j.limits.Depth, handler{start: x.start, text: x.text, end: x.end})
}

// mostColumns is what a sheet of Excel has.
const mostColumns = 16_384

func (x *sheetReader) start(name string, a attributes) error {
	switch name {
	case "row":
		x.row++
		if n, err := strconv.Atoi(a.get("r")); err == nil && n >= x.row {
			x.row = n
		}
		x.cells, x.seen, x.first = x.cells[:0], 0, 0
	case "c":
		column := columnOf(a.get("r"))
		if column == 0 {
			column = x.seen + 1
		}
		if column > mostColumns || column <= x.seen {
			return fault.New(fault.Invalid, "the cells of row %d are out of order", x.row).At("%s", oneLine(x.name, 100))
		}
		const widest = 64 // columns without a cell that are kept as empty cells
		for range min(column-x.seen-1, widest) {
			if len(x.cells) > 0 {
				x.cells = append(x.cells, cell{})
			}
		}
		x.seen, x.open, x.kind = column, true, a.get("t")
		x.style, _ = strconv.Atoi(a.get("s")) //nolint:errcheck // 0 where it is no number
		x.value.Reset()
		x.formula.Reset()
	case "v", "t":
		x.into = &x.value
	case "f":
		x.into = &x.formula
	}
	return nil
}

func (x *sheetReader) text(text []byte) {
	if x.open && x.into != nil && x.into.Len()+len(text) <= longestXML {
		x.into.Write(text)
	}
}

func (x *sheetReader) end(name string) error {
	switch name {
	case "v", "t", "f":
		x.into = nil
	case "c":
		if !x.open {
			return nil
		}
		x.open = false
		c := x.shown()
		if c.text == "" && len(x.cells) == 0 {
			return nil
		}
		if x.first == 0 {
			x.first = x.seen
		}
		x.cells = append(x.cells, c)
	case "row":
		return x.writeRow()
	}
	return nil
}

// shown is the open cell as people see it.
func (x *sheetReader) shown() cell {
	v := x.value.String()
	switch x.kind {
	case "s":
		return cell{text: strings.TrimSpace(x.shared(v))}
	case "str", "inlineStr":
		return cell{text: strings.TrimSpace(v)}
	case "b":
		return cell{text: map[string]string{"1": "TRUE", "0": "FALSE"}[v], number: true}
	case "e":
		return cell{text: v, number: true}
	case "d":
		return cell{text: v, number: true}
	}
	if v == "" {
		if x.formula.Len() > 0 {
			return cell{text: "=" + oneLine(x.formula.String(), 500), number: true}
		}
		return cell{}
	}
	format := general
	if x.style >= 0 && x.style < len(x.formats) {
		format = x.formats[x.style]
	}
	return cell{text: format.show(v, x.from1904), number: true}
}

// writeRow writes the row as a header, a row or a line of text. A table begins
// with a row of two words or more, at the top or after an empty row; a single
// text there is a title or a remark.
func (x *sheetReader) writeRow() error {
	filled, numbers := 0, 0
	texts := make([]string, len(x.cells))
	for i, c := range x.cells {
		texts[i] = c.text
		if c.text != "" {
			filled++
		}
		if c.text != "" && c.number {
			numbers++
		}
	}
	text := row(texts)
	if text == "" {
		return nil
	}
	begins := !x.table || x.row > x.last+1
	x.last = x.row
	b := Block{Kind: Row, Anchor: x.anchor()}
	switch {
	case begins && filled == 1 && numbers == 0:
		b.Kind, x.table = Paragraph, false
	case begins && numbers == 0:
		b.Kind, x.table = Table, true
	case !x.table:
		b.Level, x.table = 1, true
	}
	return x.w.add(b, text)
}

// anchor is the range of the row's cells as formulas write it.
func (x *sheetReader) anchor() string {
	name := x.name
	if strings.ContainsAny(name, " '!,()-+&") {
		name = "'" + strings.ReplaceAll(name, "'", "''") + "'"
	}
	from, to := columnName(x.first)+itoa(x.row), columnName(x.seen)+itoa(x.row)
	if from == to {
		return name + "!" + from
	}
	return name + "!" + from + ":" + to
}

// columnOf is the number of a cell's column, from 1; 0 where it has none.
func columnOf(ref string) int {
	n := 0
	for i := 0; i < len(ref) && i < 4 && isLetter(ref[i]); i++ {
		n = n*26 + int(ref[i]&^0x20-'A') + 1
	}
	return n
}

func columnName(n int) string {
	name := ""
	for ; n > 0; n = (n - 1) / 26 {
		name = string(rune('A'+(n-1)%26)) + name
	}
	return name
}
