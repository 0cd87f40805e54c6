package knowledge

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/knowledge/cite"
	"github.com/leat-ai/leat/pattern/knowledge/guardrail"
	"github.com/leat-ai/leat/pattern/knowledge/prompt"
	"github.com/leat-ai/leat/spec"
)

// What becomes of a sentence that no passage supports.
const (
	unsupportedDrop   = "drop"
	unsupportedRefuse = "refuse"
)

// generative lets a language model write, and lets out what it has checked.
type generative struct {
	name      string
	assistant *deploy.Assistant
	template  *prompt.Template
	chat      Chat
	texts     Texts
}

func (s *Assistants) generative(name string, a *deploy.Assistant) (*generative, error) {
	text := a.Prompt
	if text == "" {
		text = prompt.Answer
	}
	template, err := prompt.Parse(text)
	if err != nil {
		return nil, err
	}
	return &generative{name: name, assistant: a, template: template, chat: s.deps.Chat, texts: s.deps.Texts}, nil
}

// Bounds of what a model writes.
const (
	maxAnswer   = 1 << 20 // bytes
	maxSentence = 16 << 10
)

func (g *generative) answer(ctx context.Context, q asked, emit func(Part) error) (said, error) {
	v := newVerifier(g.texts, q.passages)
	shown, err := v.standing(ctx)
	if err != nil {
		return said{}, err
	}
	if len(shown) == 0 {
		return abstain(q, spending{}, emit)
	}
	fence := prompt.NewFence()
	stream, err := g.chat.Chat(gateway.Via(ctx, "assistant/"+g.name), g.assistant.LLM, g.request(q, shown, fence))
	if err != nil {
		return said{}, err
	}
	defer stream.Close()
	c := g.checking(v, q, shown, fence, emit)
	spent, err := c.readAll(ctx, stream)
	if err != nil {
		return said{}, err
	}
	if call, ok := gateway.CallOf(stream); ok {
		spent.Cost = call.Cost.USD()
		if spent.Model == "" {
			spent.Model = call.Model
		}
		if spent.Input == 0 && spent.Output == 0 {
			spent.Input, spent.Output = call.Usage.Input, call.Usage.Output
		}
	}
	if spent.Model == "" {
		spent.Model = g.assistant.LLM
	}
	if c.refused || len(c.writer.sentences) == 0 {
		s, err := abstain(q, spent, emit)
		s.finish = c.finish
		return s, err
	}
	s := c.writer.said(spent)
	s.finish = c.finish
	return s, c.writer.release()
}

// request is what the model is told.
func (g *generative) request(q asked, passages []Passage, fence prompt.Fence) llm.Request {
	shown := make([]prompt.Passage, len(passages))
	for i, p := range passages {
		text := p.Text
		if p.Context != "" {
			text = p.Context + "\n" + text
		}
		shown[i] = prompt.Passage{Title: p.Title, Heading: p.Heading, Text: text}
	}
	conversation := fence.Conversation(promptTurns(q.conversation))
	question := q.question
	if !g.template.Has(spec.PlaceConversation) && q.query != q.question {
		question = q.query
	}
	told := g.template.Render(prompt.Values{Question: question, Passages: fence.Passages(shown), Conversation: conversation})
	return llm.Request{
		Messages:    []llm.Message{llm.Text(llm.System, fence.Rules()), llm.Text(llm.User, told)},
		Stream:      true,
		MaxTokens:   g.assistant.MaxTokens,
		Temperature: g.assistant.Temperature,
	}
}

// maxTurns is how many earlier messages a model is told.
const maxTurns = 20

func promptTurns(turns []Turn) (out []prompt.Turn) {
	for _, t := range turns[max(0, len(turns)-maxTurns):] {
		switch t.Role {
		case User:
			out = append(out, prompt.Turn{Role: "user", Text: t.Text})
		case Agent:
			out = append(out, prompt.Turn{Role: "assistant", Text: t.Text})
		}
	}
	return out
}

// checking is an answer on its way from the model to the reader.
type checking struct {
	policy   string
	verifier *verifier
	shown    []Passage
	checker  *cite.Checker
	fence    prompt.Fence
	writer   *writer
	cutter   cutter
	refused  bool
	finish   llm.Finish // why the model ended, as far as it was read
	space    string     // between what was written and what comes
}

func (g *generative) checking(v *verifier, q asked, passages []Passage, fence prompt.Fence, emit func(Part) error) *checking {
	shown := make([]cite.Shown, len(passages))
	for i, p := range passages {
		shown[i] = cite.Shown{Text: p.Text, Title: p.Title, Heading: p.Heading, Context: p.Context}
	}
	c := &checking{policy: g.assistant.Unsupported, verifier: newVerifier(g.texts, q.passages), shown: passages, fence: fence,
		checker: cite.New("", q.question, shown), writer: newWriter(v, guardrail.New(nil, nil), emit)}
	c.writer.hold = c.policy == unsupportedRefuse
	c.cutter.claims = c.checker.Claims
	return c
}

// readAll reads the model's answer to its end and writes what holds. Calls of
// tools that the model asks for go nowhere: it was given none.
func (c *checking) readAll(ctx context.Context, stream llm.Stream) (spent spending, err error) {
	read := 0
	for {
		d, err := stream.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return spent, err
		}
		if d.Model != "" {
			spent.Model = d.Model
		}
		if d.Usage != nil {
			spent.Input, spent.Output = d.Usage.Input, d.Usage.Output
		}
		if d.Finish != "" {
			c.finish = d.Finish
		}
		if d.Choice != 0 {
			continue
		}
		if read += len(d.Text); read > maxAnswer {
			return spent, fault.New(fault.TooLarge, "the language model's answer is larger than %d bytes", maxAnswer)
		}
		for _, piece := range c.cutter.feed(d.Text) {
			if err := c.piece(ctx, piece); err != nil {
				return spent, err
			}
		}
		if c.refused { // nothing of it is said: the rest need not be paid for
			return spent, nil
		}
	}
	for _, piece := range c.cutter.end() {
		if err := c.piece(ctx, piece); err != nil {
			return spent, err
		}
	}
	if c.finish == llm.FinishFilter && len(c.writer.sentences) == 0 {
		return spent, fault.New(fault.Rejected, "the language model's provider let no answer out").Hint("its content filter stopped it; ask otherwise")
	}
	return spent, nil
}

// piece checks one sentence and writes it, if the policy lets it.
func (c *checking) piece(ctx context.Context, p piece) error {
	c.space += p.before
	if c.refused || strings.TrimSpace(p.text) == "" {
		return nil
	}
	if c.fence.Leaks(p.text) {
		return c.unsupported("", nil)
	}
	checked := c.checker.Check(p.text)
	if !checked.Supported && checked.Removed == 0 && !c.checker.Claims(checked.Text) {
		return c.write(func() error { return c.writer.glue(cite.Renumber(checked.Text, func(int) []int { return nil })) })
	}
	spans, err := c.standing(ctx, checked)
	if err != nil {
		return err
	}
	supported := checked.Supported && len(spans) > 0
	text, numbers := c.numbered(checked.Text, spans)
	if !supported {
		return c.unsupported(text, numbers)
	}
	return c.write(func() error { return c.writer.sentence(text, true, numbers) })
}

// standing are the stretches that a sentence rests on whose sources stand as
// they were found, and of passages that it cites without saying what they say
// the nearest stretch.
func (c *checking) standing(ctx context.Context, checked cite.Checked) (spans []cite.Span, err error) {
	all := slices.Clone(checked.Spans)
	for _, i := range cite.Cited(checked.Text) {
		if i < len(c.shown) && !slices.ContainsFunc(all, func(s cite.Span) bool { return s.Passage == i }) {
			if s, ok := c.checker.Nearest(checked.Text, i); ok {
				all = append(all, s)
			}
		}
	}
	for _, s := range all {
		at := slices.IndexFunc(c.verifier.passages, func(p Passage) bool {
			return p.ID == c.shown[s.Passage].ID && p.Knowledge == c.shown[s.Passage].Knowledge
		})
		ok, err := c.verifier.holds(ctx, at)
		if err != nil {
			return nil, err
		}
		if ok {
			spans = append(spans, s)
		}
	}
	return spans, nil
}

// numbered gives a sentence the numbers of its citations.
func (c *checking) numbered(text string, spans []cite.Span) (string, []int) {
	var numbers []int
	by := map[int][]int{}
	for _, s := range spans {
		p := c.shown[s.Passage]
		n := c.writer.cite(p, s.Start, s.End)
		c.writer.filter.Know(p.Text)
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
		if !slices.Contains(by[s.Passage], n) {
			by[s.Passage] = append(by[s.Passage], n)
		}
	}
	return cite.Renumber(text, func(passage int) []int { return by[passage] }), numbers
}

// unsupported does with a sentence what the policy says.
func (c *checking) unsupported(text string, numbers []int) error {
	switch c.policy {
	case unsupportedDrop:
		return nil
	case unsupportedRefuse:
		c.refused = true
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	return c.write(func() error { return c.writer.sentence(text, false, numbers) })
}

// write writes the space that is due, and then what f writes.
func (c *checking) write(f func() error) error {
	if space := c.space; space != "" && c.writer.text.Len() > 0 {
		c.space = ""
		if err := c.writer.glue(space); err != nil {
			return err
		}
	}
	c.space = ""
	return f()
}
