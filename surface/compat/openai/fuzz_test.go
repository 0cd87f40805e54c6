package openai

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/leat-ai/leat/internal/corpus"
	"github.com/leat-ai/leat/llm"
)

// seeds are bodies of all operations.
var seeds = []string{
	`{"model":"gpt","messages":[{"role":"user","content":"hi"}],"x":1}`,
	`{"model":"gpt","stream":true,"stream_options":{"include_usage":true},"stop":["a","b"],"tool_choice":"auto","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:"}}]}]}`,
	`{"model":"gpt","tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}},"messages":[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{"}}]}]}`,
	`{"model":"a","data_sources":[{"type":"azure_search","parameters":{"index_name":"b"}}],"messages":[{"role":"user","content":"\u00e4\ud83d\ude00"}]}`,
	`{"model":"e","input":["a","b"],"encoding_format":"base64"}`, `{"model":"e","input":[[1,2],[3]]}`, `{"model":"e","input":[1]}`, `{"input":"a"}`,
	`{"model":"gpt","input":"hi","instructions":"be","tools":[{"type":"function","name":"f"},{"type":"file_search","vector_store_ids":["a"],"filters":{"type":"and","filters":[{"type":"eq","key":"a","value":1}]}}]}`,
	`{"model":"gpt","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"x"}]}`,
	`{"query":["a"],"filters":{"type":"in","key":"k","value":["a",1,true,"2026-01-01T00:00:00Z"]}}`,
}

// FuzzRequests: no body breaks a reader, and what is read and passed on is
// JSON.
func FuzzRequests(f *testing.F) {
	corpus.Add(f)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if shallow(body) != nil {
			return
		}
		whole := bytes.Clone(body)
		if q, err := readChat(body); err == nil {
			r := q.request("m")
			checkExtra(t, r.Extra)
			for _, m := range r.Messages {
				checkExtra(t, m.Extra)
			}
			_, _ = questionOf("a", q.Messages)
		}
		if q, err := readRespond(body); err == nil {
			checkExtra(t, q.request("m").Extra)
			if filter, err := q.filter(); err == nil && len(filter) > 0 && !json.Valid(filter) {
				t.Errorf("the filter is %q", filter)
			}
			r := response{request: q, id: "1"}
			if out := r.appendTo(nil, "completed", nil); !json.Valid(out) {
				t.Errorf("told back as %q", out)
			}
		}
		if _, r, err := readEmbed(body); err == nil && len(r.Inputs)+len(r.Tokens) == 0 {
			t.Error("there is nothing to embed")
		}
		_, _, _ = readSearch(body)
		if !bytes.Equal(body, whole) {
			t.Error("the body was changed")
		}
	})
}

func checkExtra(t *testing.T, extra llm.Extra) {
	t.Helper()
	for name, v := range extra {
		if !json.Valid(v) {
			t.Errorf("%q is %q", name, v)
		}
	}
}

// FuzzDeltas: whatever a provider's answer holds, it is frames of one line of
// JSON.
func FuzzDeltas(f *testing.F) {
	f.Add("text", "name", []byte("{\n\"a\":1}"), "stop", 0)
	f.Add("\xff\n\r", "\"", []byte("null"), "", 3)
	f.Fuzz(func(t *testing.T, text, name string, raw []byte, finish string, choice int) {
		if choice < 0 || choice > 200 || !json.Valid(raw) {
			return
		}
		x := &exchange{}
		c := chunks{head: head{id: text, model: name}, usage: true}
		fr := &frames{x: x}
		d := llm.Delta{Choice: choice, Text: text, Refusal: name, Reasoning: text, Finish: llm.Finish(finish), Calls: []llm.CallPart{{Index: 1, Name: name, ID: name, Arguments: text}},
			Extra: llm.Extra{name: raw}, ChoiceExtra: llm.Extra{name: raw}, MessageExtra: llm.Extra{name: raw}}
		c.write(fr, &d)
		for _, frame := range bytes.SplitAfter(x.out, []byte("\n\n")) {
			if len(frame) == 0 {
				continue
			}
			data, ok := bytes.CutPrefix(bytes.TrimSuffix(frame, []byte("\n\n")), []byte("data: "))
			if !ok || bytes.ContainsAny(data, "\n\r") || !json.Valid(data) {
				t.Errorf("%q is no frame", frame)
			}
		}
	})
}

func TestLeastTokens(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 1, "one two  three": 3, "don't": 2, "1234567": 3, "a1b": 3, "...": 0, "Zürich 8001": 3} {
		if got := leastTokens(text); got != want {
			t.Errorf("%q has %d", text, got)
		}
	}
}
