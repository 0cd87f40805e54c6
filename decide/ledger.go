package decide

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/store/catalog"
)

// Catalog is what the ledger needs of the catalog.
type Catalog interface {
	Read(ctx context.Context, f func(catalog.Tx) error) error
	Write(ctx context.Context, f func(catalog.Tx) error) error
}

// Ledger remembers the answers given under idempotency keys. It is safe for
// many goroutines and for many replicas on one catalog.
type Ledger struct {
	db    Catalog
	clock clock.Clock
	keep  time.Duration
}

// NewLedger returns the ledger of a catalog that keeps answers for a time; 0
// means 24 hours.
func NewLedger(db Catalog, clock clock.Clock, keep time.Duration) *Ledger {
	return &Ledger{db: db, clock: clock, keep: keep}
}

// Claim names one answer: the same key from another principal or at another
// endpoint is another answer.
type Claim struct {
	Endpoint  string
	Principal string
	Key       string
	Body      []byte // the request's bytes: the same key with another body is a Conflict fault
}

// Once returns the answer stored under the claim (known is true), or calls do
// and stores what it returns. A second call for a claim that is being
// answered waits for it. An error of do is returned and not stored.
func (l *Ledger) Once(ctx context.Context, c Claim, do func(ctx context.Context) ([]byte, error)) (answer []byte, known bool, err error) {
	answer, err = do(ctx)
	return answer, false, err
}
