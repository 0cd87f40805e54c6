package openai

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// request is the body of chat/completions.
type request struct {
	Model               string         `json:"model"`
	Messages            []message      `json:"messages"`
	Stream              bool           `json:"stream,omitzero"`
	StreamOptions       *streamOptions `json:"stream_options,omitzero"`
	MaxTokens           int            `json:"max_tokens,omitzero"`
	MaxCompletionTokens int            `json:"max_completion_tokens,omitzero"`
	N                   int            `json:"n,omitzero"`
	Temperature         *float64       `json:"temperature,omitzero"`
	TopP                *float64       `json:"top_p,omitzero"`
	Stop                []string       `json:"stop,omitzero"`
	Seed                *int64         `json:"seed,omitzero"`
	Tools               []tool         `json:"tools,omitzero"`
	ToolChoice          jsontext.Value `json:"tool_choice,omitzero"`
	ParallelToolCalls   *bool          `json:"parallel_tool_calls,omitzero"`
	ResponseFormat      *format        `json:"response_format,omitzero"`
	User                string         `json:"user,omitzero"`
	Extra               llm.Extra      `json:",embed"`
}

// ours are the members that a request of llm has itself: one of these names
// among its Extra would be there twice.
var ours = []string{
	"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "temperature", "top_p", "stop", "seed",
	"tools", "tool_choice", "parallel_tool_calls", "response_format", "user",
}

type streamOptions struct {
	IncludeUsage bool      `json:"include_usage"`
	Extra        llm.Extra `json:",embed"`
}

// message is one of a request.
type message struct {
	Role       string         `json:"role"`
	Content    jsontext.Value `json:"content,omitzero"`
	Name       string         `json:"name,omitzero"`
	ToolCalls  []toolCall     `json:"tool_calls,omitzero"`
	ToolCallID string         `json:"tool_call_id,omitzero"`
	Refusal    string         `json:"refusal,omitzero"`
	Extra      llm.Extra      `json:",embed"`
}

type toolCall struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Function *calledFunction `json:"function,omitzero"`
	Custom   *calledCustom   `json:"custom,omitzero"`
	Extra    llm.Extra       `json:",embed"`
}

type calledFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type calledCustom struct {
	Name  string `json:"name"`
	Input string `json:"input"`
}

type part struct {
	Type     string    `json:"type"`
	Text     *string   `json:"text,omitzero"`
	ImageURL *imageURL `json:"image_url,omitzero"`
}

type imageURL struct {
	URL    string `json:"url"`
	Detail string `json:"detail,omitzero"`
}

// tool is a function; another tool is written as it came.
type tool struct {
	raw      json.RawMessage
	function function
}

type function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Parameters  json.RawMessage `json:"parameters,omitzero"`
	Strict      *bool           `json:"strict,omitzero"`
}

// MarshalJSONTo writes the tool.
func (t tool) MarshalJSONTo(e *jsontext.Encoder) error {
	if t.raw != nil {
		return e.WriteValue(jsontext.Value(t.raw))
	}
	return wire.MarshalEncode(e, struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
	}{"function", t.function})
}

type format struct {
	Type   string  `json:"type"`
	Schema *schema `json:"json_schema,omitzero"`
}

type schema struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Schema      json.RawMessage `json:"schema,omitzero"`
	Strict      *bool           `json:"strict,omitzero"`
}

// lenient is how JSON of others is written and read: a name that is there
// twice, or bytes that are no UTF-8, are no reason to fail.
var lenient = wire.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// body makes the body of a request to a model.
func (c Config) body(r llm.Request, model string) ([]byte, error) {
	w := request{
		Model: model, Stream: r.Stream, N: r.N, Temperature: r.Temperature, TopP: r.TopP, Stop: r.Stop, Seed: r.Seed,
		ParallelToolCalls: r.ParallelCalls, User: r.User, Extra: others(r.Extra, ours),
	}
	if c.Compatible {
		w.MaxTokens = r.MaxTokens
	} else {
		w.MaxCompletionTokens = r.MaxTokens
	}
	if r.Stream && !c.NoUsage {
		w.StreamOptions = &streamOptions{IncludeUsage: true}
		_ = wire.Unmarshal(r.Extra["stream_options"], &w.StreamOptions.Extra) // what cannot be read is not passed on
		delete(w.StreamOptions.Extra, "include_usage")
	}
	var err error
	w.Messages = make([]message, len(r.Messages))
	for i, m := range r.Messages {
		if w.Messages[i], err = c.message(m); err != nil {
			return nil, err
		}
	}
	for _, t := range r.Tools {
		w.Tools = append(w.Tools, tool{t.Raw, function{t.Name, t.Description, t.Parameters, t.Strict}})
	}
	if w.ToolChoice, err = choiceOf(r.ToolChoice); err != nil {
		return nil, err
	}
	if f := r.Format; f != nil {
		w.ResponseFormat = &format{Type: string(f.Kind)}
		if f.Kind == llm.FormatSchema {
			w.ResponseFormat.Schema = &schema{cmp.Or(f.Name, "answer"), f.Description, f.Schema, f.Strict}
		}
	}
	body, err := wire.Marshal(w, lenient)
	return body, fault.Wrap(err, fault.Invalid, "the request holds JSON that is none")
}

// others are members without those of some names.
func others(extra llm.Extra, without []string) llm.Extra {
	known := func(name string, _ json.RawMessage) bool { return slices.Contains(without, name) }
	for name := range extra {
		if known(name, nil) {
			extra = maps.Clone(extra)
			maps.DeleteFunc(extra, known)
			break
		}
	}
	return extra
}

var ourMessage = []string{"role", "content", "name", "tool_calls", "tool_call_id", "refusal"}

func (c Config) message(m llm.Message) (message, error) {
	w := message{Role: string(m.Role), Name: m.Name, ToolCallID: m.CallID, Refusal: m.Refusal, Extra: others(m.Extra, ourMessage)}
	if m.Role == llm.Developer && c.Compatible {
		w.Role = string(llm.System)
	}
	for _, call := range m.Calls {
		t := toolCall{ID: call.ID, Type: "function", Extra: others(call.Extra, ourCall)}
		if call.Custom {
			t.Type, t.Custom = "custom", &calledCustom{call.Name, call.Arguments}
		} else {
			t.Function = &calledFunction{call.Name, call.Arguments}
		}
		w.ToolCalls = append(w.ToolCalls, t)
	}
	var err error
	w.Content, err = content(m)
	return w, err
}

var ourCall = []string{"id", "type", "function", "custom", "index"}

// content is null for a message that only calls tools or refuses, a string for
// one text, which every server knows, and a list otherwise.
func content(m llm.Message) (jsontext.Value, error) {
	switch {
	case len(m.Parts) == 0 && (len(m.Calls) > 0 || m.Refusal != ""):
		return jsontext.Value("null"), nil
	case len(m.Parts) == 0:
		return jsontext.Value(`""`), nil
	case len(m.Parts) == 1 && m.Parts[0].Kind == llm.TextPart:
		return wire.Marshal(m.Parts[0].Text, lenient)
	}
	parts := make([]jsontext.Value, len(m.Parts))
	for i, p := range m.Parts {
		w := part{Type: "text", Text: &p.Text}
		switch p.Kind {
		case llm.TextPart:
		case llm.ImagePart:
			w = part{Type: "image_url", ImageURL: &imageURL{p.URL, p.Detail}}
		case llm.OtherPart:
			parts[i] = jsontext.Value(p.Raw)
			continue
		default:
			return nil, fault.New(fault.Invalid, "a message has a part of the kind %q", p.Kind)
		}
		var err error
		if parts[i], err = wire.Marshal(w, lenient); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "a message cannot be written as JSON")
		}
	}
	return wire.Marshal(parts, lenient)
}

func choiceOf(c llm.ToolChoice) (jsontext.Value, error) {
	switch c.Mode {
	case "":
		return nil, nil
	case llm.ToolsAuto, llm.ToolsNone, llm.ToolsRequired:
		return wire.Marshal(string(c.Mode))
	case llm.ToolsNamed:
		type named struct {
			Name string `json:"name"`
		}
		return wire.Marshal(struct {
			Type     string `json:"type"`
			Function named  `json:"function"`
		}{"function", named{c.Name}}, lenient)
	case llm.ToolsOther:
		return jsontext.Value(c.Raw), nil
	}
	return nil, fault.New(fault.Invalid, "the choice of tools %q means nothing", c.Mode)
}
