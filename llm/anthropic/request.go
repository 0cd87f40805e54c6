package anthropic

import (
	"encoding/json"
	"strings"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// request is the body of messages.
type request struct {
	Model         string        `json:"model"`
	MaxTokens     int           `json:"max_tokens"`
	System        string        `json:"system,omitzero"`
	Messages      []message     `json:"messages"`
	Stream        bool          `json:"stream,omitzero"`
	Temperature   *float64      `json:"temperature,omitzero"`
	TopP          *float64      `json:"top_p,omitzero"`
	StopSequences []string      `json:"stop_sequences,omitzero"`
	Tools         []tool        `json:"tools,omitzero"`
	ToolChoice    *toolChoice   `json:"tool_choice,omitzero"`
	OutputConfig  *outputConfig `json:"output_config,omitzero"`
	Metadata      *metadata     `json:"metadata,omitzero"`
	Extra         llm.Extra     `json:",embed"`
}

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is a part of a message. Raw is one of Anthropic's own, as it came.
type block struct {
	raw       jsontext.Value
	Type      string
	Text      string
	Source    *source
	ID        string
	Name      string
	Input     jsontext.Value
	ToolUseID string
	Content   []block
}

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitzero"`
	Data      string `json:"data,omitzero"`
	URL       string `json:"url,omitzero"`
}

// MarshalJSONTo writes the block.
func (b block) MarshalJSONTo(e *jsontext.Encoder) error {
	switch b.Type {
	case "text":
		return wire.MarshalEncode(e, struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{b.Type, b.Text}, lenient())
	case "image":
		return wire.MarshalEncode(e, struct {
			Type   string  `json:"type"`
			Source *source `json:"source"`
		}{b.Type, b.Source}, lenient())
	case "tool_use":
		return wire.MarshalEncode(e, struct {
			Type  string         `json:"type"`
			ID    string         `json:"id"`
			Name  string         `json:"name"`
			Input jsontext.Value `json:"input"`
		}{b.Type, b.ID, b.Name, b.Input}, lenient())
	case "tool_result":
		return wire.MarshalEncode(e, struct {
			Type    string  `json:"type"`
			ID      string  `json:"tool_use_id"`
			Content []block `json:"content,omitzero"`
		}{b.Type, b.ToolUseID, b.Content}, lenient())
	}
	return e.WriteValue(b.raw)
}

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	InputSchema json.RawMessage `json:"input_schema"`
	Strict      *bool           `json:"strict,omitzero"`
}

type toolChoice struct {
	Type     string `json:"type"`
	Name     string `json:"name,omitzero"`
	Disabled *bool  `json:"disable_parallel_tool_use,omitzero"`
}

type outputConfig struct {
	Effort string        `json:"effort,omitzero"`
	Format *outputFormat `json:"format,omitzero"`
}

type outputFormat struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

type metadata struct {
	UserID string `json:"user_id"`
}

func lenient() wire.Options {
	return wire.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// body makes the body of a request.
func (c Config) body(r llm.Request, model string) ([]byte, error) {
	if err := unsupported(r); err != nil {
		return nil, err
	}
	w := request{Model: model, MaxTokens: r.MaxTokens, Stream: r.Stream, Temperature: atMostOne(r.Temperature), TopP: r.TopP, StopSequences: r.Stop, Extra: known(r.Extra)}
	if w.MaxTokens == 0 {
		w.MaxTokens = c.MaxTokens
	}
	if r.User != "" && w.Extra["metadata"] == nil {
		w.Metadata = &metadata{r.User}
	}
	var err error
	if w.System, w.Messages, err = conversation(r.Messages); err != nil {
		return nil, err
	}
	for _, t := range r.Tools {
		schema := t.Parameters
		if len(schema) == 0 {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		w.Tools = append(w.Tools, tool{t.Name, t.Description, schema, t.Strict})
	}
	w.ToolChoice = choiceOf(r)
	w.OutputConfig = outputOf(r)
	body, err := wire.Marshal(w, lenient())
	return body, fault.Wrap(err, fault.Invalid, "the request holds JSON that is none")
}

// atMostOne keeps a temperature to Anthropic's scale, which ends at 1.
func atMostOne(t *float64) *float64 {
	if t == nil || *t <= 1 {
		return t
	}
	one := 1.0
	return &one
}

// unsupported finds what has no counterpart and would change the answer.
func unsupported(r llm.Request) error {
	var l fault.List
	no := func(what string) { l.Add(fault.New(fault.Unsupported, "models of Anthropic give no %s", what)) }
	if r.N > 1 {
		no("several answers at once")
	}
	if r.Format != nil && r.Format.Kind == llm.FormatJSON {
		l.Add(fault.New(fault.Unsupported, "models of Anthropic give no JSON without a schema").Hint("give a response_format of the type json_schema"))
	}
	for name, what := range map[string]string{"logprobs": "log probabilities", "audio": "audio", "functions": "calls of functions in OpenAI's first form"} {
		if v := string(r.Extra[name]); v != "" && v != "null" && v != "false" {
			no(what)
		}
	}
	if r.ToolChoice.Mode == llm.ToolsOther {
		no("choice of tools other than one, all or none")
	}
	for _, t := range r.Tools {
		if t.Raw != nil {
			no("tools that are not functions")
			break
		}
	}
	return l.Err()
}

// known are the members of an Extra that Anthropic reads itself.
func known(extra llm.Extra) llm.Extra {
	kept := llm.Extra{}
	for _, name := range []string{"thinking", "top_k", "cache_control", "container", "inference_geo", "context_management"} {
		if v, ok := extra[name]; ok {
			kept[name] = v
		}
	}
	if v, ok := extra["metadata"]; ok && strings.Contains(string(v), `"user_id"`) {
		kept["metadata"] = v
	}
	return kept
}

func choiceOf(r llm.Request) *toolChoice {
	var one *bool
	if r.ParallelCalls != nil {
		disabled := !*r.ParallelCalls
		one = &disabled
	}
	switch r.ToolChoice.Mode {
	case llm.ToolsNone:
		return &toolChoice{Type: "none"}
	case llm.ToolsRequired:
		return &toolChoice{Type: "any", Disabled: one}
	case llm.ToolsNamed:
		return &toolChoice{Type: "tool", Name: r.ToolChoice.Name, Disabled: one}
	case llm.ToolsAuto:
		return &toolChoice{Type: "auto", Disabled: one}
	}
	if one != nil && len(r.Tools) > 0 {
		return &toolChoice{Type: "auto", Disabled: one}
	}
	return nil
}

func outputOf(r llm.Request) *outputConfig {
	var c outputConfig
	switch effort := strings.Trim(string(r.Extra["reasoning_effort"]), `"`); effort {
	case "minimal":
		c.Effort = "low"
	case "low", "medium", "high", "xhigh", "max":
		c.Effort = effort
	}
	if r.Format != nil && r.Format.Kind == llm.FormatSchema {
		c.Format = &outputFormat{"json_schema", r.Format.Schema}
	}
	if c == (outputConfig{}) {
		return nil
	}
	return &c
}

// conversation translates messages: what the system says goes in front, and
// messages of one side after the other become one.
func conversation(all []llm.Message) (system string, out []message, err error) {
	var instructions []string
	for _, m := range all {
		if m.Role == llm.System || m.Role == llm.Developer {
			instructions = append(instructions, m.Text())
			continue
		}
		role := "user"
		if m.Role == llm.Assistant {
			role = "assistant"
		}
		blocks, err := blocksOf(m)
		if err != nil {
			return "", nil, err
		}
		if last := len(out) - 1; last >= 0 && out[last].Role == role {
			out[last].Content = append(out[last].Content, blocks...)
			continue
		}
		if len(blocks) > 0 {
			out = append(out, message{role, blocks})
		}
	}
	if len(out) == 0 {
		return "", nil, fault.New(fault.Invalid, "the conversation has no message of a user")
	}
	return strings.Join(instructions, "\n\n"), out, nil
}

func blocksOf(m llm.Message) ([]block, error) {
	blocks, err := thoughtsOf(m)
	if err != nil {
		return nil, err
	}
	parts, err := partsOf(m)
	if err != nil {
		return nil, err
	}
	if m.Role == llm.ToolRole {
		return append(blocks, block{Type: "tool_result", ToolUseID: m.CallID, Content: parts}), nil
	}
	blocks = append(blocks, parts...)
	if m.Refusal != "" {
		blocks = append(blocks, block{Type: "text", Text: m.Refusal})
	}
	for _, c := range m.Calls {
		input := jsontext.Value(c.Arguments)
		if strings.TrimSpace(c.Arguments) == "" {
			input = jsontext.Value("{}")
		}
		if !input.IsValid() || input.Kind() != '{' {
			return nil, fault.New(fault.Invalid, "the arguments of the call %q are no object of JSON", c.ID)
		}
		blocks = append(blocks, block{Type: "tool_use", ID: c.ID, Name: c.Name, Input: input})
	}
	return blocks, nil
}

// thoughtsMember is where thoughts stand as they were signed.
const thoughtsMember = "thinking_blocks"

func thoughtsOf(m llm.Message) (blocks []block, err error) {
	raw, ok := m.Extra[thoughtsMember]
	if !ok || string(raw) == "null" || m.Role != llm.Assistant {
		return nil, nil
	}
	var thoughts []jsontext.Value
	if err := wire.Unmarshal(raw, &thoughts); err != nil {
		return nil, fault.New(fault.Invalid, "the thinking_blocks of a message are no list")
	}
	for _, t := range thoughts {
		var kind struct {
			Type string `json:"type"`
		}
		if err := wire.Unmarshal(t, &kind); err != nil || kind.Type != "thinking" && kind.Type != "redacted_thinking" {
			return nil, fault.New(fault.Invalid, "the thinking_blocks of a message hold something else")
		}
		blocks = append(blocks, block{raw: t})
	}
	return blocks, nil
}

func partsOf(m llm.Message) (blocks []block, err error) {
	for _, p := range m.Parts {
		switch p.Kind {
		case llm.TextPart:
			if p.Text != "" { // an empty block is refused
				blocks = append(blocks, block{Type: "text", Text: p.Text})
			}
		case llm.ImagePart:
			s, err := sourceOf(p.URL)
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, block{Type: "image", Source: s})
		default:
			return nil, fault.New(fault.Unsupported, "a message has a part that models of Anthropic do not read").Hint("texts and images are read")
		}
	}
	return blocks, nil
}

func sourceOf(address string) (*source, error) {
	data, inline := strings.CutPrefix(address, "data:")
	if !inline {
		return &source{Type: "url", URL: address}, nil
	}
	kind, content, ok := strings.Cut(data, ";base64,")
	if !ok {
		return nil, fault.New(fault.Invalid, "an image is in the message and not in base64")
	}
	kind, _, _ = strings.Cut(kind, ";")
	return &source{Type: "base64", MediaType: kind, Data: content}, nil
}
