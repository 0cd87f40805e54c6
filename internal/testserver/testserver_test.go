package testserver_test

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/leat-ai/leat/internal/testserver"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	s := testserver.Postgres(t)
	one, two := s.URL(t), s.URL(t)
	if one == two {
		t.Error("two callers share a database")
	}
	conn, err := pgx.Connect(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var fsync string
	if err := conn.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync); err != nil || fsync != "off" {
		t.Errorf("fsync is %q, %v; want off", fsync, err)
	}
}

func TestS3(t *testing.T) {
	t.Parallel()
	s := testserver.S3(t)
	s.Bucket(t, "lake")
	answers(t, s.Endpoint+"/lake", http.StatusForbidden)
}

func TestAzurite(t *testing.T) {
	t.Parallel()
	s := testserver.Azurite(t)
	s.Container(t, "lake")
	answers(t, s.Endpoint+"/lake?restype=container", http.StatusForbidden)
}

// answers checks that a server is there, and lets nobody in without a key.
func answers(t *testing.T, url string, want int) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		t.Errorf("%s answers %s, want %d", url, response.Status, want)
	}
}
