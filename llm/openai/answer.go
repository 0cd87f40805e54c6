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
	ID      loose          `json:"id"`
	Model   loose          `json:"model"`
	Choices []choice       `json:"choices"`
	Usage   jsontext.Value `json:"usage"`
	Error   jsontext.Value `json:"error"`
	Extra   llm.Extra      `json:",embed"`

	// These are ours to write anew, or noise.
	Object      jsontext.Value `json:"object"`
	Created     jsontext.Value `json:"created"`
	Obfuscation jsontext.Value `json:"obfuscation"`
	// These come with every chunk, alike.
	Fingerprint jsontext.Value `json:"system_fingerprint"`
	Tier        jsontext.Value `json:"service_tier"`
}

type choice struct {
	Index        *int      `json:"index"`
	Message      *spoken   `json:"message"`
	Delta        *spoken   `json:"delta"`
	FinishReason loose     `json:"finish_reason"`
	Extra        llm.Extra `json:",embed"`
}

// spoken is a message of an answer, or a piece of one.
type spoken struct {
	Role             jsontext.Value `json:"role"` // there is only one whose it can be
	Content          jsontext.Value `json:"content"`
	Refusal          loose          `json:"refusal"`
	Reasoning        loose          `json:"reasoning"`
	ReasoningContent loose          `json:"reasoning_content"`
	ToolCalls        []spokenCall   `json:"tool_calls"`
	Extra            llm.Extra      `json:",embed"`
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

// failed tells whether the answer is an error instead.
func (a *answer) failed() bool { return len(a.Error) > 0 && a.Error.Kind() != 'n' }

// text reads a message's content: a string, or of some servers a list of parts,
// where thoughts are parts as well.
func (s *spoken) text() (text, thought string) {
	thought = string(s.Reasoning)
	if thought == "" {
		thought = string(s.ReasoningContent)
	}
	switch s.Content.Kind() {
	case '"':
		text = unquote(s.Content)
	case '[':
		var parts []struct {
			Type     string         `json:"type"`
			Text     loose          `json:"text"`
			Thinking jsontext.Value `json:"thinking"`
		}
		if wire.Unmarshal(s.Content, &parts, lenient()) != nil {
			return "", thought
		}
		for _, p := range parts {
			text += string(p.Text)
			if len(p.Thinking) > 0 {
				t, _ := (&spoken{Content: p.Thinking}).flat()
				thought += t
			}
		}
	}
	return text, thought
}

// flat is text, but of thoughts, which hold no further ones.
func (s *spoken) flat() (string, bool) {
	if s.Content.Kind() == '"' {
		return unquote(s.Content), true
	}
	var parts []struct {
		Text loose `json:"text"`
	}
	var b strings.Builder
	err := wire.Unmarshal(s.Content, &parts, lenient())
	for _, p := range parts {
		b.WriteString(string(p.Text))
	}
	return b.String(), err == nil
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
func usageOf(v jsontext.Value) *llm.Usage {
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
	if v.Kind() != '{' || wire.Unmarshal(v, &u, lenient()) != nil {
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
