package mcp_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/surface/server"
)

// fixtures are checks of the suite that need tools and prompts made for it,
// which a server with tools of its own does not have.
var fixtures = map[string]string{
	"sep-2575-server-rejects-undeclared-capability":          "needs the tool test_missing_capability",
	"sep-2575-missing-capability-http-400":                   "needs the tool test_missing_capability",
	"sep-2575-http-server-no-independent-requests-on-stream": "needs the tool test_streaming_elicitation",
	"sep-2575-server-no-log-without-loglevel":                "needs the tool test_logging_tool",
	"sep-2549-prompts-list-caching-hints":                    "there are no prompts",
}

// TestConformance runs the suite of the protocol's makers: what of it is said
// of every server.
func TestConformance(t *testing.T) {
	tools := os.Getenv("LEAT_TOOLS")
	node, suite := filepath.Join(tools, "node_modules", ".bin", "node"), filepath.Join(tools, "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
	if _, err := os.Stat(suite); err != nil {
		t.Fatalf("there is no suite of MCP: set LEAT_TOOLS and run internal/tools/install.sh test: %v", err)
	}
	_, url := start(t, server.AuthLocal)
	for _, c := range []struct {
		revision, scenario string
		least              int // checks that pass
	}{
		{"2025-11-25", "server-initialize", 2},
		{"2025-11-25", "ping", 2},
		{"2025-11-25", "tools-list", 3},
		{"2025-11-25", "resources-list", 2},
		{"2025-11-25", "dns-rebinding-protection", 2},
		{"2026-07-28", "server-stateless", 23},
		{"2026-07-28", "tools-list", 4},
		{"2026-07-28", "resources-list", 2},
		{"2026-07-28", "caching", 6},
		{"2026-07-28", "http-header-validation", 14},
		{"2026-07-28", "sep-2164-resource-not-found", 4},
	} {
		t.Run(c.revision+" "+c.scenario, func(t *testing.T) {
			out := t.TempDir()
			cmd := exec.CommandContext(t.Context(), node, suite, "server", "--url", url+"/mcp", "--scenario", c.scenario, "--spec-version", c.revision, "-o", out)
			cmd.WaitDelay = 10 * time.Second
			text, _ := cmd.CombinedOutput() // it fails for a fixture that is not there, too
			files, err := filepath.Glob(filepath.Join(out, "*", "checks.json"))
			if err != nil || len(files) != 1 {
				t.Fatalf("the suite wrote no checks: %s", text)
			}
			passed := checks(t, files[0])
			if passed < c.least {
				t.Errorf("%d checks passed of %d: %s", passed, c.least, text)
			}
		})
	}
}

// checks counts what passed of a scenario.
func checks(t *testing.T, file string) (passed int) {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ ID, Status, ErrorMessage string }
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		switch {
		case c.Status == "SUCCESS":
			passed++
		case c.Status == "FAILURE" && fixtures[c.ID] == "":
			t.Errorf("%s: %s", c.ID, strings.TrimSpace(c.ErrorMessage))
		}
	}
	return passed
}
