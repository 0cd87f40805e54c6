package extract

import "slices"

// Measured is a sentence with its features, for whoever fits the weights.
type Measured struct {
	Quote
	Features []float64
}

// Measure returns every sentence of some passages as Answer sees it, best
// first, and the features of its confidence. It is for bench/answers.
func Measure(question string, passages []Passage, language string) (sentences []Measured, evidence []float64) {
	m := measure(question, passages, language)
	ranked := m.ranked()
	for _, c := range ranked {
		sentences = append(sentences, Measured{
			Quote:    Quote{Passage: c.passage, Start: c.start, End: c.end, Score: c.score},
			Features: slices.Clone(c.features[:]),
		})
	}
	if len(ranked) == 0 {
		return nil, nil
	}
	e := m.evidence(ranked)
	return sentences, e[:]
}
