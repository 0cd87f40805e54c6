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
// What stands in quotation marks is somebody else's words, and stays.
func marks(text string, n int) (string, []int) {
	var cited []int
	found := marksOutside(text)
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

// marksOutside finds the citations that stand in no quotation, each with its
// numbers as a group.
func marksOutside(text string) [][]int {
	found := mark.FindAllStringSubmatchIndex(text, -1)
	if found == nil {
		return nil
	}
	quoted := quotations(text)
	return slices.DeleteFunc(found, func(m []int) bool {
		for len(quoted) > 0 && quoted[0].end <= m[0] {
			quoted = quoted[1:]
		}
		return len(quoted) > 0 && quoted[0].open < m[0]
	})
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
// marks left, and returns the new ones, none to take a mark out. Quotations
// stay as they are.
func Renumber(text string, to func(passage int) []int) string {
	var b strings.Builder
	last := 0
	for _, m := range marksOutside(text) {
		b.WriteString(text[last:m[0]])
		last = m[1]
		for _, number := range numbersOf(text[m[2]:m[3]], maxMark) {
			for _, n := range to(number - 1) {
				b.WriteString("[" + strconv.Itoa(n) + "]")
			}
		}
	}
	b.WriteString(text[last:])
	return b.String()
}

const maxMark = 999
