package main

import (
	"bytes"
	"context"

	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/store/index/vector"
)

// depth is how many documents of each ranking there are.
const depth = 200

// byVector ranks documents by the cosine with the question.
func byVector(ctx context.Context, documents []entry, vectors [][]float32, queries []entry, asked [][]float32) (evaluate.Run, error) {
	var file bytes.Buffer
	w, err := vector.NewWriter(&file, vector.Options{Dim: len(vectors[0])})
	if err != nil {
		return nil, err
	}
	for _, v := range vectors {
		if err := w.Add(v); err != nil {
			return nil, err
		}
	}
	if err := w.Close(ctx); err != nil {
		return nil, err
	}
	s, err := vector.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		return nil, err
	}
	run := evaluate.Run{}
	for i, q := range queries {
		found, err := s.Search(ctx, asked[i], depth, nil)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			run[q.ID] = append(run[q.ID], evaluate.Scored{Document: documents[m.Ordinal].ID, Score: m.Score})
		}
	}
	return run, nil
}
