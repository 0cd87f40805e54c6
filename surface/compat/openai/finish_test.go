package openai_test

import (
	"testing"

	"github.com/leat-ai/leat/surface/server"
)

// An answer of an assistant that was cut short says so in each protocol's own
// words, whole and as it comes.
func TestAnswersThatAreCutShort(t *testing.T) {
	_, s := start(t, server.AuthLocal)
	for question, want := range map[string][3]any{
		"trains?": {"stop", "completed", nil},
		"be long": {"length", "incomplete", "max_output_tokens"},
		"be bad":  {"content_filter", "incomplete", "content_filter"},
	} {
		asked := `"messages":[{"role":"user","content":"` + question + `"}]}`
		_, body := post(t, s, "/v1/chat/completions", `{"model":"handbook",`+asked)
		if got := at(object(t, body), "choices", 0, "finish_reason"); got != want[0] {
			t.Errorf("%s: finish_reason %v", question, got)
		}
		_, body = post(t, s, "/v1/chat/completions", `{"model":"handbook","stream":true,`+asked)
		frames, _ := framesOf(t, body)
		if got := at(frames[len(frames)-1], "choices", 0, "finish_reason"); got != want[0] {
			t.Errorf("%s: streamed finish_reason %v", question, got)
		}
		_, body = post(t, s, "/v1/responses", `{"model":"handbook","input":"`+question+`"}`)
		if r := object(t, body); r["status"] != want[1] || at(r, "incomplete_details", "reason") != want[2] {
			t.Errorf("%s: status %v, %v", question, r["status"], r["incomplete_details"])
		}
		_, body = post(t, s, "/v1/responses", `{"model":"handbook","stream":true,"input":"`+question+`"}`)
		frames, _ = framesOf(t, body)
		if last := frames[len(frames)-1]; last["type"] != "response."+want[1].(string) || at(last, "response", "incomplete_details", "reason") != want[2] {
			t.Errorf("%s: streamed %v, %v", question, last["type"], at(last, "response", "incomplete_details"))
		}
	}
}
