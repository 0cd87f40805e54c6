package extract_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/pattern/knowledge/extract"
)

func quote(t *testing.T, question string, texts ...string) string {
	t.Helper()
	var passages []extract.Passage
	for _, text := range texts {
		passages = append(passages, extract.Passage{Text: text, Score: 1})
	}
	r := extract.Answer(question, passages, extract.Options{})
	if len(r.Quotes) == 0 {
		return ""
	}
	q := r.Quotes[0]
	return texts[q.Passage][q.Start:q.End]
}

func TestTheSentenceThatAnswers(t *testing.T) {
	for _, c := range []struct{ question, text, want string }{
		{"When was the mill built?", "The mill stands by the river. The mill was built in 1642 by monks. It burnt down twice.", "The mill was built in 1642 by monks."},
		{"How many sails does the mill have?", "The mill has a wide roof. Four sails drive the mill. Visitors like the sails.", "Four sails drive the mill."},
		{"Who owned the mill?", "The mill was owned for long. In later years the mill was owned by Anna Berg. The owner paid taxes.", "In later years the mill was owned by Anna Berg."},
		{"Wann wurde die Mühle gebaut?", "Die Mühle steht am Fluss. Die Mühle wurde 1642 von Mönchen gebaut. Sie brannte zweimal ab.", "Die Mühle wurde 1642 von Mönchen gebaut."},
		{"¿Cuántas aspas tiene el molino?", "El molino tiene un techo ancho. El molino tiene cuatro aspas. A los visitantes les gusta.", "El molino tiene cuatro aspas."},
		{"How is the mill driven?", "# How is the mill driven?\n\nThe mill is driven by water from the leat.\n\n# Opening hours\n\nDaily.", "The mill is driven by water from the leat."},
		{"Who approves a trip that costs 3,000 €?", "# Trips\n\n| cost of the trip | approved by |\n|---|---|\n| up to 500 € | the team lead |\n| up to 3,000 € | head of department |\n| more | the board |\n", "| up to 3,000 € | head of department |"},
		{"What does a ticket cost for children?", "| visitor | ticket |\n|---|---|\n| adults | cost 8 euros |\n| children | ticket cost 3 euros |\n", "| children | ticket cost 3 euros |"},
	} {
		if got := quote(t, c.question, c.text); got != c.want {
			t.Errorf("%s: %q", c.question, got)
		}
	}
}

func TestStrongAndWeakEvidence(t *testing.T) {
	text := []extract.Passage{{Text: "The mill was built in 1642 by monks. It burnt down twice.", Score: 3}, {Text: "The bakery sells bread and cakes.", Score: 1}}
	strong := extract.Confidence("When was the mill built by monks?", text, "")
	weak := extract.Confidence("Which bank offers the best mortgage rates in Spain?", text, "")
	if strong < extract.Enough || weak >= extract.Enough || extract.Confidence("What?", nil, "") != 0 {
		t.Errorf("confidence is %v and %v", strong, weak)
	}
}

// Whatever the texts: quotes are ranges of whole characters without space at
// their ends, the best comes first, none is given twice, the confidence is a
// probability, and the same input gives the same answer.
func TestQuotesAreRanges(t *testing.T) {
	parts := []string{"The mill ", "was built ", "in 1642", ". ", "\n", "\n\n", "# ", "- ", "| a | b |\n", "```\n", "Mühle ", "水车 ", "1642年", "。", "مطحنة ", "?", "\u00a0", "\xff", strings.Repeat("long ", 300), "e.g. ", "“quote” "}
	rapid.Check(t, func(t *rapid.T) {
		var passages []extract.Passage
		for range rapid.IntRange(0, 4).Draw(t, "passages") {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 12).Draw(t, "text"), "")
			passages = append(passages, extract.Passage{Text: text, Title: rapid.SampledFrom(parts).Draw(t, "title"), Score: rapid.Float64Range(0, 30).Draw(t, "score")})
		}
		question := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 5).Draw(t, "question"), "")
		r := extract.Answer(question, passages, extract.Options{})
		if !(r.Confidence >= 0 && r.Confidence <= 1) {
			t.Fatalf("confidence %v", r.Confidence)
		}
		type place struct{ passage, start int }
		seen, last := map[place]bool{}, r.Quotes
		for i, q := range r.Quotes {
			text := passages[q.Passage].Text
			if q.Start < 0 || q.Start >= q.End || q.End > len(text) || strings.TrimSpace(text[q.Start:q.End]) != text[q.Start:q.End] {
				t.Fatalf("%+v in %q", q, text)
			}
			if utf8.ValidString(text) && !utf8.ValidString(text[q.Start:q.End]) {
				t.Fatalf("%+v cuts a character of %q", q, text)
			}
			if seen[place{q.Passage, q.Start}] || i > 0 && q.Score > last[i-1].Score {
				t.Fatalf("quotes %+v", r.Quotes)
			}
			seen[place{q.Passage, q.Start}] = true
		}
		if again := extract.Answer(question, passages, extract.Options{}); !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v, then %+v", r, again)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add("When was it built?", "It was built in 1642. # x\n| a |\n- b")
	f.Fuzz(func(t *testing.T, question, text string) {
		r := extract.Answer(question, []extract.Passage{{Text: text, Title: question}}, extract.Options{})
		for _, q := range r.Quotes {
			if q.Start < 0 || q.Start >= q.End || q.End > len(text) {
				t.Errorf("%+v of %d bytes", q, len(text))
			}
		}
	})
}
