package vector

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"math/bits"

	"github.com/leat-ai/leat/base/fault"
)

// A file is, little-endian throughout:
//
//	head      64 bytes: magic, dim
//	vectors   n × dim × float32, of length one; zeros where there is none
//	sums      n × CRC-32C of one vector
//	codes     n × dim × int8
//	scales    n × float32
//	misses    n × float32
//	levels    n × uint8        only with a graph
//	floor     n × 2·links × int32, -1 where there is none
//	upper     for each vector in order its levels × links × int32
//	tail      sizes, and offset, length and CRC-32C of each part but the vectors
//
// It is written from front to back, so that a set may be larger than memory.
const (
	magic    = "leatvec1"
	headSize = 64
	tailSize = 256
)

// The parts of a file behind the vectors, in order.
const (
	partSums = iota
	partCodes
	partScales
	partMisses
	partLevels
	partFloor
	partUpper
	parts
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// part says where a part of a file lies.
type part struct {
	offset, length int64
	sum            uint32
}

// tail is the end of a file.
type tail struct {
	dim, links int
	count      int
	exact      int   // Options.Exact
	entry      int32 // where a walk of the graph begins; -1 without a graph
	top        int   // the level of entry
	parts      [parts]part
}

func (t *tail) bytes() []byte {
	b := make([]byte, 0, tailSize)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(t.dim))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.links))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.count))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.entry))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.top))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.exact))
	for _, p := range t.parts {
		b = binary.LittleEndian.AppendUint64(b, uint64(p.offset))
		b = binary.LittleEndian.AppendUint64(b, uint64(p.length))
		b = binary.LittleEndian.AppendUint32(b, p.sum)
	}
	b = b[:tailSize]
	binary.LittleEndian.PutUint32(b[tailSize-4:], crc32.Checksum(b[:tailSize-4], castagnoli))
	return b
}

// readTail reads the end of a file and checks that its parts follow each other
// and are as long as the sizes say, so that what is allocated for them was
// really there.
func readTail(r io.ReaderAt, size int64) (*tail, error) {
	if size < headSize+tailSize {
		return nil, damaged("is too short")
	}
	b := make([]byte, tailSize)
	if err := readFull(r, b, size-tailSize); err != nil {
		return nil, err
	}
	if string(b[:8]) != magic || binary.LittleEndian.Uint32(b[tailSize-4:]) != crc32.Checksum(b[:tailSize-4], castagnoli) {
		return nil, damaged("has no end")
	}
	t := &tail{
		dim: int(binary.LittleEndian.Uint32(b[8:])), links: int(binary.LittleEndian.Uint32(b[12:])),
		entry: int32(binary.LittleEndian.Uint32(b[24:])), top: int(binary.LittleEndian.Uint32(b[28:])),
	}
	count := binary.LittleEndian.Uint64(b[16:])
	if t.dim < 1 || t.dim > MaxDim || count > MaxVectors || t.links > maxLinks || t.top > maxLevel {
		return nil, damaged("has impossible sizes")
	}
	t.count, t.exact = int(count), int(min(binary.LittleEndian.Uint64(b[32:]), MaxVectors))
	for i := range t.parts {
		at := b[40+i*20:]
		t.parts[i] = part{
			offset: int64(binary.LittleEndian.Uint64(at)), length: int64(binary.LittleEndian.Uint64(at[8:])),
			sum: binary.LittleEndian.Uint32(at[16:]),
		}
	}
	return t, t.check(size)
}

func (t *tail) check(size int64) error {
	n, dim := int64(t.count), int64(t.dim)
	want := [parts]int64{partSums: 4 * n, partCodes: n * dim, partScales: 4 * n, partMisses: 4 * n}
	if t.entry >= 0 {
		if int(t.entry) >= t.count || t.links < 2 {
			return damaged("has a graph of no vectors")
		}
		want[partLevels], want[partFloor] = n, n*int64(t.links)*8
		want[partUpper] = t.parts[partUpper].length // told by the levels, below
	}
	at := headSize + n*dim*4
	for i, p := range t.parts {
		if p.length != want[i] || p.length < 0 || p.offset != at || p.length > size-at {
			return damaged("has parts that do not fit")
		}
		at += p.length
	}
	if at != size-tailSize {
		return damaged("is not as long as its parts")
	}
	return nil
}

// read reads a part and holds it against its checksum.
func (t *tail) read(r io.ReaderAt, which int) ([]byte, error) {
	p := t.parts[which]
	b := make([]byte, p.length)
	if err := readFull(r, b, p.offset); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != p.sum {
		return nil, damaged("has a part whose checksum is another")
	}
	return b, nil
}

func readFull(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		return damaged("is shorter than it was")
	}
	return fault.Wrap(err, fault.Unavailable, "vectors cannot be read")
}

func damaged(what string) error {
	return fault.New(fault.Corrupt, "a file of vectors %s", what).Hint("build the index again from its sources")
}

func int32s(b []byte) []int32 {
	out := make([]int32, len(b)/4)
	for i := range out {
		out[i] = int32(binary.LittleEndian.Uint32(b[i*4:]))
	}
	return out
}

func uint32s(b []byte) []uint32 {
	out := make([]uint32, len(b)/4)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[i*4:])
	}
	return out
}

func float32s(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[i*4:]))
	}
	return out
}

func int8s(b []byte) []int8 {
	out := make([]int8, len(b))
	for i, x := range b {
		out[i] = int8(x)
	}
	return out
}

func appendFloats(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// finite tells whether every number is one, and not below zero.
func finite(v []float32) bool {
	for _, x := range v {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return false
		}
	}
	return true
}

// levels of a graph of MaxVectors vectors: a level is as likely as 1 in links.
const maxLevel = 30

// levelOf draws the level of a vector from its ordinal, so that the graph is
// the same wherever it is built.
func levelOf(ordinal, links int) int {
	x := uint64(ordinal) + 0x9e3779b97f4a7c15 // splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	// Level l has the probability links^-l: the whole part of the logarithm to
	// the base links, of which only powers of two are needed.
	zeros := bits.LeadingZeros64(x | 1)
	return min(zeros/max(1, bits.Len(uint(links))-1), maxLevel)
}
