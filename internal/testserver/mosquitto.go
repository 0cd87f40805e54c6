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

// MosquittoServer is a running MQTT broker.
type MosquittoServer struct {
	Address string // 127.0.0.1:port
	data    string
	process *process
}

// Mosquitto starts a broker, which keeps its sessions and what waits in them
// when it is stopped and started again. settings are lines of its
// configuration; without any it lets everybody in, without TLS.
func Mosquitto(t testing.TB, settings ...string) *MosquittoServer {
	t.Helper()
	s := &MosquittoServer{Address: "127.0.0.1:" + strconv.Itoa(freePort(t)), data: folder(t)}
	_, port, _ := strings.Cut(s.Address, ":")
	lines := []string{
		"persistence true", "persistence_location " + s.data + "/", "autosave_on_changes true", "autosave_interval 100",
		"max_queued_messages 0", "max_inflight_messages 0", "user root", "listener " + port + " 127.0.0.1",
	}
	if len(settings) == 0 {
		settings = []string{"allow_anonymous true"}
	}
	content := strings.Join(append(lines, settings...), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(s.data, "mosquitto.conf"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	return s
}

// Stop ends the broker, which writes what it has to its folder.
func (s *MosquittoServer) Stop(testing.TB) { s.process.stop(syscall.SIGTERM) }

// Start starts the broker again after Stop.
func (s *MosquittoServer) Start(t testing.TB) {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program = "/usr/sbin/mosquitto"; !exists(program) {
			t.Fatal("Mosquitto is not installed: run make tools")
		}
	}
	cmd := exec.Command(program, "-c", filepath.Join(s.data, "mosquitto.conf"))
	cmd.Dir = s.data
	s.process = start(t, cmd, syscall.SIGTERM)
	s.process.await(t, listening(s.Address))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
