package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Key is an API key without its secret.
type Key struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"` // of the principal that it makes; no two keys share one, revoked ones included
	Groups    []string  `json:"groups,omitempty"`
	Grants    []string  `json:"grants,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
	RevokedAt time.Time `json:"revoked_at,omitzero"` // zero: in force
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// NewKey says what key to create.
type NewKey struct {
	Name      string    // of the principal: small letters, digits, dot, dash and underscore
	Groups    []string  // may be empty
	Grants    []string  // such as "score:fraud"; at least one
	ExpiresAt time.Time // zero: never
	By        string    // who creates it
}

// Keys keeps API keys in the catalog. It is safe for many goroutines.
type Keys struct {
	db    catalog.Database
	clock clock.Clock
	cache *cache
}

// NewKeys returns the keys of a catalog.
func NewKeys(db catalog.Database, clock clock.Clock) *Keys {
	return &Keys{db: db, clock: clock, cache: newCache()}
}

// Create makes a key and returns its token, which is shown this once and
// stored nowhere. A name that another key has is a Conflict.
func (k *Keys) Create(ctx context.Context, n NewKey) (token string, _ Key, err error) {
	now := k.clock.Now()
	if err := n.check(now); err != nil {
		return "", Key{}, err
	}
	id, secret, err := newToken()
	if err != nil {
		return "", Key{}, err
	}
	key := Key{ID: id, Name: n.Name, Groups: n.Groups, Grants: n.Grants, CreatedAt: now, CreatedBy: n.By, ExpiresAt: n.ExpiresAt}
	if err := k.insert(ctx, key, hash(secret)); err != nil {
		return "", Key{}, err
	}
	return prefix + id + "_" + secret, key, nil
}

func (k *Keys) insert(ctx context.Context, key Key, hash digest) error {
	groups, err := json.Marshal(key.Groups)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "groups of a key")
	}
	grants, err := json.Marshal(key.Grants)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "grants of a key")
	}
	return k.db.Write(ctx, func(tx catalog.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO api_keys (id, name, hash, groups, grants, created_at, created_by, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
			key.ID, key.Name, hash.String(), string(groups), string(grants),
			catalog.Micros(key.CreatedAt), key.CreatedBy, catalog.Micros(key.ExpiresAt))
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "there is a key named %q already", key.Name).
				Hint("names are not used again, so that a name in a record means one key: choose another, such as %q", key.Name+"-2")
		}
		return err
	})
}

// List returns every key, revoked ones included, oldest first.
func (k *Keys) List(ctx context.Context) (keys []Key, err error) {
	err = k.db.Read(ctx, func(tx catalog.Tx) error {
		keys, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (Key, error) {
			s, err := scan(rows.Scan)
			return s.Key, err
		}, `SELECT `+columns+` FROM api_keys ORDER BY created_at, id`)
		return err
	})
	return keys, err
}

// Revoke ends a key, named by its id or name: at once here, and within
// Staleness on other replicas. Doing it again changes nothing.
func (k *Keys) Revoke(ctx context.Context, ref, by string) error {
	var id string
	err := k.db.Write(ctx, func(tx catalog.Tx) error {
		err := tx.Row(ctx, `SELECT id FROM api_keys WHERE id = ? OR name = ?`, []any{ref, ref}, &id)
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "there is no key %q", ref).Hint("`leat keys` lists them")
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE api_keys SET revoked_at = ?, revoked_by = ? WHERE id = ? AND revoked_at = 0`,
			catalog.Micros(k.clock.Now()), by, id)
		return err
	})
	if err == nil {
		k.cache.forget(id)
	}
	return err
}

// stored is a key as the catalog has it.
type stored struct {
	Key
	hash digest
}

const columns = `id, name, hash, groups, grants, created_at, created_by, expires_at, revoked_at, revoked_by`

func scan(into func(dest ...any) error) (stored, error) {
	var s stored
	var hash, groups, grants string
	var created, expires, revoked int64
	if err := into(&s.ID, &s.Name, &hash, &groups, &grants, &created, &s.CreatedBy, &expires, &revoked, &s.RevokedBy); err != nil {
		return s, err
	}
	s.CreatedAt, s.ExpiresAt, s.RevokedAt = catalog.Time(created), catalog.Time(expires), catalog.Time(revoked)
	if err := json.Unmarshal([]byte(groups), &s.Groups); err != nil {
		return s, fault.Wrap(err, fault.Corrupt, "groups of key %s", s.ID)
	}
	if err := json.Unmarshal([]byte(grants), &s.Grants); err != nil {
		return s, fault.Wrap(err, fault.Corrupt, "grants of key %s", s.ID)
	}
	var err error
	s.hash, err = parseDigest(hash)
	return s, fault.Wrap(err, fault.Corrupt, "hash of key %s", s.ID)
}
