package postgres

import (
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/indextest"
)

func TestIndex(t *testing.T) {
	server := testserver.PostgresWithVectors(t)
	url := server.URL(t)
	indextest.Run(t, indextest.Options{Checks: 30, Open: func(t testing.TB, name string) index.Index {
		x, err := Open(t.Context(), Config{URL: url, Schema: name})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}})
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{
		{}, {URL: "postgres://localhost/x"}, {URL: "http://localhost/x", Schema: "a"}, {URL: "postgres://localhost/x", Schema: "pg_catalog"},
		{URL: "postgres://localhost/x", Schema: "a", Conns: -1}, {URL: "postgres://localhost/x", Schema: "a", Timeout: -1},
	} {
		if err := c.Validate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := (Config{URL: "postgres://localhost/x", Schema: `odd "name"; drop`}).Validate(); err != nil {
		t.Error(err)
	}
}

// A server of Debian has no pgvector, and says so.
func TestAServerWithoutVectors(t *testing.T) {
	server := testserver.Postgres(t)
	_, err := Open(t.Context(), Config{URL: server.URL(t), Schema: "a"})
	if !fault.Is(err, fault.Unsupported) {
		t.Errorf("it opened: %v", err)
	}
}
