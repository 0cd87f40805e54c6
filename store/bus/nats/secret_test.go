package nats_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/nats"
)

// TestSecrets identifies itself in each way, and not.
func TestSecrets(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "users.conf")
	if err := os.WriteFile(config, []byte("authorization { users: [ {user: leat, password: right}, {nkey: "+public+"} ] }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	users, token := testserver.NATS(t, "--config", config), testserver.NATS(t, "--auth", "the-token")
	for _, c := range []struct {
		name, address, secret string
		kind                  fault.Kind
	}{
		{"password", users.Address, "leat:right\n", ""},
		{"wrong password", users.Address, "leat:wrong", fault.Unauthenticated},
		{"nkey", users.Address, string(seed) + "\n", ""},
		{"token", token.Address, "the-token", ""},
		{"wrong token", token.Address, "another", fault.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			secret := func(context.Context) (string, error) { return c.secret, nil }
			b, err := nats.Open(t.Context(), nats.Config{Servers: []string{"nats://" + c.address}, Secret: secret})
			if fault.KindOf(err) != c.kind {
				t.Fatalf("connecting: %v", err)
			}
			if err == nil {
				write(t, b, "secret", 1, "e")
				_ = b.Close()
			}
		})
	}
	failing := func(context.Context) (string, error) { return "", fault.New(fault.NotFound, "no such secret") }
	if _, err := nats.Open(t.Context(), nats.Config{Servers: []string{"nats://" + users.Address}, Secret: failing}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a secret that is not there: %v", err)
	}
}

// TestListening lets others in with the secret only.
func TestListening(t *testing.T) {
	s := start(t, nats.ServerConfig{Listen: "127.0.0.1:0", Secret: "leat:word"})
	secret := func(context.Context) (string, error) { return "leat:word", nil }
	if _, err := nats.Open(t.Context(), nats.Config{Servers: []string{s.URL()}}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a stranger was answered by %v", err)
	}
	outside := dial(t, nats.Config{Servers: []string{s.URL()}, Secret: secret})
	defer outside.Close()
	inside := open(t, s)
	defer inside.Close()
	write(t, outside, "shared", 20, "e")
	r, err := inside.Reader(t.Context(), "shared", bus.ReadOptions{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := read(t, r, 20); string(got[19].Body) != "e19" {
		t.Errorf("%q came last", got[19].Body)
	}
}
