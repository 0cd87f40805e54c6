package embedded

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
)

// Scores are whole numbers of 1/fixed while they are added up, so that a sum
// does not depend on the order of its terms: one passage has one score,
// whatever segment it lies in and whatever was left out on the way.
const fixed = 1 << 32

// formula is BM25 for one term of a query in one snapshot:
//
//	weight / (1 + K/count),  K = k1·(1 − b + b·length/average)
//
// which is the usual form divided by count above and below. In this form it
// never falls with the count and never rises with the length, rounding
// included, so a peak bounds what lies under it exactly.
type formula struct {
	weight   float64 // of the term: idf, times how often the query has it
	constant float64 // of K, in units
	slope    float64 // of K with the length, by units
}

// score is at least 1: a passage that has a word of the query is a hit.
func (f *formula) score(count, length uint32) int64 {
	k := f.constant + float64(f.slope*float64(length))
	return max(1, int64(f.weight/(1+k/float64(count))*fixed))
}

func (f *formula) bound(p peak) int64 { return f.score(p.count, p.length) }

// cursor walks through one term's postings in one segment.
type cursor struct {
	list    list
	formula formula
	lengths []uint32

	at       int // block
	decoded  int // block whose postings are in ordinals and counts; -1: none
	n        int // postings of that block
	i        int // within it
	ordinals [blockSize]uint32
	counts   [blockSize]uint32

	bound int64 // of the window
}

// seek goes to the first block that does not end before an ordinal.
func (c *cursor) seek(ordinal uint32) {
	for c.at < len(c.list.blocks) && c.list.blocks[c.at].last < ordinal {
		c.at++
	}
}

// window sets the bound of the scores within from..to, to excluded.
func (c *cursor) window(from, to uint32) {
	c.seek(from)
	c.bound = 0
	for i := c.at; i < len(c.list.blocks) && (i == 0 || c.list.blocks[i].before < to); i++ {
		c.bound = max(c.bound, c.list.blocks[i].bound)
		if c.list.blocks[i].last >= to {
			break
		}
	}
}

func (c *cursor) decode(block int) (err error) {
	if c.decoded != block {
		c.n, err = c.list.decode(block, &c.ordinals, &c.counts)
		c.decoded, c.i = block, 0
	}
	return err
}

// probe is the term's score of a passage, 0 where the term does not stand in
// it. Ordinals rise from call to call.
func (c *cursor) probe(ordinal uint32) (int64, error) {
	c.seek(ordinal)
	if c.at >= len(c.list.blocks) {
		return 0, nil
	}
	if k := &c.list.blocks[c.at]; c.at > 0 && ordinal <= k.before {
		return 0, nil
	}
	if err := c.decode(c.at); err != nil {
		return 0, err
	}
	for c.i < c.n && c.ordinals[c.i] < ordinal {
		c.i++
	}
	if c.i < c.n && c.ordinals[c.i] == ordinal {
		return c.formula.score(c.counts[c.i], c.lengths[ordinal]), nil
	}
	return 0, nil
}

// scored is a passage of a segment with a score.
type scored struct {
	ordinal uint32
	score   int64
}

// windowSize is how many ordinals are scored at once. Sums of a window stay in
// the processor's first cache.
const windowSize = 2048

// scan finds the best passages of a segment by their terms: it is MaxScore
// (Turtle and Flood, 1995) over windows, with the bounds of blocks. In a window
// the terms whose bounds together cannot lift a passage over the threshold are
// looked up only for passages that another term brought up.
type scan struct {
	cursors []*cursor
	allowed bitmap
	best    *best
	n       int

	order   []*cursor // by falling bound, of the window
	sums    [windowSize]int64
	touched [windowSize / 64]uint64
}

func (s *scan) run(ctx context.Context) error {
	for from := 0; from < s.n; from += windowSize {
		to := min(from+windowSize, s.n)
		if !s.allowed.any(uint32(from), uint32(to-1)) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.window(uint32(from), uint32(to)); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) window(from, to uint32) error {
	s.order = s.order[:0]
	for _, c := range s.cursors {
		if c.window(from, to); c.bound > 0 {
			s.order = append(s.order, c)
		}
	}
	slices.SortStableFunc(s.order, func(x, y *cursor) int { return cmp.Compare(y.bound, x.bound) })
	essential, rest := len(s.order), int64(0)
	for essential > 0 && rest+s.order[essential-1].bound < s.best.threshold {
		essential--
		rest += s.order[essential].bound
	}
	for _, c := range s.order[:essential] {
		if err := s.add(c, from, to); err != nil {
			return err
		}
	}
	return s.collect(s.order[essential:], rest, from)
}

// add adds a term's scores within the window.
func (s *scan) add(c *cursor, from, to uint32) error {
	for ; c.at < len(c.list.blocks); c.at++ {
		k := &c.list.blocks[c.at]
		if c.at > 0 && k.before+1 >= to {
			return nil
		}
		if s.allowed.any(max(k.before, from), min(k.last, to-1)) {
			if err := c.decode(c.at); err != nil {
				return err
			}
			s.addBlock(c, from, to)
		}
		if k.last >= to-1 {
			return nil // the block may have more, behind the window
		}
	}
	return nil
}

func (s *scan) addBlock(c *cursor, from, to uint32) {
	i := c.i
	for i < c.n && c.ordinals[i] < from {
		i++
	}
	for ; i < c.n && c.ordinals[i] < to; i++ {
		ordinal := c.ordinals[i]
		if !s.allowed.has(ordinal) {
			continue
		}
		at := ordinal - from
		s.sums[at] += c.formula.score(c.counts[i], c.lengths[ordinal])
		s.touched[at/64] |= 1 << (at % 64)
	}
	c.i = i
}

// collect looks the other terms up for the passages of the window that may be
// good enough, and clears the window.
func (s *scan) collect(others []*cursor, rest int64, from uint32) error {
	for w, word := range s.touched {
		for ; word != 0; word &= word - 1 {
			at := uint32(w*64 + bits.TrailingZeros64(word))
			sum := s.sums[at]
			s.sums[at] = 0
			left := rest
			for _, c := range others {
				if sum+left < s.best.threshold {
					break
				}
				more, err := c.probe(from + at)
				if err != nil {
					return err
				}
				sum += more
				left -= c.bound
			}
			if sum+max(left, 0) >= s.best.threshold {
				s.best.add(scored{from + at, sum})
			}
		}
		s.touched[w] = 0
	}
	return nil
}

// best keeps the k best passages: by falling score, equal ones by rising
// ordinal. Below its threshold nothing can be one of them; what has just the
// threshold may, in another segment.
type best struct {
	k         int
	threshold int64
	heap      []scored // the worst first
}

// worse tells whether x comes after y.
func worse(x, y scored) bool {
	return x.score < y.score || x.score == y.score && x.ordinal > y.ordinal
}

func (b *best) add(s scored) {
	if len(b.heap) < b.k {
		b.heap = append(b.heap, s)
		for i := len(b.heap) - 1; i > 0; {
			up := (i - 1) / 2
			if !worse(b.heap[i], b.heap[up]) {
				break
			}
			b.heap[i], b.heap[up] = b.heap[up], b.heap[i]
			i = up
		}
	} else if worse(b.heap[0], s) {
		b.heap[0] = s
		b.down(0, len(b.heap))
	} else {
		return
	}
	if len(b.heap) == b.k {
		b.threshold = max(b.threshold, b.heap[0].score)
	}
}

func (b *best) down(i, n int) {
	for {
		low := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < n && worse(b.heap[child], b.heap[low]) {
				low = child
			}
		}
		if low == i {
			return
		}
		b.heap[i], b.heap[low] = b.heap[low], b.heap[i]
		i = low
	}
}

// ranked empties b, the best first. The threshold stays.
func (b *best) ranked() []scored {
	for n := len(b.heap) - 1; n > 0; n-- {
		b.heap[0], b.heap[n] = b.heap[n], b.heap[0]
		b.down(0, n)
	}
	ranked := b.heap
	b.heap = nil
	return ranked
}
