package identity

import (
	"context"
	"crypto/subtle"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Staleness is how long a key may be known here without a look into the
// catalog: a revocation on another replica counts within it.
const Staleness = 4 * time.Second

// Authenticate returns the principal of a token, or an Unauthenticated fault
// that does not say why. A key read in the last seconds costs no look into
// the catalog; when the catalog does not answer, nobody is let in.
func (k *Keys) Authenticate(ctx context.Context, token string) (Principal, error) {
	id, secret, ok := splitToken(token)
	if !ok {
		return Principal{}, unauthenticated()
	}
	e, err := k.lookup(ctx, id)
	if err != nil {
		return Principal{}, err
	}
	sum := hash(secret)
	match := subtle.ConstantTimeCompare(sum[:], e.hash[:]) == 1
	if !match || !e.valid(k.clock.Now()) {
		return Principal{}, unauthenticated()
	}
	return e.principal, nil
}

func unauthenticated() error {
	return fault.New(fault.Unauthenticated, "the API key is not valid").
		Hint("send a key in force as \"Authorization: Bearer leat_…\"; `leat keys create` makes one")
}

// entry is a key as the cache has it. The zero entry stands for an id that
// does not exist; no secret has its hash.
type entry struct {
	hash      digest
	principal Principal
	expires   time.Time
	revoked   bool
	read      time.Time
}

func (e *entry) valid(now time.Time) bool {
	return !e.revoked && e.principal.Name != "" && (e.expires.IsZero() || now.Before(e.expires))
}

func (k *Keys) lookup(ctx context.Context, id string) (*entry, error) {
	now := k.clock.Now()
	if e := k.cache.get(id); e != nil && now.Sub(e.read) < Staleness {
		return e, nil
	}
	// Callers with the same key share one read, so it must not end with the
	// context of whoever came first.
	shared := context.WithoutCancel(ctx)
	done := k.cache.flight.DoChan(id, func() (any, error) { return k.load(shared, id, now) })
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*entry), nil
	case <-ctx.Done():
		return nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the API key was not looked up in time")
	}
}

func (k *Keys) load(ctx context.Context, id string, now time.Time) (*entry, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	generation := k.cache.begin()
	var s stored
	err := k.db.Read(ctx, func(tx catalog.Tx) (err error) {
		s, err = scan(func(dest ...any) error {
			return tx.Row(ctx, `SELECT `+columns+` FROM api_keys WHERE id = ?`, []any{id}, dest...)
		})
		return err
	})
	if fault.Is(err, fault.NotFound) {
		k.cache.forget(id)
		return &entry{}, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the API key could not be looked up")
	}
	e := &entry{
		hash: s.hash, expires: s.ExpiresAt, revoked: !s.RevokedAt.IsZero(), read: now,
		principal: Principal{Name: s.Name, Groups: s.Groups, Grants: s.Grants},
	}
	k.cache.put(id, e, generation)
	return e, nil
}

// cache holds keys that exist, never ids that do not: a caller who makes up
// ids cannot push the keys of others out.
type cache struct {
	flight singleflight.Group

	mu         sync.RWMutex
	entries    map[string]*entry
	generation uint64 // grows with every forget, so that a read begun before one is not kept
}

const cacheSize = 10_000

func newCache() *cache { return &cache{entries: map[string]*entry{}} }

func (c *cache) get(id string) *entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[id]
}

func (c *cache) begin() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation
}

func (c *cache) put(id string, e *entry, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if _, known := c.entries[id]; !known && len(c.entries) >= cacheSize {
		for other := range c.entries { // any one: each is read again when it is needed
			delete(c.entries, other)
			break
		}
	}
	c.entries[id] = e
}

func (c *cache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	delete(c.entries, id)
	c.flight.Forget(id) // whoever asks from now on joins no read begun before
}
