// Package online is the contract of the store that features are read from by
// key while somebody waits: one value per entity and table, the newest there
// is.
//
// A value is bytes; what they mean is the business of flow/feature, which
// keeps rows and states of windows in them. Each has the time of what it
// tells, and a Put never replaces a newer value by an older one, so writers
// that race, repeat or come late do no harm. The store is a copy: what is in
// it can be made again from the lake, so it may forget on a power cut, but
// never gives another value than one that was put.
//
// Backends are the folders below; onlinetest is their conformance suite.
package online

import (
	"context"
	"time"
)

// Entry is a value as it is put.
type Entry struct {
	Key   []byte
	Value []byte
	// At is the time of what the value tells, in microseconds since 1970. An
	// entry older than what is there is left out; one of the same time
	// replaces it.
	At int64
	// Expires is when the entry may be forgotten; zero means never.
	Expires time.Time
}

// Found is a value as it is read. The zero Found is a key that is not there.
type Found struct {
	Value []byte // nil when there is none; the receiver's
	At    int64
	OK    bool
}

// Store keeps values by table and key. It is safe for many goroutines and,
// where it is a server, for many processes.
type Store interface {
	// Get reads keys of one table, in one round trip, and returns one Found
	// for each.
	Get(ctx context.Context, table string, keys [][]byte) ([]Found, error)
	// Put writes entries of one table and returns how many of them were older
	// than what is there. An error means that any of them may be written.
	Put(ctx context.Context, table string, entries []Entry) (older int, err error)
	// Drop forgets a table.
	Drop(ctx context.Context, table string) error
	// Close ends the store. It is safe to call twice.
	Close() error
}
