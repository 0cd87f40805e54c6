// Command hybrid measures what vectors add to words: nDCG@10 of the lexical
// ranking, of the ranking by vectors, and of both fused, on three collections.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/sentence"
)

func main() {
	model := flag.String("embedder", ".cache/tools/models/all-MiniLM-L6-v2", "folder of a sentence transformer")
	vectors := flag.String("cache", ".cache/vectors", "where vectors are kept between runs")
	only := flag.String("only", "", "one collection: scifact, npl or aws")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *model, *vectors, *only); err != nil {
		fmt.Fprintln(os.Stderr, "hybrid:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, model, vectors, only string) error {
	m, err := sentence.Open(ctx, model, sentence.Options{})
	if err != nil {
		return err
	}
	c, err := openCache(vectors, m)
	if err != nil {
		return err
	}
	if only == "graph" {
		return graph(ctx, c)
	}
	for _, s := range sets {
		if only == "" || only == s.name {
			if err := s.measure(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s set) measure(ctx context.Context, c *cache) error {
	documents, queries, qrels, err := s.read()
	if err != nil {
		return err
	}
	texts := make([]string, len(documents))
	for i, d := range documents {
		texts[i] = d.whole()
	}
	docVectors, err := c.embed(ctx, llm.ForDocument, texts)
	if err != nil {
		return err
	}
	questions := make([]string, len(queries))
	for i, q := range queries {
		questions[i] = q.Text
	}
	queryVectors, err := c.embed(ctx, llm.ForQuery, questions)
	if err != nil {
		return err
	}
	run, err := byVector(ctx, documents, docVectors, queries, queryVectors)
	if err != nil {
		return err
	}
	m := evaluate.Measure{Name: "ndcg", Depth: 10}
	fmt.Printf("%s: vectors nDCG@10 %.4f (%d texts embedded in %.1fs, %d tokens)\n", s.name, m.Mean(qrels, run), c.texts, c.spent.Seconds(), c.used)
	return nil
}
