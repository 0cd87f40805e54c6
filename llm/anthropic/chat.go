package anthropic

import (
	"cmp"
	"context"
	"encoding/json"
	"io"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/sse"
	"github.com/leat-ai/leat/llm"
)

// maxFrame bounds one event of a stream, in bytes.
const maxFrame = 16 << 20

// Chat asks for an answer.
func (p *Provider) Chat(ctx context.Context, r llm.Request) (llm.Stream, error) {
	model := cmp.Or(r.Model, p.config.Model)
	if model == "" {
		return nil, fault.New(fault.Invalid, "no model is named")
	}
	body, err := p.config.body(r, model)
	if err != nil {
		return nil, err
	}
	reply, err := p.server.Post(ctx, "/messages", body, r.Stream)
	if err != nil {
		return nil, err
	}
	s := &stream{server: p.server, reply: reply, blocks: map[int]*spoken{}}
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

// stream is an answer as events come. It meets llm.Stream.
type stream struct {
	server *llm.Server
	reply  *llm.Reply
	events *sse.Reader // nil: the answer came whole

	ready    []llm.Delta
	err      error
	id       string
	model    string
	usage    usage
	counted  bool
	finished bool
	calls    int
	thoughts []json.RawMessage
	blocks   map[int]*spoken // that are open, by index
}

// spoken is a block of an answer in the making.
type spoken struct {
	Type      string         `json:"type"`
	Text      string         `json:"text"`
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Input     jsontext.Value `json:"input"`
	Thinking  string         `json:"thinking"`
	Signature string         `json:"signature"`
	Data      string         `json:"data"`

	call int  // which one of the answer
	some bool // of the call's arguments came
}

// event is one of a stream; which fields it has depends on its type.
type event struct {
	Type    string         `json:"type"`
	Index   int            `json:"index"`
	Message *whole         `json:"message"`
	Block   *spoken        `json:"content_block"`
	Delta   delta          `json:"delta"`
	Usage   jsontext.Value `json:"usage"`
}

type delta struct {
	Type       string `json:"type"`
	Text       string `json:"text"`
	Partial    string `json:"partial_json"`
	Thinking   string `json:"thinking"`
	Signature  string `json:"signature"`
	StopReason string `json:"stop_reason"`
}

// whole is a message.
type whole struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Model      string         `json:"model"`
	Content    []*spoken      `json:"content"`
	StopReason string         `json:"stop_reason"`
	Usage      jsontext.Value `json:"usage"`
}

// usage is what is counted so far. A count that is not told again stays.
type usage struct {
	Input   int `json:"input_tokens"`
	Read    int `json:"cache_read_input_tokens"`
	Created int `json:"cache_creation_input_tokens"`
	Output  int `json:"output_tokens"`
	Details struct {
		Thinking int `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
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
	d.ID, d.Model = s.id, s.model
	return d, nil
}

// Close frees the connection.
func (s *stream) Close() error { return s.reply.Close() }

func (s *stream) give(d llm.Delta) { s.ready = append(s.ready, d) }

// read takes in one event; io.EOF where it ends the answer.
func (s *stream) read() error {
	e, err := s.events.Next()
	switch {
	case err == io.EOF:
		return s.end()
	case fault.Is(err, fault.TooLarge):
		return s.server.Broken("an event of it is larger than %d bytes", maxFrame)
	case err != nil:
		return err
	}
	var got event
	if err := wire.Unmarshal(e.Data, &got, lenient()); err != nil {
		return s.server.Broken("an event of it is not JSON of the protocol")
	}
	switch got.Type {
	case "message_start":
		s.begin(got.Message)
	case "content_block_start":
		return s.open(got.Index, got.Block)
	case "content_block_delta":
		return s.piece(got.Index, got.Delta)
	case "content_block_stop":
		s.close(got.Index)
	case "message_delta":
		s.count(got.Usage)
		s.finish(got.Delta.StopReason)
	case "message_stop":
		s.reply.Whole()
		return s.end()
	case "error":
		return s.server.Refused(e.Data, s.reply)
	}
	return nil // a ping, or something new, which is to be skipped
}

// end is io.EOF where the answer came to its end.
func (s *stream) end() error {
	if !s.finished {
		return s.server.Broken("the stream ended before the answer did")
	}
	return io.EOF
}

func (s *stream) readWhole() error {
	content, err := s.reply.All(llm.MaxAnswer)
	if err != nil {
		return err
	}
	var m whole
	if err := wire.Unmarshal(content, &m, lenient()); err != nil {
		return s.server.Broken("it is not JSON of the protocol")
	}
	if m.Type == "error" {
		return s.server.Refused(content, s.reply)
	}
	if m.StopReason == "" {
		return s.server.Broken("the answer has no end")
	}
	s.begin(&m)
	for i, b := range m.Content {
		if err := s.open(i, b); err != nil {
			return err
		}
		s.close(i)
	}
	s.finish(m.StopReason)
	return nil
}

func (s *stream) begin(m *whole) {
	if m == nil {
		return
	}
	s.id, s.model = m.ID, m.Model
	s.count(m.Usage)
}

// count takes over what an event counts; nothing where it cannot be read.
func (s *stream) count(v jsontext.Value) {
	next := s.usage
	if v.Kind() == '{' && wire.Unmarshal(v, &next, lenient()) == nil && min(next.Input, next.Read, next.Created, next.Output) >= 0 {
		s.usage, s.counted = next, true
	}
}

func (s *stream) finish(reason string) {
	if reason == "" {
		return
	}
	s.finished = true
	d := llm.Delta{Finish: finishOf(reason)}
	if u := s.usage; s.counted {
		d.Usage = &llm.Usage{Input: u.Input + u.Read + u.Created, CachedInput: u.Read, CacheWrite: u.Created,
			Output: u.Output, Reasoning: max(0, min(u.Details.Thinking, u.Output))}
	}
	s.give(d)
}

func finishOf(reason string) llm.Finish {
	switch reason {
	case "end_turn", "stop_sequence":
		return llm.FinishStop
	case "max_tokens", "model_context_window_exceeded":
		return llm.FinishLength
	case "tool_use":
		return llm.FinishCalls
	case "refusal":
		return llm.FinishFilter
	}
	return llm.Finish(reason)
}

// open takes a block in, with what it has already.
func (s *stream) open(index int, b *spoken) error {
	switch {
	case b == nil || s.blocks[index] != nil || len(s.blocks) >= llm.MaxCalls:
		return s.server.Broken("a block of the answer begins where none can")
	case s.calls >= llm.MaxCalls:
		return s.server.Broken("it calls more than %d tools", llm.MaxCalls)
	}
	s.blocks[index] = b
	switch b.Type {
	case "text":
		if b.Text != "" {
			s.give(llm.Delta{Text: b.Text})
		}
	case "thinking":
		if b.Thinking != "" {
			s.give(llm.Delta{Reasoning: b.Thinking})
		}
	case "tool_use":
		b.call = s.calls
		s.calls++
		s.give(llm.Delta{Calls: []llm.CallPart{{Index: b.call, ID: b.ID, Name: b.Name}}})
	}
	return nil
}

func (s *stream) piece(index int, d delta) error {
	b := s.blocks[index]
	if b == nil {
		return s.server.Broken("a piece of the answer belongs to no block")
	}
	switch d.Type {
	case "text_delta":
		s.give(llm.Delta{Text: d.Text})
	case "thinking_delta":
		b.Thinking += d.Thinking
		if len(b.Thinking) > llm.MaxAnswer {
			return s.server.Broken("a thought is larger than %d bytes", llm.MaxAnswer)
		}
		s.give(llm.Delta{Reasoning: d.Thinking})
	case "signature_delta":
		b.Signature = d.Signature
	case "input_json_delta":
		if b.Type == "tool_use" && d.Partial != "" {
			b.some = true
			s.give(llm.Delta{Calls: []llm.CallPart{{Index: b.call, Arguments: d.Partial}}})
		}
	}
	return nil
}

// close gives what is known of a block only at its end: the arguments of a
// call that came with its start, and thoughts as they are signed.
func (s *stream) close(index int) {
	b := s.blocks[index]
	delete(s.blocks, index)
	switch {
	case b == nil:
	case b.Type == "tool_use" && !b.some:
		input := string(b.Input)
		if b.Input.Kind() != '{' {
			input = "{}"
		}
		s.give(llm.Delta{Calls: []llm.CallPart{{Index: b.call, Arguments: input}}})
	case b.Type == "thinking" && b.Signature != "":
		s.thought(map[string]string{"type": b.Type, "thinking": b.Thinking, "signature": b.Signature})
	case b.Type == "redacted_thinking":
		s.thought(map[string]string{"type": b.Type, "data": b.Data})
	}
}

// thought gives all thoughts so far: of members of one name the last counts.
func (s *stream) thought(t map[string]string) {
	text, err := json.Marshal(t)
	if err != nil {
		return // strings can be written
	}
	s.thoughts = append(s.thoughts, text)
	all, err := json.Marshal(s.thoughts)
	if err == nil {
		s.give(llm.Delta{MessageExtra: llm.Extra{thoughtsMember: all}})
	}
}
