package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/store/index/vector"
)

// graph measures the graph of store/index/vector on every vector of the cache:
// how fast it is built, what it finds of what a scan finds, and how long either
// takes, for a caller who may see all, half, a tenth and a hundredth.
func graph(ctx context.Context, c *cache) ([]result.Figure, error) {
	keys := slices.SortedFunc(maps.Keys(c.known), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	questions := keys[:400] // any texts will do
	keys = keys[400:]
	var file bytes.Buffer
	build := func(exact int) (*vector.Set, error) {
		file.Reset()
		w, err := vector.NewWriter(&file, vector.Options{Dim: c.model.Dimensions(), Exact: exact})
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if err := w.Add(c.known[k]); err != nil {
				return nil, err
			}
		}
		if err := w.Close(ctx); err != nil {
			return nil, err
		}
		b := bytes.Clone(file.Bytes())
		return vector.Open(bytes.NewReader(b), int64(len(b)))
	}
	scan, err := build(1 << 25)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	walk, err := build(1)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	figures := []result.Figure{{Name: "graph: built", Value: float64(len(keys)) / took.Seconds(), Unit: "vectors/s",
		Note: fmt.Sprintf("%d vectors; %d bytes a vector in memory, %d in the file", len(keys), walk.Memory()/int64(len(keys)), file.Len()/len(keys))}}
	r := rand.New(rand.NewPCG(1, 1))
	for _, share := range []int{1, 2, 10, 100} {
		allowed := vector.NewBits(len(keys))
		for _, o := range r.Perm(len(keys))[:len(keys)/share] {
			allowed.Set(o)
		}
		var slow, fast []time.Duration
		hits := 0
		for _, q := range questions {
			begin := time.Now()
			want, err := scan.Search(ctx, c.known[q], 10, allowed)
			if err != nil {
				return nil, err
			}
			slow = append(slow, time.Since(begin))
			begin = time.Now()
			got, err := walk.Search(ctx, c.known[q], 10, allowed)
			if err != nil {
				return nil, err
			}
			fast = append(fast, time.Since(begin))
			for _, m := range want {
				if slices.Contains(got, m) {
					hits++
				}
			}
		}
		slices.Sort(slow)
		slices.Sort(fast)
		figures = append(figures, result.Figure{Name: fmt.Sprintf("graph: recall@10 with 1 of %d allowed", share), Value: float64(hits) / float64(10*len(questions)),
			Note: fmt.Sprintf("scan p50 %v p99 %v, walk p50 %v p99 %v", slow[200], slow[396], fast[200], fast[396])}.AtLeast(0.95))
	}
	return figures, nil
}
