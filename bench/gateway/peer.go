package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/leat-ai/leat/bench/internal/load"
)

// peerProject is LiteLLM's configuration: one model, nothing else on. Its own
// ledger needs a PostgreSQL, and its limits a key in one, so it goes without.
const peerProject = `model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://%s/v1
      api_key: sk-bench
      input_cost_per_token: 0.00000025
      output_cost_per_token: 0.000002
litellm_settings:
  telemetry: false
  drop_params: false
`

// listening bounds how long the peer may take to start.
const listening = 3 * time.Minute

func startPeer(ctx context.Context, dir, upstream string) (*process, error) {
	tools := os.Getenv("LEAT_TOOLS")
	if tools == "" {
		tools = filepath.Join(".cache", "tools")
	}
	config := filepath.Join(dir, "litellm.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, peerProject, upstream), 0o600); err != nil {
		return nil, err
	}
	port, err := load.FreePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "venv-litellm", "bin", "litellm"), "--config", config, "--host", "127.0.0.1", "--port", port,
		"--num_workers", strconv.Itoa(runtime.NumCPU()), "--telemetry", "False")
	cmd.Env = append(os.Environ(), "LITELLM_LOG=ERROR", "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_MODE=PRODUCTION", "PYTHONUNBUFFERED=1",
		"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true", // on loopback, as ours
		"PATH="+filepath.Join(tools, "venv-litellm", "bin")+":"+os.Getenv("PATH"))
	log, err := os.Create(filepath.Join(dir, "litellm.log"))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("LiteLLM cannot be started; `internal/tools/install.sh bench` installs it: %w", err)
	}
	p := &process{cmd: cmd, host: "127.0.0.1:" + port, url: "http://127.0.0.1:" + port}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	p.end = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // the group that it began, and no other
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-done
		}
		_ = log.Close()
	}
	for start := time.Now(); time.Since(start) < listening && !ended(done); time.Sleep(200 * time.Millisecond) {
		r, err := http.Get(p.url + "/health/liveliness")
		if err != nil {
			continue
		}
		_ = r.Body.Close()
		if r.StatusCode == http.StatusOK {
			time.Sleep(5 * time.Second) // the other workers import their packages yet
			return p, nil
		}
	}
	text, _ := os.ReadFile(log.Name())
	p.stop()
	return nil, fmt.Errorf("LiteLLM does not listen: …%s", text[max(0, len(text)-2000):])
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
