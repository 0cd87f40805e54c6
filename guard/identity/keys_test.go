package identity_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// hands is a clock that a test moves.
type hands struct{ at atomic.Int64 }

func (h *hands) Now() time.Time          { return time.Unix(1_800_000_000, h.at.Load()).UTC() }
func (h *hands) forward(d time.Duration) { h.at.Add(int64(d)) }
func openCatalog(t testing.TB) *catalog.DB {
	return openAt(t, filepath.Join(t.TempDir(), "catalog.db"))
}

// openAt opens a catalog at the path of a file, or at the address of a server.
func openAt(t testing.TB, at string) *catalog.DB {
	t.Helper()
	var db *catalog.DB
	var err error
	if strings.HasPrefix(at, "postgres://") {
		db, err = postgres.Open(t.Context(), postgres.Config{URL: at})
	} else {
		db, err = sqlite.Open(t.Context(), sqlite.Config{Path: at})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// counted counts reads and can refuse them.
type counted struct {
	catalog.Database
	reads  atomic.Int64
	refuse atomic.Bool
}

func (c *counted) Read(ctx context.Context, f func(catalog.Tx) error) error {
	c.reads.Add(1)
	if c.refuse.Load() {
		return fault.New(fault.Unavailable, "no catalog")
	}
	return c.Database.Read(ctx, f)
}

var scorer = identity.NewKey{Name: "checkout", Groups: []string{"shop"}, Grants: []string{"score:fraud"}}

func TestTokenMakesThePrincipal(t *testing.T) {
	keys := identity.NewKeys(openCatalog(t), clock.System{})
	token, key, err := keys.Create(t.Context(), scorer)
	if err != nil {
		t.Fatal(err)
	}
	p, err := keys.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "checkout" || !p.In([]string{"shop"}) || !p.May("score", "fraud") || p.May("score", "churn") {
		t.Errorf("the principal is %+v", p)
	}
	list, err := keys.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != key.ID {
		t.Errorf("List: %+v, %v", list, err)
	}
}

func TestSecretIsNotStored(t *testing.T) {
	db := openCatalog(t)
	keys := identity.NewKeys(db, clock.System{})
	token, _, err := keys.Create(t.Context(), scorer)
	if err != nil {
		t.Fatal(err)
	}
	secret := token[strings.LastIndexByte(token, '_')+1:]
	var found int
	err = db.Read(t.Context(), func(tx catalog.Tx) error {
		like := "%" + secret + "%"
		return tx.Row(t.Context(), `SELECT COUNT(*) FROM api_keys WHERE id LIKE ? OR name LIKE ? OR hash LIKE ?`,
			[]any{like, like, like}, &found)
	})
	if err != nil || found != 0 {
		t.Errorf("the secret stands in %d rows (%v)", found, err)
	}
}

func TestWrongTokensAreRefusedAlike(t *testing.T) {
	keys := identity.NewKeys(openCatalog(t), clock.System{})
	token, _, err := keys.Create(t.Context(), scorer)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(token)
	flipped[len(flipped)-1] ^= 1
	unknown := []byte(token)
	unknown[len("leat_")] ^= 1
	var text string
	for _, wrong := range []string{"", "leat_", "leat__", token + "a", token[:len(token)-1], string(flipped), string(unknown),
		strings.Repeat("x", 1<<20), "Bearer " + token, strings.ToUpper(token)} {
		_, err := keys.Authenticate(t.Context(), wrong)
		if !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%.40q: %v", wrong, err)
			continue
		}
		if text != "" && err.Error() != text {
			t.Errorf("%.40q is answered differently: %v", wrong, err)
		}
		text = err.Error()
	}
}

func TestRevocationCountsAtOnceHereAndSoonElsewhere(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { revocationCounts(t, filepath.Join(t.TempDir(), "catalog.db")) })
	t.Run("postgres", func(t *testing.T) { revocationCounts(t, testserver.Postgres(t).URL(t)) })
}

func revocationCounts(t *testing.T, path string) {
	c := &hands{}
	here := identity.NewKeys(openAt(t, path), c)
	there := identity.NewKeys(openAt(t, path), c)
	token, key, err := here.Create(t.Context(), scorer)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*identity.Keys{here, there} {
		if _, err := keys.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if err := here.Revoke(t.Context(), key.Name, "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("after Revoke here: %v", err)
	}
	c.forward(5 * time.Second)
	if _, err := there.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("five seconds after Revoke elsewhere: %v", err)
	}
	if err := here.Revoke(t.Context(), key.ID, "bob"); err != nil {
		t.Errorf("a second Revoke: %v", err)
	}
	if list, err := there.List(t.Context()); err != nil || list[0].RevokedBy != "ada" {
		t.Errorf("the first to revoke is not kept: %+v, %v", list, err)
	}
	if err := here.Revoke(t.Context(), "nobody", "ada"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Revoke of no key: %v", err)
	}
}

func TestExpiredKeyIsRefusedThoughCached(t *testing.T) {
	c := &hands{}
	keys := identity.NewKeys(openCatalog(t), c)
	brief := scorer
	brief.ExpiresAt = c.Now().Add(time.Second)
	token, _, err := keys.Create(t.Context(), brief)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	c.forward(time.Second)
	if _, err := keys.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("an expired key: %v", err)
	}
}

func TestAuthenticateReadsOnceWhileFresh(t *testing.T) {
	c, db := &hands{}, &counted{Database: openCatalog(t)}
	keys := identity.NewKeys(db, c)
	token, _, err := keys.Create(t.Context(), scorer)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				if _, err := keys.Authenticate(t.Context(), token); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := db.reads.Load(); n > 50 {
		t.Errorf("1000 calls read the catalog %d times", n)
	}
	c.forward(identity.Staleness)
	db.refuse.Store(true)
	if _, err := keys.Authenticate(t.Context(), token); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a catalog: %v, want Unavailable", err)
	}
}

func TestCreateReportsEveryMistake(t *testing.T) {
	keys := identity.NewKeys(openCatalog(t), clock.System{})
	_, _, err := keys.Create(t.Context(), identity.NewKey{
		Name: "Not A Name", Groups: []string{identity.RunGroup}, Grants: []string{"everything"},
		ExpiresAt: time.Unix(1, 0),
	})
	var many *fault.Many
	if !errors.As(err, &many) || len(many.Errs) != 4 {
		t.Errorf("want four mistakes, got %v", err)
	}
	if _, _, err := keys.Create(t.Context(), scorer); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.Create(t.Context(), scorer); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second key of one name: %v", err)
	}
}

func TestMay(t *testing.T) {
	for _, c := range []struct {
		grant, verb, name string
		want              bool
	}{
		{"score:fraud", "score", "fraud", true},
		{"score:fraud", "score", "fraud2", false},
		{"score:*", "score", "anything", true},
		{"*:fraud", "deploy", "fraud", true},
		{"*:*", "deploy", "x", true},
		{"score", "score", "", false},
		{"", "", "", false},
	} {
		p := identity.Principal{Grants: []string{c.grant}}
		if got := p.May(c.verb, c.name); got != c.want {
			t.Errorf("%q may %s %s: %v", c.grant, c.verb, c.name, got)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	keys := identity.NewKeys(openCatalog(b), clock.System{})
	token, _, err := keys.Create(b.Context(), scorer)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
