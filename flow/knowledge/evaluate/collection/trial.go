package collection

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/fuse"
)

// Embed makes vectors of texts, of documents or of questions.
type Embed func(ctx context.Context, texts []string, question bool) ([][]float32, error)

// Trial is one index on one collection.
type Trial struct {
	Index    index.Index
	Settings index.Settings
	Embed    Embed // nil: by words alone
	Depth    int   // documents of a ranking; 0: 1,000
	// Told is called with what is being done and how far it is; nil: nobody.
	Told func(what string, done int)
}

// The snapshots of a trial.
const (
	byWords   = "words"
	byVectors = "vectors"
)

// Sizes of what a trial hands to the index and to the embedder, in passages,
// and of pieces, in bytes.
const (
	putBatch   = 500
	embedBatch = 64
	wordPiece  = 512 << 10 // a document of one passage by words
	senseWhole = 2400      // a document of one passage by vectors
	sensePiece = 1200
)

// Built says what building took.
type Built struct {
	Documents int
	Passages  int // by words
	Took      time.Duration
	Embedding time.Duration
}

// Build reads the corpora and builds the index. Took is what the index took to
// make the snapshot of words durable, reading and embedding not counted.
func (t *Trial) Build(ctx context.Context, corpora ...string) (b Built, err error) {
	words, err := t.Index.Build(ctx, index.Start{Settings: t.Settings})
	if err != nil {
		return b, err
	}
	defer func() { _ = words.Abort() }() // after Commit it does nothing
	var sense index.Build
	if t.Embed != nil {
		if sense, err = t.Index.Build(ctx, index.Start{Settings: t.Settings}); err != nil {
			return b, err
		}
		defer func() { _ = sense.Abort() }() // the same
	}
	var batch, pieces []index.Passage
	flush := func() error {
		at := time.Now()
		err := words.Put(ctx, batch)
		b.Took += time.Since(at)
		b.Passages += len(batch)
		batch = batch[:0]
		return err
	}
	for _, name := range corpora {
		err := Documents(name, func(d Document) error {
			b.Documents++
			batch = append(batch, passages(d, wordPiece, wordPiece)...)
			if len(batch) >= putBatch {
				if err := flush(); err != nil {
					return err
				}
				t.tell("documents", b.Documents)
			}
			if sense == nil {
				return nil
			}
			pieces = append(pieces, passages(d, senseWhole, sensePiece)...)
			for len(pieces) >= embedBatch {
				if err := t.putVectors(ctx, sense, pieces[:embedBatch], &b); err != nil {
					return err
				}
				pieces = pieces[embedBatch:]
			}
			return nil
		})
		if err != nil {
			return b, err
		}
	}
	if err := flush(); err != nil {
		return b, err
	}
	at := time.Now()
	if _, err := words.Commit(ctx, byWords); err != nil {
		return b, err
	}
	b.Took += time.Since(at)
	if sense == nil {
		return b, nil
	}
	if err := t.putVectors(ctx, sense, pieces, &b); err != nil {
		return b, err
	}
	_, err = sense.Commit(ctx, byVectors)
	return b, err
}

// putVectors embeds pieces and puts them, without their words.
func (t *Trial) putVectors(ctx context.Context, sense index.Build, pieces []index.Passage, b *Built) error {
	if len(pieces) == 0 {
		return nil
	}
	texts := make([]string, len(pieces))
	for i, p := range pieces {
		texts[i] = strings.TrimSpace(p.Title + "\n" + p.Text)
	}
	at := time.Now()
	vectors, err := t.Embed(ctx, texts, false)
	if err != nil {
		return err
	}
	b.Embedding += time.Since(at)
	for i := range pieces {
		pieces[i].Vector, pieces[i].Title, pieces[i].Text = vectors[i], "", ""
	}
	t.tell("documents embedded", b.Documents)
	return sense.Put(ctx, pieces)
}

func (t *Trial) tell(what string, done int) {
	if t.Told != nil {
		t.Told(what, done)
	}
}

// passages are the pieces of a document: one up to whole bytes, else of about
// piece bytes, cut at blanks where there are any.
func passages(d Document, whole, piece int) (all []index.Passage) {
	if len(d.Text) <= whole {
		piece = len(d.Text)
	}
	for at := 0; ; {
		end := cut(d.Text, at, piece)
		all = append(all, index.Passage{ID: index.PassageID(d.ID, len(all)), Document: d.ID, Ordinal: len(all), Start: at, End: end,
			Title: d.Title, Text: d.Text[at:end]})
		if at = end; at == len(d.Text) {
			return all
		}
	}
}

// cut is where a piece that begins at a place ends: before a blank, if there
// is one, and always between two characters.
func cut(text string, at, piece int) int {
	end := at + piece
	if end >= len(text) {
		return len(text)
	}
	if blank := strings.LastIndexAny(text[at:end], " \n\t"); blank > 0 {
		return at + blank
	}
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end++
	}
	return end
}

// Answers are the rankings of one way to ask.
type Answers struct {
	Name string // "lexical", "vector", "hybrid"
	Run  evaluate.Run
}

// Ask asks every question and returns a run by words and, with an embedder,
// one by vectors and one of both.
func (t *Trial) Ask(ctx context.Context, questions []Question) ([]Answers, error) {
	depth := cmp.Or(t.Depth, 1000)
	all := []Answers{{"lexical", make(evaluate.Run)}}
	if t.Embed != nil {
		all = append(all, Answers{"vector", make(evaluate.Run)}, Answers{"hybrid", make(evaluate.Run)})
	}
	for i, q := range questions {
		words, err := t.ranking(ctx, index.Query{Snapshot: byWords, Text: q.Text, K: depth})
		if err != nil {
			return nil, err
		}
		all[0].Run[q.ID] = words
		t.tell("questions", i+1)
		if t.Embed == nil {
			continue
		}
		vectors, err := t.Embed(ctx, []string{q.Text}, true)
		if err != nil {
			return nil, err
		}
		sense, err := t.ranking(ctx, index.Query{Snapshot: byVectors, Vector: vectors[0], K: min(4*depth, index.MaxK)})
		if err != nil {
			return nil, err
		}
		all[1].Run[q.ID] = sense
		fused := fuse.Weighted(fuse.List[string]{Entries: entries(words), Weight: 1}, fuse.List[string]{Entries: entries(sense), Weight: 1})
		for _, e := range fused {
			all[2].Run[q.ID] = append(all[2].Run[q.ID], evaluate.Scored{Document: e.Key, Score: e.Score})
		}
	}
	return all, nil
}

// hybridDepth is how many documents of each ranking are fused.
const hybridDepth = 100

func entries(ranking []evaluate.Scored) []fuse.Scored[string] {
	var all []fuse.Scored[string]
	for _, d := range ranking[:min(len(ranking), hybridDepth)] {
		all = append(all, fuse.Scored[string]{Key: d.Document, Score: d.Score})
	}
	return all
}

// ranking asks and ranks documents: each by its best passage.
func (t *Trial) ranking(ctx context.Context, q index.Query) ([]evaluate.Scored, error) {
	q.Who = index.Everything()
	if q.Text == "" && len(q.Vector) == 0 {
		return nil, nil
	}
	hits, err := t.Index.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	var ranking []evaluate.Scored
	seen := make(map[string]bool)
	for _, h := range hits {
		if !seen[h.Passage.Document] {
			seen[h.Passage.Document] = true
			ranking = append(ranking, evaluate.Scored{Document: h.Passage.Document, Score: h.Score})
		}
	}
	return ranking, nil
}

// Latency asks every question once more for ten passages, as an application
// does, one at a time, and returns the times in rising order. With an embedder
// it asks for both rankings fused; embedding the question is part of it.
func (t *Trial) Latency(ctx context.Context, questions []Question) ([]time.Duration, error) {
	var times []time.Duration
	for _, q := range questions {
		if q.Text == "" {
			continue
		}
		at := time.Now()
		if _, err := t.ranking(ctx, index.Query{Snapshot: byWords, Text: q.Text, K: 10}); err != nil {
			return nil, err
		}
		if t.Embed != nil {
			vectors, err := t.Embed(ctx, []string{q.Text}, true)
			if err != nil {
				return nil, err
			}
			if _, err := t.ranking(ctx, index.Query{Snapshot: byVectors, Vector: vectors[0], K: 10}); err != nil {
				return nil, err
			}
		}
		times = append(times, time.Since(at))
	}
	slices.Sort(times)
	return times, nil
}

// Judged are the questions that have judgements, in the order of the file.
// NotFound is a file that has none of them.
func Judged(questions []Question, qrels evaluate.Qrels) ([]Question, error) {
	var judged []Question
	for _, q := range questions {
		if qrels[q.ID] != nil {
			judged = append(judged, q)
		}
	}
	if len(judged) == 0 {
		return nil, fault.New(fault.NotFound, "no query has a judgement").Hint("look whether the ids of queries and qrels are of one kind")
	}
	return judged, nil
}
