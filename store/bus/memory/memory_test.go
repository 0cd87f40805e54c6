package memory_test

import (
	"testing"

	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/bustest"
	"github.com/leat-ai/leat/store/bus/memory"
)

func TestBus(t *testing.T) {
	broker := memory.New(memory.Config{Partitions: 5})
	bustest.Run(t, bustest.Options{
		Open:    func(*testing.T) bus.Bus { return broker.Open() },
		Dedupes: true, Groups: true, Resident: true,
	})
}
