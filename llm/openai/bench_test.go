package openai_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/openai"
)

// canned answers every request with the same bytes, without a network.
type canned struct{ kind, body string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.kind}}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}

// BenchmarkStream is an answer of 100 chunks as OpenAI sends them.
func BenchmarkStream(b *testing.B) {
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-5-mini","service_tier":"default","system_fingerprint":"fp_1",`+
			`"choices":[{"index":0,"delta":{"content":" word%d"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"abcdef"}`, i))
	}
	benchmark(b, events, frames(append(lines, end, "[DONE]")...), true)
}

// BenchmarkWhole is the same answer in one piece.
func BenchmarkWhole(b *testing.B) {
	benchmark(b, whole, strings.Replace(small, `"hi"`, `"`+strings.Repeat(" word99", 100)+`"`, 1), false)
}

func benchmark(b *testing.B, kind, body string, stream bool) {
	p := open(b, openai.Config{URL: "https://upstream.example/v1", Model: "m", Access: llm.Access{Client: &http.Client{Transport: canned{kind, body}}}})
	r := llm.Request{Stream: stream, Messages: []llm.Message{llm.Text(llm.System, "Be brief."), llm.Text(llm.User, "What may a hotel cost?")}}
	b.ReportAllocs()
	for b.Loop() {
		s, err := p.Chat(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = s.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}
