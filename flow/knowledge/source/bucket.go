package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// Bucket reads objects of a bucket whose names begin with a prefix or match a
// glob.
type Bucket struct {
	bucket  blob.Bucket
	root    string // such as s3://handbooks
	pattern string // "" where everything below the prefix is meant
	prefix  string
	names   Names
}

// NewBucket reads what an address such as s3://handbooks/2026/**/*.pdf means
// in an open bucket, which it closes.
func NewBucket(bucket blob.Bucket, address string, names Names) *Bucket {
	root, rest := SplitBucket(address)
	b := &Bucket{bucket: bucket, root: root, prefix: rest, names: names}
	if HasGlob(rest) {
		b.pattern = rest
		b.prefix = rest[:strings.IndexAny(rest, "*?[")]
	}
	return b
}

// SplitBucket splits s3://bucket/a/b into s3://bucket and a/b.
func SplitBucket(address string) (root, name string) {
	scheme, rest, _ := strings.Cut(address, "://")
	bucket, name, _ := strings.Cut(rest, "/")
	return scheme + "://" + bucket, name
}

// List lists the objects.
func (b *Bucket) List(ctx context.Context, _ string, found func(Item) error) (string, error) {
	n := 0
	return "", b.bucket.List(ctx, b.prefix, func(o blob.Object) error {
		if strings.HasSuffix(o.Name, "/") || b.pattern != "" && !Match(b.pattern, o.Name) || !b.names.Wanted(o.Name) {
			return nil
		}
		if n++; n > maxItems {
			return fault.New(fault.TooLarge, "%q has more than %d objects", b.root, maxItems)
		}
		return found(Item{ID: b.root + "/" + o.Name, Name: o.Name, Mark: objectMark(o), Size: o.Size, Modified: o.Modified.UTC(), Place: o.Name})
	})
}

func objectMark(o blob.Object) string {
	return fmt.Sprintf("%s %d %d", o.ETag, o.Size, o.Modified.UnixNano())
}

// Open reads an object. Whether it was replaced meanwhile is told by its mark
// before and after.
func (b *Bucket) Open(ctx context.Context, it Item, _ string) (Content, error) {
	before, err := b.mark(ctx, it.Place)
	if err != nil {
		return Content{}, err
	}
	body, err := b.bucket.Open(ctx, it.Place, 0, -1)
	if err != nil {
		return Content{}, err
	}
	return Content{Body: body, Mark: before, Still: func(ctx context.Context) (bool, error) {
		after, err := b.mark(ctx, it.Place)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return after == before, err
	}}, nil
}

var errEnough = errors.New("found")

// mark is that of an object now.
func (b *Bucket) mark(ctx context.Context, name string) (string, error) {
	mark := ""
	err := b.bucket.List(ctx, name, func(o blob.Object) error {
		if o.Name == name {
			mark = objectMark(o)
		}
		return errEnough // a name comes before all that it is the beginning of
	})
	if err != nil && !errors.Is(err, errEnough) {
		return "", err
	}
	if mark == "" {
		return "", fault.New(fault.NotFound, "there is no object %q any more", name)
	}
	return mark, nil
}

// Close closes the bucket.
func (b *Bucket) Close() error { return b.bucket.Close() }
