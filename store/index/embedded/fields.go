package embedded

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/leat-ai/leat/store/index"
)

// A field of a segment is its values in order, each once, with the ordinals of
// the passages that have it. Values are ordered by sort (strings, booleans,
// numbers, times) and then as index.Value.Compare says, so that what a
// condition lets through lies together.

// sortOf brings integers and doubles together, which compare with one another.
func sortOf(v index.Value) int {
	if v.Kind == index.Double {
		return int(index.Int)
	}
	return int(v.Kind)
}

// compareValues orders all values. Two that compare as equal but are of two
// kinds, 1 and 1.0, are equal.
func compareValues(v, w index.Value) int {
	if a, b := sortOf(v), sortOf(w); a != b {
		return a - b
	}
	order, _ := v.Compare(w)
	return order
}

// valued is a value of a field and a passage that has it.
type valued struct {
	value   index.Value
	ordinal uint32
}

// appendFieldValues appends a field. Its values are sorted in place.
func appendFieldValues(b []byte, values []valued) []byte {
	slices.SortFunc(values, func(x, y valued) int {
		if c := compareValues(x.value, y.value); c != 0 {
			return c
		}
		return int(x.ordinal) - int(y.ordinal)
	})
	for from := 0; from < len(values); {
		to := from + 1
		for to < len(values) && compareValues(values[to].value, values[from].value) == 0 {
			to++
		}
		b = appendValue(b, values[from].value)
		ordinals := slices.CompactFunc(values[from:to], func(x, y valued) bool { return x.ordinal == y.ordinal })
		b = binary.AppendUvarint(b, uint64(len(ordinals)))
		last := uint32(0)
		for _, v := range ordinals {
			b = binary.AppendUvarint(b, uint64(v.ordinal-last))
			last = v.ordinal
		}
		from = to
	}
	return b
}

// matchField sets the bits of the passages of which a value meets a condition.
func matchField(b []byte, holds func(index.Value) bool, into bitmap, n int) error {
	r := reader{b: b}
	for len(r.b) > 0 {
		v := r.value()
		take := holds(v)
		at := uint64(0)
		for range r.count() {
			at += r.uvarint()
			if at >= uint64(n) {
				r.fail()
				return r.err
			}
			if take {
				into.set(uint32(at))
			}
		}
	}
	return r.err
}

// bitmap is a set of ordinals of a segment, one bit each. Those behind the
// last passage are never set.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

// fullBitmap has the first n bits set.
func fullBitmap(n int) bitmap {
	b := newBitmap(n)
	for i := range b {
		b[i] = ^uint64(0)
	}
	b.trim(n)
	return b
}

func (b bitmap) trim(n int) {
	if rest := n % 64; rest > 0 && len(b) > 0 {
		b[len(b)-1] &= 1<<rest - 1
	}
}

func (b bitmap) set(i uint32)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) has(i uint32) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitmap) and(c bitmap) {
	for i := range b {
		b[i] &= c[i]
	}
}

func (b bitmap) or(c bitmap) {
	for i := range b {
		b[i] |= c[i]
	}
}

func (b bitmap) not(n int) {
	for i := range b {
		b[i] = ^b[i]
	}
	b.trim(n)
}

// any tells whether one of the bits from..to, both included, is set.
func (b bitmap) any(from, to uint32) bool {
	first, last := from/64, to/64
	head, tail := ^uint64(0)<<(from%64), ^uint64(0)>>(63-to%64)
	if first == last {
		return b[first]&head&tail != 0
	}
	if b[first]&head != 0 || b[last]&tail != 0 {
		return true
	}
	for i := first + 1; i < last; i++ {
		if b[i] != 0 {
			return true
		}
	}
	return false
}

// count is how many bits are set.
func (b bitmap) count() (n int) {
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}
