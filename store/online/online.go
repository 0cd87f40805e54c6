// Package online is the contract of the store that features are read from by
// key while somebody waits: one value per entity and table, the newest there
// is.
//
// A value is bytes; what they mean is the business of flow/feature/online,
// which keeps rows and states of windows in them. There are two ways to write.
// Put is for values that stand for themselves: each has the time of what it
// tells, and never replaces a newer one, so writers that race, repeat or come
// late do no harm. Swap is for values that are made out of the one before: it
// writes where the key still has the version that was read, so of writers that
// race one wins and the others are told to read again.
//
// The store is a copy: what is in it can be made again from the lake, so it
// may forget on a power cut, but what it gives is a value that was put, whole.
// What Put or Swap returned from survives the end of the process.
//
// Backends are the folders below; onlinetest is their conformance suite.
package online

import (
	"context"
	"time"
)

// Key names one value.
type Key struct {
	Table string
	Key   []byte
}

// Entry is a value as it is put.
type Entry struct {
	Key   []byte
	Value []byte // may be empty
	// At is the time of what the value tells, in microseconds since 1970.
	At int64
	// Expires is when the entry may be forgotten; zero means never. It is kept
	// to the millisecond.
	Expires time.Time
}

// Change is an entry that replaces a known one.
type Change struct {
	Entry
	// From is the version that was read: 0 where the key was not there.
	From uint64
	// To is the version that the key has afterwards, of NewVersion. A change
	// whose To is there already counts as done, so that one may be repeated
	// after an error that left it open whether it was written.
	To uint64
}

// Found is a value as it is read. The zero Found is a key that is not there.
type Found struct {
	Value   []byte // not to be changed; it stays as it is
	At      int64
	Version uint64 // never 0 where OK
	OK      bool
}

// Store keeps values by table and key. It is safe for many goroutines and,
// where it is a server, for many processes.
//
// A table begins with its first entry. Arguments beyond the bounds of Check
// are Invalid or TooLarge faults; a store that does not answer is an
// Unavailable one, and is asked anew by the next call.
type Store interface {
	// Get reads keys, of several tables, in one round trip, and appends one
	// Found for each to into.
	Get(ctx context.Context, keys []Key, into []Found) ([]Found, error)
	// Put writes entries of one table and returns how many of them it left out,
	// because the table has something newer, or because a newer one of the key
	// stands among the entries (of several of one time, the last is written).
	// An entry of the same time as what is there replaces it. An error means
	// that any of them may be written.
	Put(ctx context.Context, table string, entries []Entry) (older int, err error)
	// Swap writes the changes of one table whose key has the version From,
	// whatever its time, and returns the indices of the others, in rising
	// order. A key stands at most once among the changes. An error means that
	// any of them may be written.
	Swap(ctx context.Context, table string, changes []Change) (lost []int, err error)
	// Drop forgets a table. What is written meanwhile may stay.
	Drop(ctx context.Context, table string) error
	// Close ends the store. It is safe to call twice.
	Close() error
}
