package cite

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mark is a citation as models write them: [1], [1, 2], [1-3], 【1】, [^1].
var mark = regexp.MustCompile(`[\[【]\^?\s*(\d{1,3}(?:\s*[,;–-]\s*\^?\d{1,3})*)\s*[\]】]`)

// marks returns a text with its citations in one form, [1][2], without those
// of passages that are not among the first n, and the passages cited, from 0.
func marks(text string, n int) (string, []int) {
	var cited []int
	found := mark.FindAllStringSubmatchIndex(text, -1)
	if found == nil {
		return text, nil
	}
	var b strings.Builder
	last := 0
	for _, m := range found {
		before := text[last:m[0]]
		last = m[1]
		numbers := numbersOf(text[m[2]:m[3]], n)
		if len(numbers) == 0 {
			before = strings.TrimRight(before, " ")
		}
		b.WriteString(before)
		for _, number := range numbers {
			b.WriteString("[" + strconv.Itoa(number) + "]")
			if !slices.Contains(cited, number-1) {
				cited = append(cited, number-1)
			}
		}
	}
	b.WriteString(text[last:])
	return b.String(), cited
}

// numbersOf reads "1, 3-5", and leaves out what is not among 1 to n.
func numbersOf(list string, n int) (numbers []int) {
	list = strings.NewReplacer("^", "", "–", "-", ";", ",").Replace(list)
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.Atoi(strings.TrimSpace(from))
		if err != nil {
			continue
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(strings.TrimSpace(to)); err != nil {
				continue
			}
		}
		for number := first; number <= min(last, n); number++ {
			if number >= 1 {
				numbers = append(numbers, number)
			}
		}
	}
	return numbers
}

// Renumber gives the citations of a text other numbers: to gets those that
// marks left, and returns the new ones, none to take a mark out.
func Renumber(text string, to func(passage int) []int) string {
	return mark.ReplaceAllStringFunc(text, func(m string) string {
		var b strings.Builder
		for _, number := range numbersOf(mark.FindStringSubmatch(m)[1], maxMark) {
			for _, n := range to(number - 1) {
				b.WriteString("[" + strconv.Itoa(n) + "]")
			}
		}
		return b.String()
	})
}

const maxMark = 999
