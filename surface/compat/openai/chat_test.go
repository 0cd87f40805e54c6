package openai_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/surface/server"
)

func TestChatAnswersWhole(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	res, body := post(t, s, "/v1/chat/completions", `{"model":"gpt","messages":[{"role":"user","content":"hi"}],"n":2,"made_up":{"a":[1]},"max_completion_tokens":9}`)
	v := object(t, body)
	if res.StatusCode != 200 || v["object"] != "chat.completion" || v["id"] != "chatcmpl-up" || v["model"] != "gpt-2026" || v["system_fingerprint"] != "fp_1" {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	for i := range 2 {
		m := at(v, "choices", i, "message")
		if at(m, "content") != "You said: hi" || at(m, "role") != "assistant" || at(v, "choices", i, "finish_reason") != "stop" || at(m, "mood", "is") != "calm" {
			t.Errorf("choice %d: %s", i, body)
		}
	}
	want := map[string]any{"prompt_tokens": 7.0, "completion_tokens": 5.0, "total_tokens": 12.0, "cost": 0.00125,
		"prompt_tokens_details": map[string]any{"cached_tokens": 3.0}, "completion_tokens_details": map[string]any{"reasoning_tokens": 1.0}}
	if !reflect.DeepEqual(v["usage"], want) {
		t.Errorf("usage %v", v["usage"])
	}
	for name, want := range map[string]string{"x-litellm-call-id": "01CALL", "x-litellm-model-id": "openai://one/gpt", "x-litellm-response-cost": "0.00125", "x-litellm-attempted-retries": "1",
		"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s", "content-type": "application/json"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if res.Header.Get("openai-processing-ms") == "" || res.Header.Get("x-request-id") == "" {
		t.Error("headers are missing", res.Header)
	}
	if r := w.requests[0]; string(r.Extra["made_up"]) != `{"a":[1]}` || r.MaxTokens != 9 || r.N != 2 || r.Model != "gpt" || len(r.Extra) != 1 {
		t.Errorf("asked %+v", r)
	}
}

// TestChatRequestIsReadWhole: all that the protocol has arrives in the
// contract's words, and what it has not arrives as it came.
func TestChatRequestIsReadWhole(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	_, body := post(t, s, "/v1/chat/completions", `{"model":"gpt","temperature":0.5,"top_p":0.9,"stop":"END","seed":7,"user":"u","parallel_tool_calls":false,
		"max_tokens":10,"logit_bias":{"50256":-100},"reasoning_effort":"low","response_format":{"type":"json_schema","json_schema":{"name":"out","strict":true,"schema":{"type":"object"}}},
		"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"custom","custom":{"name":"c"}}],
		"tool_choice":{"type":"function","function":{"name":"f"}},
		"messages":[{"role":"developer","content":"be kind"},{"role":"user","content":[{"type":"text","text":"look \u00e4"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}},{"type":"input_audio","input_audio":{"data":"x"}}],"name":"ann"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"done","cache_control":{"type":"ephemeral"}}]}`)
	if len(w.requests) != 1 {
		t.Fatal(body)
	}
	half, nine, seven, yes, no := 0.5, 0.9, int64(7), true, false
	want := llm.Request{Model: "gpt", Temperature: &half, TopP: &nine, Stop: []string{"END"}, Seed: &seven, User: "u", ParallelCalls: &no, MaxTokens: 10,
		Extra:      llm.Extra{"logit_bias": []byte(`{"50256":-100}`), "reasoning_effort": []byte(`"low"`)},
		Format:     &llm.Format{Kind: llm.FormatSchema, Name: "out", Strict: &yes, Schema: []byte(`{"type":"object"}`)},
		Tools:      []llm.Tool{{Name: "f", Description: "d", Parameters: []byte(`{"type":"object"}`), Strict: &yes}, {Raw: []byte(`{"type":"custom","custom":{"name":"c"}}`)}},
		ToolChoice: llm.ToolChoice{Mode: llm.ToolsNamed, Name: "f"},
		Messages: []llm.Message{
			llm.Text(llm.Developer, "be kind"),
			{Role: llm.User, Name: "ann", Parts: []llm.Part{{Kind: llm.TextPart, Text: "look ä"}, {Kind: llm.ImagePart, URL: "data:image/png;base64,AA==", Detail: "low"}, {Kind: llm.OtherPart, Raw: []byte(`{"type":"input_audio","input_audio":{"data":"x"}}`)}}},
			{Role: llm.Assistant, Calls: []llm.Call{{ID: "c1", Name: "f", Arguments: "{}"}}},
			{Role: llm.ToolRole, CallID: "c1", Parts: []llm.Part{{Kind: llm.TextPart, Text: "done"}}, Extra: llm.Extra{"cache_control": []byte(`{"type":"ephemeral"}`)}},
		}}
	if got := w.requests[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("read as\n%+v, not\n%+v", got, want)
	}
}

func TestChatStreams(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	res, body := post(t, s, "/v1/chat/completions", `{"model":"gpt","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`, "Accept-Encoding", "gzip")
	frames, done := framesOf(t, body)
	if !done || len(frames) != 5 || !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Fatalf("%v %d: %s", done, len(frames), body)
	}
	for name, want := range map[string]string{"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no", "Cache-Control": "no-cache, no-transform", "Content-Encoding": ""} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	for i, want := range []map[string]any{
		{"role": "assistant", "content": "", "refusal": nil}, {"content": "You sa"}, {"content": "id: hi", "mood": map[string]any{"is": "calm"}}, {},
	} {
		f := frames[i]
		if f["id"] != "chatcmpl-up" || f["object"] != "chat.completion.chunk" || f["model"] != "gpt-2026" || !reflect.DeepEqual(at(f, "choices", 0, "delta"), want) {
			t.Errorf("frame %d: %v", i, f)
		}
		if _, there := f["usage"]; !there || f["usage"] != nil {
			t.Errorf("frame %d: its usage is not null", i)
		}
		if end := at(f, "choices", 0, "finish_reason"); (end == "stop") != (i == 3) || (end == nil) != (i < 3) {
			t.Errorf("frame %d ends with %v", i, end)
		}
	}
	if last := frames[4]; len(last["choices"].([]any)) != 0 || at(last, "usage", "total_tokens") != 12.0 || at(last, "usage", "cost") != 0.00125 {
		t.Errorf("%v", last)
	}
	if res.Trailer.Get("X-Litellm-Response-Cost") != "0.00125" || res.Header.Get("X-Litellm-Response-Cost") != "" {
		t.Errorf("the cost is told in the trailer %v and the headers %v", res.Trailer, res.Header)
	}
	if w.closed != 1 || !w.requests[0].Stream {
		t.Error("the stream was not closed")
	}
}

// TestBrokenStreamHasNoEnd: what breaks off is an error frame, and no [DONE].
func TestBrokenStreamHasNoEnd(t *testing.T) {
	_, s := start(t, server.AuthLocal)
	for path, body := range map[string]string{
		"/v1/chat/completions":                        `{"model":"torn","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
		"/openai/deployments/broken/chat/completions": `{"stream":true,"messages":[{"role":"user","content":"hi"}]}`,
	} {
		res, text := post(t, s, path, body)
		frames, done := framesOf(t, text)
		if done || res.StatusCode != 200 || len(frames) < 2 {
			t.Fatalf("%d %s", res.StatusCode, text)
		}
		last := frames[len(frames)-1]
		if at(last, "error", "message") == nil || at(last, "error", "type") != "server_error" || strings.Contains(text, "DONE") {
			t.Errorf("%s", text)
		}
		for _, f := range frames {
			if at(f, "choices", 0, "finish_reason") != nil {
				t.Errorf("it seems to have ended: %v", f)
			}
		}
	}
	// An answer that is wanted whole is an error, not half of it.
	if res, text := post(t, s, "/v1/chat/completions", `{"model":"torn","messages":[{"role":"user","content":"hi"}]}`); res.StatusCode != 503 || strings.Contains(text, "Half") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

func TestToolCallsStream(t *testing.T) {
	_, s := start(t, server.AuthLocal)
	_, body := post(t, s, "/v1/chat/completions", `{"model":"tools","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	frames, done := framesOf(t, body)
	if !done || len(frames) != 5 {
		t.Fatal(body)
	}
	if d := at(frames[0], "choices", 0, "delta"); at(d, "role") != "assistant" || at(d, "content") != nil {
		t.Error(d)
	}
	want := map[string]any{"index": 0.0, "id": "call_1", "type": "function", "function": map[string]any{"name": "weather", "arguments": `{"city":`}}
	if got := at(frames[1], "choices", 0, "delta", "tool_calls", 0); !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
	want = map[string]any{"index": 0.0, "function": map[string]any{"arguments": `"Bern"}`}}
	if got := at(frames[2], "choices", 0, "delta", "tool_calls", 0); !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
	if at(frames[4], "choices", 0, "finish_reason") != "tool_calls" {
		t.Error(frames[4])
	}
	_, body = post(t, s, "/v1/chat/completions", `{"model":"tools","messages":[{"role":"user","content":"hi"}]}`)
	v := object(t, body)
	if m := at(v, "choices", 0, "message"); at(m, "content") != nil || at(m, "tool_calls", 0, "function", "arguments") != `{"city":"Bern"}` || at(m, "tool_calls", 1, "id") != "call_2" {
		t.Error(body)
	}
}

// TestAssistantIsAModel: citations are annotations whose places are counted in
// characters, with the verified span beside them.
func TestAssistantIsAModel(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	ask := `{"model":"handbook"%s,"messages":[{"role":"system","content":"be a pirate"},{"role":"user","content":"planes?"},{"role":"assistant","content":"Yes."},{"role":"user","content":[{"type":"text","text":"and trains?"}]}]}`
	_, body := post(t, s, "/v1/chat/completions", fmt.Sprintf(ask, ""))
	v := object(t, body)
	content, _ := at(v, "choices", 0, "message", "content").(string)
	if v["model"] != "handbook" || v["id"] != "chatcmpl-01DECISION" || content != first+" "+second || at(v, "leat", "decision") != "01DECISION" || v["system_fingerprint"] != "sha-of-release" {
		t.Fatal(body)
	}
	annotations := at(v, "choices", 0, "message", "annotations").([]any)
	checkAnnotations(t, content, annotations)
	if got := at(v, "leat", "sentences", 1); !reflect.DeepEqual(got, map[string]any{"start_index": float64(len([]rune(first)) + 1), "end_index": float64(len([]rune(content))), "supported": true, "citations": []any{2.0}}) {
		t.Error(got)
	}
	if q := w.asked[0]; q.Text != "and trains?" || len(q.Conversation) != 2 || q.Conversation[0].Text != "planes?" || q.Conversation[1].Role != "assistant" || q.Emit != nil {
		t.Errorf("asked %+v", q)
	}

	_, body = post(t, s, "/v1/chat/completions", fmt.Sprintf(ask, `,"stream":true,"stream_options":{"include_usage":true}`))
	frames, done := framesOf(t, body)
	if !done {
		t.Fatal(body)
	}
	text, streamed := "", []any{}
	for _, f := range frames {
		if c, ok := at(f, "choices", 0, "delta", "content").(string); ok {
			text += c
		}
		if a, ok := at(f, "choices", 0, "delta", "annotations").([]any); ok {
			streamed = append(streamed, a...)
		}
	}
	if text != content || !reflect.DeepEqual(streamed, annotations) {
		t.Errorf("streamed %q with %v", text, streamed)
	}
	n := len(frames)
	if end := frames[n-2]; at(end, "choices", 0, "finish_reason") != "stop" || !reflect.DeepEqual(at(end, "leat"), at(v, "leat")) {
		t.Errorf("%v", end)
	}
	if !reflect.DeepEqual(frames[n-1]["usage"], v["usage"]) || at(v, "usage", "cost") != 0.5 {
		t.Errorf("%v and %v", frames[n-1]["usage"], v["usage"])
	}
}

func checkAnnotations(t *testing.T, content string, annotations []any) {
	t.Helper()
	if len(annotations) != 2 {
		t.Fatal(annotations)
	}
	chars := []rune(content)
	for i, sentence := range []string{first, second} {
		a := annotations[i]
		start, _ := at(a, "url_citation", "start_index").(float64)
		end, _ := at(a, "url_citation", "end_index").(float64)
		if got := string(chars[int(start):int(end)]); got != sentence {
			t.Errorf("annotation %d is of %q", i, got)
		}
		c := citations[i]
		want := map[string]any{"number": float64(i + 1), "knowledge": "docs", "source": c.Source, "source_version": c.Version, "byte_start": float64(c.Start), "byte_end": float64(c.End),
			"quote": c.Quote, "quote_sha256": c.SHA256, "verified": true}
		if c.Heading != "" {
			want["heading"] = c.Heading
		}
		if c.Page > 0 {
			want["page"] = float64(c.Page)
		}
		if !reflect.DeepEqual(at(a, "leat"), want) {
			t.Errorf("annotation %d: %v", i, at(a, "leat"))
		}
	}
	if at(annotations[0], "url_citation", "url") != "https://intra.example/air" || at(annotations[0], "url_citation", "title") != "Air travel" || at(annotations[1], "url_citation", "title") != "rail.md" {
		t.Error(annotations)
	}
}

// TestNames: an assistant is meant where a language model has the same name.
func TestNames(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	for name, assistant := range map[string]bool{"twin": true, "assistant/twin": true, "llm/twin": false, "gpt": false, "llm/gpt": false, "assistant/handbook": true} {
		asked, requests := len(w.asked), len(w.requests)
		if res, body := post(t, s, "/v1/chat/completions", `{"model":"`+name+`","messages":[{"role":"user","content":"hi"}]}`); res.StatusCode != 200 {
			t.Fatal(body)
		}
		if got := len(w.asked) > asked; got != assistant || len(w.requests) > requests == assistant {
			t.Errorf("%s is an assistant: %v", name, got)
		}
	}
	_, body := get(t, s, "/openai/v1/models")
	for _, id := range []string{`"twin"`, `"llm/twin"`, `"handbook"`, `"gpt"`} {
		if strings.Count(body, `"id":`+id) != 1 {
			t.Errorf("%s is not there once: %s", id, body)
		}
	}
	for id, status := range map[string]int{"twin": 200, "llm/twin": 200, "assistant/twin": 200, "handbook": 200, "nothing": 404, "llm/handbook": 404} {
		if res, body := get(t, s, "/openai/v1/models/"+id); res.StatusCode != status {
			t.Errorf("%s: %d %s", id, res.StatusCode, body)
		}
	}
}

// TestWhoMayNot: nobody learns what is there who may not ask it.
func TestWhoMayNot(t *testing.T) {
	_, s := start(t, server.AuthKeys)
	other := []string{"Api-Key", "leat_other"}
	for _, c := range []struct{ path, body string }{
		{"/v1/chat/completions", `{"model":"%s","messages":[{"role":"user","content":"hi"}]}`},
		{"/v1/chat/completions", `{"model":"llm/%s","messages":[{"role":"user","content":"hi"}]}`},
		{"/v1/chat/completions", `{"model":"other","data_sources":[{"type":"azure_search","parameters":{"index_name":"%s"}}],"messages":[{"role":"user","content":"hi"}]}`},
		{"/v1/responses", `{"model":"%s","input":"hi"}`},
		{"/v1/embeddings", `{"model":"%s","input":"hi"}`},
		{"/v1/vector_stores/%s/search", `{"query":"hi"}`},
	} {
		for _, name := range []string{"handbook", "gpt", "docs", "nothing"} {
			body, path := strings.Replace(c.body, "%s", name, 1), strings.Replace(c.path, "%s", name, 1)
			res, text := post(t, s, path, body, other...)
			if res.StatusCode != http.StatusForbidden || at(object(t, text), "error", "code") != "insufficient_permissions" {
				t.Errorf("%s %s: %d %s", path, body, res.StatusCode, text)
			}
			if res, text := post(t, s, path, body); res.StatusCode != http.StatusUnauthorized || at(object(t, text), "error", "code") != "invalid_api_key" {
				t.Errorf("%s without a key: %d %s", path, res.StatusCode, text)
			}
		}
	}
	if _, body := get(t, s, "/openai/v1/models", other...); strings.Contains(body, "handbook") || strings.Contains(body, "gpt") {
		t.Error(body)
	}
	if _, body := get(t, s, "/v1/vector_stores", other...); strings.Contains(body, "docs") || !strings.Contains(body, `"id":"other"`) {
		t.Error(body)
	}
}

func TestIdempotencyKey(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	for _, stream := range []string{"false", "true"} {
		body := `{"model":"handbook","stream":` + stream + `,"messages":[{"role":"user","content":"trains?"}]}`
		key := []string{"Idempotency-Key", "key " + stream}
		asked := len(w.asked)
		_, one := post(t, s, "/v1/chat/completions", body, key...)
		res, two := post(t, s, "/v1/chat/completions", body, key...)
		if len(w.asked) != asked+1 || res.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("asked %d times: %v", len(w.asked)-asked, res.Header)
		}
		if stream == "false" {
			if a, b := object(t, one), object(t, two); !reflect.DeepEqual(a["choices"], b["choices"]) || !reflect.DeepEqual(a["leat"], b["leat"]) {
				t.Errorf("%s\n%s", one, two)
			}
		} else if text := textOf(t, two); text != textOf(t, one) || text != first+" "+second {
			t.Error(text)
		}
		if res, _ := post(t, s, "/v1/chat/completions", strings.Replace(body, "trains", "planes", 1), key...); res.StatusCode != http.StatusConflict || res.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("another request under the key: %d", res.StatusCode)
		}
	}
}

// An answer has the words of its sources in it: who may not read them any more
// is not given them by a key.
func TestIdempotencyKeyOfAWithdrawnSource(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	for _, stream := range []string{"false", "true"} {
		w.hide("")
		body := `{"model":"handbook","stream":` + stream + `,"messages":[{"role":"user","content":"trains?"}]}`
		key := []string{"Idempotency-Key", "key " + stream}
		if res, text := post(t, s, "/v1/chat/completions", body, key...); res.StatusCode != http.StatusOK || !strings.Contains(text, first) {
			t.Fatalf("%d %s", res.StatusCode, text)
		}
		w.hide(citations[1].Source)
		asked := len(w.asked)
		res, text := post(t, s, "/v1/chat/completions", body, key...)
		if res.StatusCode != http.StatusConflict || strings.Contains(text, first) || !strings.Contains(text, "withdrawn") || len(w.asked) != asked {
			t.Errorf("%d %s", res.StatusCode, text)
		}
	}
}

// textOf joins the pieces of a stream.
func textOf(t testing.TB, body string) (text string) {
	t.Helper()
	frames, done := framesOf(t, body)
	if !done {
		t.Fatal(body)
	}
	for _, f := range frames {
		if c, ok := at(f, "choices", 0, "delta", "content").(string); ok {
			text += c
		}
	}
	return text
}
