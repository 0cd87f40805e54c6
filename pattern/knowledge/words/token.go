// Package words cuts texts into what the answers of package knowledge are made
// of and checked by: words with their places, and stretches that are quoted as
// one.
//
// It stands below extract and cite, which must take the same words for the
// same. Of makes a Language; its Tokens have the terms that the index knows, by
// store/index/analysis. Units cuts Markdown and plain text.
package words

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Token is a word of a text.
type Token struct {
	Term       string // as the index has it; "" for a stop word
	Word       string // folded: lower case, no accents
	Start, End int    // bytes of the text, half open
	Upper      bool   // begins with a capital
	Digit      bool   // has a digit
}

// Tokens cuts a text into words. Runs of East Asian characters, which are
// written without spaces, give their pairs.
func (l *Language) Tokens(text string) []Token {
	var out []Token
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRuneInString(text[at:])
		switch {
		case wide(r):
			at = l.pairs(text, at, &out)
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			end := wordEnd(text, at)
			out = append(out, l.token(text, at, end))
			at = end
		default:
			at += n
		}
	}
	return out
}

// wide tells whether words of a script are not set apart by spaces.
func wide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// wordEnd is where the word that begins at a place ends: letters, digits and
// marks, and between digits also the separators of numbers.
func wordEnd(text string, at int) int {
	digit := false
	for at < len(text) {
		r, n := utf8.DecodeRuneInString(text[at:])
		switch {
		case wide(r):
			return at
		case unicode.IsLetter(r) || unicode.IsMark(r):
			digit = false
		case unicode.IsDigit(r):
			digit = true
		case digit && (r == '.' || r == ',') && at+1 < len(text) && text[at+1] >= '0' && text[at+1] <= '9':
		default:
			return at
		}
		at += n
	}
	return at
}

func (l *Language) token(text string, start, end int) Token {
	raw := text[start:end]
	first, _ := utf8.DecodeRuneInString(raw)
	t := Token{Word: Fold(raw), Start: start, End: end, Upper: unicode.IsUpper(first), Digit: strings.ContainsFunc(raw, unicode.IsDigit)}
	t.Term = l.term(t.Word)
	return t
}

// smallHan are characters of Chinese that say little and ask much.
const smallHan = "的了是在什么麼哪谁誰吗嗎呢吧着被把"

func (l *Language) pairs(text string, at int, out *[]Token) int {
	previous := -1
	for at < len(text) {
		r, n := utf8.DecodeRuneInString(text[at:])
		if !wide(r) {
			break
		}
		if previous >= 0 {
			t := Token{Word: text[previous : at+n], Start: previous, End: at + n}
			if !strings.ContainsAny(t.Word, smallHan) {
				t.Term = t.Word
			}
			*out = append(*out, t)
		}
		previous = at
		at += n
	}
	return at
}

// Fold lowers a word's letters and takes its accents away, so that words
// compare as readers take them.
func Fold(word string) string {
	ascii := true
	for i := range len(word) {
		if c := word[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			ascii = false
			break
		}
	}
	if ascii {
		return word
	}
	var b strings.Builder
	b.Grow(len(word))
	for _, r := range word {
		r = unicode.ToLower(r)
		if base := strings.IndexRune("àáâãäåçèéêëìíîïñòóôõöùúûüýÿ", r); base >= 0 && r >= utf8.RuneSelf {
			b.WriteByte("aaaaaaceeeeiiiinooooouuuuyy"[base/2])
			continue
		}
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		if r == 'ß' {
			b.WriteString("ss")
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Alike tells how far two terms that differ mean the same, 0 to 1: they have the same beginning, or one is the end of
// a compound with the other.
func Alike(a, b string) float64 {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 4 || a[0] >= '0' && a[0] <= '9' {
		return 0
	}
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	switch {
	case n == len(a) && n >= 5, n >= 5 && n >= len(a)-2 && len(b)-n <= 4:
		return 0.7
	case n == len(a) && len(b)-n <= 3:
		return 0.7
	case len(a) >= 6 && strings.HasSuffix(b, a):
		return 0.6
	}
	return 0
}
