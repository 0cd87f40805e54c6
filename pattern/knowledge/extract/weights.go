package extract

import "math"

// sentenceWeights make the score of a sentence: log odds against the other
// sentences of the same passages.
var sentenceWeights = features{
	covered: 3.17, coveredNear: 2.78, coveredText: 1.24, sideBySide: 0.91, named: 0.29, hasKind: 0.77, lacksKind: -0.77,
	nearKind: 0.8, density: 2.06, retrieved: 5.17, tooShort: -0.18, lengthy: 0.19, headNear: 0.9, first: 0.22, leans: 0.16,
	// Wikipedia's paragraphs have no headings and no questions.
	isHeading: -3, isQuestion: -3,
}

// Enough is the confidence below which an assistant abstains that names no
// threshold of its own: about one in fifty of the questions that the weights
// were fitted on has less.
const Enough = 0.1

// EnoughToAsk is the same for an assistant with a language model: that
// understands passages which share few words with the question, such as those
// that an embedding found, and can say itself that they do not answer it.
const EnoughToAsk = 0.02

// Confidence is that of Answer alone.
func Confidence(question string, passages []Passage, language string) float64 {
	m := measure(question, passages, language)
	return m.confidence(m.ranked())
}

// confidence tells how likely the passages hold the answer.
func (m *measured) confidence(ranked []*candidate) float64 {
	if len(ranked) == 0 {
		return 0
	}
	x := evidenceBias
	for i, f := range m.evidence(ranked) {
		x += evidenceWeights[i] * f
	}
	return 1 / (1 + math.Exp(-x))
}

// What the confidence is made of.
const (
	bestCovered = iota // share of the question's weight in the best sentence
	bestNear           // the same, with what stands around it
	bestPassage        // the same, in the best passage
	anywhere           // share of the question's weight that stands anywhere
	bestNames          // share of the question's names near the best sentence
	kindFound          // the best sentence has what is asked for
	margin             // how far the best sentence is ahead of the next passage's
	bestPairs          // pairs of the question that stand side by side in it
	evidenceCount
)

var evidenceWeights = [evidenceCount]float64{
	bestCovered: 0.3, bestNear: 1.44, bestPassage: 2.47, anywhere: 0.39, bestNames: 0.86, kindFound: 0.05, margin: 2.42, bestPairs: 2.53,
}

const evidenceBias = -4.43

func (m *measured) evidence(ranked []*candidate) (f [evidenceCount]float64) {
	best := ranked[0]
	f[bestCovered], f[bestNear], f[bestPassage] = best.features[covered], best.features[coveredNear], m.best
	f[anywhere], f[bestNames], f[kindFound], f[bestPairs] = m.known, best.features[named], 1-best.features[lacksKind], best.features[sideBySide]
	f[margin] = 1
	for _, c := range ranked[1:] {
		if c.passage != best.passage {
			f[margin] = math.Min(1, (best.score-c.score)/5)
			break
		}
	}
	return f
}
