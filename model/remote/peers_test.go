package remote_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/remote"
)

// tool is a program of a virtual environment of the tools.
func tool(t *testing.T, venv, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("LEAT_TOOLS"), venv, "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("LEAT_TOOLS names no folder with %s: `make tools` installs it: %v", venv, err)
	}
	return path
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// peer starts a server that is ended with the test, and waits until it answers
// at a path.
func peer(t *testing.T, address, ready string, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the peer wrote:\n%s", out.String())
		}
	})
	deadline := time.Now().Add(2 * time.Minute)
	for {
		answer, err := http.Get(address + ready)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the peer never answered: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// adds asks a peer through a model, and compares.
func adds(t *testing.T, m remote.Manifest) {
	t.Helper()
	m, err := remote.Complete(t.Context(), config(), m)
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	loaded := open(t, config(), m)
	xs := make([]float64, 1234)
	for i := range xs {
		xs[i] = float64(i) / 3
	}
	got, _, err := predict(t.Context(), loaded, xs...)
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	for i, x := range xs {
		if got[i] != x+1 {
			t.Fatalf("row %d is %v, not %v", i, got[i], x+1)
		}
	}
}

// TestMLServer asks an MLServer, which says itself what its model reads.
func TestMLServer(t *testing.T) {
	dir := t.TempDir()
	port, grpc, metrics := freePort(t), freePort(t), freePort(t)
	source, err := os.ReadFile("testdata/sum.py")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sum.py":              string(source),
		"model-settings.json": `{"name": "sum", "implementation": "sum.Sum", "parallel_workers": 0}`,
		"settings.json":       fmt.Sprintf(`{"host": "127.0.0.1", "http_port": %d, "grpc_port": %d, "metrics_port": %d, "parallel_workers": 0}`, port, grpc, metrics),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tool(t, "venv-mlserver", "mlserver"), "start", dir)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir)
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	peer(t, address, "/v2/models/sum/ready", cmd)
	m := sum(remote.OIP, address)
	m.Signature = model.Signature{Task: model.Regression}
	adds(t, m)
	m.Model = "nobody"
	if _, err := remote.Complete(t.Context(), config(), m); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

// TestMLflowServer asks MLflow's own scoring server.
func TestMLflowServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	python := tool(t, "venv-mlflow3", "python")
	if text, err := exec.Command(python, "testdata/save_sum.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	port := freePort(t)
	cmd := exec.Command(python, "-m", "mlflow", "models", "serve", "-m", dir, "--env-manager", "local", "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-w", "1")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(python)+":"+os.Getenv("PATH"))
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	peer(t, address, "/ping", cmd)
	adds(t, sum(remote.MLflow, address))
	// A column that the model does not have is the caller's to know.
	m := sum(remote.MLflow, address)
	m.Signature.Inputs = m.Signature.Inputs[:1]
	if _, _, err := predict(t.Context(), open(t, config(), m), 1); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
