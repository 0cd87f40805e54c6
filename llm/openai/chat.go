package openai

import (
	"cmp"
	"context"
	"io"

	wire "github.com/go-json-experiment/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/sse"
	"github.com/leat-ai/leat/llm"
)

// maxFrame bounds one event of a stream, in bytes: a chunk is small, but what
// a server wraps into one (an image, a whole answer) may not be.
const maxFrame = 16 << 20

// Chat asks for an answer.
func (p *Provider) Chat(ctx context.Context, r llm.Request) (llm.Stream, error) {
	model := cmp.Or(r.Model, p.config.Model)
	if err := p.checkModel(model); err != nil {
		return nil, err
	}
	body, err := p.config.body(r, model)
	if err != nil {
		return nil, err
	}
	reply, err := p.server.Post(ctx, p.path("/chat/completions", model), body, r.Stream)
	if err != nil {
		return nil, err
	}
	s := &stream{server: p.server, reply: reply, want: max(r.N, 1)}
	if reply.Events { // a server may stream, or not, whatever it was asked
		s.events = sse.NewReader(reply, maxFrame)
		return s, nil
	}
	if err := s.readWhole(); err != nil {
		_ = s.Close() // nothing came
		return nil, err
	}
	return s, nil
}

// stream is an answer as chunks come. It meets llm.Stream.
type stream struct {
	server *llm.Server
	reply  *llm.Reply
	events *sse.Reader // nil: the answer came whole
	want   int         // choices

	ready       []llm.Delta
	err         error
	choices     []*progress // by index
	fingerprint string
	tier        string
}

// progress is how far a choice has come.
type progress struct {
	started, finished bool
	calls             []call
}

// call is how a call of a tool is known: by what the server calls its index,
// and its id.
type call struct {
	index int
	id    string
}

// Next returns the next piece.
func (s *stream) Next() (llm.Delta, error) {
	for len(s.ready) == 0 {
		if s.err == nil && s.events == nil {
			s.err = io.EOF
		}
		if s.err == nil {
			s.err = s.read()
		}
		if s.err != nil && len(s.ready) == 0 {
			return llm.Delta{}, s.err
		}
	}
	d := s.ready[0]
	s.ready = s.ready[1:]
	return d, nil
}

// Close frees the connection.
func (s *stream) Close() error { return s.reply.Close() }

// read takes in one event; io.EOF where it ends the answer.
func (s *stream) read() error {
	event, err := s.events.Next()
	switch {
	case err == io.EOF:
		return s.end()
	case fault.Is(err, fault.TooLarge):
		return s.server.Broken("an event of it is larger than %d bytes", maxFrame)
	case err != nil:
		return err
	case len(event.Data) == 0:
		return nil
	case string(event.Data) == "[DONE]":
		s.reply.Whole()
		return s.end()
	}
	return s.take(event.Data, event.Type == "error")
}

// end is io.EOF where every answer came to its end.
func (s *stream) end() error {
	finished := 0
	for _, c := range s.choices {
		if c.started && !c.finished {
			return s.server.Broken("the stream ended before the answer did")
		}
		if c.finished {
			finished++
		}
	}
	if finished == 0 {
		return s.server.Broken("the stream ended without an answer")
	}
	return io.EOF
}

func (s *stream) readWhole() error {
	content, err := s.reply.All(llm.MaxAnswer)
	if err != nil {
		return err
	}
	if err := s.take(content, false); err != nil {
		return err
	}
	return eofIsFine(s.end())
}

func eofIsFine(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// take reads one chunk, or a whole answer.
func (s *stream) take(data []byte, failed bool) error {
	var a answer
	if failed {
		return s.server.Refused(data, s.reply)
	}
	if err := wire.Unmarshal(data, &a, lenient); err != nil {
		return s.server.Broken("it is not JSON of the protocol")
	}
	if a.failed() {
		return s.server.Refused(data, s.reply)
	}
	extra, usage := s.news(&a), usageOf(a.Usage)
	first := len(s.ready)
	for i := range a.Choices {
		d, err := s.choice(&a.Choices[i], i)
		if err != nil {
			return err
		}
		if !empty(d) {
			s.ready = append(s.ready, d)
		}
	}
	if len(s.ready) == first && (usage != nil || len(extra) > 0) {
		s.ready = append(s.ready, llm.Delta{})
	}
	if len(s.ready) > first {
		last := &s.ready[len(s.ready)-1]
		last.Usage, last.Extra = usage, extra
	}
	for i := range s.ready[first:] {
		s.ready[first+i].ID, s.ready[first+i].Model = string(a.ID), string(a.Model)
	}
	return nil
}

// news are the members of a chunk that Leat does not read, without those that
// were told before.
func (s *stream) news(a *answer) llm.Extra {
	extra := pruned(a.Extra)
	for _, m := range []struct {
		name  string
		value loose
		known *string
	}{{"system_fingerprint", a.Fingerprint, &s.fingerprint}, {"service_tier", a.Tier, &s.tier}} {
		if m.value == "" || string(m.value) == *m.known {
			continue
		}
		text, err := wire.Marshal(string(m.value), lenient)
		if err != nil {
			continue // a string can be written
		}
		if extra == nil {
			extra = llm.Extra{}
		}
		*m.known = string(m.value)
		extra[m.name] = []byte(text)
	}
	return extra
}

func empty(d llm.Delta) bool {
	return d.Text == "" && d.Refusal == "" && d.Reasoning == "" && len(d.Calls) == 0 && d.Finish == "" && len(d.ChoiceExtra) == 0 && len(d.MessageExtra) == 0
}

func (s *stream) choice(c *choice, position int) (llm.Delta, error) {
	index := position
	if c.Index != nil {
		index = *c.Index
	}
	if index < 0 || index >= max(s.want, llm.MaxChoices) {
		return llm.Delta{}, s.server.Broken("it has a choice %d", index)
	}
	for len(s.choices) <= index {
		s.choices = append(s.choices, &progress{})
	}
	p := s.choices[index]
	p.started = true
	d := llm.Delta{Choice: index, Finish: finishOf(c.FinishReason), ChoiceExtra: pruned(c.Extra)}
	if c.Logprobs != nil {
		if d.ChoiceExtra == nil {
			d.ChoiceExtra = llm.Extra{}
		}
		d.ChoiceExtra["logprobs"] = []byte(c.Logprobs)
	}
	if d.Finish == "error" {
		return llm.Delta{}, s.server.Broken("it ended in an error that it does not tell")
	}
	p.finished = p.finished || d.Finish != ""
	said := c.Delta
	if said == nil {
		said = c.Message
	}
	if said == nil {
		return d, nil
	}
	d.Text, d.Reasoning = said.said()
	d.Refusal, d.MessageExtra = string(said.Refusal), pruned(said.Extra)
	for i := range said.ToolCalls {
		part, err := s.call(p, &said.ToolCalls[i], s.events == nil)
		if err != nil {
			return llm.Delta{}, err
		}
		d.Calls = append(d.Calls, part)
	}
	return d, nil
}

// call finds out which call a piece belongs to. Servers give its index, or its
// id, or the same index to every call, or neither after the first piece.
func (s *stream) call(p *progress, c *spokenCall, whole bool) (llm.CallPart, error) {
	part := llm.CallPart{ID: string(c.ID), Name: string(c.Function.Name), Arguments: c.Function.arguments(), Extra: pruned(c.Extra)}
	if c.Type == "custom" || c.Custom.Name != "" || c.Custom.Input != "" {
		part.Custom, part.Name, part.Arguments = true, string(c.Custom.Name), string(c.Custom.Input)
	}
	at := len(p.calls)
	if !whole {
		at = p.find(c.Index, part)
	}
	if at == len(p.calls) {
		if at >= llm.MaxCalls {
			return part, s.server.Broken("it calls more than %d tools", llm.MaxCalls)
		}
		index := -1
		if c.Index != nil {
			index = *c.Index
		}
		p.calls = append(p.calls, call{index, part.ID})
	}
	part.Index = at
	return part, nil
}

// find returns the place of the call that a piece belongs to; the number of
// calls for a new one.
func (p *progress) find(index *int, part llm.CallPart) int {
	last := len(p.calls) - 1
	same := func(c call) bool {
		if index != nil {
			return c.index == *index && (part.ID == "" || part.ID == c.id || c.id == "")
		}
		return part.ID != "" && part.ID == c.id
	}
	for i := last; i >= 0; i-- { // the latest of an index
		if same(p.calls[i]) {
			return i
		}
	}
	if index == nil && part.ID == "" && part.Name == "" && last >= 0 {
		return last
	}
	return len(p.calls)
}

var _ llm.Chat = (*Provider)(nil)
