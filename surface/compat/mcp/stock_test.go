package mcp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/surface/server"
)

// TestStockClient drives the surface with the client of the protocol's makers,
// in both revisions.
func TestStockClient(t *testing.T) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		t.Fatal("there is no stock client: set LEAT_PYTHON and run internal/tools/install.sh test")
	}
	for _, mode := range []string{"auto", "legacy"} {
		t.Run(mode, func(t *testing.T) {
			_, url := start(t, server.AuthKeys)
			cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "stock.py"), url, all, mode)
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
			if err != nil || cases != 7 {
				t.Errorf("%d cases, %v: %s", cases, err, stderr.String())
			}
		})
	}
}
