package decide

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Ledger remembers the answers given under idempotency keys. It is safe for
// many goroutines and for many replicas on one catalog.
//
// A key is claimed in the catalog before its request is answered, so that of
// several at once one is answered and the others wait for it. A claim ends
// with its answer, with an error, or by itself some time after its request's
// deadline, for a process that was killed: whoever repeats the request then
// gets an answer decided anew, because the first was never given to anybody.
type Ledger struct {
	db    catalog.Database
	clock clock.Clock
	keep  time.Duration
	other func(endpoint, key string) (who string, ok bool) // nil: nobody else decides

	mu     sync.Mutex
	flight map[string]chan struct{} // claims of this process, closed at their end
	swept  time.Time
}

// NewLedger returns the ledger of a catalog that keeps answers for a time; 0
// means 24 hours.
func NewLedger(db catalog.Database, clock clock.Clock, keep time.Duration) *Ledger {
	if keep <= 0 {
		keep = 24 * time.Hour
	}
	return &Ledger{db: db, clock: clock, keep: keep, flight: map[string]chan struct{}{}}
}

// Beside has the ledger ask, before a key is answered, whether somebody else
// has decided an event of that name at the endpoint: a stream. Such a key is a
// Conflict fault. It is called before the ledger is used.
func (l *Ledger) Beside(decided func(endpoint, key string) (who string, ok bool)) *Ledger {
	l.other = decided
	return l
}

// Bounds of the ledger.
const (
	maxKey    = 255                    // bytes of a key
	grace     = 5 * time.Second        // that a claim outlives its request's deadline
	lease     = 30 * time.Second       // of a claim whose request has none
	look      = 100 * time.Millisecond // between two looks at the claim of another replica
	sweepEach = time.Minute
	sweepMost = 500
)

// Claim names one answer: the same key from another principal or at another
// endpoint is another answer.
type Claim struct {
	Endpoint  string
	Principal string
	Key       string
	Body      []byte // the request's bytes: the same key with another body is a Conflict fault
}

func (c Claim) scope() string { return c.Endpoint + "\x1f" + c.Principal }

func (c Claim) fingerprint() string {
	sum := sha256.Sum256(c.Body)
	return hex.EncodeToString(sum[:])
}

func (c Claim) check() error {
	if c.Key == "" || len(c.Key) > maxKey || !utf8.ValidString(c.Key) || strings.ContainsRune(c.Key, 0) {
		return fault.New(fault.Invalid, "an idempotency key has 1 to %d bytes of text", maxKey).
			Hint("a random UUID for each request, the same in its repetitions, is a good one")
	}
	return nil
}

// Once returns the answer stored under the claim (known is true), or calls do
// and stores what it returns. A second call for a claim that is being
// answered waits for it while ctx lasts. An error of do is returned and not
// stored. When the answer cannot be stored, Once fails: an answer that is not
// remembered would be given twice.
func (l *Ledger) Once(ctx context.Context, c Claim, do func(ctx context.Context) ([]byte, error)) (answer []byte, known bool, err error) {
	if err := c.check(); err != nil {
		return nil, false, err
	}
	name := c.scope() + "\x1f" + c.Key
	for {
		wait, mine := l.begin(name)
		if mine {
			defer l.end(name, wait)
			return l.claimed(ctx, c, do)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, busy(ctx, c)
		}
	}
}

// begin makes this call the one of its process that works on a claim, or
// returns what to wait for.
func (l *Ledger) begin(name string) (wait chan struct{}, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait, ok := l.flight[name]; ok {
		return wait, false
	}
	wait = make(chan struct{})
	l.flight[name] = wait
	return wait, true
}

func (l *Ledger) end(name string, wait chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flight, name)
	close(wait)
}

func (l *Ledger) claimed(ctx context.Context, c Claim, do func(ctx context.Context) ([]byte, error)) ([]byte, bool, error) {
	owner := pending + rand.Text()
	answer, known, err := l.acquire(ctx, c, owner)
	if known || err != nil {
		return answer, known, err
	}
	settled := false
	defer func() {
		if !settled { // do failed or panicked
			l.drop(ctx, c, owner)
		}
	}()
	if l.other != nil {
		if who, ok := l.other(c.Endpoint, c.Key); ok {
			return nil, false, fault.New(fault.Conflict, "the event %q was decided already, by stream %q", c.Key, who).
				Hint("read what the stream published, or its decision in the log; another key decides anew")
		}
	}
	answer, err = do(ctx)
	if err != nil {
		return nil, false, err
	}
	settled = true
	for {
		err := l.settle(ctx, c, owner, answer)
		if err == nil {
			return answer, false, nil
		}
		if !fault.Is(err, fault.Conflict) {
			return nil, false, err
		}
		// It took so long that the claim ended. If another took it over,
		// theirs is the answer; otherwise it is claimed again.
		if stored, known, err := l.acquire(ctx, c, owner); known || err != nil {
			return stored, known, err
		}
	}
}

// acquire claims the key for owner, or returns the answer that is there. It
// waits for the claim of another replica.
func (l *Ledger) acquire(ctx context.Context, c Claim, owner string) (answer []byte, known bool, err error) {
	for {
		var row entry
		err := l.db.Read(ctx, func(tx catalog.Tx) (err error) {
			row, err = l.read(ctx, tx, c)
			return err
		})
		if fault.Is(err, fault.NotFound) {
			err = l.db.Write(ctx, func(tx catalog.Tx) (err error) {
				row, err = l.claim(ctx, tx, c, owner)
				return err
			})
		}
		switch {
		case err != nil:
			return nil, false, err
		case row.fingerprint != c.fingerprint():
			return nil, false, fault.New(fault.Conflict, "the idempotency key %q was used for another request", c.Key).
				Hint("use a new key for each different request")
		case row.decision == owner:
			return nil, false, nil
		case !strings.HasPrefix(row.decision, pending):
			answer, err := decode(row.decision)
			return answer, true, err
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return nil, false, busy(ctx, c)
		}
	}
}

// entry is a row of the ledger. Its decision is the owner of a claim, or the
// answer as encode wrote it.
type entry struct {
	fingerprint, decision string
}

const pending = "p" // begins the decision of a claim that has no answer yet

// read finds what is in force under a key, or NotFound.
func (l *Ledger) read(ctx context.Context, tx catalog.Tx, c Claim) (e entry, err error) {
	err = tx.Row(ctx, `SELECT fingerprint, decision FROM ledger WHERE scope = ? AND key = ? AND expires_at > ?`,
		[]any{c.scope(), c.Key, catalog.Micros(l.clock.Now())}, &e.fingerprint, &e.decision)
	return e, err
}

// claim writes owner under a key where nothing is in force, and returns what
// is there then.
func (l *Ledger) claim(ctx context.Context, tx catalog.Tx, c Claim, owner string) (entry, error) {
	now := l.clock.Now()
	until := now.Add(lease)
	if at, ok := ctx.Deadline(); ok {
		until = now.Add(time.Until(at) + grace)
	}
	if err := l.sweep(ctx, tx, now); err != nil {
		return entry{}, err
	}
	_, err := tx.Exec(ctx, `INSERT INTO ledger (scope, key, fingerprint, decision, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, decision = excluded.decision,
		expires_at = excluded.expires_at WHERE ledger.expires_at <= ?`,
		c.scope(), c.Key, c.fingerprint(), owner, catalog.Micros(until), catalog.Micros(now))
	if err != nil {
		return entry{}, err
	}
	return l.read(ctx, tx, c)
}

// settle stores the answer in place of the claim, if that is still owner's.
// The answer is there, so it is stored though the caller may be gone.
func (l *Ledger) settle(ctx context.Context, c Claim, owner string, answer []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	until := l.clock.Now().Add(l.keep)
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE ledger SET decision = ?, expires_at = ? WHERE scope = ? AND key = ? AND decision = ?`,
			encode(answer), catalog.Micros(until), c.scope(), c.Key, owner)
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "the claim was lost")
		}
		return err
	})
}

// drop gives a claim up after an error. When that fails too, the claim ends
// by itself.
func (l *Ledger) drop(ctx context.Context, c Claim, owner string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_ = l.db.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM ledger WHERE scope = ? AND key = ? AND decision = ?`, c.scope(), c.Key, owner)
		return err
	})
}

// sweep removes some of what has expired, now and then.
func (l *Ledger) sweep(ctx context.Context, tx catalog.Tx, now time.Time) error {
	l.mu.Lock()
	due := now.Sub(l.swept) >= sweepEach
	if due {
		l.swept = now
	}
	l.mu.Unlock()
	if !due {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM ledger WHERE (scope, key) IN
		(SELECT scope, key FROM ledger WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`, catalog.Micros(now), sweepMost)
	return err
}

func busy(ctx context.Context, c Claim) error {
	return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the request with the idempotency key %q is still being answered", c.Key)
}

// encode writes an answer as text: as it is where it is text, in base64
// otherwise.
func encode(answer []byte) string {
	text := string(answer)
	if utf8.ValidString(text) && !strings.ContainsRune(text, 0) {
		return "t" + text
	}
	return "b" + base64.StdEncoding.EncodeToString(answer)
}

func decode(stored string) ([]byte, error) {
	if text, ok := strings.CutPrefix(stored, "t"); ok {
		return []byte(text), nil
	}
	if text, ok := strings.CutPrefix(stored, "b"); ok {
		answer, err := base64.StdEncoding.DecodeString(text)
		return answer, fault.Wrap(err, fault.Corrupt, "a stored answer")
	}
	return nil, fault.New(fault.Corrupt, "a stored answer is not one")
}
