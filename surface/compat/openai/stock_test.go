package openai_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/surface/server"
)

// TestStockClient drives the surface with OpenAI's own client for Python,
// without keys, where it sends one that is none of ours, and with one that is.
func TestStockClient(t *testing.T) {
	python := tool(t, "venv", "bin", "python")
	t.Run("local", func(t *testing.T) {
		_, s := start(t, server.AuthLocal)
		drive(t, exec.CommandContext(t.Context(), python, filepath.Join("testdata", "stock.py"), s.URL()))
	})
	t.Run("keys", func(t *testing.T) {
		_, s := start(t, server.AuthKeys)
		cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "stock.py"), s.URL())
		cmd.Env = append(os.Environ(), "LEAT_KEY=leat_all")
		drive(t, cmd)
	})
}

// TestStockClientJS drives it with the one for JavaScript.
func TestStockClientJS(t *testing.T) {
	machine := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if machine == "" {
		machine = runtime.GOARCH
	}
	node := tool(t, "node_modules", "node-linux-"+machine, "bin", "node")
	tool(t, "node_modules", "openai", "package.json")
	_, s := start(t, server.AuthLocal)
	drive(t, exec.CommandContext(t.Context(), node, filepath.Join("testdata", "stock.mjs"), os.Getenv("LEAT_TOOLS"), s.URL()))
}

// tool is the path of something that the tools' installer brings.
func tool(t testing.TB, path ...string) string {
	t.Helper()
	at := filepath.Join(append([]string{os.Getenv("LEAT_TOOLS")}, path...)...)
	if _, err := os.Stat(at); err != nil {
		t.Fatalf("there is no stock client: set LEAT_TOOLS and run internal/tools/install.sh test: %v", err)
	}
	return at
}

// drive runs the cases of a script against a server: each prints a line
// "ok NAME", or "failed NAME" and then why.
func drive(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "HOME="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "NO_COLOR=1")
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	cases := 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		verdict, rest, _ := strings.Cut(lines.Text(), " ")
		if verdict != "ok" && verdict != "failed" {
			continue
		}
		cases++
		name, why, _ := strings.Cut(rest, " ")
		t.Run(name, func(t *testing.T) {
			if verdict == "failed" {
				t.Error(strings.ReplaceAll(why, `\n`, "\n"))
			}
		})
	}
	if err != nil || cases == 0 {
		t.Errorf("after %d cases: %v\n%s\n%.4000s", cases, err, out, stderr.String())
	}
}
