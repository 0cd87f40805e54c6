package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/fuse"
)

// search is one query while it runs, on one state of the tables.
type search struct {
	tx       pgx.Tx
	snapshot *snapshot
	query    index.Query
	words    []word
}

// word is a term of the query by one analyzer.
type word struct {
	key      string
	times    int   // in the query
	passages int64 // that have it
	idf      float64
}

// maxWords is how many different words of a query count: the first.
const maxWords = 1024

// candidate is a passage that one ranking brought up.
type candidate struct {
	pid   int64
	id    string
	score float64
}

// Search finds the best passages.
func (x *Index) Search(ctx context.Context, q index.Query) ([]index.Hit, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	var hits []index.Hit
	err := x.read(ctx, func(tx pgx.Tx) error {
		s := &search{tx: tx, query: q}
		var err error
		if s.snapshot, err = readSnapshot(ctx, tx, q.Snapshot); err != nil {
			return err
		}
		hits, err = s.run(ctx)
		return err
	})
	return hits, err
}

// read runs f on one state of the tables.
func (x *Index) read(ctx context.Context, f func(pgx.Tx) error) error {
	return wrap(ctx, pgx.BeginTxFunc(ctx, x.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f))
}

func (s *search) run(ctx context.Context) ([]index.Hit, error) {
	depth := s.query.K
	both := s.query.Text != "" && len(s.query.Vector) > 0
	if both {
		depth = max(s.query.K, cmp.Or(s.query.Fusion.Depth, max(100, 2*s.query.K)))
	}
	texts, err := s.byText(ctx, depth)
	if err != nil {
		return nil, err
	}
	vectors, err := s.byVector(ctx, depth)
	if err != nil {
		return nil, err
	}
	found := append(slices.Clone(texts), vectors...)
	if both {
		found = s.fuse(texts, vectors)
	}
	return s.hits(ctx, found[:min(len(found), s.query.K)], texts, vectors, both)
}

// visible writes the joins and the condition that leave only what the asker
// may read and the filter lets through, of rows with the columns pid and did.
func (s *statement) visible(sid int64, who index.Reader, f index.Filter, row string) {
	s.add(" JOIN members m ON m.did = " + row + ".did AND m.sid = ")
	s.bind(sid, "bigint")
	s.add(" JOIN documents d ON d.did = " + row + ".did")
	if who.All() {
		s.add(" LEFT JOIN access a ON a.document = d.document WHERE a.withdrawn IS NOT TRUE AND (")
	} else {
		s.add(" JOIN access a ON a.document = d.document WHERE NOT a.withdrawn AND a.readers && ")
		s.bind(bytesOf(who.Marks()), "bytea[]")
		s.add(" AND (")
	}
	s.filter(f, row+".pid", row+".did")
	s.add(")")
}

// fixed is how many parts a score has while it is added up: sums of whole
// numbers do not depend on their order.
const fixed = 1 << 32

// formula is BM25 of one posting o, in parts of a score:
//
//	weight / (1 + K/count),  K = k1·(1 − b + b·length/average)
//
// A passage that has a word of the query has a score above zero.
func (s *search) formula(st *statement, weight string) {
	settings := s.snapshot.Settings
	average := math.Max(1, float64(s.snapshot.length)/math.Max(1, float64(s.snapshot.Passages)))
	st.add("greatest(1, trunc(" + weight + " / (1 + (")
	st.bind(settings.K1*(1-settings.B)*finest, "float8")
	st.add(" + ")
	st.bind(settings.K1*settings.B/average*finest, "float8")
	st.add(" * o.length) / o.count) * 4294967296))::bigint")
}

// byText ranks by words.
func (s *search) byText(ctx context.Context, depth int) ([]candidate, error) {
	if s.query.Text == "" {
		return nil, nil
	}
	if err := s.readWords(ctx); err != nil || len(s.words) == 0 {
		return nil, err
	}
	st := &statement{}
	st.add("WITH scored AS MATERIALIZED (SELECT o.pid, sum(")
	s.formula(st, "q.weight")
	st.add(")::bigint AS score FROM ")
	s.bindWords(st)
	st.add(" JOIN postings o ON o.term = q.term")
	st.visible(s.snapshot.sid, s.query.Who, s.query.Filter, "o")
	st.add(" GROUP BY o.pid) SELECT p.pid, p.id, s.score FROM scored s JOIN passages p USING (pid)" +
		" WHERE s.score >= (SELECT min(score) FROM (SELECT score FROM scored ORDER BY score DESC LIMIT ")
	st.bind(depth, "bigint")
	st.add(") best) ORDER BY s.score DESC, p.id LIMIT ")
	st.bind(depth, "bigint")
	rows, err := s.tx.Query(ctx, st.text.String(), st.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
		var (
			id    []byte
			score int64
		)
		err = row.Scan(&c.pid, &id, &score)
		c.id, c.score = string(id), float64(score)/fixed
		return c, err
	})
}

// bindWords writes the words of the query as rows q of term and weight.
func (s *search) bindWords(st *statement) {
	terms, weights := make([][]byte, len(s.words)), make([]float64, len(s.words))
	for i, w := range s.words {
		terms[i], weights[i] = []byte(w.key), float64(w.times)*w.idf
	}
	st.add("unnest(")
	st.bind(terms, "bytea[]")
	st.add(", ")
	st.bind(weights, "float8[]")
	st.add(") q(term, weight)")
}

// readWords finds the terms of the query, by every analyzer that the snapshot
// has, and how rare they are.
func (s *search) readWords(ctx context.Context) error {
	c := newCounter(s.snapshot.Settings)
	var keys [][]byte
	at := make(map[string]int)
	var all []word
	for _, analyzer := range s.snapshot.analyzers {
		first := len(all)
		c.tokens = c.get(analyzer).Tokens(s.query.Text, c.tokens[:0])
		for _, t := range c.tokens {
			key := termKey(analyzer, t.Term)
			i, seen := at[key]
			if !seen {
				if len(all)-first == maxWords {
					continue
				}
				i = len(all)
				at[key] = i
				all, keys = append(all, word{key: key}), append(keys, []byte(key))
			}
			all[i].times++
		}
	}
	rows, err := s.tx.Query(ctx, `SELECT term, passages FROM terms WHERE sid = $1 AND term = ANY($2)`, s.snapshot.sid, keys)
	if err != nil {
		return err
	}
	var (
		term     []byte
		passages int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&term, &passages}, func() error {
		w := &all[at[string(term)]]
		analyzer, _ := cutKey(w.key)
		w.passages, w.idf = passages, idf(passages, s.snapshot.analyzed[analyzer])
		return nil
	}); err != nil {
		return err
	}
	s.words = slices.DeleteFunc(all, func(w word) bool { return w.passages == 0 })
	return nil
}

// idf is the weight of a term that count of all passages have.
func idf(count, all int64) float64 {
	return math.Log1p((float64(all-count) + 0.5) / (float64(count) + 0.5))
}

// spare is how many more vectors are fetched than are asked for: the server
// ranks them by sums of 32 bits.
const spare = 32

// byVector ranks by vectors. The server finds those that can be among the
// best, and their cosines are computed here.
func (s *search) byVector(ctx context.Context, depth int) ([]candidate, error) {
	dimension := s.snapshot.Dimension
	if len(s.query.Vector) == 0 || dimension == 0 {
		return nil, nil
	}
	if dimension != len(s.query.Vector) {
		return nil, fault.New(fault.Invalid, "the vector of the query has %d numbers, those of the snapshot have %d", len(s.query.Vector), dimension)
	}
	asked := vectorText(s.query.Vector)
	if asked == nil {
		return nil, nil
	}
	st := &statement{}
	st.add("SELECT p.pid, p.id, p.vector::real[] FROM passages p")
	st.visible(s.snapshot.sid, s.query.Who, s.query.Filter, "p")
	st.add(" AND p.vector IS NOT NULL ORDER BY p.vector <#> ")
	st.bind(*asked, "text")
	st.add("::vector, p.id LIMIT ")
	st.bind(depth+spare, "bigint")
	rows, err := s.tx.Query(ctx, st.text.String(), st.args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
		var (
			id     []byte
			vector []float32
		)
		err = row.Scan(&c.pid, &id, &vector)
		c.id, c.score = string(id), cosine(s.query.Vector, vector)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, compareCandidates)
	return found[:min(len(found), depth)], nil
}

func compareCandidates(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
}

// cosine of two vectors that are not zero.
func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		dot += float64(x) * y
		aa += float64(x) * float64(x)
		bb += y * y
	}
	return min(max(dot/math.Sqrt(aa*bb), -1), 1)
}

// fuse makes one ranking of two.
func (s *search) fuse(texts, vectors []candidate) []candidate {
	f := s.query.Fusion
	if f.Text == 0 && f.Vector == 0 {
		f.Text, f.Vector = 1, 1
	}
	pids := make(map[string]int64)
	list := func(from []candidate, weight float64) fuse.List[string] {
		l := fuse.List[string]{Weight: weight}
		for _, c := range from {
			pids[c.id] = c.pid
			l.Entries = append(l.Entries, fuse.Scored[string]{Key: c.id, Score: c.score})
		}
		return l
	}
	lists := []fuse.List[string]{list(texts, f.Text), list(vectors, f.Vector)}
	var fused []fuse.Scored[string]
	if f.Method == index.RRF {
		fused = fuse.RRF(f.Rank, lists...)
	} else {
		fused = fuse.Weighted(lists...)
	}
	found := make([]candidate, len(fused))
	for i, e := range fused {
		found[i] = candidate{pids[e.Key], e.Key, e.Score}
	}
	return found
}

// hits reads what was found.
func (s *search) hits(ctx context.Context, found, texts, vectors []candidate, fused bool) ([]index.Hit, error) {
	pids := make([]int64, len(found))
	for i, c := range found {
		pids[i] = c.pid
	}
	passages, err := readPassages(ctx, s.tx, pids)
	if err != nil {
		return nil, err
	}
	hits := make([]index.Hit, len(found))
	for i, c := range found {
		p, ok := passages[c.pid]
		if !ok {
			return nil, fault.New(fault.Corrupt, "the index has lost the passage %.100q", c.id)
		}
		hits[i] = index.Hit{Passage: p, Score: c.score}
	}
	if !s.query.Explain {
		return hits, nil
	}
	terms, err := s.termScores(ctx, pids)
	if err != nil {
		return nil, err
	}
	for i, c := range found {
		hits[i].Explain = explain(c, texts, vectors, terms)
		if fused {
			hits[i].Explain.Fused = c.score
		}
	}
	return hits, nil
}

func explain(c candidate, texts, vectors []candidate, terms map[int64][]index.TermScore) *index.Explain {
	e := &index.Explain{}
	same := func(d candidate) bool { return d.pid == c.pid }
	if i := slices.IndexFunc(vectors, same); i >= 0 {
		e.Vector = &index.VectorScore{Rank: i + 1, Cosine: vectors[i].score}
	}
	if i := slices.IndexFunc(texts, same); i >= 0 {
		e.Text = &index.TextScore{Rank: i + 1, Score: texts[i].score, Terms: terms[c.pid]}
	}
	return e
}

// termScores are what each word of the query adds to some passages, in the
// order of the words.
func (s *search) termScores(ctx context.Context, pids []int64) (map[int64][]index.TermScore, error) {
	scores := make(map[int64][]index.TermScore)
	if len(s.words) == 0 {
		return scores, nil
	}
	words := make(map[string]word, len(s.words))
	for _, w := range s.words {
		words[w.key] = w
	}
	st := &statement{}
	st.add("SELECT o.pid, o.term, o.count, o.length, ")
	s.formula(st, "q.weight")
	st.add(" FROM ")
	s.bindWords(st)
	st.add(" JOIN postings o ON o.term = q.term WHERE o.pid = ANY(")
	st.bind(pids, "bigint[]")
	st.add(") ORDER BY array_position(")
	keys := make([][]byte, len(s.words))
	for i, w := range s.words {
		keys[i] = []byte(w.key)
	}
	st.bind(keys, "bytea[]")
	st.add(", o.term)")
	rows, err := s.tx.Query(ctx, st.text.String(), st.args...)
	if err != nil {
		return nil, err
	}
	var (
		pid, count, length, score int64
		term                      []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&pid, &term, &count, &length, &score}, func() error {
		w := words[string(term)]
		analyzer, text := cutKey(w.key)
		scores[pid] = append(scores[pid], index.TermScore{Term: text, Language: analyzer, Passages: int(w.passages), IDF: w.idf,
			Frequency: float64(count) / finest, Length: float64(length) * float64(s.snapshot.Passages) / math.Max(1, float64(s.snapshot.length)),
			Score: float64(score) / fixed})
		return nil
	})
	return scores, err
}
