package deploy

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/leat-ai/leat/store/catalog"
)

// Poll is how often Watch asks the catalog what other replicas changed.
const Poll = time.Second

// maxRetry is the longest pause before an endpoint that f failed for is tried
// again.
const maxRetry = time.Minute

// Watch calls f once with every endpoint that has a live release, then with
// the endpoint of every change: those made through r at once, those of other
// replicas within Poll. Several changes of one endpoint in between are one
// call, and f is never called twice at the same time. An endpoint that f
// failed for is tried again after Poll, then after ever longer pauses up to a
// minute; a catalog that does not answer is asked again every Poll. Watch
// returns the error of ctx when that ends.
func (r *Releases) Watch(ctx context.Context, f func(ctx context.Context, endpoint string) error) error {
	wake := make(chan struct{}, 1)
	r.subscribe(wake, true)
	defer r.subscribe(wake, false)
	ticker := time.NewTicker(Poll)
	defer ticker.Stop()
	seen := int64(-1) // nothing read yet
	todo := pending{}
	for {
		if names, last, err := r.changed(ctx, seen); err == nil {
			seen = last
			for _, name := range names {
				todo[name] = attempt{}
			}
		}
		todo.work(ctx, f)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-ticker.C:
		}
	}
}

// pending is the endpoints that f has yet to be called for, or failed for.
type pending map[string]attempt

type attempt struct {
	after time.Time     // when to try; zero: at once
	pause time.Duration // before that
}

// work calls f for what is due, in the order of names.
func (p pending) work(ctx context.Context, f func(ctx context.Context, endpoint string) error) {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		last := p[name]
		if ctx.Err() != nil || time.Now().Before(last.after) {
			continue
		}
		if f(ctx, name) == nil {
			delete(p, name)
			continue
		}
		pause := min(max(2*last.pause, Poll), maxRetry)
		p[name] = attempt{after: time.Now().Add(pause - Poll/2), pause: pause} // half a Poll early, not to miss its tick
	}
}

// changed names the endpoints that changed after a place in the history, and
// the present end of it. Numbers have no gaps and commit in order
// (catalog.Next), so nothing that commits later can be missed.
func (r *Releases) changed(ctx context.Context, seen int64) (names []string, last int64, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		err := tx.Row(ctx, `SELECT COALESCE(MAX(seq), 0) FROM endpoint_history`, nil, &last)
		if err != nil || last == seen {
			return err
		}
		statement, args := `SELECT DISTINCT endpoint FROM endpoint_history WHERE seq > ? ORDER BY endpoint`, []any{seen}
		if seen < 0 {
			statement, args = `SELECT endpoint FROM endpoint_live ORDER BY endpoint`, nil
		}
		names, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (name string, err error) {
			return name, rows.Scan(&name)
		}, statement, args...)
		return err
	})
	return names, last, err
}

func (r *Releases) subscribe(wake chan struct{}, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.watchers[wake] = true
	} else {
		delete(r.watchers, wake)
	}
}

// wake tells every watcher in this process that something changed; one that
// was told already and has not looked yet is not told again.
func (r *Releases) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for wake := range r.watchers {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
