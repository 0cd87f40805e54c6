package openai_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/surface/compat/openai"
	"github.com/leat-ai/leat/surface/server"
)

// echo is a gateway that takes no time.
type echo struct {
	*world
	deltas []llm.Delta
}

func (e *echo) Chat(context.Context, string, llm.Request) (llm.Stream, error) {
	return &stream{w: e.world, deltas: e.deltas, end: io.EOF, call: gateway.Call{ID: "01CALL", LLM: "gpt"}}, nil
}

// BenchmarkChat is what the surface adds to a call of a language model: the
// request read, the answer written, without the network.
func BenchmarkChat(b *testing.B) {
	usage := llm.Usage{Input: 900, Output: 64}
	deltas := []llm.Delta{{ID: "chatcmpl-1", Model: "gpt-2026", Text: "The"}}
	for range 63 {
		deltas = append(deltas, llm.Delta{Text: " answer"})
	}
	deltas = append(deltas, llm.Delta{Finish: llm.FinishStop, Usage: &usage})
	s := serve(b, server.AuthLocal, openai.Services{LLMs: &echo{world: &world{}, deltas: deltas}, Names: &world{}})
	prompt := strings.Repeat("Some words that were said before, with a \\\"quote\\\" here and there. ", 60)
	for name, stream := range map[string]string{"whole": "false", "stream": "true"} {
		body := `{"model":"gpt","temperature":0.2,"stream":` + stream + `,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"` + prompt + `"}]}`
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			ctx := identity.With(b.Context(), identity.Local())
			for b.Loop() {
				r := httptest.NewRequestWithContext(ctx, "POST", "http://127.0.0.1/v1/chat/completions", strings.NewReader(body))
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
