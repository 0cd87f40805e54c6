package extract

import (
	"math"

	"github.com/leat-ai/leat/pattern/knowledge/words"
)

// asked is a question as it is compared with sentences.
type asked struct {
	terms  []wanted
	byTerm map[string]int
	pairs  [][2]int // terms that stand side by side
	kind   kind
	head   int // of terms: what a number is asked of, or what "which X" names; -1
}

// wanted is a word of the question.
type wanted struct {
	term   string
	name   bool // it is written as a name is
	weight float64
}

func ask(text string, l *words.Language) *asked {
	if len(text) > MaxQuestion {
		text = text[:MaxQuestion]
	}
	tokens := l.Tokens(text)
	q := &asked{byTerm: map[string]int{}, head: -1}
	after := q.classify(tokens, l)
	previous := -1
	for i, t := range tokens {
		if t.Term == "" {
			continue
		}
		at, known := q.byTerm[t.Term]
		if !known {
			if len(q.terms) == maxTerms {
				break
			}
			at = len(q.terms)
			q.byTerm[t.Term] = at
			q.terms = append(q.terms, wanted{term: t.Term})
		}
		if t.Upper && i > 0 || t.Digit {
			q.terms[at].name = true
		}
		if q.head < 0 && i >= after {
			q.head = at
		}
		if previous >= 0 && previous != at {
			q.pairs = append(q.pairs, [2]int{previous, at})
		}
		previous = at
	}
	return q
}

// classify finds the first phrase that says what is asked for, the longest
// where several begin at one word, and returns the token after it.
func (q *asked) classify(tokens []words.Token, l *words.Language) int {
	for at := range tokens {
		best := phrase{}
		for _, p := range asks[l.Name] {
			if len(p.words) > len(best.words) && begins(tokens[at:], p.words) {
				best = p
			}
		}
		if len(best.words) > 0 {
			q.kind = best.kind
			return at + len(best.words)
		}
	}
	return 0
}

func begins(tokens []words.Token, words []string) bool {
	if len(tokens) < len(words) {
		return false
	}
	for i, w := range words {
		if tokens[i].Word != w {
			return false
		}
	}
	return true
}

// weigh gives the words their weights, by in how many of n sentences each
// stands.
func (q *asked) weigh(in []int, n int) {
	for i := range q.terms {
		q.terms[i].weight = math.Log(1 + (float64(n)-float64(in[i])+0.5)/(float64(in[i])+0.5))
	}
}

func (q *asked) total() (sum float64) {
	for _, t := range q.terms {
		sum += t.weight
	}
	return sum
}

// match tells which word of the question a word of a text is, and how surely:
// 1 for the same stem, less for a longer or shorter form of it.
func (q *asked) match(term string) (at int, how float64) {
	if at, ok := q.byTerm[term]; ok {
		return at, 1
	}
	if len(term) < 5 {
		return -1, 0
	}
	best := 0.0
	for i := range q.terms {
		if h := words.Alike(q.terms[i].term, term); h > best {
			at, best = i, h
		}
	}
	if best == 0 {
		return -1, 0
	}
	return at, best
}
