package pdf

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
)

// font turns the strings that content shows into text and widths (9.5 to 9.10).
type font struct {
	base      string
	bold      bool
	mono      bool
	composite bool
	unicode   *cmap             // ToUnicode
	codes     *cmap             // of a composite font: codes to glyph numbers
	legacy    encoding.Encoding // of a composite font whose codes are a known charset
	utf16     bool              // of a composite font whose codes are UTF-16
	simple    [256]string       // of a simple font without ToUnicode
	widths    map[uint32]float64
	standard  float64 // width of glyphs without one, in thousandths
	known     bool    // widths are those of a known font
	scale     float64 // of widths: thousandths, but for Type 3
}

// glyph is one that a string shows.
type glyph struct {
	text  string
	known bool
	width float64 // in units of the size
	space bool    // the single byte 32, at which word space is added
}

// loadFont reads a font of a page; a broken one shows nothing that is known.
func (f *File) loadFont(v value) (*font, error) {
	at := v.ref
	if v.kind == kindRef {
		if known, ok := f.fonts[at]; ok {
			return known, nil
		}
	}
	d, err := f.resolve(v)
	if err != nil {
		return nil, err
	}
	fo := &font{widths: map[uint32]float64{}, scale: 0.001}
	fo.base = d.dict["BaseFont"].str
	if err := f.fillFont(fo, d); err != nil {
		return nil, err
	}
	const mostFonts = 256
	if v.kind == kindRef && len(f.fonts) < mostFonts {
		f.fonts[at] = fo
	}
	return fo, nil
}

func (f *File) fillFont(fo *font, d value) error {
	unicode, err := f.get(d, "ToUnicode")
	if err != nil {
		return err
	}
	if unicode.data > 0 {
		r, err := f.decoded(unicode)
		if err != nil {
			return err
		}
		if fo.unicode, err = f.readCMap(r); err != nil {
			return err
		}
	}
	if d.dict["Subtype"].isName("Type0") {
		return f.fillComposite(fo, d)
	}
	return f.fillSimple(fo, d)
}

func (f *File) describe(fo *font, d value) (value, error) {
	descriptor, err := f.get(d, "FontDescriptor")
	if err != nil {
		return value{}, err
	}
	const fixedPitch, forceBold = 1, 1 << 18
	fo.mono = descriptor.dict["Flags"].int()&fixedPitch != 0
	for _, word := range []string{"Courier", "Mono", "Consol", "CMTT", "cmtt"} {
		fo.mono = fo.mono || strings.Contains(fo.base, word)
	}
	fo.bold = descriptor.dict["Flags"].int()&forceBold != 0 || descriptor.dict["FontWeight"].int() >= 600
	for _, word := range []string{"Bold", "bold", "Black", "Heavy", "Semibold", "SemiBold"} {
		fo.bold = fo.bold || strings.Contains(fo.base, word)
	}
	fo.standard = descriptor.dict["MissingWidth"].num
	return descriptor, nil
}

func (f *File) fillSimple(fo *font, d value) error {
	descriptor, err := f.describe(fo, d)
	if err != nil {
		return err
	}
	if err := f.simpleWidths(fo, d); err != nil {
		return err
	}
	encoding, err := f.get(d, "Encoding")
	if err != nil {
		return err
	}
	base := encoding.str
	if encoding.kind == kindDict {
		base = encoding.dict["BaseEncoding"].str
	}
	table := standard
	switch {
	case strings.Contains(fo.base, "ZapfDingbats"):
		table = dingbats
	case strings.HasSuffix(fo.base, "Symbol") || strings.HasSuffix(fo.base, "SymbolMT"):
		table = symbol
	}
	switch base {
	case "WinAnsiEncoding":
		table = winAnsi
	case "MacRomanEncoding":
		table = macRoman
	default:
		if d.dict["Subtype"].isName("TrueType") || d.dict["Subtype"].isName("Type3") {
			table = winAnsi
		}
	}
	for c := range 256 {
		if r := table(byte(c)); r > 0 && r >= ' ' {
			fo.simple[c] = string(r)
		}
	}
	if base == "" {
		if err := f.builtIn(fo, descriptor); err != nil {
			return err
		}
	}
	differences, err := f.get(encoding, "Differences")
	if err != nil {
		return err
	}
	at := 0
	for _, x := range differences.array {
		switch x.kind {
		case kindNumber:
			at = x.int()
		case kindName:
			if at >= 0 && at < 256 {
				fo.simple[at] = glyphText(x.str)
			}
			at++
		}
	}
	return nil
}

func (f *File) simpleWidths(fo *font, d value) error {
	widths, err := f.get(d, "Widths")
	if err != nil {
		return err
	}
	if d.dict["Subtype"].isName("Type3") {
		if m, err := f.get(d, "FontMatrix"); err == nil && len(m.array) > 0 && m.array[0].num > 0 {
			fo.scale = m.array[0].num
		}
	}
	first := d.dict["FirstChar"].int()
	fo.known = len(widths.array) == 0
	for i, w := range widths.array {
		if i > 255 {
			break
		}
		if w, err = f.resolve(w); err != nil {
			return err
		}
		fo.widths[uint32(first+i)] = w.num //nolint:gosec // a wrong one is never asked for
	}
	return nil
}

// builtIn reads the encoding that stands in the clear in a Type 1 font file:
// lines such as "dup 12 /fi put".
func (f *File) builtIn(fo *font, descriptor value) error {
	file, err := f.get(descriptor, "FontFile")
	if err != nil || file.data == 0 {
		return err
	}
	r, err := f.decoded(file)
	if err != nil {
		return err
	}
	const inClear = 64 << 10
	program, err := io.ReadAll(io.LimitReader(r, inClear))
	if err != nil {
		return err
	}
	_, program, _ = bytes.Cut(program, []byte("/Encoding"))
	program, _, _ = bytes.Cut(program, []byte("readonly def"))
	words := bytes.Fields(program)
	for i := 0; i+3 < len(words); i++ {
		if string(words[i]) != "dup" || len(words[i+2]) < 2 || words[i+2][0] != '/' {
			continue
		}
		if c, err := strconv.Atoi(string(words[i+1])); err == nil && c >= 0 && c < 256 {
			fo.simple[c] = glyphText(string(words[i+2][1:]))
		}
	}
	return nil
}

// legacyCharsets are the charsets of predefined CMaps, by what stands in their
// names (9.7.5.2).
var legacyCharsets = []struct{ part, charset string }{
	{"GBK", "gbk"}, {"GB-", "gbk"}, {"GBpc", "gbk"}, {"RKSJ", "shift_jis"}, {"EUC-H", "euc-jp"}, {"EUC-V", "euc-jp"},
	{"B5", "big5"}, {"ETen", "big5"}, {"KSC", "euc-kr"},
}

func (f *File) fillComposite(fo *font, d value) error {
	fo.composite = true
	descendants, err := f.get(d, "DescendantFonts")
	if err != nil || len(descendants.array) == 0 {
		return err
	}
	below, err := f.resolve(descendants.array[0])
	if err != nil {
		return err
	}
	if _, err := f.describe(fo, below); err != nil {
		return err
	}
	fo.standard = 1000
	if dw, ok := below.dict["DW"]; ok {
		fo.standard = dw.num
	}
	if err := f.compositeWidths(fo, below); err != nil {
		return err
	}
	encoding, err := f.get(d, "Encoding")
	if err != nil {
		return err
	}
	if encoding.data > 0 {
		r, err := f.decoded(encoding)
		if err != nil {
			return err
		}
		fo.codes, err = f.readCMap(r)
		return err
	}
	switch name := encoding.str; {
	case strings.HasPrefix(name, "Uni"):
		fo.utf16 = true
	case strings.HasPrefix(name, "Identity"):
	default:
		for _, l := range legacyCharsets {
			if strings.Contains(name, l.part) {
				fo.legacy, _ = charset.Lookup(l.charset)
				break
			}
		}
	}
	return nil
}

// compositeWidths reads lists such as [10 [500 600] 20 30 700] (9.7.4.3).
func (f *File) compositeWidths(fo *font, d value) error {
	list, err := f.get(d, "W")
	if err != nil {
		return err
	}
	for w := list.array; len(w) >= 2; {
		first := w[0].int()
		second, err := f.resolve(w[1])
		if err != nil {
			return err
		}
		if second.kind == kindArray {
			for i, x := range second.array {
				if len(fo.widths) < mostMapped {
					fo.widths[uint32(first+i)] = x.num //nolint:gosec // a wrong one is never asked for
				}
			}
			w = w[2:]
			continue
		}
		if len(w) < 3 {
			return nil
		}
		for c := first; c <= second.int() && c < 1<<16 && len(fo.widths) < mostMapped; c++ {
			fo.widths[uint32(c)] = w[2].num //nolint:gosec // a wrong one is never asked for
		}
		w = w[3:]
	}
	return nil
}

// glyphs calls show for each glyph of a string.
func (fo *font) glyphs(s string, show func(glyph)) {
	if fo.composite {
		fo.compositeGlyphs(s, show)
		return
	}
	for i := range len(s) {
		c := uint32(s[i])
		g := glyph{text: fo.simple[s[i]], space: s[i] == ' '}
		if fo.unicode != nil {
			if text, ok := fo.unicode.text(c); ok {
				g.text = text
			}
		}
		g.known = g.text != ""
		width, ok := fo.widths[c]
		switch {
		case ok:
		case fo.known && g.known:
			r := []rune(g.text)[0]
			width = knownWidth(fo.base, r)
		default:
			width = fo.standard
		}
		g.width = width * fo.scale
		show(g)
	}
}

func (fo *font) compositeGlyphs(s string, show func(glyph)) {
	for len(s) > 0 {
		c, n := code(s[:min(2, len(s))]), min(2, len(s))
		switch {
		case fo.codes != nil:
			c, n = fo.codes.next(s)
		case fo.legacy != nil && s[0] < 0x80:
			c, n = uint32(s[0]), 1
		case fo.unicode != nil && len(fo.unicode.spaces) > 0 && fo.unicode.spaces[0].bytes == 1:
			// ToUnicode of two bytes is the rule; some say one and mean two.
		}
		g := glyph{space: n == 1 && c == ' '}
		if fo.unicode != nil {
			g.text, g.known = fo.unicode.text(c)
		}
		if !g.known && fo.utf16 && n == 2 {
			g.text, g.known = utf16String(s[:2]), true
		}
		if !g.known && fo.legacy != nil {
			if text, err := fo.legacy.NewDecoder().String(s[:n]); err == nil {
				g.text, g.known = text, true
			}
		}
		number := c
		if fo.codes != nil {
			number = fo.codes.glyph(c)
		}
		width, ok := fo.widths[number]
		if !ok {
			width = fo.standard
		}
		g.width = width * fo.scale
		show(g)
		s = s[n:]
	}
}
