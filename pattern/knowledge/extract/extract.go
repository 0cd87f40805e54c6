// Package extract answers questions without a language model: it finds the
// sentences of some passages that say the answer, and quotes them.
//
// It stands in pattern/knowledge behind retrieval. Answer is all of it. Each
// sentence of each passage is measured by a few features: which of the
// question's words stand in it and near it, weighted by how rare they are among
// the passages; which of them stand side by side; whether it has what the
// question asks for (a number, a date, a name), and how near to those words;
// how well its passage was found. A linear model makes one score of them. Its
// weights were fitted on questions with known answers (bench/answers, which
// says on which); the confidence of an answer is a second such model, fitted on
// the same questions with the passage of the answer taken away.
//
// Promises: the same question and passages give the same quotes; a quote is a
// range of a passage's text; memory and time are linear in the text.
package extract

import (
	"cmp"
	"slices"
)

// Passage is a text to quote from.
type Passage struct {
	Text    string
	Title   string
	Heading string
	// Context is what the text stands under, such as a table's header.
	Context string
	// Score is how well retrieval found it; only the ratio to the others counts.
	Score float64
	// Source tells which passages are of the same document.
	Source string
}

// Quote is a stretch of a passage: Passages[Passage].Text[Start:End].
type Quote struct {
	Passage    int
	Start, End int
	Score      float64 // log odds against the other sentences; falls from quote to quote
}

// Options say how to answer. A zero field has its default.
type Options struct {
	Language string // of the question, such as "de"; found out when empty
	Quotes   int    // how many at most; 3
	// Margin is how far behind the first a further quote may be; 3.
	Margin float64
}

// Result is what Answer found.
type Result struct {
	Quotes []Quote // best first; empty when no passage has any text
	// Confidence is the probability, between 0 and 1, that the passages hold
	// the answer.
	Confidence float64
}

// Bounds of what Answer looks at; what is beyond is not read.
const (
	MaxQuestion = 8 << 10 // bytes
	MaxUnits    = 4_000   // sentences
	maxTerms    = 64      // different words of a question
)

// Answer quotes the sentences that answer a question best.
func Answer(question string, passages []Passage, o Options) Result {
	if o.Quotes <= 0 {
		o.Quotes = 3
	}
	if o.Margin <= 0 {
		o.Margin = 3
	}
	all := measure(question, passages, o.Language)
	ranked := all.ranked()
	return Result{Quotes: choose(ranked, o), Confidence: all.confidence(ranked)}
}

// ranked returns the candidates, best first; ties stand in the order of the
// passages.
func (m *measured) ranked() []*candidate {
	ranked := make([]*candidate, 0, len(m.candidates))
	for i := range m.candidates {
		c := &m.candidates[i]
		c.score = dot(sentenceWeights, c.features)
		ranked = append(ranked, c)
	}
	slices.SortStableFunc(ranked, func(a, b *candidate) int { return cmp.Compare(b.score, a.score) })
	return ranked
}

// choose takes the best candidate, and further ones that are near to it and
// say something else.
func choose(ranked []*candidate, o Options) []Quote {
	var quotes []Quote
	var taken []*candidate
	for _, c := range ranked {
		if len(taken) == o.Quotes || len(taken) > 0 && c.score < taken[0].score-o.Margin {
			break
		}
		if slices.ContainsFunc(taken, c.repeats) {
			continue
		}
		taken = append(taken, c)
		quotes = append(quotes, Quote{Passage: c.passage, Start: c.start, End: c.end, Score: c.score})
	}
	return quotes
}

// repeats tells whether most words of c stand in another candidate already.
func (c *candidate) repeats(other *candidate) bool {
	if len(c.terms) == 0 {
		return true
	}
	shared := 0
	for t := range c.terms {
		if _, ok := other.terms[t]; ok {
			shared++
		}
	}
	return float64(shared) >= 0.8*float64(len(c.terms))
}
