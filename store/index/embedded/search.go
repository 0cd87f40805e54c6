package embedded

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/fuse"
	"github.com/leat-ai/leat/store/index/vector"
)

// maxWords is how many different words of a query count: the first.
const maxWords = 1024

// place is where a passage is: its part within the snapshot and its ordinal.
type place uint64

func placeOf(part int, ordinal uint32) place { return place(part)<<32 | place(ordinal) }
func (p place) part() int                    { return int(p >> 32) }
func (p place) ordinal() uint32              { return uint32(p) }

// candidate is a passage that one ranking brought up.
type candidate struct {
	place place
	score float64
}

// search is one query while it runs.
type search struct {
	ix       *Index
	snapshot *snapshot
	query    index.Query
	allowed  []bitmap // by part
	terms    []*queryTerm
	blocks   map[blockKey][]index.Passage // that were read
}

type blockKey struct{ part, block int }

// queryTerm is a term of the query by one analyzer.
type queryTerm struct {
	key     string
	times   int         // in the query
	entries []termEntry // by part
	count   int         // passages that have it
	formula formula
}

// Search finds the best passages.
func (ix *Index) Search(ctx context.Context, q index.Query) ([]index.Hit, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	snapshot, err := ix.acquire(q.Snapshot)
	if err != nil {
		return nil, err
	}
	defer snapshot.release()
	s := &search{ix: ix, snapshot: snapshot, query: q, blocks: make(map[blockKey][]index.Passage)}
	if err := s.permit(); err != nil {
		return nil, err
	}
	depth := q.K
	both := q.Text != "" && len(q.Vector) > 0
	if both {
		depth = max(q.K, cmp.Or(q.Fusion.Depth, max(100, 2*q.K)))
	}
	texts, err := s.byText(ctx, depth)
	if err != nil {
		return nil, err
	}
	vectors, err := s.byVector(ctx, depth)
	if err != nil {
		return nil, err
	}
	found := append(texts, vectors...)
	if both {
		if found, err = s.fuse(texts, vectors); err != nil {
			return nil, err
		}
	}
	return s.hits(found[:min(len(found), q.K)], texts, vectors, both)
}

// permit works out which passages may be found.
func (s *search) permit() error {
	s.allowed = make([]bitmap, len(s.snapshot.parts))
	for i := range s.snapshot.parts {
		p := &s.snapshot.parts[i]
		allowed := s.ix.readable(p.segment, s.query.Who)
		if s.query.Filter != nil || p.dead != nil {
			allowed = slices.Clone(allowed)
		}
		if s.query.Filter != nil {
			matching, err := s.ix.matching(p.segment, s.query.Filter)
			if err != nil {
				return err
			}
			allowed.and(matching)
		}
		for w, dead := range p.dead {
			allowed[w] &^= dead
		}
		s.allowed[i] = allowed
	}
	return nil
}

// readable is which passages of a segment a reader may read. It is not to be
// changed.
func (ix *Index) readable(s *segment, who index.Reader) bitmap {
	key := cacheKey{segment: s.name, epoch: ix.access.now(), text: who.Key()}
	if b := ix.cache.get(key); b != nil {
		return b
	}
	documents, epoch := ix.access.readable(who, s.documents)
	b := newBitmap(s.n)
	for o, local := range s.locals {
		if documents[local] {
			b.set(uint32(o))
		}
	}
	key.epoch = epoch
	ix.cache.put(key, b)
	return b
}

// matching is which passages of a segment a filter lets through. It is not to
// be changed.
func (ix *Index) matching(s *segment, f index.Filter) (bitmap, error) {
	key := cacheKey{segment: s.name, filter: true, text: string(index.AppendFilter(nil, f))}
	if b := ix.cache.get(key); b != nil {
		return b, nil
	}
	b, err := ix.evaluate(s, f)
	if err == nil {
		ix.cache.put(key, b)
	}
	return b, err
}

func (ix *Index) evaluate(s *segment, f index.Filter) (bitmap, error) {
	switch f := f.(type) {
	case index.And:
		all := fullBitmap(s.n)
		return all, ix.combine(s, f, all.and)
	case index.Or:
		some := newBitmap(s.n)
		return some, ix.combine(s, f, some.or)
	case index.Not:
		b, err := ix.evaluate(s, f.Filter)
		if err == nil {
			b.not(s.n)
		}
		return b, err
	case index.In:
		return ix.field(s, f.Field, f.Holds)
	case index.Range:
		return ix.field(s, f.Field, f.Holds)
	case index.Exists:
		return ix.field(s, f.Field, func(index.Value) bool { return true })
	}
	return nil, fault.New(fault.Internal, "a filter of an unknown type")
}

func (ix *Index) combine(s *segment, parts []index.Filter, with func(bitmap)) error {
	for _, part := range parts {
		b, err := ix.evaluate(s, part)
		if err != nil {
			return err
		}
		with(b)
	}
	return nil
}

// field evaluates a condition on a field.
func (ix *Index) field(s *segment, name string, holds func(index.Value) bool) (bitmap, error) {
	b := newBitmap(s.n)
	if name == index.DocumentField {
		gone := make([]bool, len(s.documents))
		for local, n := range s.documents {
			gone[local] = holds(index.Text(ix.access.name(n)))
		}
		for o, local := range s.locals {
			if gone[local] {
				b.set(uint32(o))
			}
		}
		return b, nil
	}
	at, ok := s.fields[name]
	if !ok {
		return b, nil
	}
	values, err := readRegion(s.file, at, s.size, nil)
	if err == nil {
		err = matchField(values, holds, b, s.n)
	}
	return b, corrupt(err, s.path)
}

// words are the terms of the query, by every analyzer that the snapshot has.
func (s *search) words() []*queryTerm {
	c, _ := s.ix.words.Get().(*counter)
	if c == nil {
		c = newCounter(index.Settings{})
	}
	defer s.ix.words.Put(c)
	var terms []*queryTerm
	for _, analyzer := range slices.Sorted(maps.Keys(s.snapshot.manifest.Analyzers)) {
		seen := make(map[string]*queryTerm)
		c.tokens = c.get(analyzer).Tokens(s.query.Text, c.tokens[:0])
		for _, token := range c.tokens {
			t := seen[token.Term]
			if t == nil {
				if len(seen) == maxWords {
					continue
				}
				t = &queryTerm{key: termKey(analyzer, token.Term), entries: make([]termEntry, len(s.snapshot.parts))}
				seen[token.Term] = t
				terms = append(terms, t)
			}
			t.times++
		}
	}
	return terms
}

// plan looks the terms of the query up and works out their weights.
func (s *search) plan() error {
	m := &s.snapshot.manifest
	settings := m.Snapshot.Settings
	scale := unitsOf(settings.Weights).scale
	average := math.Max(1, float64(m.Units)/math.Max(1, float64(m.Snapshot.Passages)))
	for _, t := range s.words() {
		for i := range s.snapshot.parts {
			p := &s.snapshot.parts[i]
			e, err := p.segment.term(t.key)
			if err != nil {
				return err
			}
			t.entries[i] = e
			t.count += e.count - p.missing[t.key]
		}
		if t.count < 1 {
			continue
		}
		analyzer, _ := cutKey(t.key)
		t.formula = formula{
			weight:   float64(t.times) * idf(t.count, m.Analyzers[analyzer]),
			constant: settings.K1 * (1 - settings.B) / scale,
			slope:    settings.K1 * settings.B / average / scale,
		}
		s.terms = append(s.terms, t)
	}
	return nil
}

// idf is the weight of a term that count of all passages have.
func idf(count, all int) float64 {
	return math.Log1p((float64(all-count) + 0.5) / (float64(count) + 0.5))
}

// byText ranks by words.
func (s *search) byText(ctx context.Context, depth int) ([]candidate, error) {
	if s.query.Text == "" {
		return nil, nil
	}
	if err := s.plan(); err != nil {
		return nil, err
	}
	var found []candidate
	best := &best{k: depth}
	scan := &scan{best: best}
	for i := range s.snapshot.parts {
		p := &s.snapshot.parts[i]
		scan.cursors, scan.allowed, scan.n = scan.cursors[:0], s.allowed[i], p.segment.n
		for _, t := range s.terms {
			if t.entries[i].count == 0 {
				continue
			}
			c, err := s.cursor(i, t)
			if err != nil {
				return nil, err
			}
			scan.cursors = append(scan.cursors, c)
		}
		if err := scan.run(ctx); err != nil {
			return nil, damaged(err, p.segment.path)
		}
		for _, r := range best.ranked() {
			found = append(found, candidate{placeOf(i, r.ordinal), float64(r.score) / fixed})
		}
	}
	return s.top(found, depth)
}

func (s *search) cursor(part int, t *queryTerm) (*cursor, error) {
	segment := s.snapshot.parts[part].segment
	c := &cursor{formula: t.formula, lengths: segment.lengths, decoded: -1}
	var err error
	c.list, err = segment.postings(t.entries[part], c.formula.bound)
	return c, err
}

// byVector ranks by vectors.
func (s *search) byVector(ctx context.Context, depth int) ([]candidate, error) {
	dimension := s.snapshot.manifest.Snapshot.Dimension
	if len(s.query.Vector) == 0 || dimension == 0 {
		return nil, nil
	}
	if dimension != len(s.query.Vector) {
		return nil, fault.New(fault.Invalid, "the vector of the query has %d numbers, those of the snapshot have %d", len(s.query.Vector), dimension)
	}
	var found []candidate
	for i := range s.snapshot.parts {
		set := s.snapshot.parts[i].segment.vectors
		if set == nil {
			continue
		}
		matches, err := set.Search(ctx, s.query.Vector, depth, vector.Bits(s.allowed[i]))
		if err != nil {
			return nil, err
		}
		for _, m := range matches {
			found = append(found, candidate{placeOf(i, uint32(m.Ordinal)), m.Score})
		}
	}
	return s.top(found, depth)
}

// fuse makes one ranking of two.
func (s *search) fuse(texts, vectors []candidate) ([]candidate, error) {
	f := s.query.Fusion
	if f.Text == 0 && f.Vector == 0 {
		f.Text, f.Vector = 1, 1
	}
	lists := []fuse.List[place]{{Entries: entries(texts), Weight: f.Text}, {Entries: entries(vectors), Weight: f.Vector}}
	var fused []fuse.Scored[place]
	if f.Method == index.RRF {
		fused = fuse.RRF(f.Rank, lists...)
	} else {
		fused = fuse.Weighted(lists...)
	}
	found := make([]candidate, len(fused))
	for i, e := range fused {
		found[i] = candidate{e.Key, e.Score}
	}
	return s.top(found, len(found))
}

func entries(list []candidate) []fuse.Scored[place] {
	all := make([]fuse.Scored[place], len(list))
	for i, c := range list {
		all[i] = fuse.Scored[place]{Key: c.place, Score: c.score}
	}
	return all
}

// top orders candidates by falling score, equal ones by id, and keeps the best.
// Within a part places are in the order of ids, so ids are read only where
// passages of several parts are equal.
func (s *search) top(found []candidate, k int) ([]candidate, error) {
	slices.SortFunc(found, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.place, y.place))
	})
	for from := 0; from < min(k, len(found)); {
		to := from + 1
		mixed := false
		for to < len(found) && found[to].score == found[from].score {
			mixed = mixed || found[to].place.part() != found[from].place.part()
			to++
		}
		if mixed {
			if err := s.orderByID(found[from:to]); err != nil {
				return nil, err
			}
		}
		from = to
	}
	return found[:min(k, len(found))], nil
}

func (s *search) orderByID(found []candidate) error {
	ids := make(map[place]string, len(found))
	for _, c := range found {
		p, err := s.passage(c.place)
		if err != nil {
			return err
		}
		ids[c.place] = p.ID
	}
	slices.SortFunc(found, func(x, y candidate) int { return cmp.Compare(ids[x.place], ids[y.place]) })
	return nil
}

// passage reads a passage; what is read with it is kept for this query.
func (s *search) passage(at place) (index.Passage, error) {
	segment := s.snapshot.parts[at.part()].segment
	key := blockKey{at.part(), segment.blockOf(at.ordinal())}
	if s.blocks[key] == nil {
		passages, err := segment.block(key.block, s.ix.pack)
		if err != nil {
			return index.Passage{}, err
		}
		s.blocks[key] = passages
	}
	return s.blocks[key][at.ordinal()-segment.stored[key.block].first], nil
}

// hits reads what was found.
func (s *search) hits(found, texts, vectors []candidate, fused bool) ([]index.Hit, error) {
	hits := make([]index.Hit, len(found))
	for i, c := range found {
		p, err := s.passage(c.place)
		if err != nil {
			return nil, err
		}
		hits[i] = index.Hit{Passage: clonePassage(p), Score: c.score}
		if !s.query.Explain {
			continue
		}
		if hits[i].Explain, err = s.explain(c, texts, vectors); err != nil {
			return nil, err
		}
		if fused {
			hits[i].Explain.Fused = c.score
		}
	}
	return hits, nil
}

// explain says how a hit came by its score.
func (s *search) explain(c candidate, texts, vectors []candidate) (*index.Explain, error) {
	e := &index.Explain{}
	same := func(d candidate) bool { return d.place == c.place }
	if i := slices.IndexFunc(vectors, same); i >= 0 {
		e.Vector = &index.VectorScore{Rank: i + 1, Cosine: vectors[i].score}
	}
	i := slices.IndexFunc(texts, same)
	if i < 0 {
		return e, nil
	}
	e.Text = &index.TextScore{Rank: i + 1, Score: texts[i].score}
	settings := s.snapshot.manifest.Snapshot.Settings
	part, ordinal := c.place.part(), c.place.ordinal()
	for _, t := range s.terms {
		if t.entries[part].count == 0 {
			continue
		}
		cursor, err := s.cursor(part, t)
		if err != nil {
			return nil, err
		}
		score, err := cursor.probe(ordinal)
		if err != nil {
			return nil, damaged(err, s.snapshot.parts[part].segment.path)
		}
		if score == 0 {
			continue
		}
		analyzer, term := cutKey(t.key)
		all := s.snapshot.manifest.Analyzers[analyzer]
		e.Text.Terms = append(e.Text.Terms, index.TermScore{Term: term, Language: analyzer, Passages: t.count, IDF: idf(t.count, all),
			Frequency: float64(cursor.counts[cursor.i]) * unitsOf(settings.Weights).scale,
			Length:    float64(cursor.lengths[ordinal]) * float64(s.snapshot.manifest.Snapshot.Passages) / math.Max(1, float64(s.snapshot.manifest.Units)),
			Score:     float64(score) / fixed})
	}
	return e, nil
}

// Passages returns passages by id.
func (ix *Index) Passages(ctx context.Context, name string, who index.Reader, ids []string) ([]index.Passage, error) {
	if len(ids) > index.MaxK {
		return nil, fault.New(fault.TooLarge, "%d passages are asked for, more than %d", len(ids), index.MaxK)
	}
	snapshot, err := ix.acquire(name)
	if err != nil {
		return nil, err
	}
	defer snapshot.release()
	var found []index.Passage
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i := range snapshot.parts {
			part := &snapshot.parts[i]
			ordinal, p, ok, err := part.segment.find(id, ix.pack)
			if err != nil {
				return nil, err
			}
			if ok && part.has(ordinal) {
				if ix.access.may(who, part.segment.document(ordinal)) {
					found = append(found, clonePassage(p))
				}
				break
			}
		}
	}
	return found, nil
}
