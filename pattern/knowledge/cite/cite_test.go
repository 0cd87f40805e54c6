package cite_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/pattern/knowledge/cite"
)

const policy = "Employees fly economy class on flights under six hours. Business class is allowed for 1,200 kilometres or more. Dr. Smith of Berlin approves trips. Breakfast is not paid."

func checker() *cite.Checker {
	return cite.New("en", "May I fly \"first class\"?", []cite.Shown{{Text: policy, Title: "Travel at Example Corp"}, {Text: "Hotels must be booked early. They cost 180 euros."}})
}

func TestWhatAPassageSaysIsSupported(t *testing.T) {
	for said, want := range map[string]bool{
		"Employees fly economy class on flights under six hours [1].":        true,
		"On flights under 6 hours, employees fly economy class [1].":         true,
		"**Employees** fly `economy class` on flights under six hours.":      true, // cites nothing, and stands there
		"Employees of Example Corp fly economy class under six hours [1].":   true, // the title names it
		"Employees fly economy class on flights under seven hours [1].":      false,
		"Employees do not fly economy class on flights under six hours [1].": false,
		"Employees fly economy class on flights under six hours [2].":        false, // another passage
		"Business class is allowed for 1200 kilometres or more [1].":         true,
		"Business class is forbidden for 1200 kilometres or more [1].":       false,
		"Dr. Jones of Berlin approves trips [1].":                            false,
		"Breakfast is paid [1].":                                              false,
		"Hotels must be booked late [2].":                                     false,
		"The cafeteria opens at noon and serves vegetarian meals [1].":        false,
		"Hotels must be booked early and they cost 180 euros [2].":            true, // two sentences together
		"Employees fly economy class on flights under six hours [9].":         true, // no such passage: as if it cited none
		"Trips are approved by somebody who has the keys of the building [1]": false,
	} {
		if got := checker().Check(said); got.Supported != want {
			t.Errorf("%q: supported %v with %+v", said, got.Supported, got)
		}
	}
}

func TestQuotesAreByteForByte(t *testing.T) {
	for _, c := range []struct {
		said, want string
		removed    int
	}{
		{"It says “Breakfast is not paid.” [1]", "It says “Breakfast is not paid.” [1]", 0},
		{"It says \"Breakfast is not paid,\" and so on [1].", "It says \"Breakfast is not paid\", and so on [1].", 0},
		{"It says “Breakfast is paid” [1].", "It says […] [1].", 1},
		{"It says “breakfast is not paid” [1].", "It says […] [1].", 1}, // another letter
		{"It says “Breakfast  is not paid” [1].", "It says […] [1].", 1},
		{"Du fragst nach „first class“ und «Hotels must be booked early» [2].", "Du fragst nach „first class“ und «Hotels must be booked early» [2].", 0},
		{"「Breakfast is not paid」 and 「lunch」", "「Breakfast is not paid」 and […]", 1},
		{"A 5\" pipe and an open “quote", "A 5\" pipe and an open “quote", 0},
		{"Section 5\"employees get 30 days\" [1].", "Section 5[…] [1].", 1},
		{"Section 5\" employees get 30 days\" [1].", "Section 5[…] [1].", 1},
		{"A 5\" pipe and a 7\" pipe [1].", "A 5\" pipe and a 7\" pipe [1].", 0},
		{"A 5\" pipe is \"Breakfast\" [1].", "A 5\" pipe is \"Breakfast\" [1].", 0},
		{"It says ‘Breakfast is not paid’ and ‘Breakfast isn’t paid’ [1].", "It says ‘Breakfast is not paid’ and […] [1].", 1},
		{"Es heißt ‚Breakfast is paid‘ und ›Breakfast is paid‹ [1].", "Es heißt […] und […] [1].", 2},
		{"‹Breakfast is paid› and ‹Breakfast is not paid› [1].", "[…] and ‹Breakfast is not paid› [1].", 1},
		{"Don’t open Menu › Settings › Export.", "Don’t open Menu › Settings › Export.", 0},
	} {
		got := checker().Check(c.said)
		if got.Text != c.want || got.Removed != c.removed {
			t.Errorf("%q became %q, %d removed", c.said, got.Text, got.Removed)
		}
		if c.removed > 0 && got.Supported {
			t.Errorf("%q is supported", c.said)
		}
	}
}

// What looks like a citation within a quotation is part of what is quoted.
func TestMarksWithinQuotesStay(t *testing.T) {
	c := cite.New("en", "", []cite.Shown{{Text: "The rate is 5 [1] percent of sales [12]."}, {Text: "Nothing."}})
	const said = "It says “The rate is 5 [1] percent of sales [12]” [1, 9]."
	got := c.Check(said)
	if want := "It says “The rate is 5 [1] percent of sales [12]” [1]."; got.Text != want || !got.Supported || got.Removed > 0 {
		t.Errorf("%q became %+v", said, got)
	}
	if cited := cite.Cited("“[2] and [3]” [1]"); !slices.Equal(cited, []int{0}) {
		t.Errorf("cited are %v", cited)
	}
	to := cite.Renumber(got.Text, func(int) []int { return []int{7} })
	if want := "It says “The rate is 5 [1] percent of sales [12]” [7]."; to != want {
		t.Errorf("renumbered it is %q", to)
	}
}

func TestMarksAreOfOneForm(t *testing.T) {
	for said, want := range map[string]string{
		"So it is [1, 2].": "So it is [1][2].", "So it is【2】": "So it is[2]", "So it is [1-2] [3] [^1].": "So it is [1][2] [1].", "So it is [0] [99].": "So it is.",
	} {
		if got := checker().Check(said); got.Text != want {
			t.Errorf("%q became %q", said, got.Text)
		}
	}
}

// Whatever is said: spans are within their passages, and what is left in
// quotation marks stands in one of them or in the question.
func TestSpansAreWithin(t *testing.T) {
	shown := []string{policy, "Hotels must be booked early. They cost 180 euros."}
	words := strings.Fields(policy + " “Breakfast is not paid” \"Hotels must\" “no such words” [1] [2] [3] not never 180 “ ” \" « » ‘ ’ ‹ › 5\" 5\"x — Müller 三")
	rapid.Check(t, func(t *rapid.T) {
		said := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 14).Draw(t, "words"), " ")
		got := checker().Check(said)
		for _, s := range got.Spans {
			if s.Passage < 0 || s.Passage >= len(shown) || s.Start < 0 || s.Start >= s.End || s.End > len(shown[s.Passage]) {
				t.Fatalf("%q rests on %+v", said, s)
			}
		}
		if again := checker().Check(got.Text); again.Removed > 0 {
			t.Fatalf("%q became %q, of which something is removed: %q", said, got.Text, again.Text)
		}
		for _, i := range cite.Cited(got.Text) {
			if i >= len(shown) {
				t.Fatalf("%q cites %d", got.Text, i+1)
			}
		}
		if !slices.Equal(got.Spans, checker().Check(said).Spans) {
			t.Fatal("checked twice, it rests on something else")
		}
	})
}
