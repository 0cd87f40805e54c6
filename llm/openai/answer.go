package openai

import (
	"strings"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/llm"
)

// answer is a chat.completion, or a chat.completion.chunk: the second has
// delta where the first has message.
type answer struct {
	ID      loose     `json:"id"`
	Model   loose     `json:"model"`
	Choices []choice  `json:"choices"`
	Usage   given     `json:"usage"`
	Error   given     `json:"error"`
	Extra   llm.Extra `json:",embed"`

	// These are ours to write anew, or noise.
	Object      ignored `json:"object"`
	Created     ignored `json:"created"`
	Obfuscation ignored `json:"obfuscation"`
	// These come with every chunk, alike.
	Fingerprint loose `json:"system_fingerprint"`
	Tier        loose `json:"service_tier"`
}

type choice struct {
	Index        *int      `json:"index"`
	Message      *spoken   `json:"message"`
	Delta        *spoken   `json:"delta"`
	FinishReason loose     `json:"finish_reason"`
	Logprobs     given     `json:"logprobs"` // null in every chunk
	Extra        llm.Extra `json:",embed"`
}

// spoken is a message of an answer, or a piece of one.
type spoken struct {
	Role             ignored      `json:"role"` // there is only one whose it can be
	Content          saidContent  `json:"content"`
	Refusal          loose        `json:"refusal"`
	Reasoning        loose        `json:"reasoning"`
	ReasoningContent loose        `json:"reasoning_content"`
	ToolCalls        []spokenCall `json:"tool_calls"`
	Extra            llm.Extra    `json:",embed"`
}

type spokenCall struct {
	Index    *int           `json:"index"`
	ID       loose          `json:"id"`
	Type     loose          `json:"type"`
	Function spokenFunction `json:"function"`
	Custom   spokenCustom   `json:"custom"`
	Extra    llm.Extra      `json:",embed"`
}

type spokenFunction struct {
	Name      loose          `json:"name"`
	Arguments jsontext.Value `json:"arguments"` // a string of JSON, or, of some servers, the JSON itself
}

type spokenCustom struct {
	Name  loose `json:"name"`
	Input loose `json:"input"`
}

// loose is a string; anything else in its place, which some servers write, is
// none.
type loose string

// UnmarshalJSONFrom reads the string.
func (l *loose) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '"' {
		*l = ""
		return d.SkipValue()
	}
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	*l = loose(t.String())
	return nil
}

// ignored is a value that is not looked at.
type ignored struct{}

// UnmarshalJSONFrom passes the value over.
func (ignored) UnmarshalJSONFrom(d *jsontext.Decoder) error { return d.SkipValue() }

// given is a value as it came; nil for null.
type given jsontext.Value

// UnmarshalJSONFrom keeps the value.
func (g *given) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == 'n' {
		*g = nil
		return d.SkipValue()
	}
	v, err := d.ReadValue()
	*g = given(v.Clone())
	return err
}

// saidContent is a message's content: a string, or of some servers a list of
// parts, which is kept to be read again.
type saidContent struct {
	text  string
	parts jsontext.Value
}

// UnmarshalJSONFrom reads the content; what is neither is none.
func (c *saidContent) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"':
		t, err := d.ReadToken()
		if err == nil {
			c.text = t.String()
		}
		return err
	case '[':
		v, err := d.ReadValue()
		c.parts = v.Clone()
		return err
	}
	return d.SkipValue()
}

// failed tells whether the answer is an error instead.
func (a *answer) failed() bool { return len(a.Error) > 0 }

// spokenPart is a part of a content.
type spokenPart struct {
	Text     loose       `json:"text"`
	Thinking saidContent `json:"thinking"`
}

// said returns the text and the thoughts of a message: thoughts have members of
// their own, or are parts of the content.
func (s *spoken) said() (text, thought string) {
	thought = string(s.Reasoning)
	if thought == "" {
		thought = string(s.ReasoningContent)
	}
	text = s.Content.text
	for _, p := range s.Content.list() {
		text += string(p.Text)
		thought += p.Thinking.text
		for _, inner := range p.Thinking.list() { // which hold no further ones
			thought += string(inner.Text)
		}
	}
	return text, thought
}

// list are the parts of a content; none where they cannot be read.
func (c *saidContent) list() []spokenPart {
	if len(c.parts) == 0 {
		return nil
	}
	var parts []spokenPart
	if wire.Unmarshal(c.parts, &parts, lenient) != nil {
		return nil
	}
	return parts
}

func unquote(v jsontext.Value) string {
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return strings.ToValidUTF8(string(text), "\uFFFD") // bytes that are no UTF-8: the rest is there
	}
	return string(text)
}

// arguments are JSON as text.
func (f spokenFunction) arguments() string {
	switch f.Arguments.Kind() {
	case '"':
		return unquote(f.Arguments)
	case '{', '[':
		return string(f.Arguments)
	}
	return ""
}

// usageOf reads a usage; nil where there is none that can be read.
func usageOf(v given) *llm.Usage {
	var u struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
		In         struct {
			Cached int `json:"cached_tokens"`
			Write  int `json:"cache_write_tokens"`
		} `json:"prompt_tokens_details"`
		Out struct {
			Reasoning int `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
		Hit int `json:"prompt_cache_hit_tokens"` // DeepSeek's
	}
	if jsontext.Value(v).Kind() != '{' || wire.Unmarshal(v, &u, lenient) != nil {
		return nil
	}
	if u.Prompt < 0 || u.Completion < 0 || u.Prompt == 0 && u.Completion == 0 && u.Total <= 0 {
		return nil // zeros are what servers that do not count write
	}
	if u.Prompt == 0 && u.Completion == 0 { // of embeddings
		u.Prompt = u.Total
	}
	return &llm.Usage{
		Input: u.Prompt, CachedInput: part0(max(u.In.Cached, u.Hit), u.Prompt), CacheWrite: part0(u.In.Write, u.Prompt),
		Output: u.Completion, Reasoning: part0(u.Out.Reasoning, u.Completion),
	}
}

// part0 is a count that is part of another.
func part0(n, of int) int { return max(0, min(n, of)) }

// finishOf reads a finish_reason.
func finishOf(text loose) llm.Finish {
	switch text {
	case "eos", "eos_token", "stop_sequence", "end_turn":
		return llm.FinishStop
	case "max_tokens", "model_length":
		return llm.FinishLength
	case "tool_use":
		return llm.FinishCalls
	}
	return llm.Finish(text)
}

// pruned leaves members out that are null: they say nothing, in every chunk.
func pruned(e llm.Extra) llm.Extra {
	for name, v := range e {
		if string(v) == "null" {
			delete(e, name)
		}
	}
	if len(e) == 0 {
		return nil
	}
	return e
}
