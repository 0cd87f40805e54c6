package openai

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/llm"
)

// chatRequest is the body of a chat completion. What is not named here goes to
// the provider as it came.
type chatRequest struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           int            `json:"max_tokens"`
	MaxCompletionTokens int            `json:"max_completion_tokens"`
	N                   int            `json:"n"`
	Temperature         *float64       `json:"temperature"`
	TopP                *float64       `json:"top_p"`
	Stop                texts          `json:"stop"`
	Seed                *int64         `json:"seed"`
	Tools               []tool         `json:"tools"`
	ToolChoice          toolChoice     `json:"tool_choice"`
	ParallelCalls       *bool          `json:"parallel_tool_calls"`
	Format              *format        `json:"response_format"`
	User                string         `json:"user"`
	DataSources         []dataSource   `json:"data_sources"` // Azure's
	Sources2023         []dataSource   `json:"dataSources"`  // by its first name
	Filter              jsontext.Value `json:"filter"`       // ours, for assistants
	Extra               llm.Extra      `json:",embed"`
}

// readChat reads the body of a chat completion.
func readChat(body []byte) (*chatRequest, error) {
	q := &chatRequest{}
	if err := json.Unmarshal(body, q); err != nil {
		return nil, unread(err)
	}
	q.DataSources = append(q.DataSources, q.Sources2023...)
	switch {
	case len(q.Messages) == 0:
		return nil, bad("messages", "the request has no messages")
	case q.N < 0 || q.N > llm.MaxChoices:
		return nil, bad("n", "n is %d, not between 1 and %d", q.N, llm.MaxChoices)
	case q.MaxTokens < 0 || q.MaxCompletionTokens < 0:
		return nil, bad("max_tokens", "an answer of less than no tokens")
	}
	return q, nil
}

// request is what the gateway is asked.
func (q *chatRequest) request(name string) llm.Request {
	r := llm.Request{
		Model: name, Stream: q.Stream, N: q.N, Temperature: q.Temperature, TopP: q.TopP, Stop: q.Stop, Seed: q.Seed,
		MaxTokens: max(q.MaxCompletionTokens, q.MaxTokens), ToolChoice: llm.ToolChoice(q.ToolChoice), ParallelCalls: q.ParallelCalls,
		Format: (*llm.Format)(q.Format), User: q.User, Extra: q.Extra,
		Messages: make([]llm.Message, len(q.Messages)),
	}
	for i := range q.Messages {
		r.Messages[i] = llm.Message(q.Messages[i])
	}
	if len(q.Tools) > 0 {
		r.Tools = make([]llm.Tool, len(q.Tools))
		for i := range q.Tools {
			r.Tools[i] = llm.Tool(q.Tools[i])
		}
	}
	return r
}

// message is one message as the protocol has it.
type message llm.Message

// UnmarshalJSONFrom reads a message.
func (m *message) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var wire struct {
		Role      llm.Role         `json:"role"`
		Content   content          `json:"content"`
		Name      string           `json:"name"`
		Calls     []jsontext.Value `json:"tool_calls"`
		CallID    string           `json:"tool_call_id"`
		Refusal   string           `json:"refusal"`
		Reasoning string           `json:"reasoning_content"`
		Extra     llm.Extra        `json:",embed"`
	}
	if err := json.UnmarshalDecode(d, &wire); err != nil {
		return err
	}
	if wire.Role == "" {
		return bad("messages", "a message has no role")
	}
	*m = message{Role: wire.Role, Parts: wire.Content, Name: wire.Name, CallID: wire.CallID, Refusal: wire.Refusal, Reasoning: wire.Reasoning, Extra: wire.Extra}
	for _, raw := range wire.Calls {
		c, ok, err := readCall(raw)
		if err != nil {
			return err
		}
		if !ok { // of another sort: all go as they came
			whole, err := json.Marshal(wire.Calls)
			if m.Extra == nil {
				m.Extra = llm.Extra{}
			}
			m.Extra["tool_calls"], m.Calls = whole, nil
			return err
		}
		m.Calls = append(m.Calls, c)
	}
	return nil
}

// readCall reads a call of a function; ok is false for a call of something
// else.
func readCall(raw jsontext.Value) (c llm.Call, ok bool, err error) {
	var wire struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return llm.Call{}, false, err
	}
	return llm.Call{ID: wire.ID, Name: wire.Function.Name, Arguments: wire.Function.Arguments}, wire.Type == "" || wire.Type == "function", nil
}

// content is a text, or parts of text and images.
type content []llm.Part

// UnmarshalJSONFrom reads what stands as the content of a message.
func (c *content) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case 'n':
		return d.SkipValue()
	case '"':
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		*c = content{{Kind: llm.TextPart, Text: token.String()}}
		return nil
	}
	var raw []jsontext.Value
	if err := json.UnmarshalDecode(d, &raw); err != nil {
		return err
	}
	*c = make(content, len(raw))
	for i, r := range raw {
		if err := readPart(r, &(*c)[i]); err != nil {
			return err
		}
	}
	return nil
}

func readPart(raw jsontext.Value, p *llm.Part) error {
	var wire struct {
		Type     string         `json:"type"`
		Text     string         `json:"text"`
		ImageURL jsontext.Value `json:"image_url"`
	}
	if raw.Kind() == '"' { // some clients write texts bare
		p.Kind = llm.TextPart
		return json.Unmarshal(raw, &p.Text)
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return err
	}
	switch wire.Type {
	case "text":
		*p = llm.Part{Kind: llm.TextPart, Text: wire.Text}
	case "image_url":
		p.Kind = llm.ImagePart
		return readImage(wire.ImageURL, p)
	default:
		*p = llm.Part{Kind: llm.OtherPart, Raw: append([]byte(nil), raw...)}
	}
	return nil
}

// readImage reads where an image is: an object, or the address alone.
func readImage(raw jsontext.Value, p *llm.Part) error {
	if raw.Kind() == '"' {
		return json.Unmarshal(raw, &p.URL)
	}
	var wire struct {
		URL    string `json:"url"`
		Detail string `json:"detail"`
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &wire); err != nil {
			return err
		}
	}
	if wire.URL == "" {
		return bad("messages", "an image has no url")
	}
	p.URL, p.Detail = wire.URL, wire.Detail
	return nil
}

// texts is a text or several.
type texts []string

// UnmarshalJSONFrom reads either.
func (t *texts) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case 'n':
		return d.SkipValue()
	case '"':
		token, err := d.ReadToken()
		*t = texts{token.String()}
		return err
	}
	return json.UnmarshalDecode(d, (*[]string)(t))
}

// tool is a function that may be called, or something else as it came.
type tool llm.Tool

// UnmarshalJSONFrom reads a tool.
func (t *tool) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	var wire struct {
		Type     string `json:"type"`
		Function struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Parameters  jsontext.Value `json:"parameters"`
			Strict      *bool          `json:"strict"`
		} `json:"function"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return err
	}
	if wire.Type != "" && wire.Type != "function" {
		*t = tool{Raw: append([]byte(nil), raw...)}
		return nil
	}
	f := wire.Function
	if f.Name == "" {
		return bad("tools", "a function has no name")
	}
	*t = tool{Name: f.Name, Description: f.Description, Parameters: present(f.Parameters), Strict: f.Strict}
	return nil
}

// present is a value that is there, and nil for null.
func present(v jsontext.Value) []byte {
	if v.Kind() == 'n' {
		return nil
	}
	return v
}

// toolChoice says whether tools are called.
type toolChoice llm.ToolChoice

// UnmarshalJSONFrom reads a mode or the name of a function.
func (c *toolChoice) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch raw.Kind() {
	case 'n':
		return nil
	case '"':
		return json.Unmarshal(raw, &c.Mode)
	}
	var wire struct {
		Type     string `json:"type"`
		Name     string `json:"name"` // as the responses' protocol has it
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return err
	}
	if name := wire.Function.Name + wire.Name; wire.Type == "function" && name != "" {
		*c = toolChoice{Mode: llm.ToolsNamed, Name: name}
		return nil
	}
	*c = toolChoice{Mode: llm.ToolsOther, Raw: append([]byte(nil), raw...)}
	return nil
}

// format is what an answer must be.
type format llm.Format

// UnmarshalJSONFrom reads a format of either protocol: the schema stands in
// an object of its own, or flat.
func (f *format) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type schema struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Schema      jsontext.Value `json:"schema"`
		Strict      *bool          `json:"strict"`
	}
	var wire struct {
		Type   llm.FormatKind `json:"type"`
		Nested *schema        `json:"json_schema"`
		schema
	}
	if err := json.UnmarshalDecode(d, &wire); err != nil {
		return err
	}
	s := wire.schema
	if wire.Nested != nil {
		s = *wire.Nested
	}
	*f = format{Kind: wire.Type}
	switch wire.Type {
	case llm.FormatText, llm.FormatJSON:
	case llm.FormatSchema:
		*f = format{Kind: wire.Type, Name: s.Name, Description: s.Description, Schema: present(s.Schema), Strict: s.Strict}
	default:
		return bad("response_format", "no format is called %.40q", string(wire.Type))
	}
	return nil
}

// plainText tells whether a message is text alone, and returns it.
func plainText(m message) (string, bool) {
	for _, p := range m.Parts {
		if p.Kind != llm.TextPart {
			return "", false
		}
	}
	if len(m.Parts) == 1 {
		return m.Parts[0].Text, true
	}
	var b strings.Builder
	for i, p := range m.Parts {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Text)
	}
	return b.String(), true
}
