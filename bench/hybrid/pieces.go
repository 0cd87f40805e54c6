package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/index/fuse"
)

// poolDepth is how many pages of each question's ranking by words are in the
// pool.
const poolDepth = 10

// pool ranks long pages by the best of their pieces. Embedding every piece of a
// large collection takes hours, so it is done for the pages that words bring
// up for one question or another: among them vectors rank, and both are fused.
func (c *collection) pool(ctx context.Context, cache *cache, documents []entry) ([]result.Figure, error) {
	words, _, err := c.rank(ctx, way{text: true})
	if err != nil {
		return nil, err
	}
	in := make(map[string]bool)
	for _, q := range c.queries {
		for _, s := range words[q.ID][:min(poolDepth, len(words[q.ID]))] {
			in[s.Document] = true
		}
	}
	var pieces []string
	var of []string
	for _, d := range documents {
		if !in[d.ID] {
			continue
		}
		for from := 0; from < len(d.Text); from += 1200 {
			pieces, of = append(pieces, d.Title+"\n"+d.Text[from:min(from+1200, len(d.Text))]), append(of, d.ID)
		}
	}
	fmt.Fprintf(os.Stderr, "hybrid: %d pages, %d pieces\n", len(in), len(pieces))
	vectors, err := cache.embed(ctx, llm.ForDocument, pieces)
	if err != nil {
		return nil, err
	}
	byVector := evaluate.Run{}
	for i, q := range c.queries {
		best := make(map[string]float64)
		for p, v := range vectors {
			var dot float64
			for d, x := range v {
				dot += float64(x) * float64(c.asked[i][d])
			}
			if was, seen := best[of[p]]; !seen || dot > was {
				best[of[p]] = dot
			}
		}
		for _, id := range slices.Sorted(maps.Keys(best)) {
			byVector[q.ID] = append(byVector[q.ID], evaluate.Scored{Document: id, Score: best[id]})
		}
		byVector[q.ID] = evaluate.Ranked(byVector[q.ID])[:min(depth, len(best))]
	}
	ndcg := evaluate.Measure{Name: "ndcg", Depth: 10}
	figures := []result.Figure{{Name: c.name + ", pieces: vectors", Value: ndcg.Mean(c.qrels, byVector), Unit: "nDCG@10",
		Note: fmt.Sprintf("among the %d pages that words bring up, by the best of their pieces", len(in))}}
	for _, weight := range []float64{1, 2, 4} {
		fused := evaluate.Run{}
		for _, q := range c.queries {
			for _, e := range fuse.Weighted(list(words[q.ID], weight), list(byVector[q.ID], 1)) {
				fused[q.ID] = append(fused[q.ID], evaluate.Scored{Document: e.Key, Score: e.Score})
			}
		}
		figures = append(figures, result.Figure{Name: fmt.Sprintf("%s, pieces: hybrid %g:1", c.name, weight), Value: ndcg.Mean(c.qrels, fused), Unit: "nDCG@10"}.
			AtLeast(max(ndcg.Mean(c.qrels, words), figures[0].Value)))
	}
	return figures, nil
}

func list(ranking []evaluate.Scored, weight float64) fuse.List[string] {
	l := fuse.List[string]{Weight: weight}
	for _, s := range ranking {
		l.Entries = append(l.Entries, fuse.Scored[string]{Key: s.Document, Score: s.Score})
	}
	return l
}
