package window

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// table counts how often each value occurs: a hash table with open addressing
// and linear probing. The zero table is empty.
type table struct {
	slots []slot // a power of two of them, at most three quarters in use
	n     int    // in use: the number of distinct values
	// list: the slots are in the order of their values, none of them free at
	// first, which is how a table is read that will hardly be changed.
	list bool
}

type slot struct {
	cell  uint64
	count int64 // 0: free
}

const slotBytes = 16

// hash spreads cells over the slots by a seed that nobody outside knows, so
// that values cannot be chosen to collide.
func hash(cell, seed uint64) uint64 {
	hi, lo := bits.Mul64(cell^seed, 0x9e3779b97f4a7c15)
	return hi ^ lo
}

// add counts a value n times more, or less. It returns by how many bytes the
// table has grown.
func (t *table) add(cell uint64, n int64, seed uint64) (grown int64) {
	if t.list {
		if t.change(cell, n) {
			return 0
		}
		grown = t.spread(seed)
	}
	if len(t.slots) == 0 {
		t.slots = make([]slot, 4)
		grown += 4 * slotBytes
	}
	i := t.find(cell, seed)
	s := &t.slots[i]
	if s.count == 0 {
		if n <= 0 {
			return grown // never counted: only broken bytes can say so
		}
		if 4*(t.n+1) > 3*len(t.slots) {
			grown += t.resize(2*len(t.slots), seed)
			i = t.find(cell, seed)
			s = &t.slots[i]
		}
		*s = slot{cell, n}
		t.n++
		return grown
	}
	if s.count += n; s.count <= 0 {
		t.free(i, seed)
	}
	return grown
}

// append adds a value to a list, after all others. An empty table becomes one.
func (t *table) append(cell uint64, n int64) {
	if !t.list {
		t.slots, t.list = t.slots[:0], true
	}
	t.slots = append(t.slots, slot{cell, n})
	t.n++
}

// change counts a value of a list; false where it is not there.
func (t *table) change(cell uint64, n int64) bool {
	i, there := slices.BinarySearchFunc(t.slots, cell, func(s slot, cell uint64) int { return cmp.Compare(s.cell, cell) })
	if !there || t.slots[i].count == 0 {
		return false
	}
	if t.slots[i].count += n; t.slots[i].count <= 0 {
		t.slots[i].count = 0
		t.n--
	}
	return true
}

// spread makes a hash table of a list.
func (t *table) spread(seed uint64) (grown int64) {
	size := 4
	for 4*(t.n+1) > 3*size {
		size *= 2
	}
	t.list = false
	return t.resize(size, seed)
}

// find is the slot of a value, or the free one where it would be.
func (t *table) find(cell, seed uint64) int {
	mask := uint64(len(t.slots) - 1)
	for i := hash(cell, seed) & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.count == 0 || s.cell == cell {
			return int(i)
		}
	}
}

// free empties a slot and moves those behind it that would not be found else.
func (t *table) free(i int, seed uint64) {
	mask := len(t.slots) - 1
	t.n--
	for j := (i + 1) & mask; t.slots[j].count != 0; j = (j + 1) & mask {
		home := int(hash(t.slots[j].cell, seed)) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
}

func (t *table) resize(size int, seed uint64) (grown int64) {
	old := t.slots
	t.slots = make([]slot, size)
	for _, s := range old {
		if s.count != 0 {
			t.slots[t.find(s.cell, seed)] = s
		}
	}
	return int64(size-len(old)) * slotBytes
}

// merge counts what another table does, or takes it away where sign is -1.
func (t *table) merge(o *table, sign int64, seed uint64) (grown int64) {
	for _, s := range o.slots {
		if s.count != 0 {
			grown += t.add(s.cell, sign*s.count, seed)
		}
	}
	return grown
}

func (t *table) reset() {
	if t.list {
		t.slots, t.list = t.slots[:0], false
	}
	clear(t.slots)
	t.n = 0
}

// sketch counts values by buckets of a relative width, as DDSketch does
// (Masson, Rim and Lee, 2019), with its mapping that is linear between powers
// of two: 64 buckets for each, so that the middle of a bucket is never more
// than 1 % away from any value in it. Buckets can be added to and taken from.
// The zero sketch is empty.
type sketch struct {
	buckets []bucket // by index
	n       int64
}

type bucket struct {
	index int32
	count int64
}

const (
	bucketBytes = 16
	bucketBits  = 6 // of the mantissa
	bucketShift = 52 - bucketBits
	lastBucket  = 1 << (11 + bucketBits)
)

// bucketOf is the bucket of a value: 0 of zero and of what is too small to
// have relative bounds, then upwards and downwards by magnitude.
func bucketOf(x float64) int32 {
	a := math.Abs(x)
	if a < 0x1p-1022 {
		return 0
	}
	i := int32(math.Float64bits(a)>>bucketShift) + 1
	if x < 0 {
		return -i
	}
	return i
}

// middle is the value that stands for a bucket: its ends differ from it by
// the same share of themselves.
func middle(index int32) float64 {
	if index == 0 {
		return 0
	}
	code := uint64(max(index, -index) - 1)
	exponent := code >> bucketBits << 52
	low := 1 + float64(code&(1<<bucketBits-1))/(1<<bucketBits)
	high := low + 1.0/(1<<bucketBits)
	x := math.Float64frombits(exponent)
	if !math.IsInf(x, 0) {
		x = math.Float64frombits(math.Float64bits(2*low*high/(low+high))&(1<<52-1) | exponent)
	}
	if index < 0 {
		return -x
	}
	return x
}

// add counts a bucket n times more, or less.
func (s *sketch) add(index int32, n int64) (grown int64) {
	i, found := slices.BinarySearchFunc(s.buckets, index, func(b bucket, index int32) int { return int(b.index) - int(index) })
	switch {
	case found:
		b := &s.buckets[i]
		if b.count += n; b.count <= 0 {
			n -= b.count // what broken bytes took away too often
			s.buckets = slices.Delete(s.buckets, i, i+1)
		}
	case n > 0:
		before := cap(s.buckets)
		s.buckets = slices.Insert(s.buckets, i, bucket{index, n})
		grown = int64(cap(s.buckets)-before) * bucketBytes
	default:
		return 0
	}
	s.n += n
	return grown
}

func (s *sketch) merge(o *sketch, sign int64) (grown int64) {
	for _, b := range o.buckets {
		grown += s.add(b.index, sign*b.count)
	}
	return grown
}

func (s *sketch) reset() { s.buckets, s.n = s.buckets[:0], 0 }

// quantile stands for the value that floor(q·(n−1)) others are before; false
// where there is none.
func (s *sketch) quantile(q float64) (float64, bool) {
	rank := int64(q * float64(s.n-1))
	for _, b := range s.buckets {
		if rank -= b.count; rank < 0 {
			return middle(b.index), true
		}
	}
	return 0, false
}
