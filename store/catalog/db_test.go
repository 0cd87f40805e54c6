package catalog_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// The errors of a database that does not exist.
var (
	errContested = errors.New("contested")
	errFsync     = errors.New("fsync")
	errFull      = errors.New("full")
	errGone      = errors.New("gone")
	errUnknown   = errors.New("unknown")
)

func classify(err error) (catalog.Class, bool) {
	switch {
	case errors.Is(err, errContested):
		return catalog.Class{Kind: fault.Unavailable, Retry: true}, true
	case errors.Is(err, errFsync):
		return catalog.Class{Kind: fault.Unavailable, Fatal: true, What: "the device"}, true
	case errors.Is(err, errFull):
		return catalog.Class{Kind: fault.Full, What: "no space"}, true
	case errors.Is(err, errGone):
		return catalog.Class{Kind: fault.Unavailable, What: "gone"}, true
	}
	return catalog.Class{}, false
}

// fake is a database whose commits fail as told.
type fake struct{ commits []error }

func (f *fake) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f *fake) Driver() driver.Driver                        { return nil }
func (f *fake) Prepare(string) (driver.Stmt, error)          { return nil, errUnknown }
func (f *fake) Close() error                                 { return nil }
func (f *fake) Begin() (driver.Tx, error)                    { return f, nil }
func (f *fake) Rollback() error                              { return nil }
func (f *fake) Commit() (err error) {
	if len(f.commits) > 0 {
		err, f.commits = f.commits[0], f.commits[1:]
	}
	return err
}

func withCommits(t *testing.T, commits ...error) *catalog.DB {
	db := catalog.New(sql.OpenDB(&fake{commits}), catalog.SQLite,
		catalog.Options{Classify: classify, Attempts: 5, Backoff: time.Microsecond})
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestCommit(t *testing.T) {
	for _, test := range []struct {
		name    string
		commits []error
		calls   int // of the function
		want    fault.Kind
	}{
		{"confirmed", nil, 1, ""},
		{"contested for a while", []error{errContested, errContested}, 3, ""},
		{"contested for too long", []error{errContested, errContested, errContested, errContested, errContested, nil}, 5, fault.Unavailable},
		{"no space", []error{errFull, nil}, 1, fault.Full},
		{"no answer", []error{errGone, nil}, 1, fault.Unavailable},
		{"an answer that nobody understands", []error{errUnknown, nil}, 1, fault.Unavailable},
		{"a refused sync", []error{errFsync, nil}, 1, fault.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := 0
			err := withCommits(t, test.commits...).Write(t.Context(), func(catalog.Tx) error { calls++; return nil })
			if calls != test.calls || fault.KindOf(err) != test.want {
				t.Errorf("%d calls and %v, want %d and %q", calls, err, test.calls, test.want)
			}
		})
	}
}

// Once the device refused what was written, nothing is written any more,
// whatever it says next.
func TestNoWriteAfterARefusedSync(t *testing.T) {
	db := withCommits(t, errFsync)
	nothing := func(catalog.Tx) error { return nil }
	first := db.Write(t.Context(), nothing)
	again := db.Write(t.Context(), func(catalog.Tx) error { t.Error("the function was called"); return nil })
	if !errors.Is(first, errFsync) || !errors.Is(again, errFsync) {
		t.Errorf("got %v and %v, want the refusal twice", first, again)
	}
	if err := db.Read(t.Context(), nothing); err != nil {
		t.Errorf("a read: %v", err)
	}
	if err := db.Check(t.Context()); !errors.Is(err, errFsync) {
		t.Errorf("the check says %v, want the refusal", err)
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := withCommits(t).Write(ctx, func(catalog.Tx) error {
		calls++
		cancel()
		return errContested
	})
	if calls != 1 || !fault.Is(err, fault.Canceled) {
		t.Errorf("%d calls and %v, want 1 and Canceled", calls, err)
	}
}
