package app

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm/llmtest"
	"github.com/leat-ai/leat/surface/server"
)

// manual is what the assistant of this test answers from.
var manual = map[string]string{
	"docs/travel.md": "# Travel\n\n## Flights\n\nEmployees may fly in business class when the flight takes more than six hours. Shorter flights are booked in economy class.\n\n" +
		"## Hotels\n\nA hotel may cost at most 180 € a night. Breakfast is paid by the company.\n",
	"docs/leave.md":  "# Leave\n\nEvery employee has thirty days of leave a year. Unused days expire at the end of March.\n\n| Years | Days |\n|---|---|\n| 5 | 31 |\n| 10 | 32 |\n",
	"docs/secret.md": "# Salaries\n\nThe salary of the director is 1 € a month, as everybody in the board knows.\n",
}

const askableProject = `
kind: Knowledge
name: manual
language: en
sources:
  - {from: "docs/**", exclude: ["**/secret.md"]}
  - {from: "docs/secret.md", readers: ["group:board"]}
---
kind: Assistant
name: helpdesk
knowledge: manual
---
kind: Assistant
name: writer
knowledge: manual
llm: gpt
fallback: none
---
kind: LLM
name: gpt
description: a scripted one
deployments: [{at: "openai+http://%[1]s/gpt-5-mini"}]
price: {input: 1, output: 2}
---
kind: LLM
name: torn
attempts: 1
deployments: [{at: "openai+http://%[1]s/torn"}]
---
kind: LLM
name: vectors
deployments: [{at: "openai+http://%[1]s/embedder"}]
---
kind: LLM
name: ranker
deployments: [{at: "cohere+http://%[1]s/ranker"}]
---
kind: LLM
name: poor
deployments: [{at: "openai+http://%[1]s/gpt-5-mini"}]
price: {input: 1000000, output: 1000000}
budget: {usd: 1}
`

// startAskable starts an app whose language models are a scripted server.
func startAskable(t *testing.T, change ...func(*Config)) *App {
	t.Helper()
	upstream := llmtest.Serve(t, func(a llmtest.Asked) llmtest.Reply {
		if a.Model == "torn" {
			return llmtest.Reply{Text: strings.Repeat("Half of what there is to say. ", 20), Fault: llmtest.ResetMidway}
		}
		return llmtest.Reply{Text: "A hotel may cost at most 180 € a night [1]."}
	})
	dir := t.TempDir()
	for name, text := range manual {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host := strings.TrimPrefix(upstream.URL, "http://")
	if err := os.WriteFile(filepath.Join(dir, "leat.yaml"), fmt.Appendf(nil, strings.TrimSpace(askableProject), host), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Project: dir, Home: filepath.Join(dir, ".leat"), Egress: "127.0.0.1/32"}
	for _, f := range change {
		f(&c)
	}
	listening(&c)
	a, err := launch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stopped(a); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err = a.router.Release("writer"); err == nil {
			if _, err = a.router.Release("helpdesk"); err == nil {
				return a
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no assistant has a release:", err)
		}
	}
}

// TestOpenAIClients: the stock clients ask assistants over documents and
// language models behind the gateway, of a whole server.
func TestOpenAIClients(t *testing.T) {
	python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("there is no stock client of OpenAI: set LEAT_TOOLS and run internal/tools/install.sh test: %v", err)
	}
	a := startAskable(t)
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "openai", "ask.py"), a.URL(), a.config.Project)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "HOME="+t.TempDir())
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%.2000s", err, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		if name, why, failed := strings.Cut(strings.TrimPrefix(line, "failed "), " "); failed && strings.HasPrefix(line, "failed") {
			t.Errorf("%s: %s", name, strings.ReplaceAll(why, `\n`, "\n"))
		}
	}
	if got := strings.Count(string(out), "ok "); got < 10 {
		t.Errorf("%d cases went well:\n%s", got, out)
	}
	// What clients asked is decided and recorded like every question.
	decisions, err := a.records.Latest(t.Context(), "helpdesk", 10)
	if err != nil || len(decisions) == 0 {
		t.Errorf("%d decisions are recorded: %v", len(decisions), err)
	}
}

// TestOpenAIGrants: a key asks what it may ask, and is answered from what its
// groups may read.
func TestOpenAIGrants(t *testing.T) {
	a := startAskable(t, func(c *Config) { c.Server.Auth = server.AuthKeys })
	ask := func(key, path, body string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Api-Key", key)
		w := httptest.NewRecorder()
		a.server.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	keys := map[string]string{}
	for name, k := range map[string]identity.NewKey{
		"clerk":    {Grants: []string{"ask:helpdesk", "search:manual"}},
		"director": {Grants: []string{"ask:*", "search:*", "chat:gpt"}, Groups: []string{"board"}},
	} {
		k.Name, k.By = name, "test"
		var err error
		if keys[name], _, err = a.keys.Create(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	const salary = "What is the salary of the director?"
	const chat = `{"model":"%s","stream":%v,"messages":[{"role":"user","content":"` + salary + `"}]}`
	const data = `{"data_sources":[{"type":"azure_search","parameters":{"index_name":"manual"}}],"messages":[{"role":"user","content":"` + salary + `"}]}`
	for _, c := range []struct {
		path, body      string
		clerk, director int
	}{
		{"/v1/chat/completions", fmt.Sprintf(chat, "helpdesk", false), 200, 200},
		{"/v1/chat/completions", fmt.Sprintf(chat, "helpdesk", true), 200, 200},
		{"/openai/deployments/helpdesk/chat/completions", data, 200, 200},
		{"/v1/responses", `{"model":"helpdesk","input":"` + salary + `","include":["file_search_call.results"]}`, 200, 200},
		{"/v1/vector_stores/manual/search", `{"query":"` + salary + `"}`, 200, 200},
		{"/v1/chat/completions", fmt.Sprintf(chat, "writer", false), 403, 200},
		{"/v1/chat/completions", fmt.Sprintf(chat, "gpt", false), 403, 200},
		{"/v1/chat/completions", fmt.Sprintf(chat, "torn", false), 403, 403},
		{"/v1/embeddings", `{"model":"vectors","input":"a"}`, 403, 403},
		{"/v2/rerank", `{"model":"ranker","query":"a","documents":["b"]}`, 403, 403},
	} {
		status, clerk := ask(keys["clerk"], c.path, c.body)
		if status != c.clerk {
			t.Errorf("%s %s of the clerk: %d %.300s", c.path, c.body, status, clerk)
		}
		if strings.Contains(clerk, "1 €") || strings.Contains(clerk, "secret.md") {
			t.Errorf("%s tells the clerk %s", c.path, clerk)
		}
		if status, body := ask(keys["director"], c.path, c.body); status != c.director {
			t.Errorf("%s %s of the director: %d %.300s", c.path, c.body, status, body)
		} else if c.clerk == 200 && !strings.Contains(body, "1 €") {
			t.Errorf("%s does not tell the director: %s", c.path, body)
		}
	}
}
