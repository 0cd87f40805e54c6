// Command hybrid measures what vectors add to words: nDCG@10 of the ranking by
// words, of that by vectors and of both fused, on three collections, in the
// index that Leat has, with a sentence transformer in the process. Vectors are
// kept between runs; -only graph measures the graph of package vector on them.
//
// What is embedded of a document is its title and its text, of which the model
// reads the first 256 tokens. Of the long pages of the AWS documentation that
// is little; those that words bring up are embedded in pieces, too.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/sentence"
	"github.com/leat-ai/leat/store/index"
)

func main() {
	model := flag.String("embedder", ".cache/tools/models/all-MiniLM-L6-v2", "folder of a sentence transformer")
	vectors := flag.String("cache", ".cache/vectors", "where vectors are kept between runs")
	only := flag.String("only", "", "one part: scifact, npl, aws or graph")
	keep := flag.Bool("keep", true, "keep the figures in bench/results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *model, *vectors, *only, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "hybrid:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, model, vectors, only string, keep bool) error {
	m, err := sentence.Open(ctx, model, sentence.Options{})
	if err != nil {
		return err
	}
	c, err := openCache(vectors, m)
	if err != nil {
		return err
	}
	var figures []result.Figure
	for _, s := range sets {
		if only == "" || only == s.name {
			more, err := s.measure(ctx, c)
			if err != nil {
				return err
			}
			figures = append(figures, more...)
		}
	}
	if only == "" || only == "graph" {
		more, err := graph(ctx, c)
		if err != nil {
			return err
		}
		figures = append(figures, more...)
	}
	if c.texts > 0 {
		figures = append(figures, result.Figure{Name: "embedded", Value: float64(c.used) / c.spent.Seconds(), Unit: "tokens/s",
			Note: fmt.Sprintf("%d texts of this run", c.texts)})
	}
	e := result.Entry{Bench: "hybrid", Setup: fmt.Sprintf("%s in the process, %d processors; weighted: min-max, equal weights", m.Name(), runtime.GOMAXPROCS(0)), Figures: figures}
	if keep {
		return result.Keep(e)
	}
	for _, f := range figures {
		fmt.Printf("%-40s %.4f %s %s\n", f.Name, f.Value, f.Unit, f.Note)
	}
	return nil
}

// ways are how a collection is ranked.
var ways = []way{
	{name: "words", text: true},
	{name: "vectors", vector: true},
	{name: "hybrid", text: true, vector: true},
	{name: "hybrid 4:1", text: true, vector: true, fusion: index.Fusion{Text: 4, Vector: 1}},
	{name: "hybrid, reciprocal ranks", text: true, vector: true, fusion: index.Fusion{Method: index.RRF}},
}

func (s set) measure(ctx context.Context, cache *cache) ([]result.Figure, error) {
	documents, queries, qrels, err := s.read()
	if err != nil {
		return nil, err
	}
	texts, questions := make([]string, len(documents)), make([]string, len(queries))
	for i, d := range documents {
		texts[i] = d.whole()
	}
	for i, q := range queries {
		questions[i] = q.Text
	}
	vectors, err := cache.embed(ctx, llm.ForDocument, texts)
	if err != nil {
		return nil, err
	}
	c := &collection{set: s, queries: queries, qrels: qrels}
	if c.asked, err = cache.embed(ctx, llm.ForQuery, questions); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "leat-hybrid-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := c.build(ctx, folder, documents, vectors); err != nil {
		return nil, err
	}
	defer func() { _ = c.index.Close() }()
	figures, err := c.figures(ctx)
	if err != nil || !s.long {
		return figures, err
	}
	more, err := c.pool(ctx, cache, documents)
	return append(figures, more...), err
}

func (c *collection) figures(ctx context.Context) (figures []result.Figure, err error) {
	best := 0.0
	for _, w := range ways {
		run, p99, err := c.rank(ctx, w)
		if err != nil {
			return nil, err
		}
		f := result.Figure{Name: c.name + ": " + w.name, Value: evaluate.Measure{Name: "ndcg", Depth: 10}.Mean(c.qrels, run), Unit: "nDCG@10",
			Note: fmt.Sprintf("p99 of a question %.1f ms", float64(p99.Microseconds())/1000)}
		if w.text && w.vector {
			f = f.AtLeast(best)
		} else {
			best = max(best, f.Value)
		}
		figures = append(figures, f)
	}
	return figures, nil
}
