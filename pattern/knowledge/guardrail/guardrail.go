// Package guardrail keeps an answer from carrying anything out that a passage
// talked a language model into: links, images, markup, commands to terminals,
// calls written as text.
//
// It stands in pattern/knowledge between what was checked and what is emitted.
// A Filter is made for one answer with the addresses that may be linked, those
// of the cited sources, and Clean is called with each piece of the answer in
// order. What Clean returns has, whatever it was given:
//
//   - no address but the allowed ones, each exactly as it was allowed: of any
//     other the host alone is left, with its dots in brackets, as text, and of
//     mail that a cited passage names, the whole address in words;
//   - no image, no reference or definition of Markdown, no tag of HTML, no
//     autolink, no entity that would become one of these when it is shown;
//   - no character that is not seen: zero width, direction, tags, controls.
//
// It removes by form, not by list: letters that look alike, full-width forms,
// entities, backslashes and schemes that nobody knows are the same to it. Leaks
// is a second look, written apart, that finds what a renderer could follow;
// whatever it finds is not let out.
package guardrail

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Filter cleans the pieces of one answer. It is for one goroutine.
type Filter struct {
	allowed map[string]bool
	known   []string // texts whose e-mail addresses may be repeated
	tail    string   // the last word that was let out
}

// New returns a filter that lets links to some addresses through: absolute
// ones of http and https. E-mail addresses may stand in the answer where they
// stand in one of the known texts, the cited passages.
func New(allowed, known []string) *Filter {
	f := &Filter{allowed: map[string]bool{}, known: known}
	for _, a := range allowed {
		f.Allow(a)
	}
	return f
}

// Allow adds an address.
func (f *Filter) Allow(address string) {
	u, err := url.Parse(address)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		strings.IndexFunc(address, func(r rune) bool {
			return r <= ' ' || r >= utf8.RuneSelf || strings.ContainsRune("<>\"'`\\()[]{}|^", r)
		}) < 0 {
		f.allowed[address] = true
	}
}

// Know adds a text whose e-mail addresses may be repeated.
func (f *Filter) Know(text string) { f.known = append(f.known, text) }

// Clean returns a piece as it may be let out after those before it.
func (f *Filter) Clean(piece string) string {
	text := restored(breakMarkup(f.links(visible(decoded(piece)))))
	if len(f.leaks(text)) > 0 {
		text = Gone
	}
	if f.joins(text) {
		text = " " + text
	}
	f.tail = lastWord(f.tail + text)
	return text
}

// Gone is what stands in place of what was taken out.
const Gone = "…"

// maxTail is how much of the last word is kept to see what joins it.
const maxTail = 4 << 10

func lastWord(text string) string {
	text = text[strings.LastIndexAny(text, " \n\t")+1:]
	if len(text) > maxTail {
		text = strings.ToValidUTF8(text[len(text)-maxTail:], "")
	}
	return text
}

// joins tells whether the beginning of a piece would make an address or markup
// of the end of the piece before.
func (f *Filter) joins(text string) bool {
	if f.tail == "" || text == "" || text[0] <= ' ' {
		return false
	}
	first := text
	if end := strings.IndexAny(text, " \n\t"); end >= 0 {
		first = text[:end]
	}
	if f.allowed[f.tail] || f.allowed[strings.TrimLeft(f.tail, "(")] || len(f.leaks(f.tail+first)) > 0 || decoded(f.tail+first) != f.tail+first {
		return true
	}
	for _, m := range spans(f.tail + first) {
		if m[0] < len(f.tail) && len(f.tail) < m[1] {
			return true
		}
	}
	return strings.HasSuffix(f.tail, "\\")
}

// maxRounds bounds how often entities are read in entities, and links in links.
const maxRounds = 8

// decoded reads the entities of HTML, those within others too, so that what is
// looked at is what would be shown.
func decoded(text string) string {
	for range maxRounds {
		if !strings.Contains(text, "&") {
			return text
		}
		next := html.UnescapeString(text)
		if next == text {
			return text
		}
		text = next
	}
	return strings.ReplaceAll(text, "&", "+")
}

// visible leaves out what is not seen, and makes one kind of every space.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError, unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Variation_Selector), unseen(r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, text)
}

// unseen are letters that have no shape.
func unseen(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0x2800, 0x180B, 0x180C, 0x180D, 0x180F:
		return true
	}
	return false
}

// breakMarkup puts a space into every opening of markup that is left.
func breakMarkup(text string) string {
	text = definition.ReplaceAllString(text, "$1] :")
	text = strings.NewReplacer("](", "] (", "!\\[", "! \\[", "![", "! [").Replace(text)
	var b strings.Builder
	for at, r := range text {
		b.WriteRune(r)
		if (r == '<' || r == '＜' || r == '﹤' || r == '‹') && at+utf8.RuneLen(r) < len(text) {
			next, _ := utf8.DecodeRuneInString(text[at+utf8.RuneLen(r):])
			if unicode.IsLetter(next) || strings.ContainsRune("/!?|%＜<", next) {
				b.WriteByte(' ')
			}
		}
	}
	return b.String()
}

// definition is a reference's definition of Markdown, with any backslash.
var definition = regexp.MustCompile(`(\[[^\]\n]*)\]\\?:`)
