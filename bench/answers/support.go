package main

import (
	"github.com/leat-ai/leat/pattern/knowledge/cite"
)

// evidence is what people judged of a claim and an abstract.
type evidence struct {
	Query  string `json:"query-id"`
	Corpus string `json:"corpus-id"`
	Label  string `json:"label"`
}

// supportFigures are how far the check of words agrees with people.
type supportFigures struct {
	Supported        int
	Contradicted     int
	Undecided        int
	Precision        float64 // of what is called supported, against contradicted
	PrecisionAll     float64 // the same, with abstracts that decide nothing
	Recall           float64
	FalseSupport     float64
	UndecidedSupport float64
}

// support checks the claims of a part of SciFact as sentences that cite an
// abstract: one that supports it, one that contradicts it, or one that was
// cited and decides nothing.
func support(part string) (f supportFigures, err error) {
	corpus, err := lines[text]("retrieval-scifact/corpus.jsonl.gz")
	if err != nil {
		return f, err
	}
	queries, err := lines[question]("retrieval-scifact/queries." + part + ".jsonl")
	if err != nil {
		return f, err
	}
	judged, err := lines[evidence]("retrieval-scifact/evidence." + part + ".jsonl")
	if err != nil {
		return f, err
	}
	pairs, err := pairsOf("retrieval-scifact/qrels." + part + ".tsv")
	if err != nil {
		return f, err
	}
	abstracts, claims := map[string]text{}, map[string]string{}
	for _, d := range corpus {
		abstracts[d.ID] = d
	}
	for _, q := range queries {
		claims[q.ID] = q.Text
	}
	supports := func(query, document string) bool {
		d := abstracts[document]
		c := cite.New("en", "", []cite.Shown{{Text: d.Text, Title: d.Title}})
		return c.Check(claims[query] + " [1]").Supported
	}
	decided := map[string]bool{}
	var right, wrong, undecided int
	for _, e := range judged {
		decided[e.Query] = true
		switch e.Label {
		case "SUPPORT":
			f.Supported++
			right += one(supports(e.Query, e.Corpus))
		case "CONTRADICT":
			f.Contradicted++
			wrong += one(supports(e.Query, e.Corpus))
		}
	}
	for _, p := range pairs {
		if !decided[p[0]] {
			f.Undecided++
			undecided += one(supports(p[0], p[1]))
		}
	}
	f.Precision = share(right, right+wrong)
	f.PrecisionAll = share(right, right+wrong+undecided)
	f.Recall = share(right, f.Supported)
	f.FalseSupport = share(wrong, f.Contradicted)
	f.UndecidedSupport = share(undecided, f.Undecided)
	return f, nil
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func share(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}
