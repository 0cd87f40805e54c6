package openai_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/compat/openai"
	"github.com/leat-ai/leat/surface/server"
)

// hostile are bodies that no client sends.
var hostile = map[string]string{
	"nothing":          ``,
	"a list":           `[]`,
	"a text":           `"x"`,
	"half":             `{"model":"gpt","messages":[{"role":"user","content":"hi"`,
	"more":             `{"model":"gpt","messages":[{"role":"user","content":"hi"}]} {}`,
	"deep":             `{"model":"gpt","messages":` + strings.Repeat("[", 100_000),
	"deep and closed":  `{"model":"gpt","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `,"messages":[{"role":"user","content":"hi"}]}`,
	"deep objects":     `{"model":"gpt","x":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + `,"messages":[{"role":"user","content":"hi"}]}`,
	"a name twice":     `{"model":"gpt","model":"gpt","messages":[{"role":"user","content":"hi"}]}`,
	"no UTF-8":         "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
	"half a surrogate": `{"model":"gpt","messages":[{"role":"user","content":"\ud800"}]}`,
	"a huge number":    `{"model":"gpt","temperature":1e999,"messages":[{"role":"user","content":"hi"}]}`,
	"NaN":              `{"model":"gpt","temperature":NaN,"messages":[{"role":"user","content":"hi"}]}`,
	"no role":          `{"model":"gpt","messages":[{"content":"hi"}]}`,
	"content a number": `{"model":"gpt","messages":[{"role":"user","content":7}]}`,
	"content deep":     `{"model":"gpt","messages":[{"role":"user","content":[[["hi"]]]}]}`,
	"no image":         `{"model":"gpt","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`,
	"many answers":     `{"model":"gpt","n":1000000,"messages":[{"role":"user","content":"hi"}]}`,
	"fewer than none":  `{"model":"gpt","n":-1,"messages":[{"role":"user","content":"hi"}]}`,
	"a format":         `{"model":"gpt","response_format":{"type":"yaml"},"messages":[{"role":"user","content":"hi"}]}`,
	"a tool's name":    `{"model":"gpt","tools":[{"type":"function","function":{}}],"messages":[{"role":"user","content":"hi"}]}`,
	"two sources":      `{"model":"gpt","data_sources":[{},{}],"messages":[{"role":"user","content":"hi"}]}`,
	"no index":         `{"model":"gpt","data_sources":[{"type":"azure_search"}],"messages":[{"role":"user","content":"hi"}]}`,
	"their filter":     `{"model":"gpt","data_sources":[{"parameters":{"index_name":"docs","filter":"a eq 'b'"}}],"messages":[{"role":"user","content":"hi"}]}`,
	"no question":      `{"model":"handbook","messages":[{"role":"system","content":"hi"}]}`,
	"not the user":     `{"model":"handbook","messages":[{"role":"assistant","content":"hi"}]}`,
	"an image":         `{"model":"handbook","messages":[{"role":"user","content":[{"type":"image_url","image_url":"https://x/y.png"}]}]}`,
	"must call":        `{"model":"handbook","tool_choice":"required","messages":[{"role":"user","content":"hi"}]}`,
	"no name":          `{"messages":[{"role":"user","content":"hi"}]}`,
}

// TestHostileBodies: each is a mistake of the caller, told in the protocol's
// shape, and reaches no model.
func TestHostileBodies(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	for name, body := range hostile {
		for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/vector_stores/docs/search"} {
			res, text := post(t, s, path, body)
			if res.StatusCode != http.StatusBadRequest || at(object(t, text), "error", "type") != "invalid_request_error" || len(text) > 2000 {
				t.Errorf("%s at %s: %d %.300s", name, path, res.StatusCode, text)
			}
		}
	}
	for path, bodies := range map[string][]string{
		"/v1/responses": {
			`{"model":"gpt","input":[]}`, `{"model":"gpt","input":null}`, `{"model":"gpt","input":[{"type":"computer_call"}]}`, `{"model":"gpt","input":[{"role":"user"}]}`,
			`{"model":"gpt","input":[{"role":"user","content":[{"type":"input_file","file_id":"x"}]}]}`, `{"model":"gpt","input":"hi","tools":[{"type":"web_search"}]}`,
			`{"model":"gpt","input":"hi","tools":[{"type":"file_search","vector_store_ids":["docs"]},{"type":"file_search"}]}`, `{"model":"gpt","input":"hi","tools":[{"type":"file_search","vector_store_ids":[]}]}`,
			`{"model":"gpt","input":"hi","background":true}`, `{"model":"gpt","input":"hi","conversation":"conv_1"}`, `{"model":"gpt","input":"hi","max_output_tokens":-1}`,
			`{"model":"handbook","input":"hi","tools":[{"type":"file_search","vector_store_ids":["docs"],"filters":{"type":"like","key":"a","value":1}}]}`,
		},
		"/v1/embeddings": {
			`{"model":"embedder"}`, `{"model":"embedder","input":[]}`, `{"model":"embedder","input":{}}`, `{"model":"embedder","input":[1,"a"]}`, `{"model":"embedder","input":[[]]}`,
			`{"model":"embedder","input":"a","encoding_format":"hex"}`, `{"model":"embedder","input":"a","dimensions":-1}`, `{"model":"embedder","input":[1.5]}`, `{"model":"embedder","input":[-1]}`, `{"model":"handbook","input":"a"}`,
		},
		"/v1/vector_stores/docs/search": {
			`{"query":""}`, `{"query":[]}`, `{"query":"a","max_num_results":0}`, `{"query":"a","max_num_results":51}`, `{"query":"a","filters":{"type":"eq","value":1}}`,
			`{"query":"a","filters":{"type":"gt","key":"a","value":[1,2]}}`, `{"query":"a","filters":{"type":"eq","key":"a","value":{}}}`, `{"query":"a","filters":{"type":"and","filters":[null]}}`,
			`{"query":"a","filters":` + strings.Repeat(`{"type":"and","filters":[`, 40) + strings.Repeat("]}", 40) + `}`,
		},
	} {
		for _, body := range bodies {
			if res, text := post(t, s, path, body); res.StatusCode != http.StatusBadRequest || at(object(t, text), "error", "message") == "" {
				t.Errorf("%s %s: %d %.300s", path, body, res.StatusCode, text)
			}
		}
	}
	if len(w.requests)+len(w.asked)+len(w.embeds)+len(w.searches) > 0 {
		t.Errorf("%+v %+v %+v were asked", w.requests, w.asked, w.searches)
	}
}

func TestHugeBodies(t *testing.T) {
	_, s := start(t, server.AuthLocal)
	huge := `{"model":"gpt","messages":[{"role":"user","content":"` + strings.Repeat("a", 25<<20) + `"}]}`
	for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/vector_stores/docs/search"} {
		if res, text := post(t, s, path, huge); res.StatusCode != http.StatusRequestEntityTooLarge || at(object(t, text), "error", "code") != "request_too_large" {
			t.Errorf("%s: %d %.300s", path, res.StatusCode, text)
		}
	}
}

// TestClientGoesAway: nobody works on for somebody who left.
func TestClientGoesAway(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/v1/chat/completions", strings.NewReader(`{"model":"handbook","stream":true,"messages":[{"role":"user","content":"slowly"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	for range 200 {
		w.mu.Lock()
		gone := w.gone
		w.mu.Unlock()
		if gone {
			return
		}
		pause()
	}
	t.Error("the assistant was not told that nobody reads")
}

// late goes on emitting after it was given up.
type late struct {
	*world
	refused chan error
}

func (l *late) Ask(_ context.Context, q knowledge.Question) (knowledge.Answer, error) {
	if err := q.Emit(knowledge.Part{Text: "In time. "}); err != nil {
		return knowledge.Answer{}, err
	}
	go func() {
		pause()
		l.refused <- q.Emit(knowledge.Part{Text: "Too late."})
	}()
	return knowledge.Answer{}, fault.New(fault.Timeout, "it took too long")
}

// TestLateParts: what an assistant says after its question is over reaches
// nobody.
func TestLateParts(t *testing.T) {
	l := &late{world: &world{}, refused: make(chan error, 1)}
	s := serve(t, server.AuthLocal, openai.Services{Assistants: l, Names: l})
	_, body := post(t, s, "/v1/chat/completions", `{"model":"handbook","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	frames, done := framesOf(t, body)
	if done || len(frames) != 3 || at(frames[2], "error", "code") != "timeout" {
		t.Errorf("%s", body)
	}
	if err := <-l.refused; !fault.Is(err, fault.Canceled) {
		t.Errorf("it could emit: %v", err)
	}
}
