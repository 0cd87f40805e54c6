package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"sync/atomic"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/leat-ai/leat/base/fault"
)

// minUnpacked is what a compressed file may grow to whatever its ratio: small
// files of repeated rows compress well and harm nobody.
const minUnpacked = 64 << 20

// maxWindow is the most memory that a zstd stream may ask for.
const maxWindow = 256 << 20

// counter counts the bytes that went through a reader.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// unpack returns the content of a file: unpacked when its first bytes are
// those of gzip or zstd, whatever its name. read counts the bytes of the file
// itself.
func unpack(r io.Reader, name string, limits Limits, read *atomic.Int64) (io.ReadCloser, error) {
	packed := bufio.NewReaderSize(counter{r, read}, 256<<10)
	head, err := packed.Peek(4)
	if err != nil && err != io.EOF {
		return nil, readFault(err, name)
	}
	guard := &unpacked{name: path.Base(name), limits: limits, read: read}
	switch {
	case bytes.HasPrefix(head, []byte{0x1F, 0x8B}):
		z, err := kgzip.NewReader(packed)
		if err != nil {
			return nil, guard.broken(err)
		}
		guard.r, guard.close = z, func() { _ = z.Close() }
	case bytes.Equal(head, []byte{0x28, 0xB5, 0x2F, 0xFD}):
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, guard.broken(err)
		}
		guard.r, guard.close = z, z.Close
	default:
		return io.NopCloser(packed), nil
	}
	return guard, nil
}

// unpacked bounds what a compressed file becomes and names what is wrong with
// it.
type unpacked struct {
	r      io.Reader
	close  func()
	name   string
	limits Limits
	read   *atomic.Int64
	out    int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.out += int64(n)
	if err != nil && err != io.EOF {
		return n, u.broken(err)
	}
	if u.out > minUnpacked && u.out/u.limits.MaxRatio > u.read.Load() || u.out > u.limits.MaxBytes {
		return n, fault.New(fault.TooLarge, "%q unpacks to more than %d times its size, or %d bytes", u.name, u.limits.MaxRatio, u.limits.MaxBytes).
			Hint("unpack the file yourself if it is meant to be that large")
	}
	return n, err
}

func (u *unpacked) Close() error {
	u.close()
	return nil
}

func (u *unpacked) broken(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return fault.New(fault.Corrupt, "%q ends in the middle of its compressed data", u.name).
			Hint("the copy or download was cut short: fetch the file again")
	case errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fault.New(fault.TooLarge, "%q asks for more than %d MiB to be unpacked", u.name, maxWindow>>20)
	case errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || fault.KindOf(err) == fault.Internal:
		return fault.Wrap(err, fault.Corrupt, "%q has broken compressed data", u.name)
	}
	return err
}

// readFault gives the error of a source's reader a kind.
func readFault(err error, name string) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "%q cannot be read", path.Base(name))
}
