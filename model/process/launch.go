package process

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// launch starts a process and waits for its hello.
func launch(ctx context.Context, m Manifest, home folder) (*worker, error) {
	ctx, cancel := context.WithTimeout(ctx, m.Start.Std())
	defer cancel()
	c, err := spawn(ctx, m, home)
	if err != nil {
		return nil, err
	}
	return meet(ctx, c, m.Timeout.Std())
}

// spawn starts a process whose pipe, or socket, is open.
func spawn(ctx context.Context, m Manifest, home folder) (*child, error) {
	work, err := os.MkdirTemp(home.work(), "")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "there is no folder for a worker")
	}
	c := &child{errs: newRing(maxStderr), gone: make(chan struct{})}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), home.program[0], home.program[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr, cmd.WaitDelay = work, home.env, c.errs, time.Second
	group(cmd)
	l := &link{}
	defer l.close()
	if err := l.open(cmd, m.Transport); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, cannotRun(m, home.program[0], err)
	}
	c.pid, c.state = cmd.Process.Pid, func() *os.ProcessState { return cmd.ProcessState }
	failed := limit(c.pid, m)
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		killGroup(c.pid)
		close(c.gone)
		_ = os.RemoveAll(work)
	}()
	if failed == nil {
		c.in, c.out, failed = l.ends(ctx, c)
	}
	if failed != nil {
		c.kill()
		<-c.gone
		return nil, fault.New(fault.KindOf(failed), "the model's worker did not start (%s)", c.status()).Because(failed).Hint("%s", c.lastWords())
	}
	go c.expire()
	return c, nil
}

// expire lets a read end soon after the process has: what it left behind may
// hold its end of the pipe.
func (c *child) expire() {
	<-c.gone
	if out, ok := c.out.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = out.SetReadDeadline(time.Now().Add(time.Second)) // it may be closed already
	}
}

func cannotRun(m Manifest, program string, err error) error {
	if m.Python != nil && (errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist)) {
		return fault.New(fault.Unavailable, "the model needs Python, and the interpreter %q is not there", program).
			Hint("install it, set LEAT_WORKER_PYTHON where Leat runs, or name one as python: in the Model resource")
	}
	return fault.New(fault.Invalid, "the model's worker %q cannot be run", filepath.Base(program)).Because(err).
		Hint("is it installed where Leat runs, and made for this machine?")
}

// link is the way between the two processes.
type link struct {
	theirs   []*os.File // the worker's ends, closed here once it runs
	in, out  *os.File
	listener *net.UnixListener
	dir      string // of the socket
	taken    bool   // by ends
}

func (l *link) open(cmd *exec.Cmd, transport string) error {
	if transport == Socket {
		// The path of a socket may have about a hundred bytes, fewer than many
		// a folder of a server: so it has a folder of its own.
		dir, err := os.MkdirTemp("", "leat-")
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "there is no folder for a worker's socket")
		}
		l.dir = dir
		path := filepath.Join(dir, "s")
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "there is no socket for a worker")
		}
		l.listener = listener
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], "LEAT_SOCKET="+path)
		cmd.Stdout = cmd.Stderr
		return nil
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "there is no pipe for a worker")
	}
	out, theirOut, err := os.Pipe()
	l.in, l.theirs = in, []*os.File{theirIn}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "there is no pipe for a worker")
	}
	l.out, l.theirs = out, append(l.theirs, theirOut)
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	return nil
}

// ends returns this process's ends; for a socket it waits for the worker.
func (l *link) ends(ctx context.Context, c *child) (io.WriteCloser, io.ReadCloser, error) {
	if l.listener == nil {
		l.taken = true
		return l.in, l.out, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = l.listener.SetDeadline(time.Unix(1, 0)) }) // it may be closed already
	defer stop()
	go func() {
		<-c.gone
		_ = l.listener.SetDeadline(time.Unix(1, 0))
	}()
	conn, err := l.listener.AcceptUnix()
	if err != nil {
		return nil, nil, fault.New(fault.Timeout, "it did not connect to its socket")
	}
	l.taken = true
	return conn, conn, nil
}

// close closes what only the start needs, and what nobody took.
func (l *link) close() {
	for _, f := range l.theirs {
		_ = f.Close() // the worker has it
	}
	if l.listener != nil {
		_ = l.listener.Close()
	}
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
	if !l.taken && l.in != nil {
		_ = l.in.Close()
	}
	if !l.taken && l.out != nil {
		_ = l.out.Close()
	}
}

// interpreter fills in the server's where the manifest names none.
func (c Config) interpreter(m Manifest) Manifest {
	if m.Python == nil || m.Python.Interpreter != "" {
		return m
	}
	p := *m.Python
	if p.Interpreter = strings.TrimSpace(c.Python); p.Interpreter == "" {
		p.Interpreter = "python3"
	}
	m.Python = &p
	return m
}
