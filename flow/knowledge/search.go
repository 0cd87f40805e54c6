package knowledge

import (
	"context"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/index"
)

// Search asks a knowledge.
type Search struct {
	Knowledge string
	// Snapshot to ask; the live one when empty, or the one that was live at
	// AsOf.
	Snapshot string
	AsOf     time.Time
	Text     string
	K        int // how many passages at most; 10 when 0
	Filter   index.Filter
	Fusion   index.Fusion
	Explain  bool
	// Neighbours is how many passages before and after each are given too.
	Neighbours int
}

// Found is the answer to a Search.
type Found struct {
	Knowledge string
	Snapshot  string
	Passages  []Scored
	// Notes say what could not be done, such as the embedder being away.
	Notes []string
}

// Scored is a passage in its place.
type Scored struct {
	index.Passage
	Score float64
	// Explain has the scores of each stage; nil unless asked for.
	Explain *Explain
	// Before and After are the neighbours, in the order of the text.
	Before, After []index.Passage
	URL           string // where a reader is sent to
}

// Explain says how a passage came by its place.
type Explain struct {
	index.Explain
	// Reranked is the score of the reranker; nil where there was none.
	Reranked *float64
	// Place before the reranker, from 1.
	Place int
}

// Bounds of a search.
const (
	defaultK      = 10
	maxK          = 1000
	maxNeighbours = 10
	rerankDepth   = 50
)

// Search finds the passages that answer best among those that who asks
// (identity.From) may read. Two equal searches of one snapshot get equal
// answers. Where the embedder does not answer, words alone are gone by, and a
// note says so.
func (s *Store) Search(ctx context.Context, q Search) (Found, error) {
	k, err := s.spec(q.Knowledge)
	if err != nil {
		return Found{}, err
	}
	who, err := reader(ctx)
	if err != nil {
		return Found{}, err
	}
	if q, err = q.within(); err != nil {
		return Found{}, err
	}
	snapshot, err := s.resolve(ctx, q)
	if err != nil {
		return Found{}, err
	}
	h, err := s.acquire(ctx, k)
	if err != nil {
		return Found{}, err
	}
	defer s.release(h)
	found := Found{Knowledge: q.Knowledge, Snapshot: snapshot.Name}
	ask := index.Query{Snapshot: snapshot.Name, Text: q.Text, K: q.K, Filter: q.Filter, Who: who, Fusion: q.Fusion, Explain: q.Explain}
	if snapshot.Embedder != "" {
		if ask.Vector, err = s.question(ctx, k, snapshot, q.Text); err != nil {
			s.deps.Log.Warn("a question was not embedded", "knowledge", k.Name, "error", err)
			found.Notes = append(found.Notes, "the embedder does not answer: found by words alone")
		}
	}
	if k.Rerank != "" {
		ask.K = max(q.K, rerankDepth)
	}
	hits, err := h.index.Search(ctx, ask)
	if err != nil {
		return Found{}, err
	}
	if hits, err = s.withoutWithdrawn(ctx, k.Name, hits); err != nil {
		return Found{}, err
	}
	for i, hit := range hits {
		found.Passages = append(found.Passages, scored(hit, i+1))
	}
	if k.Rerank != "" {
		s.rerank(ctx, k, q, &found)
	}
	found.Passages = found.Passages[:min(q.K, len(found.Passages))]
	return found, s.neighbours(ctx, h.index, who, q, &found)
}

// reader is who asks, as an index knows them.
func reader(ctx context.Context) (index.Reader, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return index.Reader{}, fault.New(fault.Unauthenticated, "nobody known is asking")
	}
	return index.ReaderOf(p.Name, p.Groups), nil
}

func (q Search) within() (Search, error) {
	if q.K == 0 {
		q.K = defaultK
	}
	switch {
	case q.K < 1 || q.K > maxK:
		return q, fault.New(fault.Invalid, "%d passages are asked for, not 1 to %d", q.K, maxK)
	case q.Neighbours < 0 || q.Neighbours > maxNeighbours:
		return q, fault.New(fault.Invalid, "%d neighbours are asked for, not 0 to %d", q.Neighbours, maxNeighbours)
	case q.Snapshot != "" && !q.AsOf.IsZero():
		return q, fault.New(fault.Invalid, "a search names both a snapshot and a time").Hint("keep one of them")
	}
	return q, nil
}

// resolve finds the snapshot that a search is of.
func (s *Store) resolve(ctx context.Context, q Search) (Snapshot, error) {
	switch {
	case q.Snapshot != "":
		return s.Snapshot(ctx, q.Knowledge, q.Snapshot)
	case !q.AsOf.IsZero():
		return s.AsOf(ctx, q.Knowledge, q.AsOf)
	}
	return s.Live(ctx, q.Knowledge)
}

// question embeds what is asked, as long as the knowledge still has the
// embedder that the snapshot was made with.
func (s *Store) question(ctx context.Context, k spec.Knowledge, snapshot Snapshot, text string) ([]float32, error) {
	if k.Embed != snapshot.Embedder {
		return nil, fault.New(fault.Conflict, "the snapshot was embedded by %s", snapshot.Embedder)
	}
	embedder, err := s.deps.Engines.Embedder(ctx, k)
	if err != nil {
		return nil, err
	}
	if embedder == nil {
		return nil, fault.New(fault.Unavailable, "there is no embedder")
	}
	made, err := embedder.Embed(ctx, llm.EmbedRequest{Inputs: []string{text}, Purpose: llm.ForQuery})
	if err != nil {
		return nil, err
	}
	if len(made.Vectors) != 1 {
		return nil, fault.New(fault.Unavailable, "the embedder answered %d vectors to one question", len(made.Vectors))
	}
	return made.Vectors[0], nil
}

func scored(hit index.Hit, place int) Scored {
	out := Scored{Passage: hit.Passage, Score: hit.Score}
	for _, f := range hit.Passage.Fields {
		if f.Name == fieldURL {
			out.URL = f.Value.Text
		}
	}
	if hit.Explain != nil {
		out.Explain = &Explain{Explain: *hit.Explain, Place: place}
	}
	return out
}

// rerank orders the best passages anew. A reranker that does not answer leaves
// them as they are.
func (s *Store) rerank(ctx context.Context, k spec.Knowledge, q Search, found *Found) {
	order := func() error {
		r, err := s.deps.Engines.Reranker(ctx, k)
		if err != nil || r == nil || len(found.Passages) == 0 {
			return err
		}
		texts := make([]string, len(found.Passages))
		for i, p := range found.Passages {
			texts[i] = p.Text
		}
		ranking, err := r.Rerank(ctx, llm.RerankRequest{Query: q.Text, Documents: texts, Top: q.K})
		if err != nil {
			return err
		}
		ordered := make([]Scored, 0, len(ranking.Results))
		for _, result := range ranking.Results {
			if result.Index < 0 || result.Index >= len(found.Passages) {
				return fault.New(fault.Unavailable, "the reranker answered with a document that it was not given")
			}
			p := found.Passages[result.Index]
			p.Score = result.Score
			if p.Explain != nil {
				score := result.Score
				p.Explain.Reranked = &score
			}
			ordered = append(ordered, p)
		}
		found.Passages = ordered
		return nil
	}
	if err := order(); err != nil {
		s.deps.Log.Warn("passages were not reranked", "knowledge", k.Name, "error", err)
		found.Notes = append(found.Notes, "the reranker does not answer: ranked without it")
	}
}

// neighbours adds what stands before and after each passage.
func (s *Store) neighbours(ctx context.Context, idx index.Searcher, who index.Reader, q Search, found *Found) error {
	if q.Neighbours == 0 || len(found.Passages) == 0 {
		return nil
	}
	var ids []string
	for _, p := range found.Passages {
		for o := max(0, p.Ordinal-q.Neighbours); o <= p.Ordinal+q.Neighbours; o++ {
			if o != p.Ordinal {
				ids = append(ids, passageID(p.Document, o))
			}
		}
	}
	by := map[string]index.Passage{}
	for len(ids) > 0 {
		n := min(len(ids), index.MaxK)
		passages, err := idx.Passages(ctx, found.Snapshot, who, ids[:n])
		if err != nil {
			return err
		}
		for _, p := range passages {
			by[p.ID] = p
		}
		ids = ids[n:]
	}
	for i := range found.Passages {
		p := &found.Passages[i]
		for o := max(0, p.Ordinal-q.Neighbours); o <= p.Ordinal+q.Neighbours; o++ {
			neighbour, ok := by[passageID(p.Document, o)]
			switch {
			case !ok:
			case o < p.Ordinal:
				p.Before = append(p.Before, neighbour)
			case o > p.Ordinal:
				p.After = append(p.After, neighbour)
			}
		}
	}
	return nil
}

// passageID names a passage of a document.
func passageID(document string, ordinal int) string {
	return document + "#" + strconv.Itoa(ordinal)
}
