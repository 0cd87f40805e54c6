package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	port, err := freePort()
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

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// clock is the kernel's unit of processor time, 1/100 s on Linux.
const clock = 10 * time.Millisecond

// cpu is the processor time that a process and its children have used.
func cpu(pid int) time.Duration {
	total := cpuOf(pid)
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		for _, child := range strings.Fields(string(text)) {
			if id, err := strconv.Atoi(child); err == nil {
				total += cpu(id)
			}
		}
	}
	return total
}

func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clock
}
