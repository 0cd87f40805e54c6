package analysis

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// lower brings a word to the composed compatibility form and lower case, and
// takes out what counts for nothing inside it.
func lower(word string, turkish bool) string {
	if isASCII(word) && !turkish {
		return strings.ToLower(word)
	}
	word = strings.Map(func(r rune) rune {
		switch {
		case r == softHyphen || r == zeroWidthNonJoiner || r == zeroWidthJoiner:
			return -1
		case turkish && r == 'I':
			return 'ı'
		case turkish && r == 'İ':
			return 'i'
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(word))
	return norm.NFC.String(word)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold makes one of what is written in several ways: it takes accents from
// letters, vowel signs from Arabic and Hebrew, and brings digits to ASCII.
func fold(word string) string {
	if isASCII(word) {
		return word
	}
	var b strings.Builder
	for _, r := range norm.NFD.String(word) {
		if isSign(r) {
			continue
		}
		if s, ok := folded[r]; ok {
			b.WriteString(s)
			continue
		}
		b.WriteRune(digit(r))
	}
	return norm.NFC.String(b.String())
}

// isSign tells whether a character is an accent or a vowel sign without which
// a word is the same word. Marks of Indic scripts are none: there they are
// the vowels.
func isSign(r rune) bool {
	switch {
	case r >= 0x0300 && r <= 0x036F: // combining diacritical marks
		return true
	case r >= 0x0591 && r <= 0x05C7: // Hebrew points
		return unicode.Is(unicode.Mn, r)
	case r >= 0x064B && r <= 0x065F, r == 0x0670, r == 0x0640: // Arabic vowels and tatweel
		return true
	}
	return false
}

// folded are letters that Unicode does not take apart.
var folded = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i", 'ħ': "h", 'ŧ': "t", 'ŋ': "n",
	'ς': "σ",
	'ٱ': "ا", 'ى': "ي", 'ة': "ه", 'ی': "ي", 'ک': "ك", 'ہ': "ه", 'ھ': "ه", 'ە': "ه",
}

// digit brings decimal digits of any script to ASCII. They come in Unicode in
// runs of ten, in order.
func digit(r rune) rune {
	if r < 0x0660 || !unicode.Is(unicode.Nd, r) {
		return r
	}
	for _, t := range unicode.Nd.R16 {
		if lo, hi := rune(t.Lo), rune(t.Hi); r >= lo && r <= hi {
			return '0' + (r-lo)%10
		}
	}
	return r
}

// foldGram folds characters of a script without spaces: width and form, but no
// marks, of which the voicing of kana is one.
func foldGram(s string) string { return norm.NFKC.String(s) }

// truncate cuts a term to MaxTerm bytes, between two characters.
func truncate(term string) string {
	if len(term) <= MaxTerm {
		return term
	}
	end := MaxTerm
	for end > 0 && !utf8.RuneStart(term[end]) {
		end--
	}
	return term[:end]
}
