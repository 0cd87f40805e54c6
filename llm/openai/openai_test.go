package openai_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/llmtest"
	"github.com/leat-ai/leat/llm/openai"
)

func open(t testing.TB, c openai.Config) *openai.Provider {
	t.Helper()
	p, err := openai.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestChat(t *testing.T) {
	for name, c := range map[string]openai.Config{"compatible": {Compatible: true}, "azure": {Azure: &openai.Azure{Version: "2024-10-21"}}} {
		t.Run(name, func(t *testing.T) {
			llmtest.RunChat(t, func(t *testing.T, url string, access llm.Access) llm.Chat {
				c.URL, c.Access = url+"/v1", access
				return open(t, c)
			})
		})
	}
}

func TestEmbedder(t *testing.T) {
	for name, c := range map[string]openai.Config{"base64": {}, "floats": {Floats: true}} {
		t.Run(name, func(t *testing.T) {
			llmtest.RunEmbedder(t, func(t *testing.T, url string, access llm.Access) llm.Embedder {
				c.URL, c.Access = url+"/v1", access
				return open(t, c)
			})
		})
	}
}

// asked is a request as a server sees it.
type asked struct {
	path   string
	header http.Header
	body   string
}

// serve answers every request alike.
func serve(t testing.TB, kind, answer string) (url string, last func() asked) {
	t.Helper()
	var got asked
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = asked{r.URL.String(), r.Header, string(body)}
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() asked { return got }
}

const events, whole = "text/event-stream", "application/json"

// small is an answer that is read by every test that looks at requests.
const small = `{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`

func TestPathsAndKeys(t *testing.T) {
	key := func(context.Context) (string, error) { return "the-key", nil }
	token := func(_ context.Context, scope string) (string, error) { return "token for " + scope, nil }
	for name, c := range map[string]struct {
		config openai.Config
		path   string
		header string
		value  string
	}{
		"openai":          {openai.Config{Access: llm.Access{Key: key, Token: token}}, "/chat/completions", "Authorization", "Bearer the-key"},
		"no key":          {openai.Config{}, "/chat/completions", "Authorization", ""},
		"no token":        {openai.Config{Access: llm.Access{Token: token}}, "/chat/completions", "Authorization", ""},
		"azure, old":      {openai.Config{Azure: &openai.Azure{Version: "2024-10-21"}, Access: llm.Access{Key: key}}, "/openai/deployments/m/chat/completions?api-version=2024-10-21", "Api-Key", "the-key"},
		"azure, preview":  {openai.Config{Azure: &openai.Azure{Version: "2025-04-01-preview"}, Access: llm.Access{Key: key}}, "/openai/deployments/m/chat/completions?api-version=2025-04-01-preview", "Api-Key", "the-key"},
		"azure, new":      {openai.Config{Azure: &openai.Azure{}, Access: llm.Access{Key: key}}, "/openai/v1/chat/completions", "Api-Key", "the-key"},
		"azure, new, too": {openai.Config{Azure: &openai.Azure{Version: "preview"}, Access: llm.Access{Key: key}}, "/openai/v1/chat/completions?api-version=preview", "Api-Key", "the-key"},
		"azure, entra":    {openai.Config{Azure: &openai.Azure{}, Access: llm.Access{Token: token}}, "/openai/v1/chat/completions", "Authorization", "Bearer token for https://cognitiveservices.azure.com/.default"},
		"more headers":    {openai.Config{Headers: http.Header{"OpenAI-Project": {"p"}}}, "/chat/completions", "OpenAI-Project", "p"},
	} {
		url, last := serve(t, whole, small)
		c.config.URL, c.config.Client, c.config.Model = url, http.DefaultClient, "m"
		if _, err := collect(t, open(t, c.config), llm.Request{Messages: []llm.Message{llm.Text(llm.User, "hi")}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := last(); got.path != c.path || got.header.Get(c.header) != c.value {
			t.Errorf("%s: %s, %q", name, got.path, got.header)
		}
	}
	for _, model := range []string{"../x", "a/b", "a?b", "%2e", ""} {
		p := open(t, openai.Config{URL: "http://127.0.0.1:1", Azure: &openai.Azure{Version: "2024-10-21"}, Access: llm.Access{Client: http.DefaultClient}})
		if _, err := p.Chat(t.Context(), llm.Request{Model: model}); !fault.Is(err, fault.Invalid) {
			t.Errorf("the deployment %q: %v", model, err)
		}
	}
}

func collect(t testing.TB, p *openai.Provider, r llm.Request) (llm.Answer, error) {
	t.Helper()
	s, err := p.Chat(t.Context(), r)
	if err != nil {
		return llm.Answer{}, err
	}
	return llm.Collect(s)
}

func TestRequests(t *testing.T) {
	yes, no, half, seed := true, false, 0.5, int64(7)
	full := llm.Request{
		Model: "m", Stream: true, MaxTokens: 9, N: 2, Temperature: &half, TopP: &half, Stop: []string{"x"}, Seed: &seed, User: "u", ParallelCalls: &no,
		Messages: []llm.Message{
			llm.Text(llm.Developer, "d"),
			{Role: llm.User, Name: "ann", Parts: []llm.Part{{Kind: llm.TextPart, Text: "see"}, {Kind: llm.ImagePart, URL: "https://e.example/a.png", Detail: "low"}, {Kind: llm.OtherPart, Raw: []byte(`{"type":"input_audio"}`)}}},
			{Role: llm.Assistant, Calls: []llm.Call{{ID: "1", Name: "f", Arguments: `{"a":1}`, Extra: llm.Extra{"extra_content": []byte(`{"g":1}`), "id": []byte(`"no"`)}}, {ID: "2", Name: "c", Arguments: "raw", Custom: true}}},
			{Role: llm.ToolRole, CallID: "1", Parts: []llm.Part{{Kind: llm.TextPart, Text: "one"}}},
			{Role: llm.Assistant, Refusal: "no", Extra: llm.Extra{"audio": []byte(`{"id":"x"}`), "role": []byte(`"user"`)}},
		},
		Tools:      []llm.Tool{{Name: "f", Description: "does", Parameters: []byte(`{"type":"object"}`), Strict: &yes}, {Raw: []byte(`{"type":"custom","custom":{"name":"c"}}`)}},
		ToolChoice: llm.ToolChoice{Mode: llm.ToolsNamed, Name: "f"},
		Format:     &llm.Format{Kind: llm.FormatSchema, Schema: []byte(`{"type":"object"}`), Strict: &yes},
		Extra:      llm.Extra{"reasoning_effort": []byte(`"low"`), "model": []byte(`"other"`), "stream_options": []byte(`{"include_obfuscation":false,"include_usage":false}`)},
	}
	messages := `"messages":[{"role":"ROLE","content":"d"},` +
		`{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"https://e.example/a.png","detail":"low"}},{"type":"input_audio"}],"name":"ann"},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"},"extra_content":{"g":1}},{"id":"2","type":"custom","custom":{"name":"c","input":"raw"}}]},` +
		`{"role":"tool","content":"one","tool_call_id":"1"},{"role":"assistant","content":null,"refusal":"no","audio":{"id":"x"}}],`
	rest := `"n":2,"temperature":0.5,"top_p":0.5,"stop":["x"],"seed":7,` +
		`"tools":[{"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object"},"strict":true}},{"type":"custom","custom":{"name":"c"}}],` +
		`"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,` +
		`"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"},"strict":true}},"user":"u","reasoning_effort":"low"}`
	streamed := `"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},`
	least := llm.Request{Messages: []llm.Message{llm.Text(llm.User, "\xff<&>\u2028"), {Role: llm.Assistant}}}
	for name, c := range map[string]struct {
		config openai.Config
		r      llm.Request
		want   string
	}{
		"all":        {openai.Config{}, full, `{"model":"m",` + strings.Replace(messages, "ROLE", "developer", 1) + streamed + `"max_completion_tokens":9,` + rest},
		"compatible": {openai.Config{Compatible: true}, full, `{"model":"m",` + strings.Replace(messages, "ROLE", "system", 1) + streamed + `"max_tokens":9,` + rest},
		"no usage":   {openai.Config{NoUsage: true}, full, `{"model":"m",` + strings.Replace(messages, "ROLE", "developer", 1) + `"stream":true,"max_completion_tokens":9,` + rest},
		"least":      {openai.Config{Model: "d"}, least, `{"model":"d","messages":[{"role":"user","content":"` + "\uFFFD<&>\u2028" + `"},{"role":"assistant","content":""}]}`},
	} {
		url, last := serve(t, whole, small)
		c.config.URL, c.config.Client = url, http.DefaultClient
		if _, err := collect(t, open(t, c.config), c.r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := last(); got.body != c.want {
			t.Errorf("%s:\n%s\n%s", name, got.body, c.want)
		}
	}
	if len(full.Extra) != 3 || len(full.Messages[4].Extra) != 2 {
		t.Error("a request was changed")
	}
	p := open(t, openai.Config{URL: "http://127.0.0.1:1", Model: "m", Access: llm.Access{Client: http.DefaultClient}})
	for name, r := range map[string]llm.Request{
		"choice": {ToolChoice: llm.ToolChoice{Mode: "odd"}}, "part": {Messages: []llm.Message{{Parts: []llm.Part{{Kind: "odd"}, {}}}}},
		"schema": {Tools: []llm.Tool{{Name: "f", Parameters: []byte("{")}}}, "extra": {Extra: llm.Extra{"a": []byte("}")}}, "raw": {Tools: []llm.Tool{{Raw: []byte("no")}}},
	} {
		if _, err := p.Chat(t.Context(), r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"openai://gpt-5-mini":                                 "https://api.openai.com/v1 gpt-5-mini",
		"openai://api.openai.com/gpt-5-mini":                  "https://api.openai.com/v1 gpt-5-mini",
		"openai+http://127.0.0.1:11434/llama3:8b":             "http://127.0.0.1:11434/v1 llama3:8b compatible",
		"openai+http://gpu:8000/meta-llama/Llama-3.1-8B":      "http://gpu:8000/v1 meta-llama/Llama-3.1-8B compatible",
		"openai://h.example/m?base=/api/openai&usage=off":     "https://h.example/api/openai m compatible no-usage",
		"openai://h.example/m?base=&encoding=float":           "https://h.example m compatible floats",
		"azure-openai://res/gpt-5-mini":                       "https://res.openai.azure.com gpt-5-mini azure()",
		"azure-openai://res.openai.azure.com/g":               "https://res.openai.azure.com g azure()",
		"azure-openai://res/g?api-version=2024-10-21":         "https://res.openai.azure.com g azure(2024-10-21)",
		"azure-openai+http://127.0.0.1:8080/g?api-version=v1": "http://127.0.0.1:8080 g azure(v1)",
		"azure-openai://gpt-5-mini":                           "",
		"openai://h/m?odd=1":                                  "",
		"openai://h/m?usage=perhaps":                          "",
		"anthropic://m":                                       "",
	} {
		a, err := llm.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := openai.Parse(a)
		got := c.URL + " " + c.Model
		if c.Compatible {
			got += " compatible"
		}
		if c.NoUsage {
			got += " no-usage"
		}
		if c.Floats {
			got += " floats"
		}
		if c.Azure != nil {
			got += " azure(" + c.Azure.Version + ")"
		}
		if err == nil && got != want || err != nil && (want != "" || !fault.Is(err, fault.Invalid)) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, url := range []string{"", "api.openai.com", "ftp://h/", "https://user:pass@h/", "https:///v1"} {
		if _, err := openai.Open(openai.Config{URL: url, Access: llm.Access{Client: http.DefaultClient}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := openai.Open(openai.Config{URL: "https://h"}); !fault.Is(err, fault.Unsupported) {
		t.Error(err)
	}
}
