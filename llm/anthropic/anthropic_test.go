package anthropic_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/anthropic"
	"github.com/leat-ai/leat/llm/llmtest"
)

func open(t testing.TB, c anthropic.Config) *anthropic.Provider {
	t.Helper()
	p, err := anthropic.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestChat(t *testing.T) {
	llmtest.RunChat(t, func(t *testing.T, url string, access llm.Access) llm.Chat {
		return open(t, anthropic.Config{URL: url + "/v1", Access: access})
	})
}

// serve answers every request alike.
func serve(t testing.TB, kind string, answer *string) (p *anthropic.Provider, body *string) {
	t.Helper()
	body = new(string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		*body = r.URL.String() + " " + r.Header.Get("Anthropic-Version") + " " + string(got)
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, *answer)
	}))
	t.Cleanup(s.Close)
	return open(t, anthropic.Config{URL: s.URL, Model: "m", Access: llm.Access{Client: s.Client()}}), body
}

const events, whole = "text/event-stream", "application/json"

func collect(t testing.TB, p *anthropic.Provider, r llm.Request) (llm.Answer, error) {
	t.Helper()
	s, err := p.Chat(t.Context(), r)
	if err != nil {
		return llm.Answer{}, err
	}
	return llm.Collect(s)
}

var hi = llm.Request{Messages: []llm.Message{llm.Text(llm.User, "hi")}}

func TestRequests(t *testing.T) {
	yes, no, two, half := true, false, 2.0, 0.5
	answer := `{"type":"message","id":"a","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}`
	p, body := serve(t, whole, &answer)
	for name, c := range map[string]struct {
		r    llm.Request
		want string
	}{
		"least": {hi, `{"model":"m","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`},
		"all": {llm.Request{
			Model: "n", Stream: true, MaxTokens: 9, Temperature: &two, TopP: &half, Stop: []string{"x"}, User: "u", ParallelCalls: &no, N: 1,
			Messages: []llm.Message{
				llm.Text(llm.System, "one"), llm.Text(llm.User, "a"), llm.Text(llm.User, "b"), llm.Text(llm.Developer, "two"),
				{Role: llm.Assistant, Parts: []llm.Part{{Kind: llm.TextPart}}, Calls: []llm.Call{{ID: "1", Name: "f", Arguments: " "}, {ID: "2", Name: "g", Arguments: `{"a":1}`}},
					Extra: llm.Extra{"thinking_blocks": []byte(`[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"d"}]`), "audio": []byte("1")}},
				{Role: llm.ToolRole, CallID: "1", Parts: []llm.Part{{Kind: llm.TextPart, Text: "r"}}},
				{Role: llm.ToolRole, CallID: "2"},
				{Role: llm.User, Parts: []llm.Part{{Kind: llm.ImagePart, URL: "https://e.example/a"}, {Kind: llm.ImagePart, URL: "data:image/png;base64,AA=="}}},
			},
			Tools:      []llm.Tool{{Name: "f"}, {Name: "g", Description: "d", Parameters: []byte(`{"type":"object"}`), Strict: &yes}},
			ToolChoice: llm.ToolChoice{Mode: llm.ToolsRequired},
			Format:     &llm.Format{Kind: llm.FormatSchema, Schema: []byte(`{"type":"object"}`)},
			Extra:      llm.Extra{"reasoning_effort": []byte(`"minimal"`), "top_k": []byte("5"), "store": []byte("true"), "logprobs": []byte("false")},
		}, `{"model":"n","max_tokens":9,"system":"one\n\ntwo","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},` +
			`{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"tool_use","id":"1","name":"f","input":{}},{"type":"tool_use","id":"2","name":"g","input":{"a":1}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"r"}]},{"type":"tool_result","tool_use_id":"2"},` +
			`{"type":"image","source":{"type":"url","url":"https://e.example/a"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]}],` +
			`"stream":true,"temperature":1,"top_p":0.5,"stop_sequences":["x"],"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}},{"name":"g","description":"d","input_schema":{"type":"object"},"strict":true}],` +
			`"tool_choice":{"type":"any","disable_parallel_tool_use":true},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},"metadata":{"user_id":"u"},"top_k":5}`},
	} {
		if _, err := collect(t, p, c.r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := "/messages 2023-06-01 " + c.want; *body != want {
			t.Errorf("%s:\n%s\n%s", name, *body, want)
		}
	}
	for mode, want := range map[llm.ToolMode]string{llm.ToolsAuto: `{"type":"auto"}`, llm.ToolsNone: `{"type":"none"}`, llm.ToolsNamed: `{"type":"tool","name":"f"}`} {
		r := hi
		r.Tools, r.ToolChoice = []llm.Tool{{Name: "f"}}, llm.ToolChoice{Mode: mode, Name: "f"}
		if _, err := collect(t, p, r); err != nil || !strings.Contains(*body, `"tool_choice":`+want+"}") {
			t.Errorf("%s: %s, %v", mode, *body, err)
		}
	}
}

func TestWhatCannotBeTranslated(t *testing.T) {
	answer := "{}"
	p, body := serve(t, whole, &answer)
	with := func(change func(*llm.Request)) llm.Request {
		r := hi
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		r    llm.Request
		kind fault.Kind
	}{
		"choices":       {with(func(r *llm.Request) { r.N = 2 }), fault.Unsupported},
		"any JSON":      {with(func(r *llm.Request) { r.Format = &llm.Format{Kind: llm.FormatJSON} }), fault.Unsupported},
		"logprobs":      {with(func(r *llm.Request) { r.Extra = llm.Extra{"logprobs": []byte("true")} }), fault.Unsupported},
		"audio":         {with(func(r *llm.Request) { r.Extra = llm.Extra{"audio": []byte(`{"voice":"x"}`)} }), fault.Unsupported},
		"a custom tool": {with(func(r *llm.Request) { r.Tools = []llm.Tool{{Raw: []byte(`{}`)}} }), fault.Unsupported},
		"another part": {with(func(r *llm.Request) {
			r.Messages = []llm.Message{{Role: llm.User, Parts: []llm.Part{{Kind: llm.OtherPart}}}}
		}), fault.Unsupported},
		"no message": {with(func(r *llm.Request) { r.Messages = []llm.Message{llm.Text(llm.System, "x")} }), fault.Invalid},
		"arguments": {with(func(r *llm.Request) {
			r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Calls: []llm.Call{{Arguments: "[1]"}}})
		}), fault.Invalid},
		"half of JSON": {with(func(r *llm.Request) {
			r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Calls: []llm.Call{{Arguments: `{"a`}}})
		}), fault.Invalid},
		"an image": {with(func(r *llm.Request) {
			r.Messages = []llm.Message{{Role: llm.User, Parts: []llm.Part{{Kind: llm.ImagePart, URL: "data:image/png,x"}}}}
		}), fault.Invalid},
		"odd thoughts": {with(func(r *llm.Request) {
			r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Extra: llm.Extra{"thinking_blocks": []byte(`[{"type":"text","text":"x"}]`)}})
		}), fault.Invalid},
	} {
		if _, err := collect(t, p, c.r); !fault.Is(err, c.kind) || *body != "" {
			t.Errorf("%s: %v, asked %s", name, err, *body)
		}
	}
}

// frames makes a stream of events, whose names stand in their data.
func frames(lines ...string) string { return "data: " + strings.Join(lines, "\n\ndata: ") + "\n\n" }

const (
	begun  = `{"type":"message_start","message":{"id":"a","model":"m","usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":1}}}`
	opened = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	said   = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}`
	ended  = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7,"output_tokens_details":{"thinking_tokens":3}}}`
	stop   = `{"type":"message_stop"}`
)

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		kind, answer string
		check        func(a llm.Answer) bool
	}{
		"usage": {events, frames(begun, opened, said, ended, stop), func(a llm.Answer) bool {
			return a.Text() == "hi" && *a.Usage == llm.Usage{Input: 17, CachedInput: 5, CacheWrite: 2, Output: 7, Reasoning: 3}
		}},
		"usage again": {events, frames(begun, `{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"input_tokens":20,"cache_read_input_tokens":0,"output_tokens":7}}`, stop), func(a llm.Answer) bool {
			return len(a.Choices) == 1 && *a.Usage == llm.Usage{Input: 22, CacheWrite: 2, Output: 7} && a.Choices[0].Finish == llm.FinishLength
		}},
		"no usage":      {events, frames(opened, said, `{"type":"message_delta","delta":{"stop_reason":"stop_sequence"}}`), func(a llm.Answer) bool { return a.Usage == nil && a.Choices[0].Finish == llm.FinishStop }},
		"something new": {events, frames(begun, `{"type":"news","index":9}`, opened, `{"type":"content_block_delta","index":0,"delta":{"type":"odd_delta"}}`, said, ended, stop), func(a llm.Answer) bool { return a.Text() == "hi" }},
		"a server's own tool": {events, frames(begun, `{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}`, `{"type":"content_block_stop","index":0}`, opened, said, ended, stop), func(a llm.Answer) bool {
			return a.Text() == "hi" && len(a.Choices[0].Message.Calls) == 0
		}},
		"a call without arguments": {events, frames(begun, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"1","name":"f","input":{}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}`, `{"type":"content_block_stop","index":0}`, ended, stop), func(a llm.Answer) bool {
			return a.Choices[0].Message.Calls[0].Arguments == "{}"
		}},
		"thoughts": {whole, `{"type":"message","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"hi"}],"stop_reason":"refusal"}`, func(a llm.Answer) bool {
			m := a.Choices[0].Message
			return m.Reasoning == "hm" && a.Choices[0].Finish == llm.FinishFilter &&
				string(m.Extra["thinking_blocks"]) == `[{"signature":"s","thinking":"hm","type":"thinking"},{"data":"d","type":"redacted_thinking"}]`
		}},
		"pause": {whole, `{"type":"message","content":[],"stop_reason":"pause_turn"}`, func(a llm.Answer) bool { return a.Choices[0].Finish == "pause_turn" }},
	} {
		p, _ := serve(t, c.kind, &c.answer)
		if a, err := collect(t, p, hi); err != nil || !c.check(a) {
			t.Errorf("%s: %+v, %+v, %v", name, a, a.Usage, err)
		}
	}
}

func TestBrokenAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		kind, answer string
		want         fault.Kind
	}{
		"stopped without a reason": {events, frames(begun, opened, said, stop), fault.Unavailable},
		"overloaded":               {events, frames(begun, opened, said, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), fault.Overloaded},
		"a block of none":          {events, frames(begun, said, ended, stop), fault.Unavailable},
		"a block twice":            {events, frames(begun, opened, opened, said, ended, stop), fault.Unavailable},
		"no block":                 {events, frames(begun, `{"type":"content_block_start","index":0}`, ended, stop), fault.Unavailable},
		"odd types":                {events, frames(begun, `{"type":7}`, ended, stop), fault.Unavailable},
		"an error and 200":         {whole, `{"type":"error","error":{"type":"rate_limit_error","message":"x"}}`, fault.Limited},
		"no end":                   {whole, `{"type":"message","content":[]}`, fault.Unavailable},
		"null blocks":              {whole, `{"type":"message","content":[null],"stop_reason":"end_turn"}`, fault.Unavailable},
	} {
		p, _ := serve(t, c.kind, &c.answer)
		if a, err := collect(t, p, hi); !fault.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"anthropic://claude-sonnet-5":                                "https://api.anthropic.com/v1 claude-sonnet-5",
		"anthropic+http://127.0.0.1:9/m":                             "http://127.0.0.1:9/v1 m",
		"anthropic://res.services.ai.azure.com/m?base=/anthropic/v1": "https://res.services.ai.azure.com/anthropic/v1 m",
		"anthropic://h/m?base=odd":                                   "",
		"anthropic://h/m?odd=1":                                      "",
		"openai://h/m":                                               "",
	} {
		a, err := llm.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := anthropic.Parse(a)
		if got := c.URL + " " + c.Model; err == nil && got != want || err != nil && (want != "" || !fault.Is(err, fault.Invalid)) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

// What a server sends is read to an end or to an error.
func FuzzStream(f *testing.F) {
	f.Add(frames(begun, opened, said, ended, stop), true)
	f.Add(frames(begun, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"1","name":"f","input":{"a":1}}}`, `{"type":"content_block_stop","index":0}`, ended, stop), true)
	f.Add(`{"type":"message","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1}}`, false)
	f.Add(frames(`{"type":"error","error":{"type":"api_error"}}`), true)
	var answer, kind string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, answer)
	}))
	f.Cleanup(s.Close)
	p := open(f, anthropic.Config{URL: s.URL, Model: "m", Access: llm.Access{Client: s.Client()}})
	f.Fuzz(func(t *testing.T, text string, streamed bool) {
		answer, kind = text, whole
		if streamed {
			kind = events
		}
		a, err := collect(t, p, hi)
		if fault.KindOf(err) == fault.Internal {
			t.Fatal(err)
		}
		if err == nil && (len(a.Choices) != 1 || a.Choices[0].Finish == "" || a.Text() != strings.ToValidUTF8(a.Text(), "?")) {
			t.Fatalf("%+v", a)
		}
	})
}
