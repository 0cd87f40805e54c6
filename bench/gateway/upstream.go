package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// upstreamWord makes this program the upstream: a process of its own, so that
// its time is nobody else's.
const upstreamWord = "upstream"

const reply = `{"id":"chatcmpl-bench","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":` +
	`{"role":"assistant","content":"Business class may not be booked for flights of less than six hours; see paragraph 1 of the policy.","refusal":null,"annotations":[]},` +
	`"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":118,"completion_tokens":24,"total_tokens":142,"prompt_tokens_details":{"cached_tokens":0},` +
	`"completion_tokens_details":{"reasoning_tokens":0}},"service_tier":"default","system_fingerprint":"fp_bench"}`

// serveUpstream answers every question at once with the same.
func serveUpstream() error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if !bytes.Contains(body, []byte(`"stream":true`)) && !bytes.Contains(body, []byte(`"stream": true`)) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, reply)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		piece := func(choices, usage string) {
			fmt.Fprintf(w, `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4o-mini","choices":[%s],"usage":%s}`+"\n\n", choices, usage)
			_ = http.NewResponseController(w).Flush()
		}
		piece(`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, "null")
		for range 20 {
			piece(`{"index":0,"delta":{"content":" word"},"finish_reason":null}`, "null")
		}
		piece(`{"index":0,"delta":{},"finish_reason":"stop"}`, "null")
		piece("", `{"prompt_tokens":118,"completion_tokens":20,"total_tokens":138}`)
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, mux)
}

// process is a server that was started for the benchmark.
type process struct {
	cmd  *exec.Cmd
	host string // host:port
	url  string
	end  func()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) stop() { p.end() }

func startUpstream(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, upstreamWord)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line := make([]byte, 100)
	n, err := out.Read(line)
	if err != nil {
		return nil, err
	}
	host := strings.TrimSpace(string(line[:n]))
	return &process{cmd: cmd, host: host, url: "http://" + host, end: func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }}, nil
}
