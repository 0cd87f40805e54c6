package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/flow/knowledge/evaluate/collection"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
	"github.com/leat-ai/leat/store/index/embedded"
)

// equal holds the engine against Lucene where both score alike.
func (b *bench) equal(ctx context.Context) error {
	a := analysis.New("en")
	terms := func(text string) string {
		var all []string
		for _, t := range a.Tokens(text, nil) {
			all = append(all, t.Term)
		}
		return strings.Join(all, " ")
	}
	var documents []passage
	err := collection.Documents(b.set("npl", "corpus.jsonl.gz")[0], func(d collection.Document) error {
		if text := terms(d.Text); text != "" && len(strings.Fields(text)) < exactLength {
			documents = append(documents, passage{index.PassageID(d.ID, 0), "all", text})
		}
		return nil
	})
	if err != nil {
		return err
	}
	asked, err := collection.Questions(b.set("npl", "queries.jsonl")[0])
	if err != nil {
		return err
	}
	var queries []question
	for _, q := range asked {
		queries = append(queries, question{q.ID, terms(q.Text)})
	}
	theirs, err := b.lucene(ctx, documents, queries, "plain", 0.9, 0.4, 10, "all")
	if err != nil {
		return err
	}
	ours, err := b.ours(ctx, documents, queries, index.Settings{K1: 0.9, B: 0.4, Weights: index.Weights{Text: 1}}, 10, "all")
	if err != nil {
		return err
	}
	for _, q := range queries {
		if err := sameTop(ours.runs["all"][q.id], theirs.runs["all"][q.id]); err != nil {
			return fmt.Errorf("query %s is answered otherwise than by Lucene: %w", q.id, err)
		}
	}
	b.add(result.Figure{Name: "ten best equal to Lucene's, same terms and parameters", Value: float64(len(queries)), Unit: "queries",
		Note: fmt.Sprintf("of %d, %d passages of less than %d terms", len(queries), len(documents), exactLength)})
	return nil
}

// exactLength is the length from which on Lucene rounds lengths.
const exactLength = 40

// sameTop compares scores, place by place, and which passages have them; who of
// equal ones comes first is each side's own.
func sameTop(ours, theirs []evaluate.Scored) error {
	if len(ours) != len(theirs) {
		return fmt.Errorf("%d hits, not %d", len(ours), len(theirs))
	}
	near := func(x, y float64) bool { return math.Abs(x-y) <= 1e-5*math.Max(1, math.Abs(y)) }
	scores := make(map[string]float64)
	for _, d := range theirs {
		scores[d.Document] = d.Score
	}
	for i, d := range ours {
		if !near(d.Score, theirs[i].Score) {
			return fmt.Errorf("place %d has %v, not %v", i+1, d.Score, theirs[i].Score)
		}
		last := theirs[len(theirs)-1].Score
		if s, ok := scores[d.Document]; ok && !near(s, d.Score) || !ok && !near(d.Score, last) {
			return fmt.Errorf("%s at place %d is not among theirs", d.Document, i+1)
		}
	}
	return nil
}

// sets are the collections, with what is wanted of nDCG@10; 0: Lucene's.
var sets = []struct {
	name, title, queries, qrels string
	corpora                     []string
	wanted                      float64
}{
	{"scifact", "SciFact", "queries.test.jsonl", "qrels.test.tsv", []string{"corpus.jsonl.gz"}, 0.69},
	{"npl", "NPL", "queries.jsonl", "qrels.tsv", []string{"corpus.jsonl.gz"}, 0},
	{"aws-docs", "AWS documentation with distractors", "questions.jsonl", "qrels.tsv", []string{"corpus.jsonl.gz", "corpus-extra.jsonl.gz"}, 0.68},
}

// quality measures the rankings of every collection, beside Lucene's.
func (b *bench) quality(ctx context.Context) error {
	for _, set := range sets {
		f, err := os.Open(b.set(set.name, set.qrels)[0])
		if err != nil {
			return err
		}
		qrels, err := evaluate.ReadQrels(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		asked, err := collection.Questions(b.set(set.name, set.queries)[0])
		if err != nil {
			return err
		}
		run, err := b.trial(ctx, asked, b.set(set.name, set.corpora...))
		if err != nil {
			return err
		}
		var documents []passage
		for _, corpus := range b.set(set.name, set.corpora...) {
			if err := collection.Documents(corpus, func(d collection.Document) error {
				documents = append(documents, passage{d.ID, "all", d.Title + " " + d.Text})
				return nil
			}); err != nil {
				return err
			}
		}
		var queries []question
		for _, q := range asked {
			queries = append(queries, question{q.ID, q.Text})
		}
		theirs, err := b.lucene(ctx, documents, queries, "english", 0.9, 0.4, 1000, "all")
		if err != nil {
			return err
		}
		for _, name := range []string{"ndcg@10", "map", "recall@100"} {
			m, err := evaluate.Parse(name)
			if err != nil {
				return err
			}
			figure := result.Figure{Name: set.title + ", " + name, Value: m.Mean(qrels, run), Peer: m.Mean(qrels, theirs.runs["all"])}
			if name == "ndcg@10" {
				wanted := set.wanted
				if wanted == 0 {
					wanted = figure.Peer
				}
				figure = figure.AtLeast(wanted)
			}
			b.add(figure)
		}
	}
	return nil
}

// trial ranks a collection by the defaults, as `leat eval retrieval` does.
func (b *bench) trial(ctx context.Context, questions []collection.Question, corpora []string) (run evaluate.Run, err error) {
	ix, err := embedded.Open(ctx, embedded.Config{Path: b.file("trial")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ix.Close(), os.RemoveAll(b.file("trial"))) }()
	t := collection.Trial{Index: ix, Settings: index.Settings{Language: "en"}}
	if _, err := t.Build(ctx, corpora...); err != nil {
		return nil, err
	}
	runs, err := t.Ask(ctx, questions)
	if err != nil {
		return nil, err
	}
	return runs[0].Run, nil
}
