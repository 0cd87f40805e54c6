package testserver

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// RedisServer is a running Redis.
type RedisServer struct {
	Address string // 127.0.0.1:port
	data    string
	process *process
}

// Redis starts a server, which keeps what it has when it is stopped and
// started again.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	s := &RedisServer{Address: "127.0.0.1:" + strconv.Itoa(freePort(t)), data: folder(t)}
	s.Start(t)
	return s
}

// URL is the address of one of the server's 1000 databases.
func (s *RedisServer) URL(database int) string {
	return "redis://" + s.Address + "/" + strconv.Itoa(database)
}

// Stop ends the server, which writes what it has to its folder.
func (s *RedisServer) Stop(testing.TB) { s.process.stop(syscall.SIGTERM) }

// Start starts the server again after Stop.
func (s *RedisServer) Start(t testing.TB) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("Redis is not installed: run make tools")
	}
	_, port, _ := strings.Cut(s.Address, ":")
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", s.data,
		"--databases", "1000", "--save", "3600 1", "--appendonly", "no", "--daemonize", "no")
	cmd.Dir = s.data
	s.process = start(t, cmd, syscall.SIGTERM)
	s.process.await(t, listening(s.Address))
}
