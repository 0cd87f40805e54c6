package fault

import "strings"

// Nearest returns the candidate that was most likely meant by a misspelt
// name, or "" when none is near enough to suggest: one edit for every three
// characters, an exchange of neighbours being one edit, letter case and the
// difference of "-" and "_" being none.
func Nearest(name string, candidates []string) string {
	if len(name) > 200 {
		return ""
	}
	best, least := "", len(name)
	for _, c := range candidates {
		most := max(len(name), len(c)) / 3
		if c == name || len(c)-len(name) > most || len(name)-len(c) > most {
			continue
		}
		if cost := edits(plain(name), plain(c)); cost <= most && cost < least {
			best, least = c, cost
		}
	}
	return best
}

func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "-", "_")
}

// edits is the Damerau-Levenshtein distance with adjacent exchanges only.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
