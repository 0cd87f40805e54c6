package mlflow_test

import (
	"strings"
	"testing"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

func TestStockClientsTrack(t *testing.T) {
	for version, python := range clients(t) {
		t.Run(version, func(t *testing.T) {
			drive(t, python, "tracking.py", newWorld(t, server.AuthLocal).server.URL())
		})
	}
}

func TestStockClientsLogModels(t *testing.T) {
	python := clients(t)
	drive(t, python["3"], "models.py", newWorld(t, server.AuthLocal).server.URL())
	t.Run("2", func(t *testing.T) { drive(t, python["2"], "models2.py", newWorld(t, server.AuthLocal).server.URL()) })
}

func TestStockClientsNeedKeys(t *testing.T) {
	w := newWorld(t, server.AuthKeys)
	var env []string
	for name, grants := range map[string][]string{"writer": {"read:mlflow", "run:mlflow"}, "reader": {"read:*"}, "stranger": {"read:other", "score:*", "admin:*"}} {
		token, _, err := w.keys.Create(t.Context(), identity.NewKey{Name: name, Grants: grants, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, strings.ToUpper(name)+"="+token)
	}
	for version, python := range clients(t) {
		t.Run(version, func(t *testing.T) { drive(t, python, "keys.py", w.server.URL(), env...) })
	}
}
