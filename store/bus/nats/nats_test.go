package nats_test

import (
	"testing"

	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/bustest"
	"github.com/leat-ai/leat/store/bus/nats"
)

func start(t testing.TB, c nats.ServerConfig) *nats.Server {
	t.Helper()
	if c.Folder == "" {
		c.Folder = t.TempDir()
	}
	s, err := nats.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func open(t testing.TB, s *nats.Server) bus.Bus {
	t.Helper()
	b, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEmbedded(t *testing.T) {
	s := start(t, nats.ServerConfig{})
	bustest.Run(t, bustest.Options{Open: func(t *testing.T) bus.Bus { return open(t, s) }, Dedupes: true, Resident: true})
}

func TestPartitioned(t *testing.T) {
	s := start(t, nats.ServerConfig{Topics: nats.Topics{Partitions: 5}})
	bustest.Run(t, bustest.Options{Open: func(t *testing.T) bus.Bus { return open(t, s) }, Dedupes: true, Resident: true})
}
