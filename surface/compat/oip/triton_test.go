package oip_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/surface/server"
)

// TestTritonClients drives both wires with the clients that others have.
func TestTritonClients(t *testing.T) {
	python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-triton", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("the clients are not installed: run make tools and set LEAT_TOOLS (%v)", err)
	}
	url, address := listen(t, server.AuthKeys, columns...)
	out, err := exec.CommandContext(t.Context(), python, "testdata/triton.py", strings.TrimPrefix(url, "http://"), address, "leat_root").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "as it should be") {
		t.Fatalf("%v\n%s", err, out)
	}
}
