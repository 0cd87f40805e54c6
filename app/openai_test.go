package app

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/llm/llmtest"
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

// askable starts an app whose language models are a scripted server.
func startAskable(t *testing.T) *App {
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
