package azuresearch

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/fuse"
)

// candidate is a passage that one ranking brought up.
type candidate struct {
	passage index.Passage
	score   float64
}

// Search finds the best passages. Where ranks are fused by RRF with the
// constant that the service has, it fuses them itself, in one query; otherwise
// it is asked for both rankings at once, and they are fused here.
func (x *Index) Search(ctx context.Context, q index.Query) ([]index.Hit, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	s, err := x.snapshot(ctx, q.Snapshot)
	if err != nil {
		return nil, err
	}
	if n := len(q.Vector); n > 0 && s.Dimension > 0 && n != s.Dimension {
		return nil, fault.New(fault.Invalid, "the vector of the query has %d numbers, those of the snapshot have %d", n, s.Dimension)
	}
	filter := visible(s.SID, q.Who, q.Filter)
	both := q.Text != "" && len(q.Vector) > 0
	words, vector := byWords(q, s, filter), byVector(q, s, filter)
	if both && words != nil && vector != nil && !q.Explain && q.Fusion.Method == index.RRF && (q.Fusion.Rank == 0 || q.Fusion.Rank == fuse.DefaultRank) &&
		q.Fusion.Text == q.Fusion.Vector {
		words.VectorQueries, words.VectorFilter = vector.VectorQueries, vector.VectorFilter
		found, err := x.candidates(ctx, words, q.K)
		return hits(found, q.K), err
	}
	depth := q.K
	if both {
		depth = max(q.K, cmp.Or(q.Fusion.Depth, max(100, 2*q.K)))
	}
	var texts, vectors []candidate
	g, within := errgroup.WithContext(ctx)
	g.Go(func() (err error) { texts, err = x.candidates(within, words, depth); return err })
	g.Go(func() (err error) { vectors, err = x.candidates(within, vector, depth); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i := range vectors { // the service gives 1/(1 + distance), distance being 1 - cosine
		vectors[i].score = max(-1, 2-1/vectors[i].score)
	}
	found := append(slices.Clone(texts), vectors...)
	if both {
		found = fused(q.Fusion, texts, vectors)
	}
	out := hits(found, q.K)
	if q.Explain {
		explain(out, texts, vectors, both)
	}
	return out, nil
}

// byWords is the query for words; nil where there are none.
func byWords(q index.Query, s *snapshot, filter string) *question {
	words := plainWords(q.Text)
	if words == "" {
		return nil
	}
	var names []string
	for name := range parts(s.Settings) {
		names = append(names, name)
	}
	slices.Sort(names)
	return &question{Search: words, QueryType: "simple", SearchMode: "any", SearchFields: strings.Join(names, ","), Profile: "weights", Filter: filter, Select: columns}
}

// byVector is the query for the nearest vectors; nil where there is none.
func byVector(q index.Query, s *snapshot, filter string) *question {
	if s.Dimension == 0 || !slices.ContainsFunc(q.Vector, func(x float32) bool { return x != 0 }) {
		return nil
	}
	return &question{
		VectorQueries: []vectorQuery{{Kind: "vector", Vector: q.Vector, Fields: "vector"}}, VectorFilter: "preFilter", Filter: filter, Select: columns,
	}
}

// spare is how many more passages are asked for than are wanted, so that of
// those with the last score the ones with the first ids are among them.
const spare = 50

// candidates asks for the best passages; a nil question has none.
func (x *Index) candidates(ctx context.Context, q *question, depth int) ([]candidate, error) {
	if q == nil {
		return nil, nil
	}
	for i := range q.VectorQueries {
		q.VectorQueries[i].K = depth + spare
	}
	documents, _, err := ask[document](ctx, x.service, x.passages, *q, depth+spare)
	if err != nil {
		return nil, err
	}
	found := make([]candidate, len(documents))
	for i := range documents {
		p, err := documents[i].passage()
		if err != nil {
			return nil, err
		}
		found[i] = candidate{p, documents[i].Score}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.passage.ID, b.passage.ID))
	})
	return found[:min(len(found), depth)], nil
}

func fused(f index.Fusion, texts, vectors []candidate) []candidate {
	if f.Text == 0 && f.Vector == 0 {
		f.Text, f.Vector = 1, 1
	}
	passages := make(map[string]index.Passage)
	list := func(from []candidate, weight float64) fuse.List[string] {
		l := fuse.List[string]{Weight: weight}
		for _, c := range from {
			passages[c.passage.ID] = c.passage
			l.Entries = append(l.Entries, fuse.Scored[string]{Key: c.passage.ID, Score: c.score})
		}
		return l
	}
	lists := []fuse.List[string]{list(texts, f.Text), list(vectors, f.Vector)}
	var ranked []fuse.Scored[string]
	if f.Method == index.RRF {
		ranked = fuse.RRF(f.Rank, lists...)
	} else {
		ranked = fuse.Weighted(lists...)
	}
	found := make([]candidate, len(ranked))
	for i, e := range ranked {
		found[i] = candidate{passages[e.Key], e.Score}
	}
	return found
}

func hits(found []candidate, k int) []index.Hit {
	out := make([]index.Hit, min(k, len(found)))
	for i := range out {
		out[i] = index.Hit{Passage: found[i].passage, Score: found[i].score}
	}
	return out
}

// explain says which rankings brought the hits up. The service does not say
// what each word added.
func explain(hits []index.Hit, texts, vectors []candidate, both bool) {
	for i := range hits {
		same := func(c candidate) bool { return c.passage.ID == hits[i].Passage.ID }
		e := &index.Explain{}
		if at := slices.IndexFunc(texts, same); at >= 0 {
			e.Text = &index.TextScore{Rank: at + 1, Score: texts[at].score}
		}
		if at := slices.IndexFunc(vectors, same); at >= 0 {
			e.Vector = &index.VectorScore{Rank: at + 1, Cosine: vectors[at].score}
		}
		if both {
			e.Fused = hits[i].Score
		}
		hits[i].Explain = e
	}
}

// Passages returns passages by id.
func (x *Index) Passages(ctx context.Context, name string, who index.Reader, ids []string) ([]index.Passage, error) {
	if len(ids) > index.MaxK {
		return nil, fault.New(fault.TooLarge, "%d passages are asked for, more than %d", len(ids), index.MaxK)
	}
	s, err := x.snapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	there := make(map[string]index.Passage, len(ids))
	for part := range slices.Chunk(ids, keysAtOnce) {
		keys := make([]string, len(part))
		for i, id := range part {
			keys[i] = hashed(id)
		}
		q := &question{Search: "*", Filter: visible(s.SID, who, nil) + " and " + among("idKey", keys), Select: columns}
		found, err := x.candidates(ctx, q, len(part))
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			there[c.passage.ID] = c.passage
		}
	}
	var passages []index.Passage
	for _, id := range ids {
		if p, ok := there[id]; ok {
			passages = append(passages, p)
		}
	}
	return passages, nil
}
