package mlflow_test

import (
	"testing"

	"github.com/leat-ai/leat/surface/server"
)

func TestStockClientsTrack(t *testing.T) {
	for version, python := range clients(t) {
		t.Run(version, func(t *testing.T) {
			drive(t, python, "tracking.py", newWorld(t, server.AuthLocal).server.URL())
		})
	}
}
