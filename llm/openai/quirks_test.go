package openai_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/openai"
)

// frames makes a stream of data lines.
func frames(lines ...string) string { return "data: " + strings.Join(lines, "\n\ndata: ") + "\n\n" }

const end = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`

// told is what of an answer the tests look at.
type told struct {
	Text      string            `json:",omitempty"`
	Reasoning string            `json:",omitempty"`
	Refusal   string            `json:",omitempty"`
	Calls     []string          `json:",omitempty"`
	Finish    string            `json:",omitempty"`
	Usage     *llm.Usage        `json:",omitempty"`
	Extra     map[string]string `json:",omitempty"`
	More      int               `json:",omitempty"` // choices
}

func tell(a llm.Answer) string {
	w := told{Usage: a.Usage, More: max(0, len(a.Choices)-1), Extra: map[string]string{}}
	for i, c := range a.Choices {
		if i > 0 {
			w.Text += "|"
		}
		w.Text += c.Message.Text()
		w.Reasoning += c.Message.Reasoning
		w.Refusal += c.Message.Refusal
		w.Finish += string(c.Finish)
		for _, call := range c.Message.Calls {
			w.Calls = append(w.Calls, call.ID+" "+call.Name+" "+call.Arguments)
		}
		for _, e := range []llm.Extra{c.Extra, c.Message.Extra} {
			for name, value := range e {
				w.Extra[name] = string(value)
			}
		}
	}
	for name, value := range a.Extra {
		w.Extra[name] = string(value)
	}
	text, _ := json.Marshal(w)
	return string(text)
}

// The streams are what the servers named are known to send.
func TestQuirks(t *testing.T) {
	hi := `{"id":"a","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}`
	for name, c := range map[string]struct{ kind, answer, want string }{
		"no [DONE]":           {events, frames(hi, end), `{"Text":"hi","Finish":"stop"}`},
		"no empty line after": {events, strings.TrimRight(frames(hi, end, "[DONE]"), "\n"), `{"Text":"hi","Finish":"stop"}`},
		"comments, CRLF":      {events, ": OPENROUTER PROCESSING\r\n\r\n" + strings.ReplaceAll(frames(hi, end, "[DONE]"), "\n", "\r\n"), `{"Text":"hi","Finish":"stop"}`},
		"role in every delta": {events, frames(`{"choices":[{"index":0,"delta":{"role":"assistant","content":"h"},"finish_reason":null}]}`,
			`{"choices":[{"index":0,"delta":{"role":"assistant","content":"i"},"finish_reason":null}]}`, `{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}`, "[DONE]"), `{"Text":"hi","Finish":"stop"}`},
		"usage with the last piece": {events, frames(hi, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`, "[DONE]"),
			`{"Text":"hi","Finish":"stop","Usage":{"Input":3,"CachedInput":0,"CacheWrite":0,"Output":1,"Reasoning":0}}`},
		"usage in every piece": {events, frames(`{"choices":[{"index":0,"delta":{"content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`, end, `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}`, "[DONE]"),
			`{"Text":"hi","Finish":"stop","Usage":{"Input":3,"CachedInput":0,"CacheWrite":0,"Output":2,"Reasoning":0}}`},
		"usage of zeros":      {events, frames(hi, end, `{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, "[DONE]"), `{"Text":"hi","Finish":"stop"}`},
		"usage that is none":  {events, frames(hi, end, `{"choices":[],"usage":{"prompt_tokens":1e300}}`, `{"choices":[],"usage":"much"}`, `{"choices":null,"usage":{"prompt_tokens":-1}}`, "[DONE]"), `{"Text":"hi","Finish":"stop"}`},
		"cached and reasoned": {whole, strings.Replace(small, `"created":1`, `"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":90},"completion_tokens_details":{"reasoning_tokens":2}}`, 1), `{"Text":"hi","Finish":"stop","Usage":{"Input":10,"CachedInput":10,"CacheWrite":0,"Output":5,"Reasoning":2}}`},
		"deepseek's cache":    {whole, strings.Replace(small, `"created":1`, `"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":4}`, 1), `{"Text":"hi","Finish":"stop","Usage":{"Input":10,"CachedInput":4,"CacheWrite":0,"Output":5,"Reasoning":0}}`},
		"calls without index": {events, frames(
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\""}}]}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":":1}"}}]}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"2","type":"function","function":{"name":"g","arguments":"{}"}}]}}]}`,
			`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]"), `{"Calls":["1 f {\"a\":1}","2 g {}"],"Finish":"tool_calls"}`},
		"calls of one index": {events, frames( // Gemini's
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"2","function":{"name":"g","arguments":"{\"x\""}}]}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":2}"}}]},"finish_reason":"tool_calls"}]}`, "[DONE]"), `{"Calls":["1 f {}","2 g {\"x\":2}"],"Finish":"tool_calls"}`},
		"calls mixed": {events, frames(
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":""}},{"index":1,"id":"2","function":{"name":"g","arguments":""}}]}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"[2]"}}]}}]}`, `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"","function":{"name":null,"arguments":"[1]"}}]}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":null},"finish_reason":"tool_calls"}]}`, "[DONE]"), `{"Calls":["1 f [1]","2 g [2]"],"Finish":"tool_calls"}`},
		"id in every piece of a call": {events, frames(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{"}}]}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]}`, "[DONE]"), `{"Calls":["1 f {}"],"Finish":"tool_calls"}`},
		"arguments as an object": {whole, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a": 1}}},{"id":"1","function":{"name":"g","arguments":""}}]},"finish_reason":"tool_calls"}]}`, `{"Calls":["1 f {\"a\": 1}","1 g "],"Finish":"tool_calls"}`},
		"a custom tool":          {whole, `{"choices":[{"message":{"tool_calls":[{"id":"1","type":"custom","custom":{"name":"c","input":"raw"}}]},"finish_reason":"tool_calls"}]}`, `{"Calls":["1 c raw"],"Finish":"tool_calls"}`},
		"content in parts":       {whole, `{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"hi"}]},"finish_reason":"stop"}]}`, `{"Text":"hi","Reasoning":"hm","Finish":"stop"}`},
		"reasoning":              {events, frames(`{"choices":[{"index":0,"delta":{"reasoning":"h","reasoning_content":"h"}}]}`, `{"choices":[{"index":0,"delta":{"reasoning_content":"m"}}]}`, hi, end, "[DONE]"), `{"Text":"hi","Reasoning":"hm","Finish":"stop"}`},
		"azure's first chunk": {events, frames(`{"choices":[],"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}`,
			`{"choices":[{"index":0,"delta":{"content":"hi"},"content_filter_results":{"hate":{"filtered":false}}}]}`, end, "[DONE]"), `{"Text":"hi","Finish":"stop","Extra":{"content_filter_results":"{\"hate\":{\"filtered\":false}}","prompt_filter_results":"[{\"prompt_index\":0}]"}}`},
		"members of all places": {whole, `{"id":"a","citations":["x"],"choices":[{"index":0,"logprobs":{"content":[]},"stop_reason":null,"message":{"content":"hi","annotations":[{"type":"url_citation"}],"function_call":null},"finish_reason":"stop"}],"service_tier":"default"}`,
			`{"Text":"hi","Finish":"stop","Extra":{"annotations":"[{\"type\":\"url_citation\"}]","citations":"[\"x\"]","logprobs":"{\"content\":[]}","service_tier":"\"default\""}}`},
		"two choices":       {events, frames(`{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"length"}]}`, "[DONE]"), `{"Text":"a|b","Finish":"stoplength","More":1}`},
		"a whole answer":    {whole, small, `{"Text":"hi","Finish":"stop"}`},
		"message for delta": {events, frames(`{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}`, "[DONE]"), `{"Text":"hi","Finish":"stop"}`},
		"no index":          {events, frames(`{"choices":[{"delta":{"content":"hi"},"finish_reason":"eos_token"}]}`), `{"Text":"hi","Finish":"stop"}`},
		"refused":           {events, frames(`{"choices":[{"index":0,"delta":{"refusal":"I will not"}}]}`, end), `{"Refusal":"I will not","Finish":"stop"}`},
		"odd types":         {events, frames(`{"id":7,"model":null,"created":"now","object":[],"choices":[{"index":0,"delta":{"role":null,"content":"hi","refusal":null},"finish_reason":false}]}`, end), `{"Text":"hi","Finish":"stop"}`},
		"half a pair":       {events, frames(`{"choices":[{"index":0,"delta":{"content":"\ud83d!"}}]}`, end), `{"Text":"` + "\ufffd" + `!","Finish":"stop"}`},
		"bytes of no UTF-8": {events, frames("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\xffi\"}}]}", end), `{"Text":"h` + "\ufffd" + `i","Finish":"stop"}`},
		"a member twice":    {events, frames(`{"a":1,"a":2,"choices":[{"index":0,"delta":{"content":"hi"}}]}`, end), `{"Text":"hi","Finish":"stop","Extra":{"a":"2"}}`},
		"pings and noise":   {events, "event: ping\ndata:\n\n" + frames(`{}`, `{"choices":[]}`, hi, end), `{"Text":"hi","Finish":"stop"}`},
		"after the finish":  {events, frames(hi, end, `{"choices":[{"index":0,"delta":{"content":"!"}}]}`), `{"Text":"hi!","Finish":"stop"}`},
		"null error":        {whole, `{"error":null,"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`, `{"Text":"hi","Finish":"stop"}`},
	} {
		url, _ := serve(t, c.kind, c.answer)
		p := open(t, openai.Config{URL: url, Model: "m", Access: llm.Access{Client: http.DefaultClient}})
		for _, stream := range []bool{true, false} { // a server does what it likes
			a, err := collect(t, p, llm.Request{Stream: stream})
			if got := tell(a); err != nil || got != c.want {
				t.Errorf("%s: %v\n%s\n%s", name, err, got, c.want)
			}
		}
	}
}

func TestBrokenStreams(t *testing.T) {
	hi := `{"choices":[{"index":0,"delta":{"content":"hi"}}]}`
	for name, c := range map[string]struct {
		kind, answer string
		want         fault.Kind
		text         string
	}{
		"done without finish":       {events, frames(hi, "[DONE]"), fault.Unavailable, "hi"},
		"one of two finished":       {events, frames(`{"choices":[{"index":0,"delta":{"content":"hi"}},{"index":1,"delta":{"content":"x"}}]}`, end, "[DONE]"), fault.Unavailable, "hi"},
		"done alone":                {events, frames("[DONE]"), fault.Unavailable, ""},
		"nothing":                   {events, "", fault.Unavailable, ""},
		"an error of OpenAI":        {events, frames(hi, `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`, "[DONE]"), fault.Unavailable, "hi"},
		"an error in the stream":    {events, frames(hi) + "event: error\ndata: {\"error\":{\"message\":\"x\"}}\n\n" + frames(end, "[DONE]"), fault.Unavailable, "hi"},
		"an error of a rate":        {events, frames(hi, `{"error":{"message":"slow","code":"rate_limit_exceeded"}}`), fault.Limited, "hi"},
		"an error of vLLM":          {events, frames(hi, `{"error":{"object":"error","message":"This model's maximum context length is 10 tokens","type":"BadRequestError","code":400}}`), fault.TooLarge, "hi"},
		"an error in words":         {events, frames(hi, `{"error":"an error was encountered while running the model"}`), fault.Unavailable, "hi"},
		"an error with a finish":    {events, frames(hi, `{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}`, "[DONE]"), fault.Unavailable, "hi"},
		"an error of a code":        {events, frames(hi, `{"error":{"message":"Provider disconnected","code":502},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`), fault.Unavailable, "hi"},
		"an error and 200":          {whole, `{"error":{"message":"filtered","code":"content_filter"}}`, fault.Rejected, ""},
		"no JSON":                   {events, frames(hi, `not json`, end), fault.Unavailable, "hi"},
		"half of JSON":              {events, frames(hi) + `data: {"choices":[{"index":0,"delta":{"conte`, fault.Unavailable, "hi"},
		"a list":                    {events, frames(hi, `[]`, end), fault.Unavailable, "hi"},
		"a page":                    {"text/html", `<html>`, fault.Unavailable, ""},
		"no choices":                {whole, `{"id":"a","choices":[]}`, fault.Unavailable, ""},
		"no end":                    {whole, `{"choices":[{"message":{"content":"hi"}}]}`, fault.Unavailable, ""},
		"a choice of the thousands": {events, frames(`{"choices":[{"index":1000000000,"delta":{"content":"hi"}}]}`), fault.Unavailable, ""},
		"a choice before the first": {events, frames(`{"choices":[{"index":-1,"delta":{"content":"hi"}}]}`), fault.Unavailable, ""},
		"a call of the thousands":   {events, frames(hi, `{"choices":[{"index":0,"delta":{"tool_calls":[`+strings.Repeat(`{"id":"x"},{"id":"y"},`, 1)+`{"index":1000000000,"id":"z"}]}}]}`, "[DONE]"), fault.Unavailable, "hi"},
		"deep":                      {whole, strings.Repeat(`[`, 100_000), fault.Unavailable, ""},
		"deep in a member":          {events, frames(hi, `{"x":`+strings.Repeat(`[`, 100_000)), fault.Unavailable, "hi"},
	} {
		url, _ := serve(t, c.kind, c.answer)
		p := open(t, openai.Config{URL: url, Model: "m", Access: llm.Access{Client: http.DefaultClient}})
		a, err := collect(t, p, llm.Request{Stream: true})
		if !fault.Is(err, c.want) || a.Text() != c.text {
			t.Errorf("%s: %q, %s %v", name, a.Text(), fault.KindOf(err), err)
		}
	}
}

func TestManyCallsAreBounded(t *testing.T) {
	var list []string
	for range 3 * llm.MaxCalls {
		list = append(list, `{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"`+strings.Repeat("x", len(list)%700+1)+`","function":{"name":"f"}}]}}]}`)
	}
	url, _ := serve(t, events, frames(list...))
	p := open(t, openai.Config{URL: url, Model: "m", Access: llm.Access{Client: http.DefaultClient}})
	if _, err := collect(t, p, llm.Request{Stream: true}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestEmbeddings(t *testing.T) {
	raw := base64.StdEncoding.EncodeToString([]byte{0, 0, 128, 63, 0, 0, 0, 192}) // 1, -2
	for name, c := range map[string]struct {
		answer string
		want   []float32
	}{
		"floats":               {`{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1.0,-2e0]}],"model":"m","usage":{"total_tokens":4}}`, []float32{1, -2}},
		"base64":               {`{"data":[{"index":0,"embedding":"` + raw + `"},{"index":1,"embedding":"` + raw + `"}]}`, []float32{1, -2}},
		"base64, escaped":      {`{"data":[{"index":0,"embedding":"` + strings.ReplaceAll(raw, "/", `\/`) + `"},{"index":1,"embedding":"` + raw + `"}]}`, []float32{1, -2}},
		"no index":             {`{"data":[{"embedding":[1,-2]},{"embedding":[3,4]}]}`, []float32{1, -2}},
		"one missing":          {`{"data":[{"index":0,"embedding":[1,2]}]}`, nil},
		"one twice":            {`{"data":[{"index":0,"embedding":[1,2]},{"index":0,"embedding":[1,2]}]}`, nil},
		"one too far":          {`{"data":[{"index":0,"embedding":[1,2]},{"index":2,"embedding":[1,2]}]}`, nil},
		"of two lengths":       {`{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[1]}]}`, nil},
		"empty":                {`{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}`, nil},
		"null":                 {`{"data":[{"index":0,"embedding":null},{"index":1,"embedding":null}]}`, nil},
		"null within":          {`{"data":[{"index":0,"embedding":[null,1]},{"index":1,"embedding":[1,2]}]}`, nil},
		"text within":          {`{"data":[{"index":0,"embedding":["1"]},{"index":1,"embedding":[1]}]}`, nil},
		"too large a number":   {`{"data":[{"index":0,"embedding":[1e39]},{"index":1,"embedding":[1]}]}`, nil},
		"no number in base64":  {`{"data":[{"index":0,"embedding":"AADAfw=="},{"index":1,"embedding":"AADAfw=="}]}`, nil},
		"three bytes":          {`{"data":[{"index":0,"embedding":"AAAA"},{"index":1,"embedding":"AAAA"}]}`, nil},
		"no base64":            {`{"data":[{"index":0,"embedding":"!!!!"},{"index":1,"embedding":"AAAA"}]}`, nil},
		"a million dimensions": {`{"data":[{"index":0,"embedding":[` + strings.Repeat("1,", 1_000_000) + `1]}]}`, nil},
		"an error":             {`{"error":{"message":"no"}}`, nil},
		"no JSON":              {`<html>`, nil},
		"nothing":              {``, nil},
	} {
		url, _ := serve(t, whole, c.answer)
		p := open(t, openai.Config{URL: url, Model: "m", Access: llm.Access{Client: http.DefaultClient}})
		got, err := p.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{"a", "b"}})
		if c.want == nil {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v, %v", name, got.Vectors, err)
			}
			continue
		}
		if err != nil || !slices.Equal(got.Vectors[0], c.want) {
			t.Errorf("%s: %v, %v", name, got.Vectors, err)
		}
	}
}

func TestEmbedRequests(t *testing.T) {
	answer := `{"data":[{"index":0,"embedding":[1]}]}`
	for name, c := range map[string]struct {
		config openai.Config
		r      llm.EmbedRequest
		want   string
	}{
		"texts":  {openai.Config{}, llm.EmbedRequest{Model: "e", Inputs: []string{"a"}, Dimensions: 4, User: "u", Extra: llm.Extra{"input_type": []byte(`"query"`), "input": []byte(`"no"`)}}, `/embeddings {"model":"e","input":["a"],"encoding_format":"base64","dimensions":4,"user":"u","input_type":"query"}`},
		"tokens": {openai.Config{Floats: true}, llm.EmbedRequest{Tokens: [][]int{{1, 2}}}, `/embeddings {"model":"m","encoding_format":"float","input":[[1,2]]}`},
		"azure":  {openai.Config{Azure: &openai.Azure{Version: "2024-10-21"}}, llm.EmbedRequest{Inputs: []string{"a"}}, `/openai/deployments/m/embeddings?api-version=2024-10-21 {"model":"m","input":["a"],"encoding_format":"base64"}`},
	} {
		url, last := serve(t, whole, answer)
		c.config.URL, c.config.Model, c.config.Client = url, "m", http.DefaultClient
		if _, err := open(t, c.config).Embed(t.Context(), c.r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := last().path + " " + last().body; got != c.want {
			t.Errorf("%s:\n%s\n%s", name, got, c.want)
		}
	}
	p := open(t, openai.Config{URL: "http://127.0.0.1:1", Model: "m", Access: llm.Access{Client: http.DefaultClient}})
	if _, err := p.Embed(t.Context(), llm.EmbedRequest{Inputs: make([]string, 2049)}); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
	if _, err := p.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{"a"}, Tokens: [][]int{{1}}}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// What a server sends is read to an end, to an error, and to nothing that is
// no text.
func FuzzStream(f *testing.F) {
	f.Add(frames(`{"choices":[{"index":0,"delta":{"content":"hi"}}]}`, end, "[DONE]"), true)
	f.Add(frames(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}}]}}]}`, end), true)
	f.Add(small, false)
	f.Add(`{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"text":"x"}]}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`, false)
	f.Add(frames(`{"error":{"message":"x","code":429}}`), true)
	var answer, kind string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, answer)
	}))
	f.Cleanup(s.Close)
	p := open(f, openai.Config{URL: s.URL, Model: "m", Access: llm.Access{Client: s.Client()}})
	f.Fuzz(func(t *testing.T, text string, streamed bool) {
		answer, kind = text, whole
		if streamed {
			kind = events
		}
		a, err := collect(t, p, llm.Request{Stream: streamed})
		if fault.KindOf(err) == fault.Internal {
			t.Fatal(err)
		}
		if err == nil && (len(a.Choices) == 0 || !slices.ContainsFunc(a.Choices, func(c llm.Choice) bool { return c.Finish != "" })) {
			t.Fatalf("%+v", a)
		}
		for _, c := range a.Choices {
			if text := c.Message.Text(); text != strings.ToValidUTF8(text, "?") {
				t.Fatalf("%q", text)
			}
		}
	})
}

func FuzzEmbeddings(f *testing.F) {
	f.Add(`{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":"AACAPwAAgD8="}]}`)
	var answer string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	f.Cleanup(s.Close)
	p := open(f, openai.Config{URL: s.URL, Model: "m", Access: llm.Access{Client: s.Client()}})
	f.Fuzz(func(t *testing.T, text string) {
		answer = text
		got, err := p.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{"a", "b"}})
		if fault.KindOf(err) == fault.Internal {
			t.Fatal(err)
		}
		if err == nil && (len(got.Vectors) != 2 || len(got.Vectors[0]) == 0 || len(got.Vectors[0]) != len(got.Vectors[1])) {
			t.Fatalf("%v", got)
		}
	})
}
