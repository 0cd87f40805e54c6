package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/flow/knowledge/evaluate/collection"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
	"github.com/leat-ai/leat/store/index/embedded"
)

// filters are the groups of whoever asks: of the documents they may read 1 %,
// 10 % and 50 %, and "all" everything.
const filters = "all,p1,p10,p50"

// pieceBytes is about how long a passage is.
const pieceBytes = 640

// corpus makes passages of pages, and questions: those of the collection and
// the titles of two hundred pages.
func (b *bench) corpus() (documents []passage, queries []question, err error) {
	asked, err := collection.Questions(b.set("aws-docs", "questions.jsonl")[0])
	if err != nil {
		return nil, nil, err
	}
	for _, q := range asked {
		queries = append(queries, question{q.ID, q.Text})
	}
	for _, name := range b.set("aws-docs", "corpus.jsonl.gz", "corpus-extra.jsonl.gz") {
		err := collection.Documents(name, func(d collection.Document) error {
			if len(documents) < b.passages && len(queries) < 240 {
				queries = append(queries, question{"title-" + strconv.Itoa(len(queries)), d.Title})
			}
			for i, text := range pieces(d.Text) {
				if len(documents) < b.passages {
					documents = append(documents, passage{index.PassageID(d.ID, i), groups(d.ID), text})
				}
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return documents, queries, nil
}

// pieces cuts a page between words.
func pieces(text string) (all []string) {
	var b strings.Builder
	for _, word := range strings.Fields(text) {
		b.WriteString(word + " ")
		if b.Len() >= pieceBytes {
			all = append(all, b.String())
			b.Reset()
		}
	}
	if b.Len() > 0 {
		all = append(all, b.String())
	}
	return all
}

// groups are the groups that may read a page.
func groups(page string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(page)) // never fails
	share := h.Sum32() % 100
	all := "all"
	for _, g := range []struct {
		name string
		most uint32
	}{{"p1", 1}, {"p10", 10}, {"p50", 50}} {
		if share < g.most {
			all += " " + g.name
		}
	}
	return all
}

// ours is the embedded index on passages, in the form of the peers.
func (b *bench) ours(ctx context.Context, documents []passage, queries []question, s index.Settings, k int, filters string) (a answers, err error) {
	ix, err := embedded.Open(ctx, embedded.Config{Path: b.file("ours")})
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, ix.Close(), os.RemoveAll(b.file("ours"))) }()
	begin := time.Now()
	if err := fill(ctx, ix, documents, s); err != nil {
		return a, err
	}
	a = answers{index: time.Since(begin), runs: make(map[string]evaluate.Run), times: make(map[string][]time.Duration)}
	for _, filter := range strings.Split(filters, ",") {
		who := index.ReaderOf("somebody", []string{filter})
		for round := range 2 { // the first one warms up
			a.runs[filter], a.times[filter] = make(evaluate.Run), nil
			for _, q := range queries {
				if strings.TrimSpace(q.text) == "" {
					continue
				}
				at := time.Now()
				hits, err := ix.Search(ctx, index.Query{Snapshot: "one", Text: q.text, K: k, Who: who})
				if err != nil {
					return a, err
				}
				a.times[filter] = append(a.times[filter], time.Since(at))
				for _, h := range hits {
					if round == 1 {
						a.runs[filter][q.id] = append(a.runs[filter][q.id], evaluate.Scored{Document: h.Passage.ID, Score: h.Score})
					}
				}
			}
		}
	}
	return a, nil
}

func fill(ctx context.Context, ix index.Index, documents []passage, s index.Settings) error {
	build, err := ix.Build(ctx, index.Start{Settings: s})
	if err != nil {
		return err
	}
	defer func() { _ = build.Abort() }() // after Commit it does nothing
	var batch []index.Passage
	var access []index.Access
	for _, d := range documents {
		document, ordinal := cutID(d.id)
		batch = append(batch, index.Passage{ID: index.PassageID(document, ordinal), Document: document, Ordinal: ordinal, Text: d.text, End: len(d.text)})
		if ordinal == 0 {
			var readers []string
			for g := range strings.FieldsSeq(d.groups) {
				readers = append(readers, index.GroupPrefix+g)
			}
			access = append(access, index.Access{Document: document, Readers: readers})
		}
		if len(batch) == 500 {
			if err := build.Put(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := build.Put(ctx, batch); err != nil {
		return err
	}
	if _, err := build.Commit(ctx, "one"); err != nil {
		return err
	}
	return ix.Grant(ctx, access)
}

// cutID is the document and the ordinal of "document#ordinal"; of another id it
// is the id itself and 0.
func cutID(id string) (string, int) {
	if at := strings.LastIndexByte(id, '#'); at >= 0 {
		if n, err := strconv.Atoi(id[at+1:]); err == nil {
			return id[:at], n
		}
	}
	return id, 0
}

// speed times indexing and asking.
func (b *bench) speed(ctx context.Context) error {
	documents, queries, err := b.corpus()
	if err != nil {
		return err
	}
	ours, err := b.ours(ctx, documents, queries, index.Settings{Language: "en"}, 10, filters)
	if err != nil {
		return err
	}
	b.add(result.Figure{Name: "indexed", Value: float64(len(documents)) / ours.index.Seconds(), Unit: "passages/s", Note: "one goroutine, durable"}.AtLeast(2000))
	for filter := range strings.SplitSeq(filters, ",") {
		f := result.Figure{Name: "query p99, readers of " + spoken(filter), Value: at(ours.times[filter], 0.99), Unit: "ms", Note: fmt.Sprintf("p50 %.2f ms", at(ours.times[filter], 0.5))}
		b.add(f.AtMost(10))
	}
	peers := []struct {
		flag, name string
		run        func() (answers, error)
	}{
		{"lucene", "Lucene", func() (answers, error) { return b.lucene(ctx, documents, queries, "english", 1.2, 0.75, 10, filters) }},
		{"bleve", "bleve", func() (answers, error) { return b.bleve(ctx, documents, queries, "english", 10, filters) }},
		{"fts5", "SQLite FTS5", func() (answers, error) { return b.fts(ctx, documents, queries, 10) }},
	}
	for _, p := range peers {
		if !slices.Contains(strings.Split(b.peers, ","), p.flag) {
			continue
		}
		theirs, err := p.run()
		if err != nil {
			b.add(result.Figure{Name: p.name, Note: "absent: " + err.Error()})
			continue
		}
		b.beside(p.name, float64(len(documents)), ours, theirs)
	}
	return nil
}

// beside adds the figures of a peer.
func (b *bench) beside(name string, n float64, ours, theirs answers) {
	b.add(result.Figure{Name: "indexed, beside " + name, Value: n / ours.index.Seconds(), Unit: "passages/s", Peer: n / theirs.index.Seconds()})
	for filter := range strings.SplitSeq(filters, ",") {
		for _, share := range []float64{0.5, 0.99} {
			b.add(result.Figure{Name: fmt.Sprintf("query p%.0f, readers of %s, beside %s", 100*share, spoken(filter), name), Value: at(ours.times[filter], share), Unit: "ms",
				Peer: at(theirs.times[filter], share), Note: fmt.Sprintf("%.0f %% of the ten best are the same", 100*overlap(ours.runs[filter], theirs.runs[filter]))})
		}
	}
}

func spoken(filter string) string {
	if filter == "all" {
		return "everything"
	}
	return strings.TrimPrefix(filter, "p") + " %"
}

func at(times []time.Duration, share float64) float64 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Seconds() * 1000
}

// overlap is how many of the hits are the peer's too.
func overlap(ours, theirs evaluate.Run) float64 {
	same, all := 0, 0
	for query, ranking := range ours {
		for _, d := range ranking {
			all++
			if slices.ContainsFunc(theirs[query], func(o evaluate.Scored) bool { return o.Document == d.Document }) {
				same++
			}
		}
	}
	return float64(same) / float64(max(1, all))
}

// fts is SQLite's FTS5 with its Porter stems, in this process. Groups are
// columns beside the text.
func (b *bench) fts(ctx context.Context, documents []passage, queries []question, k int) (a answers, err error) {
	db, err := sql.Open("sqlite", filepath.Join(b.folder, "fts.db"))
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, db.Close(), os.Remove(filepath.Join(b.folder, "fts.db"))) }()
	db.SetMaxOpenConns(1)
	begin := time.Now()
	if err := fillFTS(ctx, db, documents); err != nil {
		return a, err
	}
	a = answers{index: time.Since(begin), runs: make(map[string]evaluate.Run), times: make(map[string][]time.Duration)}
	words := analysis.New("") // FTS5's own syntax of queries needs words in quotes
	for filter := range strings.SplitSeq(filters, ",") {
		for range 2 { // the first one warms up
			a.runs[filter], a.times[filter], err = askFTS(ctx, db, words, queries, filter, k)
			if err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

// askFTS asks every question of the passages that a group may read.
func askFTS(ctx context.Context, db *sql.DB, words *analysis.Analyzer, queries []question, group string, k int) (evaluate.Run, []time.Duration, error) {
	ask, err := db.PrepareContext(ctx, "select id, bm25(passages) from passages where passages match ? and "+group+"_ = 1 order by bm25(passages) limit "+strconv.Itoa(k))
	if err != nil {
		return nil, nil, err
	}
	defer ask.Close()
	run, times := evaluate.Run{}, []time.Duration(nil)
	for _, q := range queries {
		match := matching(words, q.text)
		if match == "" {
			continue
		}
		at := time.Now()
		ranking, err := rowsOf(ctx, ask, match)
		if err != nil {
			return nil, nil, err
		}
		times = append(times, time.Since(at))
		run[q.id] = ranking
	}
	return run, times, nil
}

// matching is a question in the syntax of FTS5: one of its words, stop words
// left out, of which FTS5 knows none.
func matching(words *analysis.Analyzer, text string) string {
	stops := analysis.New("en")
	var all []string
	for _, t := range words.Tokens(text, nil) {
		if len(stops.Tokens(t.Term, nil)) > 0 {
			all = append(all, `"`+t.Term+`"`)
		}
	}
	return strings.Join(all, " OR ")
}

func rowsOf(ctx context.Context, ask *sql.Stmt, match string) (ranking []evaluate.Scored, err error) {
	rows, err := ask.QueryContext(ctx, match)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d evaluate.Scored
		if err := rows.Scan(&d.Document, &d.Score); err != nil {
			return nil, err
		}
		d.Score = -d.Score
		ranking = append(ranking, d)
	}
	return ranking, rows.Err()
}

func fillFTS(ctx context.Context, db *sql.DB, documents []passage) error {
	for _, statement := range []string{"pragma journal_mode = wal", "pragma synchronous = full",
		"create virtual table passages using fts5(id unindexed, all_ unindexed, p1_ unindexed, p10_ unindexed, p50_ unindexed, text, tokenize = 'porter unicode61')"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	insert, err := tx.PrepareContext(ctx, "insert into passages values (?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, d := range documents {
		in := func(group string) int {
			if slices.Contains(strings.Fields(d.groups), group) {
				return 1
			}
			return 0
		}
		if _, err := insert.ExecContext(ctx, d.id, in("all"), in("p1"), in("p10"), in("p50"), d.text); err != nil {
			return err
		}
	}
	return tx.Commit()
}
