package main

import (
	"bytes"
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

	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/load"
)

// peer is a model server, and how it and leat are asked the same.
type peer struct {
	name     string
	url      string                        // that scores
	ours     string                        // path of leat that takes the same body
	body     func(row []float64) []byte    // of a request
	read     func([]byte) (float64, error) // its answer
	readOurs func([]byte) (float64, error)
	// Answers are equal up to tolerance, but for a share mayDiffer: who compares
	// in float32 decides some rows otherwise that lie on a threshold.
	tolerance, mayDiffer float64
	wanted               float64 // how many times its throughput
	cmd                  *exec.Cmd
}

type starter func(ctx context.Context, p *fixture.Project, workers int) (*peer, error)

func peers() []starter {
	return []starter{mlserver("MLServer as it comes", 1), mlserver("MLServer in one process", 0), startNode}
}

// tools is the folder in which make bench installs the peers.
func tools() string {
	if dir := os.Getenv("LEAT_TOOLS"); dir != "" {
		return dir
	}
	return filepath.Join(".cache", "tools")
}

// mlserver starts MLServer with so many processes apart for inference: one is
// its default, none is fastest on few cores.
func mlserver(name string, apart int) starter {
	return func(ctx context.Context, p *fixture.Project, _ int) (*peer, error) {
		return startMLServer(ctx, p, name, apart)
	}
}

func startMLServer(ctx context.Context, p *fixture.Project, name string, apart int) (*peer, error) {
	program := filepath.Join(tools(), "venv-mlserver", "bin", "mlserver")
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("MLServer is absent: run make bench-tools")
	}
	dir := filepath.Join(p.Dir, "mlserver")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var ports [3]int
	for i := range ports {
		port, err := load.FreePort()
		if err != nil {
			return nil, err
		}
		ports[i], _ = strconv.Atoi(port)
	}
	settings := map[string]any{"debug": false, "host": "127.0.0.1", "http_port": ports[0], "grpc_port": ports[1], "metrics_port": ports[2],
		"parallel_workers": apart, "use_structured_logging": false}
	model := map[string]any{"name": "score", "implementation": "mlserver_lightgbm.LightGBMModel",
		"parameters": map[string]any{"uri": p.Peer, "version": "1"}}
	for name, content := range map[string]any{"settings.json": settings, "model-settings.json": model} {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	host := "127.0.0.1:" + strconv.Itoa(ports[0])
	s := &peer{name: name, url: "http://" + host + "/v2/models/score/infer", ours: "/v2/models/" + fixture.Endpoint + "/infer",
		body: tensor, read: inferred, readOurs: inferred, tolerance: 1e-9, wanted: 30}
	s.cmd = exec.CommandContext(ctx, program, "start", dir)
	s.cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
	return s, s.start(host)
}

// startNode starts ONNX Runtime behind Node's HTTP server.
func startNode(ctx context.Context, p *fixture.Project, workers int) (*peer, error) {
	if _, err := os.Stat(filepath.Join(tools(), "peer", "node_modules", "onnxruntime-node")); err != nil {
		return nil, fmt.Errorf("ONNX Runtime for Node is absent: run make bench-tools")
	}
	model := filepath.Join(p.Dir, "peer.onnx")
	convert := exec.CommandContext(ctx, os.Getenv("LEAT_PYTHON"), filepath.Join("bench", "serving", "convert.py"), p.Peer, model)
	convert.Stderr = os.Stderr
	if err := convert.Run(); err != nil {
		return nil, fmt.Errorf("the trees cannot be written as ONNX; set LEAT_PYTHON to a Python with the packages: %w", err)
	}
	port, err := load.FreePort()
	if err != nil {
		return nil, err
	}
	modules, err := filepath.Abs(filepath.Join(tools(), "peer", "node_modules"))
	if err != nil {
		return nil, err
	}
	s := &peer{name: "ONNX Runtime behind Node", url: "http://127.0.0.1:" + port + "/", ours: "/v1/endpoints/" + fixture.Endpoint + "/score",
		body: objects, read: decision, readOurs: decision, tolerance: 1e-5, mayDiffer: 0.01, wanted: 2}
	s.cmd = exec.CommandContext(ctx, "node", filepath.Join("bench", "serving", "peer.js"))
	s.cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "PEER_MODEL="+model, "PEER_PORT="+port, "PEER_WORKERS="+strconv.Itoa(workers))
	return s, s.start("127.0.0.1:" + port)
}

// listening bounds how long a peer may take to start.
const listening = time.Minute

// start starts the program and waits until it listens.
func (p *peer) start(host string) error {
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s cannot be started: %w", p.name, err)
	}
	for start := time.Now(); time.Since(start) < listening; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", host); err == nil {
			_ = c.Close()               // it was only to see that somebody listens
			time.Sleep(3 * time.Second) // models are loaded yet, workers started
			return nil
		}
	}
	p.stop()
	return fmt.Errorf("%s does not listen", p.name)
}

// stop ends the program with all that it started.
func (p *peer) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// tensor is a row as one tensor of the Open Inference Protocol.
func tensor(row []float64) []byte {
	data, _ := json.Marshal(row)
	return fmt.Appendf(nil, `{"inputs":[{"name":"inputs","shape":[1,%d],"datatype":"FP64","data":%s}]}`, len(row), data)
}

// objects is a row as leat takes it natively.
func objects(row []float64) []byte {
	var b bytes.Buffer
	b.WriteString(`{"rows":[{`)
	for i, v := range row {
		if i > 0 {
			b.WriteByte(',')
		}
		text, _ := json.Marshal(v)
		fmt.Fprintf(&b, "%q:%s", fixture.ColumnName(i), text)
	}
	b.WriteString(`}]}`)
	return b.Bytes()
}
