// Package analysis cuts text into the terms that an index knows: words,
// brought to one form by the rules of a language.
//
// It stands below the backends of store/index, which analyze passages and
// queries alike, and serves whoever must tell which words two texts share. An
// Analyzer is made by New for a language and gives Tokens, each with the range
// of bytes that it came from, so that what matched can be shown in the text as
// it stands.
//
// A word is a run of letters, digits and marks of any script; inside it an
// apostrophe holds it together. It is then, in this order,
//
//   - brought to Unicode's composed compatibility form and lower case,
//   - relieved of what its language hangs on by apostrophe (English 's, French
//     and Italian l', d', qu'),
//   - left out where it is a stop word,
//   - stemmed by the Snowball stemmer of the language,
//   - folded: accents of Latin, Greek and Cyrillic letters, vowel signs of
//     Arabic and Hebrew, forms of the same Arabic letter, digits of any script.
//
// Scripts that are written without spaces (Han, kana, Thai, Lao, Khmer,
// Burmese) and Hangul become pairs of neighbouring characters, whatever the
// language; a character that stands alone is a term of its own.
//
// What a language's analyzer does never changes under the same Revision: terms
// are stored, and a query must find them.
package analysis

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Revision changes whenever an analyzer may give other terms than before. An
// index keeps it with its terms.
const Revision = 1

// MaxTerm is how many bytes of a word count; the rest of a longer one is cut.
const MaxTerm = 128

// Token is a word of a text.
type Token struct {
	Term       string // as the index knows it
	Start, End int    // the bytes of the text that it came from, half open
	Position   int    // place among the words of the text, stop words counted
}

// Analyzer cuts texts by the rules of one language. It is for one goroutine at
// a time: it keeps the terms of the words that it saw, a bounded number.
type Analyzer struct {
	rules rules
	terms map[string]string // by word as written; "" for one that is left out
}

// keptTerms and keptWord bound what an Analyzer keeps.
const (
	keptTerms = 1 << 16
	keptWord  = 32
)

// New returns an analyzer for a language tag such as "en" or "de-AT", of which
// the first part counts. A language without rules of its own, and "", is cut
// and folded without stop words and stems.
func New(language string) *Analyzer {
	return &Analyzer{rules: languages[Key(language)], terms: make(map[string]string)}
}

// Base is the part of a language tag that analyzers go by: "pt" of "pt-BR".
func Base(language string) string {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(language, "_", "-")), "-")
	return base
}

// Key names the analyzer of a language tag: two tags of one key are analyzed
// alike. It is "" for every language without rules of its own.
func Key(language string) string {
	base := Base(language)
	if _, ok := languages[base]; ok {
		return base
	}
	return ""
}

// Languages lists the languages that have rules of their own.
func Languages() []string {
	var tags []string
	for tag := range languages {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags
}

// Tokens appends the words of a text, in order, to into. Two tokens of a
// script without spaces overlap.
func (a *Analyzer) Tokens(text string, into []Token) []Token {
	position := 0
	for at := 0; at < len(text); {
		c, width := classAt(text, at)
		switch c {
		case word:
			end := wordEnd(text, at)
			if term, start := a.term(text[at:end]); term != "" {
				into = append(into, Token{Term: term, Start: at + start, End: end, Position: position})
			}
			position++
			at = end
		case gram:
			from := at
			for c == gram {
				at += width
				c, width = classAt(text, at)
			}
			into, position = grams(text, from, at, position, into)
		default:
			at += width
		}
	}
	return into
}

// class says what a character is to the cutting of words.
type class uint8

const (
	other  class = iota
	word         // letters, digits and marks
	gram         // of a script without spaces
	inside       // belongs to the word that it stands in, and counts for nothing
)

// classAt classifies the character at a place, and says how many bytes it has;
// at the end of the text it is other, of one byte.
func classAt(text string, at int) (class, int) {
	if at >= len(text) {
		return other, 1
	}
	if c := text[at]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, width := utf8.DecodeRuneInString(text[at:])
	return classOf(r), width
}

// asciiClass is classOf for the first 128 characters.
var asciiClass = func() (table [utf8.RuneSelf]class) {
	for c := range table {
		if c := rune(c); unicode.IsLetter(c) || unicode.IsDigit(c) {
			table[c] = word
		}
	}
	return table
}()

func classOf(r rune) class {
	switch {
	case r == softHyphen || r == zeroWidthNonJoiner || r == zeroWidthJoiner:
		return inside
	case r < 0x0E00: // Latin to Sinhala: all with spaces
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar),
		r == 'ー' || r == 'ｰ' || isVoicing(r): // marks that two scripts share
		if unicode.In(r, unicode.L, unicode.M, unicode.Nl) {
			return gram
		}
	}
	if unicode.In(r, unicode.L, unicode.M, unicode.N) {
		return word
	}
	return other
}

const (
	softHyphen         = '\u00ad'
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
	curlyApostrophe    = '\u2019'
)

// wordEnd is where the word that begins at a place ends.
func wordEnd(text string, at int) int {
	end := at
	for {
		c, width := classAt(text, at)
		switch c {
		case word:
			at += width
			end = at
			continue
		case inside:
			at += width
			continue
		case gram:
			return end
		}
		mark := apostrophe(text, at)
		if mark == 0 {
			return end
		}
		if c, _ := classAt(text, at+mark); c != word || at != end {
			return end
		}
		at += mark
	}
}

// apostrophe is how many bytes an apostrophe at a place has; 0: there is none.
func apostrophe(text string, at int) int {
	switch {
	case at < len(text) && text[at] == '\'':
		return 1
	case strings.HasPrefix(text[min(at, len(text)):], string(curlyApostrophe)):
		return len(string(curlyApostrophe))
	}
	return 0
}

// term is the term of a word, "" where it is left out, and how many bytes of
// the word stand before what the term is of.
func (a *Analyzer) term(text string) (term string, start int) {
	if a.rules.elisions != nil {
		start = a.elision(text)
		text = text[start:]
	}
	if term, ok := a.terms[text]; ok {
		return term, start
	}
	term = a.rules.term(text)
	if len(text) <= keptWord {
		if len(a.terms) >= keptTerms {
			clear(a.terms)
		}
		a.terms[strings.Clone(text)] = term
	}
	return term, start
}

// elision is how many bytes of a word are an article or so that hangs on by an
// apostrophe.
func (a *Analyzer) elision(text string) int {
	for at := range min(len(text), len("quelqu")+1) {
		if n := apostrophe(text, at); n > 0 {
			if a.rules.elisions[strings.ToLower(text[:at])] {
				return at + n
			}
			return 0
		}
	}
	return 0
}

// grams appends the pairs of a run of characters.
func grams(text string, from, to, position int, into []Token) ([]Token, int) {
	first := gramWidth(text[from:to])
	if from+first == to {
		return append(into, Token{Term: foldGram(text[from:to]), Start: from, End: to, Position: position}), position + 1
	}
	for at := from; at+first < to; {
		second := gramWidth(text[at+first : to])
		end := at + first + second
		into = append(into, Token{Term: foldGram(text[at:end]), Start: at, End: end, Position: position})
		position++
		at, first = at+first, second
	}
	return into, position
}

// gramWidth is how many bytes the first character of a run has, the marks that
// voice it included.
func gramWidth(run string) int {
	_, width := utf8.DecodeRuneInString(run)
	for width < len(run) {
		r, more := utf8.DecodeRuneInString(run[width:])
		if !isVoicing(r) {
			break
		}
		width += more
	}
	return width
}

// isVoicing tells whether a character is a mark that voices the kana before
// it, in its combining and its half-width form.
func isVoicing(r rune) bool {
	return r == '\u3099' || r == '\u309a' || r == '\uff9e' || r == '\uff9f'
}
