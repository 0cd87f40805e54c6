package pdf

import (
	"strconv"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

func winAnsi(c byte) rune {
	if r := charmap.Windows1252.DecodeByte(c); r != '\uFFFD' {
		return r
	}
	return '•' // unused codes show a bullet
}

func macRoman(c byte) rune { return charmap.Macintosh.DecodeByte(c) }

// standardUpper is the part of StandardEncoding that is not ASCII (annex D.2).
var standardUpper = map[byte]rune{
	0x27: '’', 0x60: '‘',
	0xa1: '¡', 0xa2: '¢', 0xa3: '£', 0xa4: '⁄', 0xa5: '¥', 0xa6: 'ƒ', 0xa7: '§', 0xa8: '¤', 0xa9: '\'', 0xaa: '“', 0xab: '«', 0xac: '‹', 0xad: '›',
	0xae: 'ﬁ', 0xaf: 'ﬂ', 0xb1: '–', 0xb2: '†', 0xb3: '‡', 0xb4: '·', 0xb6: '¶', 0xb7: '•', 0xb8: '‚', 0xb9: '„', 0xba: '”', 0xbb: '»', 0xbc: '…',
	0xbd: '‰', 0xbf: '¿', 0xc1: '`', 0xc2: '´', 0xc3: 'ˆ', 0xc4: '˜', 0xc5: '¯', 0xc6: '˘', 0xc7: '˙', 0xc8: '¨', 0xca: '˚', 0xcb: '¸', 0xcd: '˝',
	0xce: '˛', 0xcf: 'ˇ', 0xd0: '—', 0xe1: 'Æ', 0xe3: 'ª', 0xe8: 'Ł', 0xe9: 'Ø', 0xea: 'Œ', 0xeb: 'º', 0xf1: 'æ', 0xf5: 'ı', 0xf8: 'ł', 0xf9: 'ø',
	0xfa: 'œ', 0xfb: 'ß',
}

func standard(c byte) rune {
	if r, ok := standardUpper[c]; ok {
		return r
	}
	if c >= ' ' && c < 0x7f {
		return rune(c)
	}
	return 0
}

// dingbats knows the marks that forms and lists use.
func dingbats(c byte) rune {
	switch c {
	case '3', '4':
		return '✔'
	case '5', '6', '7', '8':
		return '✘'
	case 'l':
		return '●'
	case 'n':
		return '■'
	case 'u':
		return '◆'
	}
	return 0
}

var (
	symbolUpper = []rune("ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ")
	symbolLower = []rune("αβχδεφγηιϕκλμνοπθρστυϖωξψζ")
)

// symbol is the Greek part of the font Symbol; its other marks are few in text.
func symbol(c byte) rune {
	switch {
	case c >= 'A' && c <= 'Z':
		return symbolUpper[c-'A']
	case c >= 'a' && c <= 'z':
		return symbolLower[c-'a']
	case c == 0xb7:
		return '•'
	case c >= ' ' && c < 0x7f:
		return rune(c)
	}
	return 0
}

// glyphNames are names of glyphs and their characters. Letters with accents are
// put together from their names, so they are not among them.
var glyphNames = func() map[string]string {
	names := map[string]string{}
	pairs := strings.Fields(`space 0020 exclam ! quotedbl " numbersign # dollar $ percent % ampersand & quotesingle ' parenleft (
		parenright ) asterisk * plus + comma , hyphen - minus − period . slash / zero 0 one 1 two 2 three 3 four 4 five 5 six 6 seven 7
		eight 8 nine 9 colon : semicolon ; less < equal = greater > question ? at @ bracketleft [ backslash \ bracketright ]
		asciicircum ^ underscore _ grave ` + "` quoteleft ‘ quoteright ’" + ` braceleft { bar | braceright } asciitilde ~ exclamdown ¡ cent ¢
		sterling £ fraction ⁄ yen ¥ florin ƒ section § currency ¤ quotedblleft “ guillemotleft « guillemotright » guilsinglleft ‹
		guilsinglright › endash – emdash — dagger † daggerdbl ‡ periodcentered · paragraph ¶ bullet • quotesinglbase ‚ quotedblbase „
		quotedblright ” ellipsis … perthousand ‰ questiondown ¿ acute ´ circumflex ˆ tilde ˜ macron ¯ breve ˘ dotaccent ˙ dieresis ¨
		ring ˚ cedilla ¸ hungarumlaut ˝ ogonek ˛ caron ˇ AE Æ ae æ OE Œ oe œ Lslash Ł lslash ł Oslash Ø oslash ø germandbls ß
		dotlessi ı dotlessj ȷ Eth Ð eth ð Thorn Þ thorn þ Dcroat Đ dcroat đ ordfeminine ª ordmasculine º copyright © registered ® trademark ™
		degree ° plusminus ± multiply × divide ÷ onesuperior ¹ twosuperior ² threesuperior ³ onehalf ½ onequarter ¼ threequarters ¾ mu µ
		logicalnot ¬ brokenbar ¦ Euro € fi fi fl fl ff ff ffi ffi ffl ffl f_f ff f_i fi f_l fl f_f_i ffi f_f_l ffl
		alpha α beta β gamma γ delta δ epsilon ε epsilon1 ϵ zeta ζ eta η theta θ theta1 ϑ iota ι kappa κ lambda λ nu ν xi ξ omicron ο
		pi π pi1 ϖ rho ρ rho1 ϱ sigma σ sigma1 ς tau τ upsilon υ phi φ phi1 ϕ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ
		Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω infinity ∞ partialdiff ∂ summation ∑ product ∏ integral ∫ radical √ lessequal ≤
		greaterequal ≥ notequal ≠ approxequal ≈ equivalence ≡ element ∈ arrowright → arrowleft ← arrowup ↑ arrowdown ↓ arrowdblright ⇒
		nbspace 00A0 nonbreakingspace 00A0 sfthyphen 00AD softhyphen 00AD visiblespace 0020 Idotaccent İ checkmark ✓ square ■ H22073 □ lozenge ◊`)
	for i := 0; i+1 < len(pairs); i += 2 {
		character := pairs[i+1]
		if len(character) == 4 {
			if n, err := strconv.ParseUint(character, 16, 32); err == nil {
				character = string(rune(n))
			}
		}
		names[pairs[i]] = character
	}
	return names
}()

var accents = map[string]rune{
	"grave": '\u0300', "acute": '\u0301', "circumflex": '\u0302', "tilde": '\u0303', "macron": '\u0304', "breve": '\u0306',
	"dotaccent": '\u0307', "dieresis": '\u0308', "ring": '\u030a', "hungarumlaut": '\u030b', "caron": '\u030c',
	"commaaccent": '\u0327', "cedilla": '\u0327', "ogonek": '\u0328',
}

// glyphText is what a glyph of a name shows, "" where its name does not say.
func glyphText(name string) string {
	if s, ok := glyphNames[name]; ok {
		return s
	}
	if len(name) == 1 {
		return name
	}
	if base, _, ok := strings.Cut(name, "."); ok && base != "" {
		return glyphText(base) // a variant, such as a.sc
	}
	if hex, ok := strings.CutPrefix(name, "uni"); ok && len(hex) >= 4 && len(hex)%4 == 0 {
		if raw := hexBytes(hex); raw != "" {
			return utf16String(raw)
		}
	}
	if hex, ok := strings.CutPrefix(name, "u"); ok && len(hex) >= 4 && len(hex) <= 6 {
		if n, err := strconv.ParseUint(hex, 16, 32); err == nil && n < 0x110000 {
			return string(rune(n))
		}
	}
	if len(name) > 2 {
		if mark, ok := accents[name[1:]]; ok {
			return norm.NFC.String(name[:1] + string(mark))
		}
	}
	if strings.Contains(name, "_") { // a ligature
		whole := ""
		for part := range strings.SplitSeq(name, "_") {
			if part == "" || len(whole) > 64 {
				return ""
			}
			whole += glyphText(part)
		}
		return whole
	}
	return ""
}

func hexBytes(hex string) string {
	var raw []byte
	for i := 0; i+1 < len(hex); i += 2 {
		high, low := hexDigit(hex[i]), hexDigit(hex[i+1])
		if high > 15 || low > 15 {
			return ""
		}
		raw = append(raw, high<<4|low)
	}
	return string(raw)
}

// Widths of the characters from space to ~ in fonts that every viewer has, in
// thousandths of the size. Files may leave these out.
var (
	helvetica = parseWidths(`278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584
		584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556
		333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584`)
	times = parseWidths(`250 333 408 500 500 833 778 180 333 333 500 564 250 333 250 278 500 500 500 500 500 500 500 500 500 500 278 278 564 564
		564 444 921 722 667 667 722 611 556 722 722 333 389 722 611 889 722 722 556 722 667 556 611 722 722 944 722 722 611 333 278 333 469 500
		333 444 500 444 500 444 333 500 500 278 278 500 278 778 500 500 500 500 333 389 278 500 500 722 500 500 444 480 200 480 541`)
)

func parseWidths(list string) [95]float64 {
	var widths [95]float64
	for i, w := range strings.Fields(list) {
		n, err := strconv.Atoi(w)
		if err == nil && i < len(widths) {
			widths[i] = float64(n)
		}
	}
	return widths
}

// knownWidth is the width of a character in a font that is not in the file.
func knownWidth(base string, r rune) float64 {
	table := &helvetica
	switch {
	case strings.Contains(base, "Courier") || strings.Contains(base, "Mono"):
		return 600
	case strings.Contains(base, "Times") || strings.Contains(base, "Serif") || strings.Contains(base, "Roman"):
		table = &times
	}
	if r >= ' ' && r <= '~' {
		return table[r-' ']
	}
	return table['n'-' ']
}
