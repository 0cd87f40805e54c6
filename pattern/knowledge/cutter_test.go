package knowledge

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func claims(text string) bool { return len(strings.Fields(text)) > 1 }

func cutAll(pieces ...string) (out []string, whole string) {
	c := cutter{claims: claims}
	var b strings.Builder
	add := func(ps []piece) {
		for _, p := range ps {
			b.WriteString(p.before + p.text)
			if p.text != "" {
				out = append(out, p.text)
			}
		}
	}
	for _, p := range pieces {
		add(c.feed(p))
	}
	add(c.end())
	return out, b.String()
}

func TestSentencesKeepTheirCitations(t *testing.T) {
	for in, want := range map[string][]string{
		"It is so [1]. It is not so.[2] That is all":        {"It is so [1].", "It is not so.[2]", "That is all"},
		"It is so. [1][2] It is not so. 【3】 That is all.":   {"It is so. [1][2]", "It is not so. 【3】", "That is all."},
		"He said “one thing. Another thing.” [1] Then left": {"He said “one thing. Another thing.” [1]", "Then left"},
		"- first item [1]\n- second item [2]\n\nThe end.":   {"first item [1]", "second item [2]", "The end."},
		"Yes. It is allowed [1].":                           {"Yes. It is allowed [1]."},
		"## A title\n1. One step. [1]\n2) Two steps.":       {"A title", "One step. [1]", "Two steps."},
		"About 3.5 m, e.g. with Dr. Smith [1].":             {"About 3.5 m, e.g. with Dr. Smith [1]."},
	} {
		got, whole := cutAll(in)
		if strings.Join(got, "|") != strings.Join(want, "|") || whole != in {
			t.Errorf("%q was cut into %q", in, got)
		}
	}
}

// However an answer comes in pieces, it is cut alike, and nothing is lost.
func TestPiecesDoNotMatter(t *testing.T) {
	parts := []string{"It is so", "he said", ".", "!", " ", "\n", "[1]", "[", "]", "“", "”", "\"", "1", "- ", "e.g.", " [2, 3]", "Then", "。", "三", "```\n", "# "}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 30).Draw(t, "parts"), "")
		whole, back := cutAll(text)
		if back != text {
			t.Fatalf("%q became %q", text, back)
		}
		var pieces []string
		for rest := []rune(text); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			pieces = append(pieces, string(rest[:n]))
			rest = rest[n:]
		}
		got, back := cutAll(pieces...)
		if back != text {
			t.Fatalf("%q became %q in pieces", text, back)
		}
		if strings.Join(got, "|") != strings.Join(whole, "|") {
			t.Fatalf("whole %q, in pieces %q", whole, got)
		}
	})
}
