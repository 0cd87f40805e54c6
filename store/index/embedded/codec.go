package embedded

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
)

// castagnoli is the polynomial of every checksum here: processors have an
// instruction for it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// region is a range of a file and the checksum of its bytes.
type region struct {
	at   int64
	size int
	sum  uint32
}

// appendRegion and reader.region are each other's inverse.
func appendRegion(b []byte, r region) []byte {
	b = binary.AppendUvarint(b, uint64(r.at))
	b = binary.AppendUvarint(b, uint64(r.size))
	return binary.LittleEndian.AppendUint32(b, r.sum)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// errDamaged is what a reader says of bytes that do not parse. Checksums were
// right then, so either a defect wrote them or somebody did.
var errDamaged = errors.New("the bytes do not parse")

// reader takes values off a slice. After the first mistake it gives zeros and
// keeps err.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() { r.b, r.err = nil, errDamaged }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of things of which each takes at least one byte of what
// is left, so that memory may be taken for them.
func (r *reader) count() int {
	v := r.uvarint()
	if v > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(v)
}

// integer reads a number that fits into 31 bits.
func (r *reader) integer() int {
	v := r.uvarint()
	if v > math.MaxInt32 {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) string() string { return string(r.take(r.count())) }

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) region() region {
	at := r.uvarint()
	if at > math.MaxInt64 {
		r.fail()
	}
	return region{at: int64(at), size: r.integer(), sum: r.uint32()}
}

// done is the reader's error, and errDamaged where bytes are left.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		return errDamaged
	}
	return r.err
}

// readRegion reads and checks a region into buffer, which grows as needed. The
// region lies within the first limit bytes of the file.
func readRegion(f io.ReaderAt, r region, limit int64, buffer []byte) ([]byte, error) {
	if r.at < 0 || r.size < 0 || r.at > limit-int64(r.size) {
		return nil, errDamaged
	}
	if cap(buffer) < r.size {
		buffer = make([]byte, r.size)
	}
	buffer = buffer[:r.size]
	if _, err := f.ReadAt(buffer, r.at); err != nil {
		return nil, err
	}
	if checksum(buffer) != r.sum {
		return nil, errors.New("the checksum is wrong")
	}
	return buffer, nil
}

// corrupt says that a file is not what was stored. An error of the device
// itself is one of those.
func corrupt(err error, file string) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Corrupt, "the index file %s is not what was stored", filepath.Base(file)).
		Because(err).Hint("build a new snapshot from nothing")
}

// damaged is corrupt for what does not parse; other errors stay as they are.
func damaged(err error, file string) error {
	if errors.Is(err, errDamaged) {
		return corrupt(err, file)
	}
	return err
}

// ioFault says that a file could not be written.
func ioFault(err error, what string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	kind := fault.Unavailable
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		kind = fault.Full
	}
	return fault.Wrap(err, kind, "%s", what)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeWhole writes a file that is there whole or not at all, and durable. A
// name that is taken is os.ErrExist.
func writeWhole(path string, data []byte) error {
	temp := path + tempSuffix
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(temp, path)
	}
	if err = errors.Join(err, os.Remove(temp)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// tempSuffix ends the names of files that are not whole yet.
const tempSuffix = ".tmp"
