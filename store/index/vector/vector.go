// Package vector finds the nearest of many vectors among those that a caller
// may see.
//
// It stands below store/index: an index keeps one Set beside its text, and the
// place of a vector in the set, its ordinal, is the place of its passage. A
// Writer makes the file of a set, Open reads it, Set.Search asks it. Nothing
// here knows texts, documents or people.
//
// # What is promised
//
// The measure is the cosine: vectors are brought to length one on their way in,
// so that a score lies within -1 and 1. Who may be found is a bitmap that is
// looked at before anything is ranked: when k vectors are allowed, k are found,
// however few they are among all.
//
// Sets of up to Options.Exact vectors, and queries that may see no more than
// that many, are answered exactly: what a scan of the full vectors gives, ties
// by ordinal. The scan itself runs over codes of one byte a dimension; the
// error that each code makes is known and kept with it, and every vector that
// could belong to the answer within its error is scored again by its full
// numbers. Beyond that a graph (HNSW, Malkov and Yashunin, arXiv:1603.09320)
// is walked, whose recall is measured in the tests, and its finds are scored by
// their full numbers too.
//
// The same vectors in the same order give the same file, on every machine.
// In memory are the codes and the graph, about dim + 200 bytes a vector; the
// full vectors stay in the file. Every part of a file has a checksum, and a
// file that lies about its sizes is refused before memory is taken for it.
package vector

import (
	"math/bits"

	"github.com/leat-ai/leat/base/fault"
)

// Options say how a set is made. The zero value of each field but Dim stands
// for the figure behind it.
type Options struct {
	Dim    int // numbers of a vector, 1 to MaxDim
	Exact  int // so many vectors, of all or of those allowed, are scanned without a graph: 50,000
	Links  int // neighbours of a vector in the graph, twice as many on its floor: 16
	Effort int // candidates that are looked at for the neighbours: 128
}

// Bounds of a set.
const (
	MaxDim     = 8192
	MaxVectors = 1 << 26
)

const (
	defaultExact  = 50_000
	defaultLinks  = 16
	defaultEffort = 128
	maxLinks      = 64
	maxEffort     = 4096
)

func (o Options) normal() (Options, error) {
	if o.Exact == 0 {
		o.Exact = defaultExact
	}
	if o.Links == 0 {
		o.Links = defaultLinks
	}
	if o.Effort == 0 {
		o.Effort = defaultEffort
	}
	if o.Dim < 1 || o.Dim > MaxDim {
		return o, fault.New(fault.Invalid, "vectors of %d dimensions: 1 to %d are possible", o.Dim, MaxDim)
	}
	if o.Exact < 0 || o.Links < 2 || o.Links > maxLinks || o.Effort < o.Links || o.Effort > maxEffort {
		return o, fault.New(fault.Invalid, "a graph of vectors has 2 to %d links, and an effort from its links to %d", maxLinks, maxEffort)
	}
	return o, nil
}

// Match is one vector that was found.
type Match struct {
	Ordinal int
	Score   float64 // cosine, -1 to 1
}

// Bits is a set of ordinals: bit o%64 of word o/64. A nil Bits allows all;
// what lies behind its last word is not allowed.
type Bits []uint64

// NewBits returns an empty set with room for n ordinals.
func NewBits(n int) Bits { return make(Bits, (n+63)/64) }

// Set adds an ordinal for which there is room.
func (b Bits) Set(ordinal int) { b[ordinal>>6] |= 1 << (ordinal & 63) }

// Has tells whether an ordinal is in the set.
func (b Bits) Has(ordinal int) bool {
	word := ordinal >> 6
	return b == nil || word < len(b) && b[word]&(1<<(ordinal&63)) != 0
}

// count returns how many of the first n ordinals are in the set.
func (b Bits) count(n int) int {
	if b == nil {
		return n
	}
	sum := 0
	for i, w := range b {
		if rest := n - i*64; rest < 64 {
			if rest > 0 {
				sum += bits.OnesCount64(w & (1<<rest - 1))
			}
			break
		}
		sum += bits.OnesCount64(w)
	}
	return sum
}

// each calls f for the ordinals below n that are in the set, in order.
func (b Bits) each(n int, f func(ordinal int)) {
	if b == nil {
		for o := range n {
			f(o)
		}
		return
	}
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			o := i*64 + bits.TrailingZeros64(w)
			if o >= n {
				return
			}
			f(o)
		}
	}
}
