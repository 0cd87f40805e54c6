// Package cite checks by machine, and without any model, whether the sentences
// of an answer say what the passages say that they cite.
//
// It stands in pattern/knowledge between what a language model wrote and what
// is let out. New takes the passages as they were numbered for the model; Check
// takes one sentence at a time and returns it as it may be said: quotes that
// stand in no passage byte for byte are gone, marks of passages that are not
// there too, and it is known whether the rest is supported, and by which
// stretches of bytes.
//
// Supported means: there is a window of at most three sentences in a cited
// passage (in any passage, where the sentence cites none) that has most of the
// sentence's content words, all of its numbers and, with the title and the
// headings, all of its names; that denies where the sentence denies, and only
// there; and that has no opposite of one of its words in that word's place. It
// is a test of words, not of meaning: what it calls supported can be wrong, and
// a free paraphrase can be called unsupported. bench/answers tells how often,
// on claims that people judged.
package cite

import (
	"slices"
	"strings"

	"github.com/leat-ai/leat/pattern/knowledge/words"
)

// Shown is a passage that an answer may cite.
type Shown struct {
	Text    string
	Title   string
	Heading string
	Context string // what the text stands under, such as a table's header
}

// Span is a stretch of a passage: Shown[Passage].Text[Start:End].
type Span struct {
	Passage    int
	Start, End int
}

// Checked is a sentence after its check.
type Checked struct {
	Text      string // as it may be said
	Supported bool
	// Spans are what supports it and what it quotes. They are of cited
	// passages, and where the sentence cites none, of the best one.
	Spans []Span
	// Removed counts the quotes that stand in no passage.
	Removed int
}

// Checker checks the sentences of one answer. It is for one goroutine.
type Checker struct {
	language *words.Language
	question string
	shown    []shown
}

// shown is a passage with its sentences.
type shown struct {
	Shown
	units []piece
	about map[string]bool // terms of title, headings and context
}

type piece struct {
	words.Unit
	facts facts
}

// New returns a checker of answers to a question from some passages. The
// language is told by the question where it is empty. A question's own words
// may stand in quotation marks.
func New(language, question string, passages []Shown) *Checker {
	c := &Checker{language: words.Of(language, question), question: question}
	for _, p := range passages {
		s := shown{Shown: p, about: map[string]bool{}}
		for _, t := range c.language.Tokens(p.Title + " " + p.Heading + " " + p.Context) {
			s.about[t.Word] = true
			if t.Term != "" {
				s.about[t.Term] = true
			}
		}
		for _, u := range words.Units(p.Text) {
			one := piece{u, c.factsOf(p.Text[u.Start:u.End])}
			if u.Header > 0 { // a row says what it says under the header of its table
				one.facts = merged([]piece{s.units[len(s.units)-u.Header], one})
			}
			s.units = append(s.units, one)
		}
		c.shown = append(c.shown, s)
	}
	return c
}

// Check checks one sentence.
func (c *Checker) Check(sentence string) Checked {
	text, cited := marks(sentence, len(c.shown))
	out := Checked{Text: text}
	text, quoted, removed := c.quotes(text, cited)
	out.Text, out.Removed = text, removed
	out.Spans = quoted
	span, ok := c.support(Plain(text), cited)
	if ok {
		out.Supported = removed == 0
		if !slices.ContainsFunc(quoted, func(q Span) bool { return q.covers(span) || span.covers(q) }) {
			out.Spans = append(out.Spans, span)
		}
		return out
	}
	// What is all quotation needs no other support.
	if len(quoted) > 0 && removed == 0 && !c.claims(unquoted(text)) {
		out.Supported = true
	}
	return out
}

func (s Span) covers(t Span) bool {
	return s.Passage == t.Passage && s.Start <= t.Start && t.End <= s.End
}

// Claims tells whether a text says anything that could be checked: it has a
// number, a name, or two words of content.
func (c *Checker) Claims(text string) bool { return c.claims(Plain(text)) }

func (c *Checker) claims(text string) bool {
	f := c.factsOf(text)
	return len(f.numbers) > 0 || len(f.names) > 0 || len(f.content) > 1
}

// support looks for a window that says what a text says, in the cited
// passages or in all. A window that has about as many of the words and says
// the contrary outweighs it.
func (c *Checker) support(text string, cited []int) (Span, bool) {
	claim := c.factsOf(text)
	if len(claim.content) == 0 && len(claim.numbers) == 0 {
		return Span{}, false
	}
	best, against, found := 0.0, 0.0, Span{}
	for i := range c.shown {
		if len(cited) > 0 && !slices.Contains(cited, i) {
			continue
		}
		s := &c.shown[i]
		for size := 1; size <= maxWindow; size++ {
			for first := 0; first+size <= len(s.units); first++ {
				window := s.units[first : first+size]
				all := merged(window)
				score := claim.within(all, s.about) - 0.05*float64(size-1)
				if score < enough-nearly {
					continue
				}
				if claim.against(all) {
					against = max(against, score)
				} else if score >= enough && score > best {
					best, found = score, Span{i, window[0].Start, window[size-1].End}
				}
			}
		}
	}
	return found, best > 0 && against < best
}

// nearly is by how much fewer words a window that says the contrary may have.
const nearly = 0.1

// maxWindow is how many sentences together may support one.
const maxWindow = 3

// Plain is a text without marks of citations and without Markdown's marks of
// emphasis, as it is compared.
func Plain(text string) string {
	text, _ = marks(text, 0)
	return strings.NewReplacer("**", "", "__", "", "`", "", "*", "").Replace(text)
}

// Cited are the passages that a text cites, from 0.
func Cited(text string) []int {
	_, cited := marks(text, maxMark)
	return cited
}

// Nearest returns the stretch of one passage that a text is nearest to; false
// where it has none of its words.
func (c *Checker) Nearest(text string, passage int) (Span, bool) {
	claim := c.factsOf(Plain(text))
	best, found := 0, Span{}
	for _, u := range c.shown[passage].units {
		n := 0
		for term := range claim.content {
			if u.facts.terms[term] {
				n++
			}
		}
		if n > best {
			best, found = n, Span{passage, u.Start, u.End}
		}
	}
	return found, best > 0
}
