package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/pattern/knowledge"
)

// answerFigures say how often answers by quotes hold what people marked.
type answerFigures struct {
	Questions   int
	Cited       float64
	CitedGold   float64
	Quoted      float64
	QuotedExact float64
	QuotedAny   float64
	Quotes      float64
	Abstained   float64
	Found       float64
	Millis      float64
}

// xquad asks all questions of a language against all of its paragraphs.
func xquad(ctx context.Context, language string) (f answerFigures, err error) {
	corpus, err := lines[text]("qa-xquad/" + language + ".corpus.jsonl.gz")
	if err != nil {
		return f, err
	}
	for i := range corpus {
		corpus[i].Title = strings.ReplaceAll(corpus[i].Title, "_", " ")
	}
	questions, err := lines[question]("qa-xquad/" + language + ".questions.jsonl.gz")
	if err != nil {
		return f, err
	}
	s, err := newShelf(ctx, language, ".txt", corpus)
	if err != nil {
		return f, err
	}
	defer s.close()
	a, err := newAssistant(ctx, s, nil, nil)
	if err != nil {
		return f, err
	}
	defer a.router.Close()
	start := time.Now()
	var n counts
	for _, q := range questions {
		answer, err := a.ask(ctx, q.Text, nil)
		if err != nil {
			return f, fmt.Errorf("%q: %w", q.Text, err)
		}
		n.add(q, answer, s)
	}
	f = n.figures(len(questions))
	f.Millis = float64(time.Since(start).Milliseconds()) / float64(len(questions))
	return f, nil
}

// counts are questions of which something holds.
type counts struct{ cited, citedGold, quoted, exact, any, quotes, abstained, found int }

func (n *counts) add(q question, a knowledge.Answer, s *shelf) {
	start, end := q.span(string(s.texts[q.Gold]))
	gold := q.Answers[0].Text
	n.abstained += one(a.Abstained)
	n.quotes += len(a.Citations)
	n.found += one(slices.ContainsFunc(a.Passages, func(p knowledge.Passage) bool { return p.Source == q.Gold }))
	inCited, goldCited, quoted := false, false, false
	for i, c := range a.Citations {
		inCited = inCited || slices.ContainsFunc(a.Passages, func(p knowledge.Passage) bool { return p.ID == c.Passage && strings.Contains(p.Text, gold) })
		goldCited = goldCited || c.Source == q.Gold
		quoted = quoted || strings.Contains(c.Quote, gold)
		if i == 0 {
			n.quoted += one(strings.Contains(c.Quote, gold))
			n.exact += one(c.Source == q.Gold && c.Start <= start && end <= c.End)
		}
	}
	n.cited, n.citedGold, n.any = n.cited+one(inCited), n.citedGold+one(goldCited), n.any+one(quoted)
}

func (n *counts) figures(questions int) answerFigures {
	return answerFigures{Questions: questions, Cited: share(n.cited, questions), CitedGold: share(n.citedGold, questions), Quoted: share(n.quoted, questions),
		QuotedExact: share(n.exact, questions), QuotedAny: share(n.any, questions), Quotes: share(n.quotes, questions),
		Abstained: share(n.abstained, questions), Found: share(n.found, questions)}
}

// awsFigures say where the gold page stands among the citations.
type awsFigures struct {
	Pages     int
	Passages  int
	Questions int
	First     float64
	Three     float64
	Found     float64
	Abstained float64
}

// aws asks the practitioners' questions against all pages.
func aws(ctx context.Context) (f awsFigures, err error) {
	pages, err := lines[text]("retrieval-aws-docs/corpus.jsonl.gz")
	if err != nil {
		return f, err
	}
	extra, err := lines[text]("retrieval-aws-docs/corpus-extra.jsonl.gz")
	if err != nil {
		return f, err
	}
	questions, err := lines[question]("retrieval-aws-docs/questions.jsonl")
	if err != nil {
		return f, err
	}
	pages = append(pages, extra...)
	s, err := newShelf(ctx, "en", ".md", pages)
	if err != nil {
		return f, err
	}
	defer s.close()
	a, err := newAssistant(ctx, s, nil, nil)
	if err != nil {
		return f, err
	}
	defer a.router.Close()
	var first, three, found, abstained int
	for _, q := range questions {
		answer, err := a.ask(ctx, q.Text, nil)
		if err != nil {
			return f, err
		}
		at := slices.IndexFunc(answer.Citations, func(c knowledge.Citation) bool { return c.Source == q.Gold })
		first += one(at == 0)
		three += one(at >= 0 && at < 3)
		found += one(slices.ContainsFunc(answer.Passages, func(p knowledge.Passage) bool { return p.Source == q.Gold }))
		abstained += one(answer.Abstained)
	}
	n := len(questions)
	return awsFigures{Pages: len(pages), Passages: s.passages, Questions: n, First: share(first, n), Three: share(three, n), Found: share(found, n), Abstained: share(abstained, n)}, nil
}
