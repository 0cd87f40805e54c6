package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/pattern/knowledge/extract"
)

// example is a question with the features of its candidate sentences.
type example struct {
	article   string
	sentences [][]float64
	gold      int // -1: not among them
	with      []float64
	without   []float64 // evidence when the paragraph of the answer is taken away
}

// examples measures the questions of a language of XQuAD.
func examples(ctx context.Context, language string) ([]example, error) {
	corpus, err := lines[text]("qa-xquad/" + language + ".corpus.jsonl.gz")
	if err != nil {
		return nil, err
	}
	questions, err := lines[question]("qa-xquad/" + language + ".questions.jsonl.gz")
	if err != nil {
		return nil, err
	}
	for i := range corpus {
		corpus[i].Title = strings.ReplaceAll(corpus[i].Title, "_", " ")
	}
	s, err := newShelf(ctx, language, ".txt", corpus)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var all []example
	for _, q := range questions {
		found, err := s.Search(ctx, store.Search{Text: q.Text, K: passages + 1})
		if err != nil {
			return nil, err
		}
		all = append(all, measured(q, found, string(s.texts[q.Gold])))
	}
	return all, nil
}

func measured(q question, found store.Found, paragraph string) example {
	article, _, _ := strings.Cut(q.Gold, "-")
	e := example{article: article, gold: -1}
	start, end := q.span(paragraph)
	var shown, others []extract.Passage
	for i, p := range found.Passages {
		one := extract.Passage{Text: p.Text, Title: p.Title, Heading: p.Heading, Score: p.Score}
		if i < passages {
			shown = append(shown, one)
		}
		if p.Document != q.Gold {
			others = append(others, one)
		}
	}
	sentences, with := extract.Measure(q.Text, shown, "")
	for i, m := range sentences {
		e.sentences = append(e.sentences, m.Features)
		p := found.Passages[m.Passage]
		if p.Document == q.Gold && p.Start+m.Start <= start && end <= p.Start+m.End {
			e.gold = i
		}
	}
	e.with = with
	_, e.without = extract.Measure(q.Text, others[:min(len(others), passages)], "")
	return e
}

// fitted is how good weights are that were fitted on other articles.
type fitted struct {
	span  float64 // the marked span is in the best sentence
	apart float64 // it is told whether the answer's paragraph is there
}

// fit fits the weights of package extract on one half of the articles and
// measures them on the other, both ways, and then on all, which it prints.
func fit(ctx context.Context, languages []string, show bool) (f fitted, err error) {
	var all []example
	for _, l := range languages {
		some, err := examples(ctx, l)
		if err != nil {
			return f, err
		}
		all = append(all, some...)
	}
	odd := func(e example) bool {
		n, _ := strconv.Atoi(e.article)
		return n%2 == 1
	}
	for _, one := range []bool{false, true} {
		var in, out []example
		for _, e := range all {
			if odd(e) == one {
				in = append(in, e)
			} else {
				out = append(out, e)
			}
		}
		bias, evidence := fitEvidence(in)
		part := float64(len(out)) / float64(len(all))
		f.span += part * best(out, fitSentences(in))
		f.apart += part * apart(out, bias, evidence)
	}
	if show {
		w := fitSentences(all)
		bias, evidence := fitEvidence(all)
		fmt.Printf("sentences: %.2f\n  %.3f on what they were fitted on, %.3f on the other half\n", w, best(all, w), f.span)
		fmt.Printf("evidence: %.2f %.2f\n  %.3f on what it was fitted on, %.3f on the other half\n", bias, evidence, apart(all, bias, evidence), f.apart)
	}
	return f, nil
}

func inner(w, f []float64) (sum float64) {
	for i := range w {
		sum += w[i] * f[i]
	}
	return sum
}

// best is how often the gold sentence has the highest score.
func best(all []example, w []float64) float64 {
	right := 0
	for _, e := range all {
		top, at := math.Inf(-1), -1
		for i, f := range e.sentences {
			if s := inner(w, f); s > top {
				top, at = s, i
			}
		}
		right += one(at >= 0 && at == e.gold)
	}
	return share(right, len(all))
}

// apart is how often the evidence with the paragraph is the stronger one.
func apart(all []example, bias float64, w []float64) float64 {
	right, n := 0, 0
	for _, e := range all {
		if e.gold < 0 || e.without == nil {
			continue
		}
		n += 2
		right += one(bias+inner(w, e.with) > 0) + one(bias+inner(w, e.without) <= 0)
	}
	return share(right, n)
}

// fitSentences fits a softmax over the sentences of each question.
func fitSentences(all []example) []float64 {
	w := make([]float64, len(all[0].sentences[0]))
	descend(w, 500, func(gradient []float64) {
		n := 0
		for _, e := range all {
			if e.gold < 0 {
				continue
			}
			n++
			scores := make([]float64, len(e.sentences))
			for i, f := range e.sentences {
				scores[i] = inner(w, f)
			}
			top, sum := slices.Max(scores), 0.0
			for i := range scores {
				scores[i] = math.Exp(scores[i] - top)
				sum += scores[i]
			}
			for i, f := range e.sentences {
				p := scores[i]/sum - float64(one(i == e.gold))
				for k := range f {
					gradient[k] += p * f[k]
				}
			}
		}
		for k := range gradient {
			gradient[k] = gradient[k]/float64(n) + 0.002*w[k]
		}
	})
	return w
}

// fitEvidence fits a logistic regression on evidence with and without the
// paragraph of the answer.
func fitEvidence(all []example) (bias float64, weights []float64) {
	width := len(all[0].with)
	w := make([]float64, width+1)
	descend(w, 800, func(gradient []float64) {
		n := 0
		for _, e := range all {
			if e.gold < 0 || e.without == nil {
				continue
			}
			for _, c := range []struct {
				f []float64
				y float64
			}{{e.with, 1}, {e.without, 0}} {
				n++
				p := 1/(1+math.Exp(-w[width]-inner(w[:width], c.f))) - c.y
				for k := range c.f {
					gradient[k] += p * c.f[k]
				}
				gradient[width] += p
			}
		}
		for k := range gradient {
			gradient[k] = gradient[k]/float64(n) + 0.0005*w[k]
		}
	})
	return w[width], w[:width]
}

// descend goes down a gradient by Adam (Kingma and Ba, 2015).
func descend(w []float64, steps int, gradient func(into []float64)) {
	first, second := make([]float64, len(w)), make([]float64, len(w))
	for step := 1; step <= steps; step++ {
		g := make([]float64, len(w))
		gradient(g)
		for k := range w {
			first[k] = 0.9*first[k] + 0.1*g[k]
			second[k] = 0.999*second[k] + 0.001*g[k]*g[k]
			m, v := first[k]/(1-math.Pow(0.9, float64(step))), second[k]/(1-math.Pow(0.999, float64(step)))
			w[k] -= 0.1 * m / (math.Sqrt(v) + 1e-8)
		}
	}
}
