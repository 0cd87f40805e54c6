package testserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// RabbitMQServer is a running broker that speaks AMQP 1.0.
type RabbitMQServer struct {
	Address string // 127.0.0.1:port
	Secret  string // user:password
	data    string
	names   string // port of the daemon that Erlang's nodes are known to
	process *process
}

const rabbitBin = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// RabbitMQ starts a broker with its plugin for AMQP 1.0. A queue is made by
// who names it. It keeps what is durable when it is stopped and started again.
func RabbitMQ(t testing.TB) *RabbitMQServer {
	t.Helper()
	s := &RabbitMQServer{
		Address: "127.0.0.1:" + strconv.Itoa(freePort(t)), Secret: "guest:guest",
		data: folder(t), names: strconv.Itoa(freePort(t)),
	}
	_, port, _ := strings.Cut(s.Address, ":")
	for name, content := range map[string]string{
		"plugins":     "[rabbitmq_amqp1_0].",
		"rabbit.conf": "listeners.tcp.local = 127.0.0.1:" + port + "\ndisk_free_limit.absolute = 50MB\n",
	} {
		if err := os.WriteFile(filepath.Join(s.data, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // Erlang's daemon outlives the node that began it
		kill := exec.Command("epmd", "-port", s.names, "-kill")
		_ = kill.Run() // it may be gone already
	})
	s.Start(t)
	return s
}

// Stop ends the broker.
func (s *RabbitMQServer) Stop(testing.TB) { s.process.stop(syscall.SIGTERM) }

// Start starts the broker again after Stop.
func (s *RabbitMQServer) Start(t testing.TB) {
	t.Helper()
	if !exists(rabbitBin) {
		t.Fatal("RabbitMQ is not installed: run make tools")
	}
	_, port, _ := strings.Cut(s.Address, ":")
	cmd := exec.Command(rabbitBin)
	cmd.Dir = s.data
	cmd.Env = append(os.Environ(),
		"HOME="+s.data, "RABBITMQ_NODENAME=leat"+port+"@localhost", "RABBITMQ_DIST_PORT="+strconv.Itoa(freePort(t)),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(s.data, "mnesia"), "RABBITMQ_LOG_BASE="+filepath.Join(s.data, "log"), "RABBITMQ_LOGS=-",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(s.data, "plugins"), "RABBITMQ_CONFIG_FILE="+filepath.Join(s.data, "rabbit.conf"),
		"ERL_EPMD_PORT="+s.names, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
	s.process = start(t, cmd, syscall.SIGTERM)
	s.process.await(t, listening(s.Address))
}
