package assess

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/spec"
)

// script answers by question.
type script map[string]knowledge.Answer

func (s script) Ask(_ context.Context, q knowledge.Question) (knowledge.Answer, error) {
	a, ok := s[q.Text]
	if !ok {
		return a, fault.New(fault.Unavailable, "the model is away")
	}
	return a, nil
}

func said(text string, sources, cited []string) knowledge.Answer {
	a := knowledge.Answer{Text: text, Release: "r", Sentences: []knowledge.Sentence{{End: len(text), Supported: true}}}
	for _, s := range sources {
		a.Passages = append(a.Passages, knowledge.Passage{Source: s})
	}
	for i, s := range cited {
		a.Citations = append(a.Citations, knowledge.Citation{Number: i + 1, Source: s, Quote: text})
	}
	return a
}

func TestFiguresOfAnswers(t *testing.T) {
	cases, err := ReadCases(strings.NewReader(`
{"id":"1","question":"leave?","documents":{"hr.md":1},"answers":["30 days"],"answerable":true}
{"id":"2","question":"travel?","documents":{"travel.md":1,"cost.md":1},"answers":["the manager"],"answerable":true}
{"id":"3","question":"moon?","answerable":false}
{"id":"4","question":"stars?","answerable":false}
{"id":"5","question":"broken?","answers":["x"],"answerable":true}
`))
	if err != nil {
		t.Fatal(err)
	}
	quiet := said("There is nothing on that.", []string{"hr.md"}, nil)
	quiet.Abstained = true
	r, err := Run(t.Context(), script{
		"leave?":  said("Leave is 30 days [1].", []string{"hr.md", "it.md", "hr.md"}, []string{"hr.md"}),
		"travel?": said("A manager approves it.", []string{"it.md", "travel.md"}, []string{"it.md", "travel.md"}),
		"moon?":   quiet,
		"stars?":  said("They shine.", []string{"it.md"}, []string{"it.md"}),
	}, "hr", cases, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Questions != 5 || r.Failed != 1 || r.Release != "" || r.Cases[4].Error == "" {
		t.Errorf("%+v", r)
	}
	second := (1 / math.Log2(3)) / (1 + 1/math.Log2(3)) // one of two right ones, in second place
	for name, want := range map[string]float64{
		NDCG: (1 + second) / 2, Recall: 0.75, Hit: 1, CitationPrecision: 0.75, CitationRecall: 0.75, Supported: 1,
		AnswerHeld: 2.0 / 3, AnswerCited: 2.0 / 3, // "the" does not count; the one that broke does
		AnswerF1:    (2*(2.0/5)*1/(2.0/5+1) + 2*(1.0/3)*1/(1.0/3+1) + 0) / 3,
		AbstentionP: 1, AbstentionR: 0.5, AbstentionF1: 2.0 / 3, Answered: 0.8,
	} {
		if got, ok := r.Figures[name]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// What is measured can be asked for by a gate, and the other way round.
func TestFiguresAreThoseOfGates(t *testing.T) {
	mine := append([]string{NDCG, Recall, Hit, CitationPrecision, CitationRecall, Supported, AnswerF1, AnswerHeld, AnswerCited,
		AbstentionP, AbstentionR, AbstentionF1, Answered, Seconds, Cost}, Evaluators()...)
	if want := spec.AnswerMeasures(); !slices.Equal(mine, want) {
		t.Errorf("%v\n%v", mine, want)
	}
}

func TestCasesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "no questions",
		`{"answers":["x"]}`:              "no question",
		`{"question":"a"}` + "\n{":       "line 2",
		`{"question":"a","documnts":{}}`: "documnts",
	} {
		if _, err := ReadCases(strings.NewReader(text)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Overlap is the same both ways round, 1 for an answer and itself, and never
// more; what holds an answer shares words with it.
func TestOverlap(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab ,.漢字")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		f := overlap(a, b)
		if f < 0 || f > 1 || math.Abs(f-overlap(b, a)) > 1e-12 || len(words(a)) > 0 && overlap(a, a) != 1 || holds(a, b) && f == 0 {
			t.Fatalf("%q, %q: %v", a, b, f)
		}
	})
	if holds("thirty-one days", "one day") || !holds("It has **30 Days** [1].", "30 days") || !holds("共有三十天假期", "三十天") {
		t.Error("words within words")
	}
}

func TestGrades(t *testing.T) {
	for text, want := range map[string]float64{"5": 5, "Score: 3.": 3, " 1\n": 1} {
		if got, err := gradeOf(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "good", "0", "10", "6/5"} {
		if g, err := gradeOf(text); err == nil {
			t.Errorf("%q is a grade of %v", text, g)
		}
	}
}
