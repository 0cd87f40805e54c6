package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/catalogtest"
	"github.com/leat-ai/leat/store/catalog/postgres"
)

func openURL(ctx context.Context, location string) (*catalog.DB, error) {
	return postgres.Open(ctx, postgres.Config{URL: location})
}

func TestMain(m *testing.M) { catalogtest.Main(m, catalogtest.Backend{Open: openURL}) }

// One server serves all tests; the durable settings are the ones to test.
func TestPostgres(t *testing.T) {
	server := testserver.Postgres(t, "fsync=on", "synchronous_commit=on", "full_page_writes=on")
	t.Run("suite", func(t *testing.T) {
		catalogtest.Run(t, catalogtest.Backend{Fresh: server.URL, Open: openURL})
	})
	t.Run("settings", func(t *testing.T) { testSettings(t, server.URL(t)) })
	t.Run("statement timeout", func(t *testing.T) { testTimeout(t, server.URL(t)) })
	t.Run("a cut connection", func(t *testing.T) { testCut(t, server.URL(t)) })
	t.Run("no such database", func(t *testing.T) {
		_, err := openURL(t.Context(), strings.Replace(server.URL(t), "/test", "/absent", 1))
		if !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
			t.Errorf("got %v, want NotFound with a hint", err)
		}
	})
}

func open(t *testing.T, c postgres.Config) *catalog.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func testSettings(t *testing.T, url string) {
	db := open(t, postgres.Config{URL: url, Name: "leat-test", StatementTimeout: 7 * time.Second})
	for name, want := range map[string]string{"application_name": "leat-test", "statement_timeout": "7s", "transaction_isolation": "serializable"} {
		var got string
		err := db.Write(t.Context(), func(tx catalog.Tx) error {
			return tx.Row(t.Context(), "SELECT current_setting(?)", []any{name}, &got)
		})
		if err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
}

func testTimeout(t *testing.T, url string) {
	db := open(t, postgres.Config{URL: url, StatementTimeout: 200 * time.Millisecond})
	err := db.Read(t.Context(), func(tx catalog.Tx) error {
		_, err := tx.Exec(t.Context(), "SELECT pg_sleep(60)")
		return err
	})
	if !fault.Is(err, fault.Timeout) || fault.HintOf(err) == "" {
		t.Errorf("got %v, want Timeout with a hint", err)
	}
}

// A connection that the server ends fails its transaction once; the next one
// has another connection.
func testCut(t *testing.T, url string) {
	db := open(t, postgres.Config{URL: url})
	calls := 0
	err := db.Write(t.Context(), func(tx catalog.Tx) error {
		calls++
		_, err := tx.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
		return err
	})
	if !fault.Is(err, fault.Unavailable) || calls != 1 {
		t.Errorf("got %v after %d calls, want Unavailable after 1", err, calls)
	}
	if err := db.Write(t.Context(), func(catalog.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := openURL(ctx, "postgres://leat:pa55word@127.0.0.1:1/leat?sslmode=disable")
	if !fault.Is(err, fault.Unavailable) || fault.HintOf(err) == "" {
		t.Errorf("got %v, want Unavailable with a hint", err)
	}
	if strings.Contains(err.Error(), "pa55word") {
		t.Errorf("the fault shows the password: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []string{"", "mysql://h/d", "postgres://h", "postgres://u:pa55word@h:notaport/d", "postgres://u:pa55word@h/d?sslmode=whatever", "%zz"} {
		_, err := openURL(t.Context(), bad)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s gives %v, want Invalid", bad, err)
		} else if strings.Contains(err.Error(), "pa55word") {
			t.Errorf("the fault shows the password: %v", err)
		}
	}
	var mistakes int
	bad := postgres.Config{URL: "x", Conns: -1, StatementTimeout: -1, ConnectTimeout: -1}
	fault.Each(bad.Validate(), func(error) { mistakes++ })
	if mistakes != 4 {
		t.Errorf("%d mistakes found, want 4", mistakes)
	}
}
