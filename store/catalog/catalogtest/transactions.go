package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// set and get use the ledger as a map of text.
func set(ctx context.Context, tx catalog.Tx, key, value string) error {
	_, err := tx.Exec(ctx, `INSERT INTO ledger (scope, key, fingerprint, decision, expires_at) VALUES ('t', ?, '', ?, 0)
		ON CONFLICT (scope, key) DO UPDATE SET decision = excluded.decision`, key, value)
	return err
}

func get(ctx context.Context, tx catalog.Tx, key string) (value string, err error) {
	err = tx.Row(ctx, `SELECT decision FROM ledger WHERE scope = 't' AND key = ?`, []any{key}, &value)
	return value, err
}

func count(t *testing.T, db *catalog.DB) (n int) {
	t.Helper()
	err := db.Read(t.Context(), func(tx catalog.Tx) error {
		return tx.Row(t.Context(), `SELECT count(*) FROM ledger`, nil, &n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func write(t *testing.T, db *catalog.DB, f func(catalog.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func testWhole(t *testing.T, b Backend) {
	location := b.Fresh(t)
	db := b.open(t, location)
	write(t, db, func(tx catalog.Tx) error {
		return errors.Join(set(t.Context(), tx, "a", "1"), set(t.Context(), tx, "b", "2"))
	})
	other := b.open(t, location) // as another process would
	if n := count(t, other); n != 2 {
		t.Errorf("%d rows are there, want 2", n)
	}
	if err := other.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func testNothing(t *testing.T, b Backend) {
	db := b.fresh(t)
	refusal := fault.New(fault.Rejected, "no")
	err := db.Write(t.Context(), func(tx catalog.Tx) error {
		if err := set(t.Context(), tx, "a", "1"); err != nil {
			return err
		}
		return refusal
	})
	if !errors.Is(err, refusal) {
		t.Errorf("the write returns %v, want what its function returned", err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows are there, want none", n)
	}
}

func testFailed(t *testing.T, b Backend) {
	db := b.fresh(t)
	err := db.Write(t.Context(), func(tx catalog.Tx) error {
		if err := set(t.Context(), tx, "a", "1"); err != nil {
			return err
		}
		_, _ = tx.Exec(t.Context(), `INSERT INTO ledger (scope, key, fingerprint, decision, expires_at) VALUES ('t', 'a', '', '', 0)`)
		return nil
	})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("got %v, want the Conflict that the function ignored", err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows are there, want none", n)
	}
	write(t, db, func(tx catalog.Tx) error { // a missing row is no failure
		if _, err := get(t.Context(), tx, "absent"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a missing row gives %v, want NotFound", err)
		}
		return set(t.Context(), tx, "a", "1")
	})
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows are there, want 1", n)
	}
}

func testReadOnly(t *testing.T, b Backend) {
	db := b.fresh(t)
	err := db.Read(t.Context(), func(tx catalog.Tx) error { return set(t.Context(), tx, "a", "1") })
	if err == nil || count(t, db) != 0 {
		t.Errorf("a read wrote: %v", err)
	}
}

func testSnapshot(t *testing.T, b Backend) {
	db := b.fresh(t)
	write(t, db, func(tx catalog.Tx) error { return set(t.Context(), tx, "a", "old") })
	err := db.Read(t.Context(), func(tx catalog.Tx) error {
		before, err := get(t.Context(), tx, "a")
		if err != nil {
			return err
		}
		write(t, db, func(tx catalog.Tx) error { return set(t.Context(), tx, "a", "new") })
		after, err := get(t.Context(), tx, "a")
		if before != "old" || after != "old" {
			t.Errorf("a read saw %q and then %q, want the same", before, after)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testCounter(t *testing.T, b Backend) {
	db := b.fresh(t)
	const writers, each = 8, 25
	write(t, db, func(tx catalog.Tx) error { return set(t.Context(), tx, "n", "0") })
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				err := db.Write(t.Context(), func(tx catalog.Tx) error {
					value, err := get(t.Context(), tx, "n")
					if err != nil {
						return err
					}
					var n int
					if _, err := fmt.Sscan(value, &n); err != nil {
						return err
					}
					return set(t.Context(), tx, "n", fmt.Sprint(n+1))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	err := db.Read(t.Context(), func(tx catalog.Tx) error {
		value, err := get(t.Context(), tx, "n")
		if value != fmt.Sprint(writers*each) {
			t.Errorf("the counter stands at %s, want %d", value, writers*each)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Each writer adds a row only if no other did; a database that lets both look
// before either writes ends with two.
func testSkew(t *testing.T, b Backend) {
	db := b.fresh(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := db.Write(t.Context(), func(tx catalog.Tx) error {
				var n int
				if err := tx.Row(t.Context(), `SELECT count(*) FROM ledger`, nil, &n); err != nil || n > 0 {
					return err
				}
				time.Sleep(5 * time.Millisecond)
				return set(t.Context(), tx, fmt.Sprint(i), "")
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows are there, want 1", n)
	}
}

func testSequence(t *testing.T, b Backend) {
	db := b.fresh(t)
	const writers, each = 4, 10
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				var n int64
				undo := errors.New("undo")
				err := db.Write(t.Context(), func(tx catalog.Tx) (err error) {
					if n, err = catalog.Next(t.Context(), tx, "signals"); err == nil && i%3 == 0 {
						return fault.Wrap(undo, fault.Rejected, "on second thought")
					}
					return err
				})
				if errors.Is(err, undo) {
					continue
				}
				mu.Lock()
				if err != nil || seen[n] {
					t.Errorf("number %d, %v: used before, or failed", n, err)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for n := range len(seen) {
		if !seen[int64(n+1)] {
			t.Errorf("number %d is missing", n+1)
		}
	}
}

func testDeadline(t *testing.T, b Backend) {
	db := b.fresh(t)
	write(t, db, func(tx catalog.Tx) error { return set(t.Context(), tx, "a", "") })
	err := db.Write(t.Context(), func(tx catalog.Tx) error {
		if err := set(t.Context(), tx, "a", "first"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := db.Write(ctx, func(tx catalog.Tx) error { return set(ctx, tx, "a", "second") })
		if !fault.Is(err, fault.Timeout) {
			t.Errorf("the write that waits gives %v, want Timeout", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func testCancel(t *testing.T, b Backend) {
	db := b.fresh(t)
	for _, when := range []string{"before", "within"} {
		ctx, cancel := context.WithCancel(t.Context())
		if when == "before" {
			cancel()
		}
		err := db.Write(ctx, func(tx catalog.Tx) error {
			if err := set(ctx, tx, when, ""); err != nil {
				return err
			}
			cancel()
			return set(ctx, tx, when+" again", "")
		})
		cancel()
		if !fault.Is(err, fault.Canceled) {
			t.Errorf("cancelled %s: got %v, want Canceled", when, err)
		}
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows are there, want none", n)
	}
	write(t, db, func(tx catalog.Tx) error { return set(t.Context(), tx, "a", "") })
}

func testPanic(t *testing.T, b Backend) {
	db := b.fresh(t)
	func() {
		defer func() { _ = recover() }()
		_ = db.Write(t.Context(), func(tx catalog.Tx) error {
			if err := set(t.Context(), tx, "a", ""); err != nil {
				return err
			}
			panic("a defect")
		})
	}()
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows are there, want none", n)
	}
	write(t, db, func(tx catalog.Tx) error { return set(t.Context(), tx, "b", "") })
}

func testClose(t *testing.T, b Backend) {
	db := b.fresh(t)
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Error(err)
	}
	nothing := func(catalog.Tx) error { return nil }
	for _, err := range []error{db.Write(t.Context(), nothing), db.Read(t.Context(), nothing), db.Check(t.Context())} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("a closed catalog gives %v, want Unavailable", err)
		}
	}
}
