package ingest

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// maxObjects bounds how many objects one address may mean.
const maxObjects = 100_000

// Buckets is the Opener of buckets: s3://bucket/path/*.csv.
type Buckets struct {
	// Bucket opens a bucket by its address without a path, such as
	// "s3://sales". It is closed after each use.
	Bucket func(ctx context.Context, address, secret string, options map[string]string) (blob.Bucket, error)
}

// List returns the objects that an address means, sorted by name.
func (b Buckets) List(ctx context.Context, address, secret string, options map[string]string) (found []Object, err error) {
	root, pattern := splitAddress(address)
	bucket, err := b.Bucket(ctx, root, secret, options)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := bucket.Close(); err == nil {
			err = cerr
		}
	}()
	before, _, _ := strings.Cut(pattern, "*")
	err = bucket.List(ctx, before, func(o blob.Object) error {
		if !matches(pattern, o.Name) {
			return nil
		}
		if len(found) >= maxObjects {
			return fault.New(fault.TooLarge, "%q means more than %d objects", address, maxObjects)
		}
		found = append(found, Object{Name: root + "/" + o.Name, Size: o.Size, Digest: o.ETag})
		return nil
	})
	slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return found, err
}

// Open reads an object that List returned.
func (b Buckets) Open(ctx context.Context, o Object, secret string, options map[string]string) (io.ReadCloser, error) {
	root, name := splitAddress(o.Name)
	bucket, err := b.Bucket(ctx, root, secret, options)
	if err != nil {
		return nil, err
	}
	r, err := bucket.Open(ctx, name, 0, -1)
	if err != nil {
		_ = bucket.Close()
		return nil, err
	}
	return &stacked{r, bucket}, nil
}

// splitAddress splits "s3://bucket/a/b" into "s3://bucket" and "a/b".
func splitAddress(address string) (root, name string) {
	scheme, rest, _ := strings.Cut(address, "://")
	bucket, name, _ := strings.Cut(rest, "/")
	return scheme + "://" + bucket, name
}

// matches tells whether a name is what a pattern means: * within a folder, **
// for any number of folders.
func matches(pattern, name string) bool {
	before, after, deep := strings.Cut(pattern, "**/")
	if !deep {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	}
	rest, inside := strings.CutPrefix(name, before)
	if !inside {
		return false
	}
	depth := strings.Count(after, "/")
	parts := strings.Split(rest, "/")
	if len(parts) <= depth {
		return false
	}
	ok, err := path.Match(after, strings.Join(parts[len(parts)-1-depth:], "/"))
	return ok && err == nil
}
