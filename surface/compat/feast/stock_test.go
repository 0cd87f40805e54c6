package feast_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/surface/server"
)

// TestStockClient drives the surface with Feast's own client and its remote
// online store: without keys, and with a key that it sends as its token.
func TestStockClient(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		_, url := start(t, server.AuthLocal)
		drive(t, url)
	})
	t.Run("keys", func(t *testing.T) {
		_, url := start(t, server.AuthKeys)
		drive(t, url, "LEAT_API_KEY=read:*,run:*")
	})
}

// drive runs the cases of a script against a server: each prints a line
// "ok NAME", or "failed NAME" and then why.
func drive(t *testing.T, url string, env ...string) {
	t.Helper()
	python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-feast", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("there is no stock client of Feast: set LEAT_TOOLS and run internal/tools/install.sh test: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "remote.py"), url)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "FEAST_USAGE=False", "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1", "OMP_NUM_THREADS=1")
	cmd.Env = append(cmd.Env, env...)
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
