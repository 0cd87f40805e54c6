package identity

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Catalog is what Keys needs of the catalog.
type Catalog interface {
	Read(ctx context.Context, f func(catalog.Tx) error) error
	Write(ctx context.Context, f func(catalog.Tx) error) error
}

// Key is an API key without its secret.
type Key struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"` // of the principal that it makes
	Groups    []string  `json:"groups,omitempty"`
	Grants    []string  `json:"grants,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
	RevokedAt time.Time `json:"revoked_at,omitzero"` // zero: in force
}

// NewKey says what key to create.
type NewKey struct {
	Name      string // of the principal
	Groups    []string
	Grants    []string // "score:fraud"; at least one
	ExpiresAt time.Time
	By        string
}

// Keys keeps API keys in the catalog. It is safe for many goroutines.
type Keys struct {
	db    Catalog
	clock clock.Clock
}

// NewKeys returns the keys of a catalog.
func NewKeys(db Catalog, clock clock.Clock) *Keys {
	return &Keys{db: db, clock: clock}
}

// Create makes a key and returns its token, which is shown this once and
// stored nowhere.
func (k *Keys) Create(ctx context.Context, key NewKey) (token string, _ Key, err error) {
	return "", Key{}, fault.New(fault.Unsupported, "keys are being built")
}

// Authenticate returns the principal of a token, or an Unauthenticated fault
// that does not say why.
func (k *Keys) Authenticate(ctx context.Context, token string) (Principal, error) {
	return Principal{}, fault.New(fault.Unauthenticated, "the API key is not valid")
}

// List returns every key, revoked ones included, oldest first.
func (k *Keys) List(ctx context.Context) ([]Key, error) { return nil, nil }

// Revoke ends a key, at once here and within five seconds on every replica.
func (k *Keys) Revoke(ctx context.Context, id, by string) error { return nil }
