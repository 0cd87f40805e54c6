// Package blob is the contract for bytes that are too big for the catalog:
// model artifacts, profiles, reports, files of users' buckets.
//
// There are two layers. A Bucket is a flat space of named objects: the
// backends file/, s3/ and azure/ below this package, each one folder, all
// held to the suite in blobtest/. A Store (NewStore) keeps content by its
// SHA-256 on top of any Bucket; it is what the lifecycle uses, and what
// guarantees that a flipped bit is found when it is read.
package blob

import (
	"context"
	"io"
	"time"
)

// Bucket is a flat space of named objects. A name that CheckName refuses is
// an Invalid fault. Methods are safe for many goroutines. A name that does
// not exist is a NotFound fault. Where folders are real, an object cannot
// have the name of another's folder: writing one is a Conflict.
type Bucket interface {
	// Open reads length bytes of an object from offset; a negative length
	// means to the end. From the end on there are no bytes, which is no
	// error. A negative offset is an Invalid fault.
	Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	// Put writes an object whole or not at all, and durably: after nil it
	// survives a power cut. With fresh set, an existing name is a Conflict;
	// of writers that race for a fresh name one wins; on a network, where
	// answers get lost, a Conflict may be with one's own write. An error of
	// r, or the end of ctx, leaves nothing.
	Put(ctx context.Context, name string, r io.Reader, fresh bool) error
	// Delete removes an object; a missing one is no error.
	Delete(ctx context.Context, name string) error
	// List calls f with every object whose name begins with prefix, in the
	// order of the names' bytes, until f returns an error, which List returns.
	// Objects that others gave a name that CheckName refuses are left out.
	List(ctx context.Context, prefix string, f func(Object) error) error
	// Close releases what the bucket holds. It is safe to call twice.
	Close() error
}

// Object is what List says of an object.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time
	ETag     string // changes when the content does; may be empty on files
}
