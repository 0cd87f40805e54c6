package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/nats"
)

// peers is what people wire together instead: a NATS server that syncs before
// it acknowledges, a model server of Python, and Redpanda Connect between them.
// It keeps no windows, which spares it most of what the stream does.
type peers struct {
	dir       string
	broker    string // address
	model     string // address of the model server
	bus       *nats.Bus
	processes []*exec.Cmd
}

// starting bounds how long one of them may take to listen.
const starting = time.Minute

func startPeers(ctx context.Context, dir string) (*peers, error) {
	p := &peers{dir: dir}
	if err := p.start(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *peers) start(ctx context.Context) error {
	port, err := load.FreePort()
	if err != nil {
		return err
	}
	config := filepath.Join(p.dir, "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:%s\njetstream { store_dir: %q, sync_interval: always }\n", port, filepath.Join(p.dir, "jetstream"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	p.broker = "nats://127.0.0.1:" + port
	if err := p.run(ctx, port, tool("nats-server"), "-c", config); err != nil {
		return err
	}
	if p.bus, err = nats.Open(ctx, nats.Config{Servers: []string{p.broker}}); err != nil {
		return err
	}
	if port, err = load.FreePort(); err != nil {
		return err
	}
	p.model = "http://127.0.0.1:" + port
	return p.run(ctx, port, os.Getenv("LEAT_PYTHON"), "-m", "uvicorn", "--app-dir", filepath.Join("bench", "events"), "peer:app",
		"--host", "127.0.0.1", "--port", port, "--workers", "2", "--loop", "uvloop", "--http", "httptools",
		"--no-access-log", "--log-level", "warning")
}

func tool(name string) string { return filepath.Join(os.Getenv("LEAT_TOOLS"), "bin", name) }

// run starts a process and waits until it listens; "" is nowhere.
func (p *peers) run(ctx context.Context, port, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(p.dir, filepath.Base(name)+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("a peer cannot be started; make bench-tools installs it: %w", err)
	}
	p.processes = append(p.processes, cmd)
	if port == "" {
		return nil
	}
	for begun := time.Now(); time.Since(begun) < starting; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close()               // it was only to see that somebody listens
			time.Sleep(4 * time.Second) // workers of Python train their model yet
			return nil
		}
	}
	return fmt.Errorf("%s does not listen; see %s", name, log.Name())
}

func (p *peers) stop() {
	if p.bus != nil {
		_ = p.bus.Close()
	}
	for _, cmd := range p.processes {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
}

// connect is the pipeline of Redpanda Connect: it calls the model once an event,
// many at a time.
const connect = `
http: {enabled: false}
logger: {level: WARN}
input:
  nats_jetstream:
    urls: [%[1]s]
    stream: %[2]s
    subject: %[2]s
    durable: connect
    deliver: all
    ack_wait: 60s
    max_ack_pending: 4096
pipeline:
  threads: 64
  processors: [%[4]s]
output:
  nats_jetstream:
    urls: [%[1]s]
    subject: %[3]s
    headers: {Nats-Msg-Id: '${! json("txn_id") }'}
    max_in_flight: 1024
`

// round gives the peers n events and returns how many a second came out at
// the other end, every one of them.
func (p *peers) round(ctx context.Context, number, n int) (float64, error) {
	in, out := "in"+strconv.Itoa(number), "out"+strconv.Itoa(number)
	w, err := p.bus.Writer(ctx, in)
	if err != nil {
		return 0, err
	}
	t := &trial{size: size{customers: 5000}}
	at := begin.AddDate(1, 0, 0)
	var events []bus.Event
	for range n {
		events = append(events, t.event(at))
		at = at.Add(time.Millisecond)
	}
	for from := 0; from < n; from += 2000 {
		if err := w.Write(ctx, events[from:min(n, from+2000)]); err != nil {
			return 0, err
		}
	}
	if w, err = p.bus.Writer(ctx, out); err != nil { // so that the topic is there
		return 0, err
	}
	defer w.Close()
	reader, err := p.bus.Reader(ctx, out, bus.ReadOptions{})
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	config := filepath.Join(p.dir, "connect.yaml")
	call := fmt.Sprintf("{http: {url: %s/one, verb: POST, headers: {Content-Type: application/json}}}", p.model)
	if err := os.WriteFile(config, fmt.Appendf(nil, connect, p.broker, in, out, call), 0o600); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := p.run(ctx, "", tool("connect"), "run", config); err != nil {
		return 0, err
	}
	last := p.processes[len(p.processes)-1]
	defer func() { _ = syscall.Kill(-last.Process.Pid, syscall.SIGKILL) }()
	if err := p.all(ctx, reader, n, begun); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// all waits until every event came out, each with a score.
func (p *peers) all(ctx context.Context, reader bus.Reader, n int, begun time.Time) error {
	seen := map[string]bool{}
	waiting, cancel := context.WithDeadline(ctx, begun.Add(5*time.Minute))
	defer cancel()
	for len(seen) < n {
		events, err := reader.Next(waiting, 4096)
		if err != nil {
			return fmt.Errorf("%d of %d events came through the peers: %w", len(seen), n, err)
		}
		for i := range events {
			var e struct {
				ID    string   `json:"txn_id"`
				Score *float64 `json:"score"`
			}
			if err := json.Unmarshal(events[i].Body, &e); err != nil || e.Score == nil {
				return fmt.Errorf("the peers published %q", events[i].Body)
			}
			seen[e.ID] = true
		}
		if err := reader.Ack(ctx, events); err != nil {
			return err
		}
	}
	return nil
}
