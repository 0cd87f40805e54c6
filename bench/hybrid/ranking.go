package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/embedded"
)

// depth is how many documents a ranking has.
const depth = 100

// collection is a set in an index, each document one passage with its vector.
type collection struct {
	set
	index    *embedded.Index
	queries  []entry
	asked    [][]float32
	qrels    evaluate.Qrels
	snapshot string
}

// build puts documents and their vectors into an index in a folder.
func (c *collection) build(ctx context.Context, folder string, documents []entry, vectors [][]float32) error {
	var err error
	if c.index, err = embedded.Open(ctx, embedded.Config{Path: folder}); err != nil {
		return err
	}
	b, err := c.index.Build(ctx, index.Start{Settings: index.Settings{Language: "en"}})
	if err != nil {
		return err
	}
	defer func() { _ = b.Abort() }()
	for from := 0; from < len(documents); from += 500 {
		var part []index.Passage
		for i, d := range documents[from:min(from+500, len(documents))] {
			part = append(part, index.Passage{ID: index.PassageID(d.ID, 0), Document: d.ID, Title: d.Title, Text: d.Text, End: len(d.Text), Vector: vectors[from+i]})
		}
		if err := b.Put(ctx, part); err != nil {
			return err
		}
	}
	c.snapshot = "bench"
	_, err = b.Commit(ctx, c.snapshot)
	return err
}

// way is a way to rank.
type way struct {
	name         string
	text, vector bool
	fusion       index.Fusion
}

// rank asks every question and returns the rankings and the 99th percentile of
// how long a question took.
func (c *collection) rank(ctx context.Context, w way) (evaluate.Run, time.Duration, error) {
	run := evaluate.Run{}
	var took []time.Duration
	for i, q := range c.queries {
		asked := index.Query{Snapshot: c.snapshot, K: depth, Who: index.Everything(), Fusion: w.fusion}
		if w.text {
			asked.Text = q.Text
		}
		if w.vector {
			asked.Vector = c.asked[i]
		}
		begin := time.Now()
		hits, err := c.index.Search(ctx, asked)
		if err != nil {
			return nil, 0, err
		}
		took = append(took, time.Since(begin))
		for _, h := range hits {
			run[q.ID] = append(run[q.ID], evaluate.Scored{Document: h.Passage.Document, Score: h.Score})
		}
	}
	slices.SortFunc(took, cmp.Compare)
	return run, took[len(took)*99/100], nil
}
