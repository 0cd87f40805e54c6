package extract

// sentenceWeights make the score of a sentence.
var sentenceWeights = features{
	covered: 4, coveredNear: 1, coveredText: 2, sideBySide: 1, named: 0.5, rarest: 0.5, hasKind: 0.5, lacksKind: -0.5,
	nearKind: 1, density: 1, retrieved: 1, isHeading: -2, isQuestion: -2, tooShort: -1,
}

// confidence tells how likely the best candidate answers.
func (m *measured) confidence(ranked []*candidate) float64 {
	if len(ranked) == 0 {
		return 0
	}
	return min(1, ranked[0].features[coveredNear])
}
