package expr

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

func escapeQuote(s string) string { return strings.ReplaceAll(s, "'", "''") }

// formatDouble writes the shortest digits that read back as f, so that it is
// seen to be a double: "1.0", "0.1", "1e+20".
func formatDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quoteName writes a name as the language reads it.
func quoteName(name string) string {
	p := parser{src: name}
	for at := 0; ; {
		t, err := p.lex(at)
		if err != nil || t.kind != tWord || t.at != at || reserved[strings.ToLower(t.text)] {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
		if t.end == len(name) {
			return name
		}
		if name[t.end] != '.' {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
		at = t.end + 1
	}
}

func runes(s string) int64 { return int64(utf8.RuneCountInString(s)) }

// substr takes the characters at positions start to start+n of s, the first
// being 1, as far as there are any. A negative start counts from the end, -1
// being the last; a negative n takes the characters before start.
func substr(s string, start, n int64) string {
	const far = 1 << 40 // longer than any string, short enough for sums
	length := runes(s)
	start, n = min(max(start, -far), far), min(max(n, -far), 4*far)
	if start < 0 {
		start += length
	} else {
		start--
	}
	end := start + n
	if end < start {
		start, end = end, start
	}
	start, end = min(max(start, 0), length), min(max(end, 0), length)
	return s[byteOffset(s, start):byteOffset(s, end)]
}

// byteOffset is where character i of s starts.
func byteOffset(s string, i int64) int64 {
	var at int64
	for ; i > 0 && at < int64(len(s)); i-- {
		_, n := utf8.DecodeRuneInString(s[at:])
		at += int64(n)
	}
	return at
}

// likeMatcher compiles a pattern of like: % stands for any characters, _ for
// one, everything else for itself. There is no escape; contains and
// regexp_match do without.
func likeMatcher(pattern string) func(string) bool {
	if !strings.ContainsAny(pattern, "%_") {
		return func(s string) bool { return s == pattern }
	}
	return func(s string) bool { return likeMatch(s, pattern) }
}

// likeMatch walks both strings, and comes back to the last % with one
// character more given to it whenever they part: at most len(s)·len(p) steps,
// of which p is bounded.
func likeMatch(s, p string) bool {
	back, rest := -1, 0 // where to go on after the last %, in p and in s
	i, j := 0, 0
	for i < len(s) {
		switch {
		case j < len(p) && p[j] == '%':
			j++
			back, rest = j, i
		case j < len(p) && p[j] == '_':
			_, n := utf8.DecodeRuneInString(s[i:])
			i, j = i+n, j+1
		case j < len(p) && p[j] == s[i]:
			i, j = i+1, j+1
		case back >= 0:
			_, n := utf8.DecodeRuneInString(s[rest:])
			rest += n
			i, j = rest, back
		default:
			return false
		}
	}
	return strings.Trim(p[j:], "%") == ""
}

// clip shortens what a sentence quotes, which may be as long as a source.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func clipAll(names []string) string {
	clipped := make([]string, len(names))
	for i, n := range names {
		clipped[i] = clip(n)
	}
	return strings.Join(clipped, ", ")
}
