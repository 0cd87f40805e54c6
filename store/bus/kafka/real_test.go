package kafka_test

import (
	"testing"
	"time"

	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/bustest"
)

// TestBroker is the suite against a broker of the JVM distribution.
func TestBroker(t *testing.T) {
	broker := testserver.Kafka(t)
	bustest.Run(t, bustest.Options{
		Open:    func(t *testing.T) bus.Bus { return open(t, []string{broker.Address}) },
		Groups:  true,
		Restart: func(*testing.T) { broker.Restart(2 * time.Second) },
	})
}
