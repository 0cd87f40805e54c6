// Package testserver starts the real servers that backends are tested
// against: Postgres, Redis, S3 and Azurite, each on a free loopback port, with its
// data in a temporary folder, stopped with the test that started it.
//
// A server that is not installed fails the test and says what to run: a
// conformance suite never passes without its server. The servers come from
// the Debian packages of PostgreSQL and Redis, and from the folder that LEAT_TOOLS names,
// or .cache/tools in the repository, which "make tools" fills.
package testserver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds how long a server may take to answer. It is long because
// the machine may be busy with other tests.
const patience = 90 * time.Second

// tool returns the path of something that "make tools" installs.
func tool(t testing.TB, elements ...string) string {
	t.Helper()
	root := os.Getenv("LEAT_TOOLS")
	if root == "" {
		_, file, _, _ := runtime.Caller(0)
		root = filepath.Join(filepath.Dir(file), "..", "..", ".cache", "tools")
	}
	path := filepath.Join(append([]string{root}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not installed: run make tools", elements[len(elements)-1])
	}
	return path
}

// folder makes a temporary folder for a server's data. It is not the test's
// own, which another user could not enter.
func folder(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp("", "leat-server-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return path
}

// freePort finds a port that nobody listens on at the moment.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// process is a running server.
type process struct {
	cmd    *exec.Cmd
	output tail
	done   chan struct{} // closed when it has ended
}

// start starts a command that ends with the test, or with the test's process
// should that be killed. stop is the signal that ends it.
func start(t testing.TB, cmd *exec.Cmd, stop syscall.Signal) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = stop
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread that started the
		// process ends, so that thread waits for it.
		runtime.LockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%s did not start: %v", filepath.Base(cmd.Path), err)
	}
	t.Cleanup(func() { p.stop(stop) })
	return p
}

// stop ends the process, with force when it takes its time.
func (p *process) stop(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// await calls ready until it returns nil.
func (p *process) await(t testing.TB, ready func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended: %v\n%s", filepath.Base(p.cmd.Path), err, p.output.String())
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %v\n%s", filepath.Base(p.cmd.Path), err, p.output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// listening is a ready of await: something accepts connections.
func listening(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// tail keeps the last of what a server prints.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// after returns the rest of the first line that holds a mark.
func (t *tail) after(mark string) (string, error) {
	lines := bufio.NewScanner(bytes.NewReader([]byte(t.String())))
	for lines.Scan() {
		if _, rest, ok := bytes.Cut(lines.Bytes(), []byte(mark)); ok {
			return string(bytes.TrimSpace(rest)), nil
		}
	}
	return "", fmt.Errorf("it has not printed %q", mark)
}
