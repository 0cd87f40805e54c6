package kafka_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/bustest"
	"github.com/leat-ai/leat/store/bus/kafka"
)

const large = 16 << 20

func open(t testing.TB, brokers []string) bus.Bus {
	t.Helper()
	b, err := kafka.Open(t.Context(), kafka.Config{Brokers: brokers, Topics: kafka.Topics{MaxEvent: large, Partitions: 5}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fake is a broker within the process, which keeps its data over a restart.
type fake struct {
	t       *testing.T
	dir     string
	cluster *kfake.Cluster
	ports   []int
}

func (f *fake) start() {
	f.t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(5), kfake.DataDir(f.dir)}
	if f.ports != nil {
		options = append(options, kfake.Ports(f.ports...))
	}
	c, err := kfake.NewCluster(options...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.cluster = c
}

func ports(t *testing.T, addresses []string) (all []int) {
	t.Helper()
	for _, a := range addresses {
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func TestFake(t *testing.T) {
	f := &fake{t: t, dir: t.TempDir()}
	f.start()
	t.Cleanup(func() { f.cluster.Close() })
	brokers := f.cluster.ListenAddrs()
	f.ports = ports(t, brokers)
	bustest.Run(t, bustest.Options{
		Open:   func(t *testing.T) bus.Bus { return open(t, brokers) },
		Groups: true, Resident: true,
		Restart: func(*testing.T) {
			f.cluster.Close()
			time.Sleep(300 * time.Millisecond)
			f.start()
		},
	})
}
