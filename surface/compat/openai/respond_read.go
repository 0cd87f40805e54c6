package openai

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/index"
)

// respondRequest is the body of a request for a response.
type respondRequest struct {
	Model        string         `json:"model"`
	Input        jsontext.Value `json:"input"`
	Instructions string         `json:"instructions"`
	Stream       bool           `json:"stream"`
	MaxTokens    int            `json:"max_output_tokens"`
	Temperature  *float64       `json:"temperature"`
	TopP         *float64       `json:"top_p"`
	Tools        []respondTool  `json:"tools"`
	ToolChoice   toolChoice     `json:"tool_choice"`
	Parallel     *bool          `json:"parallel_tool_calls"`
	Text         struct {
		Format    *format        `json:"format"`
		Verbosity jsontext.Value `json:"verbosity"`
	} `json:"text"`
	Reasoning struct {
		Effort jsontext.Value `json:"effort"`
	} `json:"reasoning"`
	Include      []string       `json:"include"`
	Previous     string         `json:"previous_response_id"`
	Conversation jsontext.Value `json:"conversation"`
	Background   bool           `json:"background"`
	Metadata     jsontext.Value `json:"metadata"`
	User         string         `json:"user"`
	Filter       jsontext.Value `json:"filter"` // ours, for assistants
	Extra        llm.Extra      `json:",embed"`

	messages []message
	search   *fileSearch // nil where the request has no such tool
}

// passedOn are members that mean the same to chat completions, by their names
// there.
var passedOn = []string{"metadata", "service_tier", "prompt_cache_key", "safety_identifier", "top_logprobs", "frequency_penalty", "presence_penalty", "seed", "stop"}

// respondTool is a tool of a response, in its flat form.
type respondTool struct {
	Type        string         `json:"type"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Parameters  jsontext.Value `json:"parameters"`
	Strict      *bool          `json:"strict"`
	fileSearch

	raw jsontext.Value
}

// fileSearch asks for an answer out of stores.
type fileSearch struct {
	Stores  []string       `json:"vector_store_ids"`
	Filters jsontext.Value `json:"filters"`
}

// UnmarshalJSONFrom reads a tool and keeps it as it came, to be told back.
func (t *respondTool) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	type wire respondTool
	if err := json.Unmarshal(raw, (*wire)(t)); err != nil {
		return err
	}
	t.raw = bytes.Clone(raw)
	return t.raw.Compact()
}

// readRespond reads the body of a request for a response.
func readRespond(body []byte) (*respondRequest, error) {
	q := &respondRequest{}
	if err := json.Unmarshal(body, q); err != nil {
		return nil, unread(err)
	}
	switch {
	case q.Previous != "":
		return nil, bad("previous_response_id", "responses are not kept here, so none can be continued").
			hint("send the conversation so far in input")
	case len(present(q.Conversation)) > 0:
		return nil, bad("conversation", "conversations are not kept here").hint("send the conversation so far in input")
	case q.Background:
		return nil, bad("background", "responses are not kept here, so none is made in the background")
	case q.MaxTokens < 0:
		return nil, bad("max_output_tokens", "an answer of less than no tokens")
	}
	for i := range q.Tools {
		switch t := &q.Tools[i]; t.Type {
		case "function":
			if t.Name == "" {
				return nil, bad("tools", "a function has no name")
			}
		case "file_search":
			if q.search != nil {
				return nil, bad("tools", "there is more than one file_search")
			}
			q.search = &t.fileSearch
		default:
			return nil, bad("tools", "no tool is called %.40q here", t.Type).hint("functions are called by you, and file_search searches a knowledge")
		}
	}
	var err error
	q.messages, err = readItems(q.Input)
	return q, err
}

// request is what the gateway is asked.
func (q *respondRequest) request(name string) llm.Request {
	r := llm.Request{
		Model: name, Stream: q.Stream, Temperature: q.Temperature, TopP: q.TopP, MaxTokens: q.MaxTokens, User: q.User,
		ToolChoice: llm.ToolChoice(q.ToolChoice), ParallelCalls: q.Parallel, Format: (*llm.Format)(q.Text.Format),
	}
	if q.Instructions != "" {
		r.Messages = append(r.Messages, llm.Text(llm.System, q.Instructions))
	}
	for _, m := range q.messages {
		r.Messages = append(r.Messages, llm.Message(m))
	}
	for _, t := range q.Tools {
		if t.Type == "function" {
			r.Tools = append(r.Tools, llm.Tool{Name: t.Name, Description: t.Description, Parameters: present(t.Parameters), Strict: t.Strict})
		}
	}
	extra := llm.Extra{}
	for _, name := range passedOn {
		if v, ok := q.Extra[name]; ok {
			extra[name] = v
		}
	}
	for name, v := range map[string]jsontext.Value{"reasoning_effort": q.Reasoning.Effort, "verbosity": q.Text.Verbosity, "metadata": q.Metadata} {
		if v := present(v); len(v) > 0 {
			extra[name] = v
		}
	}
	if len(extra) > 0 {
		r.Extra = extra
	}
	return r
}

// filter is what narrows the passages, in the form of the native API.
func (q *respondRequest) filter() ([]byte, error) {
	if q.search == nil || len(present(q.search.Filters)) == 0 {
		return present(q.Filter), nil
	}
	f, err := readFilter(q.search.Filters, 0)
	if err != nil {
		return nil, err
	}
	if err := index.CheckFilter(f); err != nil {
		return nil, err
	}
	return index.AppendFilter(nil, f), nil
}

// readItems makes messages of what a response is asked: a text, or items.
func readItems(raw jsontext.Value) ([]message, error) {
	if raw.Kind() == '"' {
		var text string
		err := json.Unmarshal(raw, &text)
		return []message{message(llm.Text(llm.User, text))}, err
	}
	var items []jsontext.Value
	if raw.Kind() != '[' || json.Unmarshal(raw, &items) != nil || len(items) == 0 {
		return nil, bad("input", "there is no input").hint("send a text, or a list of items")
	}
	var messages []message
	for _, item := range items {
		var err error
		if messages, err = addItem(messages, item); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func addItem(messages []message, raw jsontext.Value) ([]message, error) {
	var wire struct {
		Type      string         `json:"type"`
		Role      llm.Role       `json:"role"`
		Content   jsontext.Value `json:"content"`
		CallID    string         `json:"call_id"`
		Name      string         `json:"name"`
		Arguments string         `json:"arguments"`
		Output    jsontext.Value `json:"output"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return nil, bad("input", "an item is not understood").because(err)
	}
	switch wire.Type {
	case "", "message":
		m := message{Role: wire.Role}
		if m.Role == "" {
			return nil, bad("input", "a message has no role")
		}
		parts, err := readItemContent(wire.Content)
		m.Parts = parts
		return append(messages, m), err
	case "function_call":
		call := llm.Call{ID: wire.CallID, Name: wire.Name, Arguments: wire.Arguments}
		// What was said and called in one answer is one message.
		if last := len(messages) - 1; last >= 0 && messages[last].Role == llm.Assistant {
			messages[last].Calls = append(messages[last].Calls, call)
			return messages, nil
		}
		return append(messages, message{Role: llm.Assistant, Calls: []llm.Call{call}}), nil
	case "function_call_output":
		m := message{Role: llm.ToolRole, CallID: wire.CallID}
		parts, err := readItemContent(wire.Output)
		m.Parts = parts
		return append(messages, m), err
	case "reasoning", "file_search_call": // of earlier answers; nobody reads them again
		return messages, nil
	}
	return nil, bad("input", "an item of the type %.40q cannot be read here", wire.Type)
}

// readItemContent reads a text or parts.
func readItemContent(raw jsontext.Value) ([]llm.Part, error) {
	if raw.Kind() == '"' {
		var text string
		err := json.Unmarshal(raw, &text)
		return []llm.Part{{Kind: llm.TextPart, Text: text}}, err
	}
	var wire []struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		Refusal  string `json:"refusal"`
		ImageURL string `json:"image_url"`
		Detail   string `json:"detail"`
	}
	if len(raw) == 0 {
		return nil, bad("input", "an item has no content")
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return nil, bad("input", "the content of an item is not understood").because(err)
	}
	parts := make([]llm.Part, len(wire))
	for i, w := range wire {
		switch {
		case w.Type == "input_text" || w.Type == "output_text" || w.Type == "text":
			parts[i] = llm.Part{Kind: llm.TextPart, Text: w.Text}
		case w.Type == "refusal":
			parts[i] = llm.Part{Kind: llm.TextPart, Text: w.Refusal}
		case w.Type == "input_image" && w.ImageURL != "":
			parts[i] = llm.Part{Kind: llm.ImagePart, URL: w.ImageURL, Detail: w.Detail}
		default:
			return nil, bad("input", "content of the type %.40q cannot be read here", w.Type)
		}
	}
	return parts, nil
}
