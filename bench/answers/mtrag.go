package main

import (
	"context"

	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/pattern/knowledge"
)

// task is the last question of a conversation of MTRAG-UN.
type task struct {
	ID            string   `json:"_id"`
	Answerability []string `json:"answerability"`
	Conversation  []struct {
		Speaker string `json:"speaker"`
		Text    string `json:"text"`
	} `json:"conversation"`
}

// asked is the question and what was said before it.
func (t task) asked() (question string, turns []knowledge.Turn) {
	for _, m := range t.Conversation {
		role := knowledge.Agent
		if m.Speaker == "user" {
			role = knowledge.User
		}
		turns = append(turns, knowledge.Turn{Role: role, Text: m.Text})
	}
	last := len(turns) - 1
	return turns[last].Text, turns[:last]
}

// abstentionFigures say how well it is told which questions have no answer.
type abstentionFigures struct {
	Answerable   int
	Unanswerable int
	Precision    float64
	Recall       float64
	F1           float64
	Accuracy     float64
	NeverF1      float64 // 0: nothing is found
	Never        float64
	AlwaysF1     float64
	Recall10Own  float64
	Recall10     float64
	Macro        float64
	NeverMacro   float64
}

// mtrag asks the last question of each conversation of a collection. What is
// underspecified is left out: it wants a question back.
func mtrag(ctx context.Context, name string) (f abstentionFigures, err error) {
	corpus, err := lines[text]("rag-mtrag-un/" + name + ".passages.jsonl.gz")
	if err != nil {
		return f, err
	}
	tasks, err := lines[task]("rag-mtrag-un/" + name + ".tasks.jsonl.gz")
	if err != nil {
		return f, err
	}
	pairs, err := pairsOf("rag-mtrag-un/" + name + ".qrels.tsv")
	if err != nil {
		return f, err
	}
	gold := map[string]map[string]bool{}
	for _, p := range pairs {
		if gold[p[0]] == nil {
			gold[p[0]] = map[string]bool{}
		}
		gold[p[0]][p[1]] = true
	}
	s, err := newShelf(ctx, "en", ".md", corpus)
	if err != nil {
		return f, err
	}
	defer s.close()
	a, err := newAssistant(ctx, s, nil, func(a *deploy.Assistant) {
		a.Passages = 10
	})
	if err != nil {
		return f, err
	}
	defer a.router.Close()
	var right, wrong, missed, kept int
	var own, with recall
	for _, t := range tasks {
		q, turns := t.asked()
		answer, err := a.ask(ctx, q, turns)
		if err != nil {
			return f, err
		}
		with.add(answer.Passages, gold[t.ID])
		alone, err := a.ask(ctx, q, nil)
		if err != nil {
			return f, err
		}
		own.add(alone.Passages, gold[t.ID])
		switch t.Answerability[0] {
		case "UNANSWERABLE":
			f.Unanswerable++
			right += one(answer.Abstained)
			missed += one(!answer.Abstained)
		case "ANSWERABLE", "PARTIAL":
			f.Answerable++
			wrong += one(answer.Abstained)
			kept += one(!answer.Abstained)
		}
	}
	all := f.Answerable + f.Unanswerable
	f.Precision, f.Recall = share(right, right+wrong), share(right, right+missed)
	f.F1, f.Accuracy = share(2*right, 2*right+wrong+missed), share(right+kept, all)
	f.Never, f.AlwaysF1 = share(f.Answerable, all), share(2*f.Unanswerable, f.Unanswerable+all)
	f.Macro = (f.F1 + share(2*kept, 2*kept+wrong+missed)) / 2
	f.NeverMacro = share(2*f.Answerable, f.Answerable+all) / 2
	f.Recall10, f.Recall10Own = with.mean(), own.mean()
	return f, nil
}

// recall is the mean share of the right documents that were found.
type recall struct {
	sum float64
	n   int
}

func (r *recall) add(found []knowledge.Passage, gold map[string]bool) {
	if len(gold) == 0 {
		return
	}
	seen := map[string]bool{}
	for _, p := range found {
		if gold[p.Source] {
			seen[p.Source] = true
		}
	}
	r.sum += share(len(seen), len(gold))
	r.n++
}

func (r *recall) mean() float64 { return r.sum / float64(max(r.n, 1)) }
