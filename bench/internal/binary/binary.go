// Package binary runs the program leat as a person would: commands in a
// project folder, and a server that is started and stopped. So what is
// measured is what is shipped, start and end of the process included.
package binary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Path returns the program to run: LEAT_BINARY, or bin/leat of the folder that
// make builds in.
func Path() string {
	if p := os.Getenv("LEAT_BINARY"); p != "" {
		return p
	}
	return filepath.Join("bin", "leat")
}

// Usage is what a process took.
type Usage struct {
	Wall    time.Duration
	CPU     time.Duration // of all threads, in user and kernel mode
	PeakRSS int64         // bytes
}

// UsageOf reads what a process that has ended took; wall is for the caller to
// say.
func UsageOf(s *os.ProcessState, wall time.Duration) Usage {
	u := Usage{Wall: wall, CPU: s.UserTime() + s.SystemTime()}
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		u.PeakRSS = r.Maxrss << 10 // Linux counts in KiB
	}
	return u
}

// Run runs a command and returns what it wrote to standard output. What it
// wrote to standard error is part of the error.
func Run(ctx context.Context, name string, args ...string) ([]byte, Usage, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, report bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &report
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return nil, Usage{}, fmt.Errorf("%s %q: %w\n%s", filepath.Base(name), args, err, tail(report.Bytes()))
	}
	return out.Bytes(), UsageOf(cmd.ProcessState, wall), nil
}

// tail keeps the end of a long report: a progress bar fills pages.
func tail(report []byte) []byte {
	return report[max(0, len(report)-2000):]
}

// Leat runs a command of leat in a project folder.
func Leat(ctx context.Context, project string, args ...string) ([]byte, Usage, error) {
	return Run(ctx, Path(), append([]string{"-C", project, "--json"}, args...)...)
}

// Server is a leat that serves a project.
type Server struct {
	URL     string
	GRPC    string    // host:port; "" when it does not listen for gRPC
	Started time.Time // when its process was asked for
	cmd     *exec.Cmd
	log     *os.File
}

// serving bounds how long a server may take to listen.
const serving = time.Minute

// Up starts a server on a free port and returns once it says that it serves.
// Its log is leat.log in the project.
func Up(ctx context.Context, project string, env ...string) (*Server, error) {
	return up(ctx, project, nil, env)
}

// UpWith is Up with flags.
func UpWith(ctx context.Context, project string, flags ...string) (*Server, error) {
	return up(ctx, project, flags, nil)
}

// UpOn is Up on one processor alone.
func UpOn(ctx context.Context, core int, project string) (*Server, error) {
	return up(ctx, project, nil, []string{coreVariable + strconv.Itoa(core)})
}

// coreVariable marks in an environment the processor to run on.
const coreVariable = "LEAT_BENCH_CORE="

// pinned is a command that runs on the processor that its environment names.
func pinned(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	for _, v := range env {
		if core, ok := strings.CutPrefix(v, coreVariable); ok {
			return exec.CommandContext(ctx, "taskset", append([]string{"-c", core, name}, args...)...)
		}
	}
	return exec.CommandContext(ctx, name, args...)
}

func up(ctx context.Context, project string, flags, env []string) (*Server, error) {
	log, err := os.Create(filepath.Join(project, "leat.log"))
	if err != nil {
		return nil, err
	}
	s := &Server{cmd: pinned(ctx, env, Path(), append([]string{"-C", project, "--json", "up", "--listen", "127.0.0.1:0"}, flags...)...), log: log}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.Started = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	go func() { // the line {"url": …} is written once requests are taken
		var address struct{ URL, GRPC string }
		err := json.NewDecoder(out).Decode(&address)
		s.URL, s.GRPC = address.URL, address.GRPC
		said <- err
	}()
	select {
	case err = <-said:
	case <-time.After(serving):
		err = errors.New("it does not serve")
	}
	if err != nil {
		_, _ = s.Stop()
		return nil, fmt.Errorf("leat up in %s: %w; see leat.log there", project, err)
	}
	return s, nil
}

// PID is the id of the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop asks the server to end and waits until it has.
func (s *Server) Stop() (Usage, error) {
	defer s.log.Close()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		return Usage{}, fmt.Errorf("leat up did not end well: %w", err)
	}
	return UsageOf(s.cmd.ProcessState, time.Since(s.Started)), nil
}

// Kill ends the server as a power cut would its process: with nothing said or
// written any more.
func (s *Server) Kill() error {
	defer s.log.Close()
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = s.cmd.Wait() // it says that it was killed
	return nil
}
