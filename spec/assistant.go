package spec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Assistant answers questions from what a Knowledge holds, with citations that
// are checked against the stored bytes.
type Assistant struct {
	// Name of the assistant, as callers write it; an Endpoint cannot have the
	// same one.
	Name string `json:"name" spec:"required"`
	// Knowledge names where passages come from; one alone needs no brackets.
	Knowledge Names `json:"knowledge" spec:"required,ref=Knowledge"`
	// LLM writes the answers: the name of an LLM resource, or the address of a
	// model such as azure-openai://gpt-5-mini. Without one the built-in
	// answerer quotes the best passages.
	LLM string `json:"llm,omitempty" spec:"location"`
	// Secret that opens LLM where it is an address.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Prompt names what the language model is told; there is a built-in one.
	Prompt string `json:"prompt,omitempty" spec:"ref=Prompt"`
	// Rewrite names the prompt that makes one question out of a conversation;
	// there is a built-in one.
	Rewrite string `json:"rewrite,omitempty" spec:"ref=Prompt"`
	// Passages is how many an answer is made from at most.
	Passages int `json:"passages,omitempty" spec:"min=1,max=100,default=8"`
	// Abstain is how strong the evidence must be, between 0 and 1, for a
	// question to be answered at all; that of the answerer when absent.
	Abstain *float64 `json:"abstain,omitempty" spec:"min=0,max=1"`
	// Unsupported says what becomes of a sentence that no passage supports: it
	// is marked, or dropped, or the whole answer is refused.
	Unsupported string `json:"unsupported,omitempty" spec:"enum=mark|drop|refuse,default=mark"`
	// Fallback says who answers when the language model cannot: the built-in
	// answerer, and the answer says so, or nobody.
	Fallback string `json:"fallback,omitempty" spec:"enum=extractive|none,default=extractive"`
	// Temperature of the language model; its own when absent.
	Temperature *float64 `json:"temperature,omitempty" spec:"min=0,max=2"`
	// MaxTokens that an answer may have.
	MaxTokens int `json:"max_tokens,omitempty" spec:"min=1,max=131072,default=1024"`
	// Cache is how long an answer may be given again, to who may read the same
	// sources and while they are unchanged; not at all when absent.
	Cache Duration `json:"cache,omitempty"`
	// Limits bound what the assistant takes on.
	Limits AssistantLimits `json:"limits,omitzero"`
	// Record says whether answers are kept: on keeps them without holding up
	// the answer and counts what it had to drop; required gives no answer
	// without a record; off keeps none.
	Record string `json:"record,omitempty" spec:"enum=on|required|off,default=on"`
	// SLO is what the assistant promises.
	SLO SLO `json:"slo,omitzero"`
	// Allow lists the groups that may ask; everybody with a grant when absent.
	Allow Names `json:"allow,omitempty"`
}

// AssistantLimits bound what an assistant takes on. What is over is answered
// at once with 429 or 503 and the time to come back.
type AssistantLimits struct {
	// Rate of questions; unlimited when absent.
	Rate Rate `json:"rate,omitempty"`
	// Per says who shares a rate.
	Per string `json:"per,omitempty" spec:"enum=caller|assistant,default=caller"`
	// Concurrency is how many questions are worked on at once.
	Concurrency int `json:"concurrency,omitempty" spec:"min=1,default=32"`
	// Question is how long one may be, with its conversation.
	Question Bytes `json:"question,omitempty" spec:"default=64KiB"`
	// Timeout of one answer.
	Timeout Duration `json:"timeout,omitempty" spec:"default=1m"`
}

// Prompt is what a language model is told, with places for what changes:
// {{question}}, {{passages}} and {{conversation}}. Its text is part of the
// release of every assistant that uses it.
type Prompt struct {
	// Name of the prompt.
	Name string `json:"name" spec:"required"`
	// Text with its places.
	Text string `json:"text" spec:"required"`
	// Description says what it is for.
	Description string `json:"description,omitempty"`
}

// EvaluateStep asks an assistant questions whose answers are known, and
// measures what it finds, cites and says.
type EvaluateStep struct {
	// Assistant that is asked, as it is live.
	Assistant string `json:"assistant" spec:"required,ref=Assistant"`
	// Questions is a file of the project with a JSON object a line: question,
	// and where they are known documents, answers, answerable, conversation.
	Questions string `json:"questions" spec:"required"`
	// As are the groups of who asks, for documents that not everybody reads.
	As Names `json:"as,omitempty"`
	// Judge is the name of an LLM that grades answers as well.
	Judge string `json:"judge,omitempty" spec:"ref=LLM"`
	// Gate lists conditions on the figures, such as citation_precision >= 0.9;
	// all must hold.
	Gate Names `json:"gate,omitempty"`
	// Rollback makes the release live again that was before, when the gate does
	// not hold.
	Rollback bool `json:"rollback,omitempty"`
}

// AnswerMeasures are the figures of an evaluation, in the order in which they
// are shown; those behind cost are a judge's, called as the evaluators of Azure
// AI Foundry.
func AnswerMeasures() []string {
	return []string{"ndcg@10", "recall@10", "hit@3", "citation_precision", "citation_recall", "supported",
		"answer_f1", "answer_held", "answer_cited", "abstention_precision", "abstention_recall", "abstention_f1",
		"answered", "seconds_p50", "cost",
		"groundedness", "relevance", "coherence", "fluency", "similarity", "retrieval"}
}

// answerGate is measure, comparison, number.
var answerGate = regexp.MustCompile(`^\s*([a-z][a-z0-9_]*(?:@[0-9]+)?)\s*(>=|<=|>|<)\s*([0-9]*\.?[0-9]+)\s*$`)

// AnswerGate is a condition on a figure of an evaluation.
type AnswerGate struct {
	Measure string
	Compare string // >=, >, <= or <
	Number  float64
}

// ParseAnswerGate reads a condition; false where it is none.
func ParseAnswerGate(text string) (AnswerGate, bool) {
	m := answerGate.FindStringSubmatch(text)
	if m == nil || !slices.Contains(AnswerMeasures(), m[1]) {
		return AnswerGate{}, false
	}
	number, err := strconv.ParseFloat(m[3], 64)
	return AnswerGate{m[1], m[2], number}, err == nil
}

// Holds tells whether a figure meets the condition.
func (g AnswerGate) Holds(figure float64) bool {
	switch g.Compare {
	case ">=":
		return figure >= g.Number
	case ">":
		return figure > g.Number
	case "<=":
		return figure <= g.Number
	}
	return figure < g.Number
}

func (s *EvaluateStep) check(c *checker, at string) {
	for i, gate := range s.Gate {
		if _, ok := ParseAnswerGate(gate); !ok {
			c.bad(element(below(at, "gate"), i), "%s is not a condition on a figure of answers", quote([]byte(gate))).
				Hint("write one like citation_precision >= 0.9; there are %s", strings.Join(AnswerMeasures(), ", "))
		}
	}
	if s.Rollback && len(s.Gate) == 0 {
		c.bad(below(at, "rollback"), "%s waits for a gate that does not hold, and there is none", label(below(at, "rollback"))).Hint("add a gate")
	}
}

// Kind returns KindAssistant.
func (s *Assistant) Kind() Kind { return KindAssistant }

func (s *Assistant) name() string { return s.Name }

// Kind returns KindPrompt.
func (s *Prompt) Kind() Kind { return KindPrompt }

func (s *Prompt) name() string { return s.Name }

// Places of a prompt.
const (
	PlaceQuestion     = "question"
	PlacePassages     = "passages"
	PlaceConversation = "conversation"
)

// Places of prompts, in the order of documentation.
func Places() []string { return []string{PlaceQuestion, PlacePassages, PlaceConversation} }

var place = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// Has tells whether the text has a place.
func (s *Prompt) Has(name string) bool {
	for _, m := range place.FindAllStringSubmatch(s.Text, -1) {
		if m[1] == name {
			return true
		}
	}
	return false
}

func (s *Prompt) check(c *checker) {
	for _, m := range place.FindAllStringSubmatch(s.Text, -1) {
		if !slices.Contains(Places(), m[1]) {
			c.bad("text", "%s is no place of a prompt", quote([]byte(m[0]))).
				Hint("there are {{%s}}", strings.Join(Places(), "}}, {{"))
		}
	}
	if s.Text != "" && !s.Has(PlaceQuestion) {
		c.bad("text", "the prompt has no place for the question").Hint("write {{question}} where it goes")
	}
}

func (s *Assistant) check(c *checker) {
	if s.LLM == "" {
		for _, f := range []struct {
			name string
			set  bool
		}{{"prompt", s.Prompt != ""}, {"rewrite", s.Rewrite != ""}, {"temperature", s.Temperature != nil}, {"secret", s.Secret != ""}} {
			if f.set {
				c.bad(f.name, "%s is for a language model, and there is none", label(f.name)).Hint("add llm: or leave it out")
			}
		}
	}
	if s.Secret != "" && !strings.Contains(s.LLM, "://") {
		c.bad("secret", `"secret" opens an address, and "llm" names a resource, which has its own`)
	}
}

// assistants checks what can be seen only beside the other resources: names
// that decisions are asked by, and prompts with places for what they are for.
func (l *loader) assistants() {
	endpoints, prompts, llms := map[string]bool{}, map[string]*Prompt{}, []string{}
	for _, x := range l.checked {
		switch s := x.spec.(type) {
		case *Endpoint:
			endpoints[s.Name] = true
		case *Prompt:
			prompts[s.Name] = s
		case *LLM:
			llms = append(llms, s.Name)
		}
	}
	for _, x := range l.checked {
		s, ok := x.spec.(*Assistant)
		if !ok {
			continue
		}
		if endpoints[s.Name] {
			x.bad("name", "an Endpoint has the name %q already: both are asked for decisions by their names", s.Name)
		}
		if s.LLM != "" && !strings.Contains(s.LLM, "://") && !slices.Contains(llms, s.LLM) {
			err := x.bad("llm", "there is no LLM %s", quote([]byte(s.LLM)))
			if best := fault.Nearest(s.LLM, llms); best != "" {
				err.Hint("did you mean %q?", best)
			} else {
				err.Hint("add a resource of kind LLM with this name, or write an address such as openai://gpt-5-mini; known here: %s", orNone(llms))
			}
		}
		if p := prompts[s.Prompt]; p != nil && !p.Has(PlacePassages) {
			x.bad("prompt", "the prompt %q has no place for the passages", s.Prompt).Hint("write {{passages}} in its text")
		}
		if p := prompts[s.Rewrite]; p != nil && !p.Has(PlaceConversation) {
			x.bad("rewrite", "the prompt %q has no place for the conversation", s.Rewrite).Hint("write {{conversation}} in its text")
		}
	}
}
