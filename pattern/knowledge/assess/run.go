package assess

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/pattern/knowledge"
)

// Asker is an assistant that can be asked: knowledge.Driver.
type Asker interface {
	Ask(ctx context.Context, q knowledge.Question) (knowledge.Answer, error)
}

// Judge grades an answer, 1 to 5, by the names of its evaluators.
type Judge interface {
	Grade(ctx context.Context, c Case, a knowledge.Answer) (map[string]float64, error)
}

// Options change how cases are asked.
type Options struct {
	Judge Judge // nil: nobody grades
	// Workers is how many questions are asked at a time; 2 when 0.
	Workers int
	// Asked is told of each case that was asked; nil: nobody.
	Asked func(done, all int)
}

// Report is what the questions came to.
type Report struct {
	Assistant string `json:"assistant"`
	Release   string `json:"release"` // that answered; "" where several did
	Questions int    `json:"questions"`
	Failed    int    `json:"failed"` // that had no answer because of an error
	// Figures by name, of spec.AnswerMeasures; those that no case has the gold
	// for are not there.
	Figures map[string]float64 `json:"figures"`
	Cases   []Outcome          `json:"cases"`
}

// Outcome is what one question came to.
type Outcome struct {
	ID        string             `json:"id,omitempty"`
	Question  string             `json:"question"`
	Answer    string             `json:"answer"`
	Decision  string             `json:"decision,omitempty"`
	Abstained bool               `json:"abstained"`
	Sources   []string           `json:"sources"` // that were found, best first
	Cited     []string           `json:"cited"`
	Figures   map[string]float64 `json:"figures"`
	Seconds   float64            `json:"seconds"`
	Error     string             `json:"error,omitempty"`

	release    string
	answerable *bool
	failed     error
}

// Names of figures, as gates write them.
const (
	NDCG              = "ndcg@10"              // of the sources of the passages
	Recall            = "recall@10"            // the share of right sources among the first ten
	Hit               = "hit@3"                // whether one of the first three is right
	CitationPrecision = "citation_precision"   // the share of cited sources that are right
	CitationRecall    = "citation_recall"      // the share of right sources that are cited
	Supported         = "supported"            // the share of sentences that what they cite supports
	AnswerF1          = "answer_f1"            // words shared with the best of people's answers
	AnswerHeld        = "answer_held"          // whether one of people's answers stands in the answer
	AnswerCited       = "answer_cited"         // whether one stands in what is cited
	AbstentionP       = "abstention_precision" // of those kept quiet on, the share without an answer
	AbstentionR       = "abstention_recall"    // of those without an answer, the share kept quiet on
	AbstentionF1      = "abstention_f1"
	Answered          = "answered" // the share of questions that were not kept quiet on
	Seconds           = "seconds_p50"
	Cost              = "cost" // USD, of all questions together
)

// Run asks every case and measures the answers. A question that fails counts
// as one whose answer is empty and is told; ctx ends the run with an error.
func Run(ctx context.Context, asker Asker, assistant string, cases []Case, o Options) (Report, error) {
	if o.Workers <= 0 {
		o.Workers = 2
	}
	outcomes := make([]Outcome, len(cases))
	next, done := make(chan int), make(chan struct{})
	for range o.Workers {
		go func() {
			for i := range next {
				outcomes[i] = ask(ctx, asker, assistant, cases[i], o.Judge)
				done <- struct{}{}
			}
		}()
	}
	go func() {
		defer close(next)
		for i := range cases {
			next <- i
		}
	}()
	for n := range cases {
		<-done
		if o.Asked != nil {
			o.Asked(n+1, len(cases))
		}
	}
	if ctx.Err() != nil {
		return Report{}, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the questions were not all asked")
	}
	// What is wrong with asking at all is an error of the run, not of answers.
	for _, o := range outcomes {
		switch fault.KindOf(o.failed) {
		case fault.NotFound, fault.Forbidden, fault.Unauthenticated:
			return Report{}, o.failed
		}
	}
	return report(assistant, outcomes), nil
}

func ask(ctx context.Context, asker Asker, assistant string, c Case, judge Judge) Outcome {
	out := Outcome{ID: c.ID, Question: c.Question, Figures: map[string]float64{}, Sources: []string{}, Cited: []string{}, answerable: c.Answerable}
	begun := time.Now()
	a, err := asker.Ask(ctx, knowledge.Question{Assistant: assistant, Text: c.Question, Conversation: c.Conversation})
	out.Seconds = time.Since(begun).Seconds()
	if err != nil {
		out.Error, out.failed = err.Error(), err
	}
	out.Answer, out.Decision, out.Abstained, out.release = a.Text, a.ID, a.Abstained, a.Release
	for _, p := range a.Passages {
		out.Sources = appendNew(out.Sources, p.Source)
	}
	for _, cited := range a.Citations {
		out.Cited = appendNew(out.Cited, cited.Source)
	}
	out.retrieval(c)
	out.citations(c)
	out.answers(c, a)
	out.Figures[Cost] = a.Cost
	if judge != nil && err == nil && !a.Abstained {
		grades, err := judge.Grade(ctx, c, a)
		if err != nil {
			out.Error = err.Error()
		}
		maps.Copy(out.Figures, grades)
	}
	return out
}

func appendNew(all []string, name string) []string {
	if slices.Contains(all, name) {
		return all
	}
	return append(all, name)
}

// retrieval measures the sources in the order in which their best passages
// came.
func (o *Outcome) retrieval(c Case) {
	if len(c.Documents) == 0 {
		return
	}
	ranking := make([]evaluate.Scored, len(o.Sources))
	for i, source := range o.Sources {
		ranking[i] = evaluate.Scored{Document: source, Score: float64(-i)}
	}
	for _, name := range []string{NDCG, Recall, Hit} {
		if m, err := evaluate.Parse(name); err == nil {
			o.Figures[name] = m.Of(c.Documents, ranking)
		}
	}
}

func (o *Outcome) citations(c Case) {
	right := 0
	for _, grade := range c.Documents {
		if grade > 0 {
			right++
		}
	}
	if right == 0 || o.Abstained {
		return
	}
	cited := 0
	for _, source := range o.Cited {
		if c.Documents[source] > 0 {
			cited++
		}
	}
	o.Figures[CitationRecall] = float64(cited) / float64(right)
	if len(o.Cited) > 0 {
		o.Figures[CitationPrecision] = float64(cited) / float64(len(o.Cited))
	}
}

func (o *Outcome) answers(c Case, a knowledge.Answer) {
	if n := len(a.Sentences); n > 0 && !a.Abstained {
		supported := 0
		for _, s := range a.Sentences {
			if s.Supported {
				supported++
			}
		}
		o.Figures[Supported] = float64(supported) / float64(n)
	}
	if len(c.Answers) == 0 {
		return
	}
	for _, name := range []string{AnswerF1, AnswerHeld, AnswerCited} {
		o.Figures[name] = 0
	}
	if a.Abstained {
		return
	}
	for _, gold := range c.Answers {
		o.Figures[AnswerF1] = max(o.Figures[AnswerF1], overlap(a.Text, gold))
		if holds(a.Text, gold) {
			o.Figures[AnswerHeld] = 1
		}
		for _, cited := range a.Citations {
			if holds(cited.Quote, gold) {
				o.Figures[AnswerCited] = 1
			}
		}
	}
}

// report takes the means over the cases that have a figure.
func report(assistant string, outcomes []Outcome) Report {
	r := Report{Assistant: assistant, Questions: len(outcomes), Figures: map[string]float64{}, Cases: outcomes}
	sums, counts := map[string]float64{}, map[string]int{}
	var took []float64
	quiet := 0
	for i, o := range outcomes {
		if o.Error != "" {
			r.Failed++
		}
		if o.Abstained {
			quiet++
		}
		if i == 0 {
			r.Release = o.release
		} else if o.release != r.Release {
			r.Release = ""
		}
		for name, v := range o.Figures {
			sums[name] += v
			counts[name]++
		}
		took = append(took, o.Seconds)
	}
	for name, n := range counts {
		r.Figures[name] = sums[name] / float64(n)
	}
	if len(outcomes) > 0 {
		slices.Sort(took)
		r.Figures[Seconds] = took[len(took)/2]
		r.Figures[Cost] = sums[Cost]
		r.Figures[Answered] = 1 - float64(quiet)/float64(len(outcomes))
	}
	abstention(r.Figures, outcomes)
	return r
}

// abstention measures the keeping quiet as a search for questions without an
// answer, where it is known which are.
func abstention(figures map[string]float64, outcomes []Outcome) {
	var known, quiet, without, both float64
	for _, o := range outcomes {
		if o.answerable == nil {
			continue
		}
		known++
		if o.Abstained {
			quiet++
		}
		if !*o.answerable {
			without++
			if o.Abstained {
				both++
			}
		}
	}
	if known == 0 || without == 0 {
		return
	}
	p := 0.0
	if quiet > 0 {
		p = both / quiet
	}
	r := both / without
	figures[AbstentionP], figures[AbstentionR], figures[AbstentionF1] = p, r, 0
	if p+r > 0 {
		figures[AbstentionF1] = 2 * p * r / (p + r)
	}
}
