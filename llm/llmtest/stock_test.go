package llmtest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/anthropic"
	"github.com/leat-ai/leat/llm/llmtest"
	"github.com/leat-ai/leat/llm/openai"
)

// The upstream answers as the stock clients of OpenAI and Anthropic want to be
// answered, strictly; and the providers ask it for nothing that these clients'
// own types would not let through. So a suite that passes against the upstream
// says something of the real servers.
func TestStockClients(t *testing.T) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		t.Fatal("there are no stock clients: set LEAT_PYTHON and run internal/tools/install.sh test")
	}
	u := llmtest.Serve(t, llmtest.Always(llmtest.Reply{
		Text: "It costs 180 €.", Reasoning: "Hm.", Calls: []llm.Call{{ID: "call_a", Name: "search", Arguments: `{"q":"x"}`}}, Usage: &llm.Usage{Input: 40, CachedInput: 10, Output: 7},
	}))
	provide(t, u)
	ours := u.Asked()
	requests := filepath.Join(t.TempDir(), "requests")
	var lines bytes.Buffer
	for _, a := range ours {
		line, err := json.Marshal(map[string]any{"protocol": a.Protocol, "body": json.RawMessage(a.Body)})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	if err := os.WriteFile(requests, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "stock.py"), u.URL, requests)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "HOME="+t.TempDir())
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	cases := 0
	for line := range strings.Lines(string(out)) {
		cases++
		if !strings.HasPrefix(line, "ok ") {
			t.Error(strings.ReplaceAll(line, `\n`, "\n"))
		}
	}
	if err != nil || cases != 5+len(ours) {
		t.Errorf("%d cases, %v: %s", cases, err, stderr.String())
	}
}

// provide asks all there is to ask by the providers.
func provide(t *testing.T, u *llmtest.Upstream) {
	o, err := openai.Open(openai.Config{Access: llmtest.Access(u), URL: u.URL + "/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := anthropic.Open(anthropic.Config{Access: llmtest.Access(u), URL: u.URL + "/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	yes, half, seed := true, 0.5, int64(7)
	least := llm.Request{Messages: []llm.Message{llm.Text(llm.User, "hi")}}
	full := llm.Request{
		Stream: true, MaxTokens: 9, Temperature: &half, TopP: &half, Stop: []string{"x"}, User: "u", ParallelCalls: &yes, Seed: &seed,
		Messages: []llm.Message{
			llm.Text(llm.System, "s"),
			{Role: llm.User, Parts: []llm.Part{{Kind: llm.TextPart, Text: "see"}, {Kind: llm.ImagePart, URL: "https://e.example/a.png"}, {Kind: llm.ImagePart, URL: "data:image/png;base64,iVBORw0KGgo="}}},
			{Role: llm.Assistant, Calls: []llm.Call{{ID: "1", Name: "f", Arguments: `{"a":1}`}}},
			{Role: llm.ToolRole, CallID: "1", Parts: []llm.Part{{Kind: llm.TextPart, Text: "one"}}},
			{Role: llm.ToolRole, CallID: "2"},
		},
		Tools:      []llm.Tool{{Name: "f", Description: "does", Parameters: []byte(`{"type":"object"}`), Strict: &yes}, {Name: "g"}},
		ToolChoice: llm.ToolChoice{Mode: llm.ToolsNamed, Name: "f"},
		Format:     &llm.Format{Kind: llm.FormatSchema, Schema: []byte(`{"type":"object"}`), Strict: &yes},
		Extra:      llm.Extra{"reasoning_effort": []byte(`"low"`)},
	}
	for _, r := range []llm.Request{least, full} {
		for _, chat := range []llm.Chat{o, a} {
			s, err := chat.Chat(t.Context(), r)
			if err == nil {
				_, err = llm.Collect(s)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := o.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{"a"}, Dimensions: 8, User: "u"}); err != nil {
		t.Fatal(err)
	}
}
