package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// bareWord makes this program the bare handler: net/http that parses the JSON
// and answers with nothing computed. It shows what the machine and the load
// cost without a model.
const bareWord = "bare"

func serveBare() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Rows []map[string]float64 }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"decisions":[{"score":0}]}`))
	}))
}

// startBare starts the bare handler as a process of its own, by the command
// that wrap makes of it.
func startBare(ctx context.Context, wrap ...string) (url string, stop func(), pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, 0, err
	}
	words := append(wrap, self, bareWord)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, 0, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, 0, err
	}
	line := make([]byte, 64)
	n, err := out.Read(line)
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	if err != nil {
		stop()
		return "", nil, 0, err
	}
	return strings.TrimSpace(string(line[:n])), stop, cmd.Process.Pid, nil
}
