package vector

import (
	"bufio"
	"context"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// Writer makes a set. It is for one goroutine.
type Writer struct {
	o       Options
	w       *bufio.Writer
	codes   codes
	sums    []uint32
	row     []byte
	written int64
	err     error
}

// NewWriter starts a set that goes to w.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	o, err := o.normal()
	if err != nil {
		return nil, err
	}
	b := &Writer{o: o, w: bufio.NewWriterSize(w, 1<<16), codes: codes{dim: o.Dim}, row: make([]byte, 0, o.Dim*4)}
	head := make([]byte, headSize)
	copy(head, magic)
	binary.LittleEndian.PutUint32(head[8:], uint32(o.Dim))
	b.write(head)
	return b, b.err
}

// Len is how many ordinals there are: the next vector's.
func (b *Writer) Len() int { return b.codes.len() }

// Add appends the vector of the next ordinal; nil, or only zeros, where it has
// none: that ordinal is never found. Invalid is a vector of another length, or
// of numbers that are not finite.
func (b *Writer) Add(v []float32) error {
	if b.err != nil {
		return b.err
	}
	if v != nil && len(v) != b.o.Dim {
		return fault.New(fault.Invalid, "a vector has %d dimensions, and those before it %d", len(v), b.o.Dim).
			Hint("all passages of an index are embedded by one model")
	}
	if b.Len() >= MaxVectors {
		return fault.New(fault.TooLarge, "a set has at most %d vectors", MaxVectors)
	}
	unit, err := normalise(v)
	if err != nil {
		return err
	}
	b.codes.add(unit)
	if unit == nil {
		unit = make([]float32, b.o.Dim)
	}
	b.row = appendFloats(b.row[:0], unit)
	b.sums = append(b.sums, crc32.Checksum(b.row, castagnoli))
	b.write(b.row)
	return b.err
}

// Close builds the graph, where the set is large enough for one, and ends the
// file. It does not close what the Writer was given.
func (b *Writer) Close(ctx context.Context) error {
	if b.err != nil {
		return b.err
	}
	t := tail{dim: b.o.Dim, links: b.o.Links, count: b.Len(), exact: b.o.Exact, entry: -1}
	var g *graph
	if b.Len() > b.o.Exact {
		var err error
		if g, err = build(ctx, &b.codes, b.o); err != nil {
			return err
		}
		t.entry, t.top = g.entry, g.top
	}
	b.part(&t, partSums, func(p *partWriter) {
		for _, s := range b.sums {
			p.uint32(s)
		}
	})
	b.part(&t, partCodes, func(p *partWriter) {
		for i := range b.Len() {
			b.row = b.row[:0]
			for _, c := range b.codes.row(int32(i)) {
				b.row = append(b.row, byte(c))
			}
			p.bytes(b.row)
		}
	})
	b.part(&t, partScales, func(p *partWriter) { p.bytes(appendFloats(nil, b.codes.scale)) })
	b.part(&t, partMisses, func(p *partWriter) { p.bytes(appendFloats(nil, b.codes.miss)) })
	b.graph(&t, g)
	b.write(t.bytes())
	if b.err == nil {
		b.err = b.w.Flush()
	}
	return b.failed()
}

func (b *Writer) graph(t *tail, g *graph) {
	if g == nil {
		g = &graph{}
	}
	b.part(t, partLevels, func(p *partWriter) { p.bytes(g.levels) })
	b.part(t, partFloor, func(p *partWriter) { p.int32s(g.floor) })
	b.part(t, partUpper, func(p *partWriter) { p.int32s(g.upper) })
}

func (b *Writer) failed() error {
	if b.err != nil {
		return fault.Wrap(b.err, fault.Unavailable, "vectors cannot be written")
	}
	return nil
}

func (b *Writer) write(p []byte) {
	if b.err == nil {
		_, b.err = b.w.Write(p)
		b.written += int64(len(p))
	}
}

func (b *Writer) part(t *tail, which int, f func(*partWriter)) {
	p := &partWriter{b: b, sum: crc32.New(castagnoli)}
	begin := b.written
	f(p)
	t.parts[which] = part{offset: begin, length: b.written - begin, sum: p.sum.Sum32()}
}

// partWriter writes a part and sums it up.
type partWriter struct {
	b   *Writer
	sum hash.Hash32
	buf [4]byte
}

func (p *partWriter) bytes(b []byte) {
	p.b.write(b)
	_, _ = p.sum.Write(b)
}

func (p *partWriter) uint32(n uint32) {
	binary.LittleEndian.PutUint32(p.buf[:], n)
	p.bytes(p.buf[:])
}

func (p *partWriter) int32s(v []int32) {
	for _, n := range v {
		p.uint32(uint32(n))
	}
}
