package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/leat-ai/leat/bench/internal/load"
)

// peer is FastAPI under uvicorn with a worker for each core.
type peer struct {
	cmd *exec.Cmd
	url string
}

// listening bounds how long the peer may take to start.
const listening = time.Minute

func startPeer(ctx context.Context, model string, workers int) (*peer, error) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		python = "python3"
	}
	port, err := load.FreePort()
	if err != nil {
		return nil, err
	}
	p := &peer{url: "http://127.0.0.1:" + port}
	p.cmd = exec.CommandContext(ctx, python, "-m", "uvicorn", "--app-dir", filepath.Join("bench", "realtime"), "peer:app",
		"--host", "127.0.0.1", "--port", port, "--workers", strconv.Itoa(workers),
		"--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
	p.cmd.Env = append(os.Environ(), "PEER_MODEL="+model, "OMP_NUM_THREADS=1")
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("the peer cannot be started; set LEAT_PYTHON to a Python with its packages: %w", err)
	}
	for start := time.Now(); time.Since(start) < listening; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close()               // it was only to see that somebody listens
			time.Sleep(3 * time.Second) // the other workers import their packages yet
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("the peer does not listen")
}

// stop ends the supervisor and with it the workers.
func (p *peer) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}
