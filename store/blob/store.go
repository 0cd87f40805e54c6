package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
)

// Digest is the SHA-256 of some content, as 64 lower-case hex digits. It is
// the content's name.
type Digest string

// ParseDigest checks that s is a digest.
func ParseDigest(s string) (Digest, error) {
	if len(s) != 2*sha256.Size || bytes.ContainsFunc([]byte(s), func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }) {
		return "", fault.New(fault.Invalid, "%.80q is not a digest: it needs 64 hex digits", s)
	}
	return Digest(s), nil
}

// DigestOf returns the digest of some bytes.
func DigestOf(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest(hex.EncodeToString(sum[:]))
}

func digestOf(h hash.Hash) Digest { return Digest(hex.EncodeToString(h.Sum(nil))) }

// name is where the content lies; the first byte spreads it over folders.
func (d Digest) name() string { return "sha256/" + string(d[:2]) + "/" + string(d[2:]) }

// Store keeps content under its digest on top of a Bucket. Content is never
// changed; what is put twice is kept once. It is safe for many goroutines.
type Store struct {
	bucket Bucket
	spool  string
}

// NewStore makes a store on a bucket. Content over a megabyte waits in a file
// in the folder spool until its digest is known; "" means the system's folder
// for temporary files.
func NewStore(bucket Bucket, spool string) *Store { return &Store{bucket: bucket, spool: spool} }

// Put keeps what r yields and returns its digest and size. After nil it is
// durable. Content that is there already is looked at, and written again
// where it has been damaged.
func (s *Store) Put(ctx context.Context, r io.Reader) (Digest, int64, error) {
	sp := &spool{folder: s.spool}
	defer sp.discard()
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(h, sp), ended{ctx, r})
	if err != nil {
		return "", 0, wrap(err, "content could not be taken in")
	}
	d := digestOf(h)
	if err := s.keep(ctx, d, sp.reader); err != nil {
		return "", 0, err
	}
	return d, size, nil
}

// PutBytes is Put of bytes in memory.
func (s *Store) PutBytes(ctx context.Context, content []byte) (Digest, error) {
	d := DigestOf(content)
	return d, s.keep(ctx, d, func() (io.Reader, error) { return bytes.NewReader(content), nil })
}

// keep writes content that is not there yet, or not as it should be.
func (s *Store) keep(ctx context.Context, d Digest, content func() (io.Reader, error)) error {
	switch err := s.Verify(ctx, d); {
	case err == nil:
		return nil
	case fault.Is(err, fault.Corrupt):
		return s.write(ctx, d, content, false)
	case !fault.Is(err, fault.NotFound):
		return err
	}
	err := s.write(ctx, d, content, true)
	if fault.Is(err, fault.Conflict) { // somebody else put the same meanwhile
		return s.Verify(ctx, d)
	}
	return err
}

func (s *Store) write(ctx context.Context, d Digest, content func() (io.Reader, error), fresh bool) error {
	r, err := content()
	if err != nil {
		return wrap(err, "content could not be read back before it was stored")
	}
	return s.bucket.Put(ctx, d.name(), r, fresh)
}

// Open reads content, checking it on the way: when the last byte has been
// read and the whole is not what was put, Read returns a Corrupt fault in
// place of io.EOF. Bytes are handed out before that is known; who cannot
// take them back uses ReadAll, or reads to the end first.
func (s *Store) Open(ctx context.Context, d Digest) (io.ReadCloser, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return nil, err
	}
	r, err := s.bucket.Open(ctx, d.name(), 0, -1)
	if err != nil {
		return nil, err
	}
	return &checked{r: r, sum: sha256.New(), want: d}, nil
}

// ReadAll returns content of at most limit bytes, checked; more is a TooLarge
// fault.
func (s *Store) ReadAll(ctx context.Context, d Digest, limit int64) ([]byte, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, wrap(err, "content %.12s… could not be read", d)
	}
	if int64(len(content)) > limit {
		return nil, fault.New(fault.TooLarge, "content %.12s… is over %d bytes", d, limit)
	}
	return content, nil
}

// Has tells whether content is there. It does not check it.
func (s *Store) Has(ctx context.Context, d Digest) (bool, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return false, err
	}
	r, err := s.bucket.Open(ctx, d.name(), 0, 0)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}

// Verify reads content to its end: nil means that it is what was put.
func (s *Store) Verify(ctx context.Context, d Digest) error {
	r, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return wrap(err, "content %.12s… could not be read", d)
}

// List calls f with the digest of everything kept, in order, until f returns
// an error.
func (s *Store) List(ctx context.Context, f func(Digest, Object) error) error {
	return s.bucket.List(ctx, "sha256/", func(o Object) error {
		name := o.Name[len("sha256/"):]
		if len(name) < 3 || name[2] != '/' {
			return nil
		}
		d, err := ParseDigest(name[:2] + name[3:])
		if err != nil {
			return nil // not ours
		}
		return f(d, o)
	})
}

// Delete removes content that nothing refers to any more; the caller knows.
func (s *Store) Delete(ctx context.Context, d Digest) error {
	if _, err := ParseDigest(string(d)); err != nil {
		return err
	}
	return s.bucket.Delete(ctx, d.name())
}

// wrap describes an error that is not a fault yet.
func wrap(err error, what string, args ...any) error {
	if err == nil {
		return nil
	}
	kind := fault.KindOf(err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = fault.Full
	case kind == fault.Internal:
		kind = fault.Unavailable
	}
	return fault.Wrap(err, kind, what, args...)
}

// checked hashes what passes, and compares at the end.
type checked struct {
	r    io.ReadCloser
	sum  hash.Hash
	want Digest
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	if err == io.EOF && digestOf(c.sum) != c.want {
		err = fault.New(fault.Corrupt, "stored content %.12s… is not what was stored", c.want).
			Hint("restore it from a backup, or make it again; it is not used")
	}
	return n, err
}

func (c *checked) Close() error { return c.r.Close() }

// ended ends a reader when its context ends.
type ended struct {
	ctx context.Context
	r   io.Reader
}

func (e ended) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(p)
}

// spool holds content of unknown length: in memory, then in a file.
type spool struct {
	folder string
	memory bytes.Buffer
	file   *os.File
}

const spoolMemory = 1 << 20

func (s *spool) Write(p []byte) (int, error) {
	if s.file != nil {
		return s.file.Write(p)
	}
	if s.memory.Len()+len(p) <= spoolMemory {
		return s.memory.Write(p)
	}
	f, err := os.CreateTemp(s.folder, "leat-spool-*")
	if err != nil {
		return 0, err
	}
	s.file = f
	if _, err := f.Write(s.memory.Bytes()); err != nil {
		return 0, err
	}
	s.memory = bytes.Buffer{}
	return f.Write(p)
}

func (s *spool) reader() (io.Reader, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory.Bytes()), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return s.file, err
}

func (s *spool) discard() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
}
