// Package cloud makes a bucket of one that the Go CDK opened: what the
// backends s3/ and azure/ have in common.
//
// It gives names, faults and the end of objects one meaning for both, and
// keeps an upload whose reader failed from being taken for a short one. Only
// the backends import it.
package cloud

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	cdk "gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// Service is what the kinds of cloud differ in.
type Service struct {
	// Name is the service in sentences, such as "S3".
	Name string
	// Reply returns what the service answered with an error: the HTTP status
	// and the service's own code. The status is 0 where it did not answer.
	Reply func(error) (status int, code string)
	// ETag returns the entity tag of a listed object.
	ETag func(*cdk.ListObject) string
}

// PartSize is how much of an object is sent at once, and Parts how many parts
// are on their way together: an upload holds about their product in memory.
const (
	PartSize = 8 << 20
	Parts    = 4
)

// New makes a bucket, and owns what it is given. Names get the prefix, a path
// without a slash at its end, or "". It fails when the bucket does not exist
// or does not let us in.
func New(ctx context.Context, opened *cdk.Bucket, prefix string, s Service) (blob.Bucket, error) {
	if prefix != "" {
		prefix += "/"
	}
	b := &bucket{cdk: opened, prefix: prefix, service: s}
	found, err := opened.IsAccessible(ctx)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "the bucket does not exist on %s", s.Name).Hint("make it, or look at its name")
	}
	if err != nil {
		_ = b.Close()
		return nil, b.fault(err, "the bucket")
	}
	return b, nil
}

type bucket struct {
	cdk     *cdk.Bucket
	prefix  string
	service Service
	once    sync.Once
}

func (b *bucket) Close() (err error) {
	b.once.Do(func() { err = fault.Wrap(b.cdk.Close(), fault.Unavailable, "the bucket did not close cleanly") })
	return err
}

func (b *bucket) Open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := blob.CheckName(name); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fault.New(fault.Invalid, "an object cannot be read from offset %d", offset)
	}
	r, err := b.cdk.NewRangeReader(ctx, b.prefix+name, offset, length, nil)
	if err != nil {
		if status, _ := b.service.Reply(err); status == 416 { // from the end on there are no bytes
			return io.NopCloser(strings.NewReader("")), nil
		}
		return nil, b.fault(err, name)
	}
	return &reader{b: b, r: r, name: name}, nil
}

type reader struct {
	b    *bucket
	r    *cdk.Reader
	name string
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = r.b.fault(err, r.name)
	}
	return n, err
}

func (r *reader) Close() error { return r.r.Close() }

// Size is the size of the whole object, and Modified when it was written: what
// readers of a cloud tell without another request.
func (r *reader) Size() int64 { return r.r.Size() }

func (r *reader) Modified() time.Time { return r.r.ModTime() }

func (b *bucket) Put(ctx context.Context, name string, r io.Reader, fresh bool) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	guarded := &guard{r: r, cancel: cancel}
	err := b.cdk.Upload(ctx, b.prefix+name, guarded, &cdk.WriterOptions{
		BufferSize: PartSize, MaxConcurrency: Parts, ContentType: "application/octet-stream", IfNotExist: fresh,
	})
	if failed := guarded.failed(); failed != nil {
		kind := fault.KindOf(failed)
		if kind == fault.Internal {
			kind = fault.Unavailable
		}
		return fault.Wrap(failed, kind, "what was to be stored as %q could not be read", name)
	}
	if err != nil && fresh && b.taken(ctx, err, name) {
		return fault.New(fault.Conflict, "object %q exists already", name)
	}
	return b.fault(err, name)
}

// taken tells whether a fresh name could not be had because it exists. A
// service may say so before it has read the object, and hang up; then its
// answer is lost, and it is asked.
func (b *bucket) taken(ctx context.Context, err error, name string) bool {
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return true
	}
	if status, _ := b.service.Reply(err); status != 0 {
		return false
	}
	exists, err := b.cdk.Exists(ctx, b.prefix+name)
	return err == nil && exists
}

// guard remembers the failure of an upload's reader and ends the upload: the
// clients take some failures, such as an unexpected end, for the end.
type guard struct {
	r      io.Reader
	cancel context.CancelFunc
	mu     sync.Mutex
	err    error
}

var errRead = errors.New("the content could not be read")

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	g.mu.Lock()
	g.err = err
	g.mu.Unlock()
	g.cancel()
	return n, errRead
}

func (g *guard) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (b *bucket) Delete(ctx context.Context, name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	err := b.cdk.Delete(ctx, b.prefix+name)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	return b.fault(err, name)
}

func (b *bucket) List(ctx context.Context, prefix string, f func(blob.Object) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	objects := b.cdk.List(&cdk.ListOptions{Prefix: b.prefix + prefix})
	for {
		o, err := objects.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return b.fault(err, "the list of objects")
		}
		name := strings.TrimPrefix(o.Key, b.prefix)
		if o.IsDir || blob.CheckName(name) != nil {
			continue
		}
		if err := f(blob.Object{Name: name, Size: o.Size, Modified: o.ModTime.UTC(), ETag: b.service.ETag(o)}); err != nil {
			return err
		}
	}
}

// fault makes a fault of a client's error. Where the service answered, its
// code is told and the rest, which is long and may hold addresses, is not.
func (b *bucket) fault(err error, name string) error {
	if err == nil {
		return nil
	}
	if _, is := errors.AsType[*fault.Error](err); is {
		return err
	}
	if kind := fault.KindOf(err); kind == fault.Timeout || kind == fault.Canceled {
		return fault.Wrap(err, kind, "%s was not waited for", b.service.Name)
	}
	status, code := b.service.Reply(err)
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound || status == 404:
		return fault.New(fault.NotFound, "there is no object %q", name)
	case status == 401 || status == 403:
		return fault.New(fault.Forbidden, "%s does not let us reach %q (%s)", b.service.Name, name, code).
			Hint("look at the credentials and at what they may do")
	case status == 409 || status == 412:
		return fault.New(fault.Conflict, "%q changed meanwhile, or exists already (%s)", name, code)
	case status == 507:
		return fault.New(fault.Full, "no space is left on %s (%s)", b.service.Name, code)
	case status >= 400 && status < 500 && status != 408 && status != 429:
		return fault.New(fault.Invalid, "%s refuses %q (%d %s)", b.service.Name, name, status, code)
	case status > 0:
		return fault.New(fault.Unavailable, "%s does not answer at present (%d %s)", b.service.Name, status, code)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be reached", b.service.Name)
}
