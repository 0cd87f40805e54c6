package knowledge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/work"
)

// reported are the measures that are kept beside those that a gate asks for.
func reported() []string { return []string{"ndcg@10", "recall@10", "hit@3", "mrr@10"} }

// gateDepth is how many passages are looked at for each question.
const gateDepth = 100

// gateKey names what a snapshot is judged by: conditions, and questions with
// their grades.
func (j *job) gateKey(ctx context.Context) (string, error) {
	s := j.store
	var questions []Question
	if s.deps.Questions != nil && j.spec.Questions != "" {
		var err error
		if questions, err = s.deps.Questions(ctx, j.spec.Questions); err != nil {
			return "", err
		}
	}
	asked, err := json.Marshal(questions)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the questions cannot be written")
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %s", []string(j.spec.Gate), asked)
	return hex.EncodeToString(h.Sum(nil)[:10]), nil
}

// gate measures a snapshot with the questions of the resource. One that does
// not reach what is asked for is noted as rejected and dropped.
func (j *job) gate(ctx context.Context, pr *work.Progress, made built) (built, error) {
	s := j.store
	if s.deps.Questions == nil || j.spec.Questions == "" {
		return made, nil
	}
	if made.Name == j.plan.Head {
		known, err := s.Snapshot(ctx, j.spec.Name, made.Name)
		made.Measures = known.Measures
		return made, err
	}
	questions, err := s.deps.Questions(ctx, j.spec.Questions)
	if err != nil {
		return made, err
	}
	h, err := s.acquire(ctx, j.spec)
	if err != nil {
		return made, err
	}
	defer s.release(h)
	if made.Measures, err = j.measure(ctx, pr, h.index, made.Name, questions); err != nil {
		return made, err
	}
	live := map[string]float64{}
	if now, err := s.Live(ctx, j.spec.Name); err == nil && now.Name != made.Name {
		if live, err = j.measure(ctx, nil, h.index, now.Name, questions); err != nil {
			return made, err
		}
	}
	why := missed(j.spec.Gate, made.Measures, live)
	if why == "" {
		return made, nil
	}
	if err := j.reject(ctx, h.index, made, why); err != nil {
		return made, err
	}
	return made, fault.New(fault.Rejected, "the new snapshot %s does not pass the gate: %s", made.Name, why).
		Hint("what is live stays; mend the documents, the questions or the gate")
}

// missed says which conditions of a gate do not hold, or "".
func missed(gate []string, got, live map[string]float64) string {
	var why []string
	for _, text := range gate {
		g, ok := spec.ParseRetrievalGate(text)
		if !ok {
			continue // a resource with such a gate is not applied
		}
		bound := g.Number
		if g.Live {
			before, there := live[g.Measure]
			if !there {
				continue // nothing was live, so nothing can be lost
			}
			bound = before - g.Number
		}
		if got[g.Measure] < bound || g.Strict && got[g.Measure] == bound {
			why = append(why, fmt.Sprintf("%s is %.4f, and the gate asks for %s", g.Measure, got[g.Measure], text))
		}
	}
	return strings.Join(why, "; ")
}

// measure asks a snapshot all questions, as somebody who may read everything.
// A document counts by its best passage.
func (j *job) measure(ctx context.Context, pr *work.Progress, idx index.Searcher, snapshot string, questions []Question) (map[string]float64, error) {
	qrels, run := evaluate.Qrels{}, evaluate.Run{}
	pr.Total(int64(len(questions)), "questions")
	vectors, err := j.embedQuestions(ctx, questions)
	if err != nil {
		return nil, err
	}
	for i, q := range questions {
		id := q.ID
		if id == "" {
			id = fmt.Sprintf("%06d", i)
		}
		qrels[id] = q.Documents
		ask := index.Query{Snapshot: snapshot, Text: q.Text, K: gateDepth, Who: index.Everything()}
		if vectors != nil {
			ask.Vector = vectors[i]
		}
		hits, err := idx.Search(ctx, ask)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, h := range hits {
			if !seen[h.Passage.Document] {
				seen[h.Passage.Document] = true
				run[id] = append(run[id], evaluate.Scored{Document: h.Passage.Document, Score: h.Score})
			}
		}
		pr.Add(1)
	}
	measures := map[string]float64{}
	names := reported()
	for _, text := range j.spec.Gate {
		if g, ok := spec.ParseRetrievalGate(text); ok {
			names = append(names, g.Measure)
		}
	}
	for _, name := range names {
		m, err := evaluate.Parse(name)
		if err != nil {
			return nil, err
		}
		measures[name] = m.Mean(qrels, run)
	}
	return measures, nil
}

func (j *job) embedQuestions(ctx context.Context, questions []Question) ([][]float32, error) {
	if j.spec.Embed == "" {
		return nil, nil
	}
	embedder, err := j.store.deps.Engines.Embedder(ctx, j.spec)
	if err != nil || embedder == nil {
		return nil, err
	}
	var all [][]float32
	for from := 0; from < len(questions); from += embedBatch {
		var texts []string
		for _, q := range questions[from:min(from+embedBatch, len(questions))] {
			texts = append(texts, q.Text)
		}
		made, err := embedder.Embed(ctx, llm.EmbedRequest{Inputs: texts, Purpose: llm.ForQuery})
		if err != nil {
			return nil, err
		}
		if len(made.Vectors) != len(texts) {
			return nil, fault.New(fault.Unavailable, "the embedder answered %d vectors to %d questions", len(made.Vectors), len(texts))
		}
		all = append(all, made.Vectors...)
	}
	return all, nil
}

// reject notes a snapshot that did not pass, and takes it out of the index.
func (j *job) reject(ctx context.Context, idx index.Snapshots, made built, why string) error {
	s := j.store
	key, err := j.gateKey(ctx)
	if err != nil {
		return err
	}
	err = s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		return s.putSnapshot(ctx, tx, j.spec.Name, stored{content: key, settings: j.plan.Recipe, Snapshot: Snapshot{
			Name: made.Name, Run: j.run, State: Rejected, Documents: made.Documents, Passages: made.Passages, Measures: made.Measures,
			Reason: why, Embedder: j.spec.Embed, Made: s.deps.Clock.Now(),
		}})
	})
	if err != nil {
		return err
	}
	return idx.Drop(ctx, made.Name)
}

// ParseQuestions reads a file of questions: a JSON object a line with question
// and documents, which is a list of ids or an object of grades. A question that
// is said to have no answer is left out: retrieval is not measured by it.
func ParseQuestions(content []byte) ([]Question, error) {
	var all []Question
	for i, line := range strings.Split(string(content), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var q struct {
			Question
			Answerable *bool `json:"answerable"`
		}
		bad := func(what string) error {
			return fault.New(fault.Invalid, "line %d of the questions %s", i+1, what).
				Hint(`write {"question": "…", "documents": ["docs/travel.md"]}`)
		}
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			return nil, bad("is not understood: " + err.Error())
		}
		if q.Text == "" {
			return nil, bad("has no question")
		}
		if len(q.Documents) == 0 {
			if q.Answerable != nil && !*q.Answerable {
				continue
			}
			return nil, bad("does not say which documents answer it")
		}
		all = append(all, q.Question)
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, "there are no questions to measure with")
	}
	return all, nil
}
