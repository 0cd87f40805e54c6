package knowledge

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/knowledge/prompt"
	"github.com/leat-ai/leat/pattern/knowledge/words"
)

// rewriter makes one question of a conversation: by the language model where
// there is one, and otherwise, or when it does not answer soon, by carrying
// over what earlier questions spoke of.
type rewriter struct {
	name     string
	llm      string
	template *prompt.Template
	chat     Chat
}

func (s *Assistants) rewriter(name string, a *deploy.Assistant) (*rewriter, error) {
	text := a.Rewrite
	if text == "" {
		text = prompt.Rewrite
	}
	template, err := prompt.Parse(text)
	if err != nil {
		return nil, err
	}
	r := &rewriter{name: name, llm: a.LLM, template: template}
	if a.LLM != "" {
		r.chat = s.deps.Chat
	}
	return r, nil
}

// Bounds of rewriting.
const (
	rewriteTime   = 8 * time.Second
	rewriteTokens = 160
	maxRewritten  = 1 << 10 // bytes
	rewriteTurns  = 8
	rewriteTurn   = 2 << 10 // bytes of one earlier message
)

// query returns the question by itself.
func (r *rewriter) query(ctx context.Context, question string, turns []Turn) (string, spending) {
	turns = recent(turns)
	if len(turns) == 0 {
		return question, spending{}
	}
	if r.chat != nil {
		if query, spent, ok := r.ask(ctx, question, turns); ok {
			return query, spent
		}
	}
	return carried(question, turns), spending{}
}

// recent are the last messages that are read, cut to size.
func recent(turns []Turn) []Turn {
	var out []Turn
	for _, t := range turns {
		if t.Role == User || t.Role == Agent {
			t.Text = clip(t.Text, rewriteTurn)
			out = append(out, t)
		}
	}
	return out[max(0, len(out)-rewriteTurns):]
}

// ask lets the language model write the question. What it spent on an answer
// that is of no use is in the ledger alone.
func (r *rewriter) ask(ctx context.Context, question string, turns []Turn) (string, spending, bool) {
	bound := rewriteTime
	if at, ok := ctx.Deadline(); ok {
		bound = min(bound, time.Until(at)/4)
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	fence, zero := prompt.NewFence(), 0.0
	told := r.template.Render(prompt.Values{Question: question, Conversation: fence.Conversation(promptTurns(turns))})
	stream, err := r.chat.Chat(gateway.Via(ctx, "assistant/"+r.name), r.llm, llm.Request{
		Messages:  []llm.Message{llm.Text(llm.System, fence.Rules()), llm.Text(llm.User, told)},
		MaxTokens: rewriteTokens, Temperature: &zero,
	})
	if err != nil {
		return "", spending{}, false
	}
	answer, err := llm.Collect(stream)
	if err != nil {
		return "", spending{}, false
	}
	spent := spending{Model: answer.Model}
	if answer.Usage != nil {
		spent.Input, spent.Output = answer.Usage.Input, answer.Usage.Output
	}
	if call, ok := gateway.CallOf(stream); ok {
		spent.Cost = call.Cost.USD()
	}
	query := strings.Trim(strings.TrimSpace(answer.Text()), "\"“”„")
	if query == "" || len(query) > maxRewritten || strings.Contains(query, "\n") || fence.Leaks(query) {
		return carried(question, turns), spent, true
	}
	return query, spent, true
}

// maxCarried is how many words are carried over.
const maxCarried = 8

// carried adds to a question that leans on what was said before the names and
// the rarest words of the questions before it, the latest first.
func carried(question string, turns []Turn) string {
	l := words.Of("", question)
	own := map[string]bool{}
	content := 0
	leans := false
	for i, t := range l.Tokens(question) {
		leans = leans || refers(t.Word) || i == 0 && follows(t.Word)
		if t.Term != "" {
			own[t.Term] = true
			content++
		}
	}
	if !leans && content > 3 {
		return question
	}
	var add []string
	for _, turn := range slices.Backward(turns) {
		if turn.Role != User {
			continue
		}
		for _, t := range l.Tokens(turn.Text) {
			if t.Term == "" || own[t.Term] || len(add) == maxCarried {
				continue
			}
			own[t.Term] = true
			add = append(add, turn.Text[t.Start:t.End])
		}
		if len(add) > 0 {
			break
		}
	}
	if len(add) == 0 {
		return question
	}
	return question + " " + strings.Join(add, " ")
}

// refers tells whether a word stands for something named before.
func refers(word string) bool {
	switch word {
	case "it", "its", "they", "them", "their", "he", "him", "his", "she", "her", "this", "that", "these", "those", "there", "one", "ones", "same", "other", "others", "another", "both", "such",
		"er", "sie", "es", "ihn", "ihm", "ihr", "ihre", "ihrer", "sein", "seine", "seiner", "dies", "diese", "dieser", "dieses", "diesem", "diesen", "dort", "davon", "dazu", "damit", "dafur", "daran", "beide", "beiden",
		"el", "ella", "ellos", "ellas", "eso", "esto", "ese", "esa", "este", "esta", "estos", "estas", "alli", "ambos", "su", "sus",
		"il", "elle", "ils", "elles", "cela", "ca", "ce", "celui", "celle", "son", "sa", "ses", "leur", "leurs", "y", "en":
		return true
	}
	return false
}

// follows tells whether a question that begins with a word goes on from the
// one before.
func follows(word string) bool {
	switch word {
	case "and", "but", "or", "so", "then", "also", "und", "aber", "oder", "dann", "auch", "y", "pero", "o", "entonces", "tambien", "et", "mais", "ou", "alors", "aussi":
		return true
	}
	return false
}
