package assess

import (
	"strings"
	"unicode"
)

// articles are left out of comparisons, as the measure of SQuAD does.
var articles = map[string]bool{"a": true, "an": true, "the": true}

// words are those of an answer as they are compared: in lower case, without
// punctuation, markers of citations and English articles. Characters of
// scripts that are written without spaces are words by themselves.
func words(text string) []string {
	var all []string
	var word strings.Builder
	end := func() {
		if w := word.String(); w != "" && !articles[w] {
			all = append(all, w)
		}
		word.Reset()
	}
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			end()
			all = append(all, string(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			word.WriteRune(unicode.ToLower(r))
		default:
			end()
		}
	}
	end()
	return all
}

// overlap is the F1 of the words that an answer shares with one of people
// (Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of
// Text", 2016, section 6.1): 1 for the same words, 0 for none.
func overlap(answer, gold string) float64 {
	got, want := words(answer), words(gold)
	if len(got) == 0 || len(want) == 0 {
		return 0
	}
	left := map[string]int{}
	for _, w := range want {
		left[w]++
	}
	common := 0
	for _, w := range got {
		if left[w] > 0 {
			left[w]--
			common++
		}
	}
	if common == 0 {
		return 0
	}
	precision, recall := float64(common)/float64(len(got)), float64(common)/float64(len(want))
	return 2 * precision * recall / (precision + recall)
}

// holds tells whether the words of gold stand in answer one behind the other.
func holds(answer, gold string) bool {
	got, want := words(answer), words(gold)
	if len(want) == 0 {
		return false
	}
	const mark = "\x00"
	return strings.Contains(mark+strings.Join(got, mark)+mark, mark+strings.Join(want, mark)+mark)
}
