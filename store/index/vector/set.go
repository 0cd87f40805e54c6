package vector

import (
	"cmp"
	"context"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/leat-ai/leat/base/fault"
)

// Set is a file of vectors that is open. It is immutable and safe for many
// goroutines, as its reader is.
type Set struct {
	r     io.ReaderAt
	codes codes
	sums  []uint32
	graph *graph // nil: every search is exact
	walks sync.Pool
}

// Open reads the codes and the graph of a set; the vectors themselves are read
// from r by searches. Corrupt is a file that was damaged or is none.
func Open(r io.ReaderAt, size int64) (*Set, error) {
	t, err := readTail(r, size)
	if err != nil {
		return nil, err
	}
	var raw [parts][]byte
	for i := range raw {
		if raw[i], err = t.read(r, i); err != nil {
			return nil, err
		}
	}
	s := &Set{r: r, sums: uint32s(raw[partSums]), codes: codes{
		dim: t.dim, bytes: int8s(raw[partCodes]), scale: float32s(raw[partScales]), miss: float32s(raw[partMisses]),
	}}
	if !finite(s.codes.scale) || !finite(s.codes.miss) {
		return nil, damaged("has codes that are no numbers")
	}
	if t.entry >= 0 {
		s.graph = &graph{
			links: t.links, entry: t.entry, top: t.top, exact: t.exact,
			levels: raw[partLevels], floor: int32s(raw[partFloor]), upper: int32s(raw[partUpper]),
		}
		if err := s.graph.check(); err != nil {
			return nil, err
		}
	}
	s.walks.New = func() any { return &walk{seen: make([]uint32, s.Len())} }
	return s, nil
}

// Len is how many ordinals there are, those without a vector included.
func (s *Set) Len() int { return s.codes.len() }

// Dim is how many numbers a vector has.
func (s *Set) Dim() int { return s.codes.dim }

// Exact tells whether every search is exact: the set has no graph.
func (s *Set) Exact() bool { return s.graph == nil }

// Memory is about how many bytes the set takes.
func (s *Set) Memory() int64 {
	n := int64(len(s.codes.bytes)) + 12*int64(s.Len())
	if s.graph != nil {
		n += int64(len(s.graph.levels)) + 4*int64(len(s.graph.floor)+len(s.graph.upper)+len(s.graph.at))
	}
	return n
}

// Vector reads the vector of an ordinal, of length one; nil where it has none.
func (s *Set) Vector(ordinal int) ([]float32, error) {
	if ordinal < 0 || ordinal >= s.Len() {
		return nil, fault.New(fault.NotFound, "a set of %d vectors has none at %d", s.Len(), ordinal)
	}
	if s.codes.scale[ordinal] == 0 {
		return nil, nil
	}
	return s.read(ordinal, make([]byte, s.Dim()*4))
}

func (s *Set) read(ordinal int, buffer []byte) ([]float32, error) {
	if err := readFull(s.r, buffer, headSize+int64(ordinal)*int64(len(buffer))); err != nil {
		return nil, err
	}
	if crc32.Checksum(buffer, castagnoli) != s.sums[ordinal] {
		return nil, damaged("has a vector whose checksum is another")
	}
	return float32s(buffer), nil
}

// Search returns the k vectors nearest to query among those that are allowed,
// by falling score, equal ones by ordinal: fewer only where fewer are allowed.
// A query of zeros finds nothing; Invalid is one of another length, or of
// numbers that are not finite.
func (s *Set) Search(ctx context.Context, query []float32, k int, allowed Bits) ([]Match, error) {
	if len(query) != s.Dim() {
		return nil, fault.New(fault.Invalid, "a query has %d dimensions, and the vectors of the index %d", len(query), s.Dim()).
			Hint("queries are embedded by the model that embedded the passages")
	}
	p, err := newProbe(query)
	k = min(k, s.Len())
	if err != nil || p == nil || k < 1 {
		return nil, err
	}
	if s.graph != nil {
		if n := allowed.count(s.Len()); n > s.graph.exact {
			found := s.walk(p, max(k+k/2, searchEffort), allowed)
			if len(found) >= min(k, n) {
				return s.settle(p, found, k)
			}
		}
	}
	found, err := s.scan(ctx, p, k, allowed)
	if err != nil {
		return nil, err
	}
	return s.settle(p, found, k)
}

// searchEffort is how many vectors a walk keeps in view.
const searchEffort = 160

// scan looks at the codes of all that is allowed and returns every vector that
// could be among the k best, given the errors of the codes.
func (s *Set) scan(ctx context.Context, p *probe, k int, allowed Bits) ([]found, error) {
	var (
		best    = leastFirst{}             // the k best lower bounds
		maybe   = make([]found, 0, 4*k+64) // upper bounds that reach them
		compact = 8*k + 1024
		steps   int
		stopped error
	)
	allowed.each(s.Len(), func(o int) {
		if steps++; steps&0x3fff == 0 && stopped == nil {
			stopped = ctx.Err()
		}
		if stopped != nil || s.codes.scale[o] == 0 {
			return
		}
		score, miss := p.score(&s.codes, int32(o)), p.error(&s.codes, int32(o))
		if len(best) == k && score+miss < best[0].score {
			return
		}
		best.keep(found{score - miss, int32(o)}, k)
		maybe = append(maybe, found{score + miss, int32(o)})
		if len(maybe) >= compact {
			maybe = slices.DeleteFunc(maybe, func(f found) bool { return f.score < best[0].score })
			compact = 2*len(maybe) + 1024
		}
	})
	if stopped != nil {
		return nil, fault.Wrap(stopped, fault.Timeout, "the search was ended")
	}
	if len(best) == k {
		maybe = slices.DeleteFunc(maybe, func(f found) bool { return f.score < best[0].score })
	}
	return maybe, nil
}

// settle scores what may be among the k best by its full numbers, from the
// highest bound down, until the rest cannot reach the k-th any more.
func (s *Set) settle(p *probe, maybe []found, k int) ([]Match, error) {
	slices.SortFunc(maybe, func(a, b found) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
	buffer := make([]byte, s.Dim()*4)
	matches := make([]Match, 0, k+1)
	for _, f := range maybe {
		if len(matches) == k && float64(f.score) < matches[k-1].Score {
			break
		}
		v, err := s.read(int(f.id), buffer)
		if err != nil {
			return nil, err
		}
		m := Match{Ordinal: int(f.id), Score: cosine(p.full, v)}
		at, _ := slices.BinarySearchFunc(matches, m, compareMatches)
		if matches = slices.Insert(matches, at, m); len(matches) > k {
			matches = matches[:k]
		}
	}
	return matches, nil
}

func compareMatches(a, b Match) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Ordinal, b.Ordinal))
}
