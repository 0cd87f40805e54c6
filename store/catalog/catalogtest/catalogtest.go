// Package catalogtest is the suite that every backend of the catalog passes.
//
// A backend's test is two functions: TestMain calls Main, which lets the
// test's program be its own victim in the kill test, and one test calls Run.
package catalogtest

import (
	"context"
	"testing"

	"github.com/leat-ai/leat/store/catalog"
)

// Backend is what the suite needs of a backend.
type Backend struct {
	// Fresh returns the location of a new, empty database: a path, a URL.
	Fresh func(t testing.TB) string
	// Open opens the database at a location.
	Open func(ctx context.Context, location string) (*catalog.DB, error)
}

func (b Backend) fresh(t *testing.T) *catalog.DB {
	t.Helper()
	return b.open(t, b.Fresh(t))
}

func (b Backend) open(t *testing.T, location string) *catalog.DB {
	t.Helper()
	db, err := b.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Backend)
	}{
		{"a write is kept whole", testWhole},
		{"a failed write leaves nothing", testNothing},
		{"a failed statement ends its transaction", testFailed},
		{"a read changes nothing", testReadOnly},
		{"a read sees one state", testSnapshot},
		{"no update is lost", testCounter},
		{"no two writes contradict each other", testSkew},
		{"sequences have no gaps", testSequence},
		{"faults have their kinds", testKinds},
		{"values come back as they went in", testValues},
		{"text that one database cannot hold is refused by both", testText},
		{"the tables take their rows", testTables},
		{"a write that waits gives up in time", testDeadline},
		{"what is cancelled does no harm", testCancel},
		{"a panic in a write leaves nothing", testPanic},
		{"what was acknowledged survives a kill", testKill},
		{"close is safe twice", testClose},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
}
