package testserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Broker is a running broker of events, or a node of a cluster of them, which
// a test may stop, start again and rob of its data.
type Broker struct {
	Address string // 127.0.0.1:port
	t       testing.TB
	data    string
	launch  func() *process
	process *process
}

// Start starts the broker again where it was.
func (b *Broker) Start() {
	b.t.Helper()
	b.process = b.launch()
}

// Stop lets the broker end in order.
func (b *Broker) Stop() { b.process.stop(syscall.SIGTERM) }

// Kill ends the broker at once.
func (b *Broker) Kill() { b.process.stop(syscall.SIGKILL) }

// Restart stops the broker for a time and starts it with its data.
func (b *Broker) Restart(away time.Duration) {
	b.t.Helper()
	b.Stop()
	time.Sleep(away)
	b.Start()
}

// Wipe kills the broker and starts it without its data.
func (b *Broker) Wipe() {
	b.t.Helper()
	b.Kill()
	if err := os.RemoveAll(b.data); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Mkdir(b.data, 0o700); err != nil {
		b.t.Fatal(err)
	}
	b.Start()
}

// brokerData makes the folder of a broker's data within a folder of the test.
func brokerData(t testing.TB) string {
	t.Helper()
	data := filepath.Join(folder(t), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return data
}

// NATS starts a NATS server with JetStream; more are further arguments of it.
func NATS(t testing.TB, more ...string) *Broker {
	t.Helper()
	return natsNode(t, freePort(t), more...)
}

func natsNode(t testing.TB, port int, more ...string) *Broker {
	t.Helper()
	program := tool(t, "bin", "nats-server")
	b := &Broker{t: t, data: brokerData(t), Address: "127.0.0.1:" + strconv.Itoa(port)}
	b.launch = func() *process {
		arguments := append([]string{"--addr", "127.0.0.1", "--port", strconv.Itoa(port), "--jetstream", "--store_dir", b.data}, more...)
		cmd := exec.Command(program, arguments...)
		cmd.Dir = filepath.Dir(b.data)
		p := start(t, cmd, syscall.SIGTERM)
		p.await(t, listening(b.Address))
		return p
	}
	b.Start()
	return b
}

// NATSCluster starts a cluster of NATS servers, whose streams may have as many
// replicas.
func NATSCluster(t testing.TB, nodes int) []*Broker {
	t.Helper()
	var ports, routes []int
	for range nodes {
		ports, routes = append(ports, freePort(t)), append(routes, freePort(t))
	}
	var peers []string
	for _, port := range routes {
		peers = append(peers, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	var all []*Broker
	for i, port := range ports {
		all = append(all, natsNode(t, port, "--name", fmt.Sprint("node", i), "--cluster_name", "test",
			"--cluster", peers[i], "--routes", strings.Join(peers, ",")))
	}
	return all
}

// Kafka starts a broker of the JVM distribution: one node, which is its own
// controller.
func Kafka(t testing.TB) *Broker {
	t.Helper()
	jars := filepath.Join(tool(t, "kafka"), "*")
	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal("java is not installed: run make tools")
	}
	port, controller := freePort(t), freePort(t)
	b := &Broker{t: t, data: brokerData(t), Address: "127.0.0.1:" + strconv.Itoa(port)}
	properties := filepath.Join(filepath.Dir(b.data), "server.properties")
	if err := os.WriteFile(properties, []byte(kafkaProperties(port, controller, b.data)), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(main string, arguments ...string) *exec.Cmd {
		cmd := exec.Command(java, append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", jars, main}, arguments...)...)
		cmd.Dir = filepath.Dir(b.data)
		return cmd
	}
	b.launch = func() *process {
		if entries, err := os.ReadDir(b.data); err == nil && len(entries) == 0 {
			if text, err := run("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", properties).CombinedOutput(); err != nil {
				t.Fatalf("the folder of Kafka cannot be made: %v\n%s", err, text)
			}
		}
		p := start(t, run("kafka.Kafka", properties), syscall.SIGTERM)
		p.await(t, func(ctx context.Context) error { return listening(b.Address)(ctx) })
		return p
	}
	b.Start()
	return b
}

func kafkaProperties(port, controller int, data string) string {
	return fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
log.dirs=%[3]s
num.partitions=5
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
`, port, controller, data)
}
