package openai

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/surface/compat"
)

func appendInt[T int | int64](dst []byte, n T) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// appendRaw writes a value as it came, on one line: a frame ends at the end of
// a line.
func appendRaw(dst []byte, raw json.RawMessage) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		if len(raw) == 0 {
			return append(dst, "null"...)
		}
		return append(dst, raw...)
	}
	v := jsontext.Value(bytes.Clone(raw))
	if v.Compact() != nil {
		return append(dst, "null"...)
	}
	return append(dst, v...)
}

// appendExtra writes members that nobody reads, each after a comma, without
// those of some names that are written already.
func appendExtra(dst []byte, extra llm.Extra, without ...string) []byte {
	if len(extra) == 0 {
		return dst
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if slices.Contains(without, name) {
			continue
		}
		dst = compat.AppendString(append(dst, ','), name)
		dst = appendRaw(append(dst, ':'), extra[name])
	}
	return dst
}

// head is what an answer and all its chunks begin with.
type head struct {
	id      string
	created int64
	model   string
}

func (h *head) appendTo(dst []byte, object string) []byte {
	dst = compat.AppendString(append(dst, `{"id":`...), h.id)
	dst = append(append(append(dst, `,"object":"`...), object...), `","created":`...)
	dst = appendInt(dst, h.created)
	return compat.AppendString(append(dst, `,"model":`...), h.model)
}

// spent is what an answer took.
type spent struct {
	llm.Usage
	cost      gateway.Money
	priced    bool // cost is known
	estimated bool // the provider did not count
}

func (s *spent) appendTo(dst []byte) []byte {
	dst = appendInt(append(dst, `{"prompt_tokens":`...), s.Input)
	dst = appendInt(append(dst, `,"completion_tokens":`...), s.Output)
	dst = appendInt(append(dst, `,"total_tokens":`...), s.Input+s.Output)
	dst = appendInt(append(dst, `,"prompt_tokens_details":{"cached_tokens":`...), s.CachedInput)
	dst = appendInt(append(dst, `},"completion_tokens_details":{"reasoning_tokens":`...), s.Reasoning)
	return append(s.appendCost(append(dst, '}')), '}')
}

// appendCost writes what the protocol has no place for, after a comma.
func (s *spent) appendCost(dst []byte) []byte {
	if s.estimated {
		dst = append(dst, `,"estimated":true`...)
	}
	if s.priced {
		dst = append(append(dst, `,"cost":`...), s.cost.String()...)
	}
	return dst
}

// spentBy is what a call took, or what the provider counted where there is no
// call.
func spentBy(call gateway.Call, counted *llm.Usage) *spent {
	switch {
	case call.ID != "":
		return &spent{call.Usage, call.Cost, true, call.Estimated}
	case counted != nil:
		return &spent{Usage: *counted}
	}
	return &spent{}
}

// ownMembers of an answer and of a chunk, which Leat writes itself.
var ownMembers = []string{"id", "object", "created", "model", "choices", "usage", "error", "leat"}

// appendCompletion writes a whole answer.
func appendCompletion(dst []byte, h *head, a *llm.Answer, s *spent) []byte {
	dst = append(h.appendTo(dst, "chat.completion"), `,"choices":[`...)
	for i := range a.Choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendChoice(dst, i, &a.Choices[i])
	}
	dst = s.appendTo(append(dst, `],"usage":`...))
	return append(appendExtra(dst, a.Extra, ownMembers...), '}')
}

func appendChoice(dst []byte, i int, c *llm.Choice) []byte {
	dst = appendInt(append(dst, `{"index":`...), i)
	dst = appendMessage(append(dst, `,"message":`...), &c.Message)
	if _, ok := c.Extra["logprobs"]; !ok {
		dst = append(dst, `,"logprobs":null`...)
	}
	dst = appendOrNull(append(dst, `,"finish_reason":`...), string(c.Finish))
	return append(appendExtra(dst, c.Extra, "index", "message", "finish_reason"), '}')
}

func appendMessage(dst []byte, m *llm.Message) []byte {
	dst = append(dst, `{"role":"assistant","content":`...)
	if len(m.Parts) == 0 && (len(m.Calls) > 0 || m.Refusal != "") {
		dst = append(dst, "null"...)
	} else {
		dst = compat.AppendString(dst, m.Text())
	}
	dst = appendOrNull(append(dst, `,"refusal":`...), m.Refusal)
	if _, ok := m.Extra["annotations"]; !ok {
		dst = append(dst, `,"annotations":[]`...)
	}
	if m.Reasoning != "" {
		dst = compat.AppendString(append(dst, `,"reasoning_content":`...), m.Reasoning)
	}
	if len(m.Calls) > 0 {
		dst = append(dst, `,"tool_calls":[`...)
		for i, c := range m.Calls {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = compat.AppendString(append(dst, `{"id":`...), c.ID)
			dst = compat.AppendString(append(dst, `,"type":"function","function":{"name":`...), c.Name)
			dst = compat.AppendString(append(dst, `,"arguments":`...), c.Arguments)
			dst = append(dst, "}}"...)
		}
		dst = append(dst, ']')
	}
	return append(appendExtra(dst, m.Extra, "role", "content", "refusal"), '}')
}

const chunkObject = "chat.completion.chunk"

// chunks writes a stream's deltas as chunks.
type chunks struct {
	head
	usage bool // every chunk says null of it, but the last
	begun []bool
}

// first tells whether a choice has had no chunk yet.
func (c *chunks) first(choice int) bool {
	for len(c.begun) <= choice {
		c.begun = append(c.begun, false)
	}
	first := !c.begun[choice]
	c.begun[choice] = true
	return first
}

// open writes a chunk up to the inside of its delta.
func (c *chunks) open(dst []byte, choice int) []byte {
	dst = append(c.appendTo(dst, chunkObject), `,"choices":[{"index":`...)
	return append(appendInt(dst, choice), `,"delta":{`...)
}

// close writes the rest of a chunk.
func (c *chunks) close(dst []byte, finish string, choice llm.Extra) []byte {
	if _, ok := choice["logprobs"]; !ok {
		dst = append(dst, `},"logprobs":null`...)
	} else {
		dst = append(dst, '}')
	}
	dst = appendOrNull(append(dst, `,"finish_reason":`...), finish)
	return append(appendExtra(dst, choice, "index", "delta", "finish_reason"), "}]"...)
}

// tail ends a chunk.
func (c *chunks) tail(dst []byte, extra llm.Extra) []byte {
	if c.usage {
		dst = append(dst, `,"usage":null`...)
	}
	return append(appendExtra(dst, extra, ownMembers...), '}')
}

// write makes frames of a delta: the first of a choice says whose it is, the
// last alone why it ended.
func (c *chunks) write(f *frames, d *llm.Delta) {
	content := d.Text != "" || d.Refusal != "" || d.Reasoning != "" || len(d.Calls) > 0 || len(d.MessageExtra) > 0
	if !content && d.Finish == "" && len(d.ChoiceExtra) == 0 {
		if len(d.Extra) > 0 { // about the answer as a whole, as Azure's first chunk
			dst := append(c.appendTo(f.data(), chunkObject), `,"choices":[]`...)
			f.end(c.tail(dst, d.Extra))
		}
		return
	}
	extra := d.Extra
	if c.first(d.Choice) {
		dst := append(c.open(f.data(), d.Choice), `"role":"assistant","content":`...)
		if len(d.Calls) > 0 && d.Text == "" {
			dst = append(dst, "null"...)
		} else {
			dst = append(dst, `""`...)
		}
		f.end(c.tail(c.close(append(dst, `,"refusal":null`...), "", nil), extra))
		extra = nil
	}
	if content || d.Finish == "" {
		dst := appendDelta(c.open(f.data(), d.Choice), d)
		f.end(c.tail(c.close(dst, "", d.ChoiceExtra), extra))
		extra, d.ChoiceExtra = nil, nil
	}
	if d.Finish != "" {
		f.end(c.tail(c.close(c.open(f.data(), d.Choice), string(d.Finish), d.ChoiceExtra), extra))
	}
}

// appendDelta writes the members of a delta.
func appendDelta(dst []byte, d *llm.Delta) []byte {
	begin := len(dst)
	if d.Text != "" {
		dst = compat.AppendString(append(dst, `,"content":`...), d.Text)
	}
	if d.Refusal != "" {
		dst = compat.AppendString(append(dst, `,"refusal":`...), d.Refusal)
	}
	if d.Reasoning != "" {
		dst = compat.AppendString(append(dst, `,"reasoning_content":`...), d.Reasoning)
	}
	for i, call := range d.Calls {
		if i == 0 {
			dst = append(dst, `,"tool_calls":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = appendCallPart(dst, call)
		if i == len(d.Calls)-1 {
			dst = append(dst, ']')
		}
	}
	dst = appendExtra(dst, d.MessageExtra, "role", "content", "refusal")
	if len(dst) > begin { // without the first comma
		dst = append(dst[:begin], dst[begin+1:]...)
	}
	return dst
}

func appendCallPart(dst []byte, call llm.CallPart) []byte {
	dst = appendInt(append(dst, `{"index":`...), call.Index)
	if call.ID != "" {
		dst = compat.AppendString(append(dst, `,"id":`...), call.ID)
		dst = append(dst, `,"type":"function"`...)
	}
	dst = append(dst, `,"function":{`...)
	if call.Name != "" {
		dst = compat.AppendString(append(dst, `"name":`...), call.Name)
		dst = append(dst, ',')
	}
	dst = compat.AppendString(append(dst, `"arguments":`...), call.Arguments)
	return append(dst, "}}"...)
}

// last writes the chunk that says what the answer took.
func (c *chunks) last(f *frames, s *spent) {
	dst := append(c.appendTo(f.data(), chunkObject), `,"choices":[],"usage":`...)
	f.end(append(s.appendTo(dst), '}'))
}
