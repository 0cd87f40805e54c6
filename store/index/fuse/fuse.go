// Package fuse makes one ranking of several, such as that by words and that by
// vectors.
//
// It stands below store/index and holds pure functions: Weighted for scores
// that are brought to one scale and averaged, RRF for places alone. The order
// of a list's entries is the list's ranking; what two lists have in common is
// told by the key.
//
// What both promise: each key of any list is there once; what stands above
// another in every list, and is in every list that has the other, stands above
// it in the result; equal scores are ordered by key; the scores of the lists
// times a constant, or plus one, change nothing in Weighted, and nothing that
// keeps their order changes anything in RRF.
package fuse

import (
	"cmp"
	"slices"
)

// Scored is an entry of a ranking.
type Scored[K cmp.Ordered] struct {
	Key   K
	Score float64 // finite
}

// List is a ranking, best first, each key once, and how much it counts.
type List[K cmp.Ordered] struct {
	Entries []Scored[K]
	Weight  float64 // zero or more
}

// DefaultRank is the constant of RRF that its authors found good.
const DefaultRank = 60

// Weighted brings the scores of each list to 0..1, its worst and its best, and
// returns their weighted average, best first. A key that a list lacks counts 0
// there. A list whose scores are all equal counts 1 for each: it tells what is
// there and no order. The sum of the weights is above zero.
func Weighted[K cmp.Ordered](lists ...List[K]) []Scored[K] {
	total := 0.0
	for _, l := range lists {
		total += l.Weight
	}
	return sum(lists, func(l List[K]) func(place int) float64 {
		least, most := bounds(l.Entries)
		weight := l.Weight / total
		return func(place int) float64 {
			if most == least {
				return weight
			}
			return weight * ((l.Entries[place].Score - least) / (most - least))
		}
	})
}

// RRF is reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): the
// weighted sum of 1/(rank+place), places counted from 1. A rank of 0 stands
// for DefaultRank.
func RRF[K cmp.Ordered](rank int, lists ...List[K]) []Scored[K] {
	if rank == 0 {
		rank = DefaultRank
	}
	return sum(lists, func(l List[K]) func(place int) float64 {
		return func(place int) float64 { return l.Weight / float64(rank+place+1) }
	})
}

// sum adds up what each list gives for its places.
func sum[K cmp.Ordered](lists []List[K], worth func(List[K]) func(place int) float64) []Scored[K] {
	size := 0
	for _, l := range lists {
		size = max(size, len(l.Entries))
	}
	at, out := make(map[K]int, size), make([]Scored[K], 0, size)
	for _, l := range lists {
		of := worth(l)
		for place, e := range l.Entries {
			i, seen := at[e.Key]
			if !seen {
				i = len(out)
				at[e.Key] = i
				out = append(out, Scored[K]{Key: e.Key})
			}
			out[i].Score += of(place)
		}
	}
	slices.SortFunc(out, func(a, b Scored[K]) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Key, b.Key)) })
	return out
}

func bounds[K cmp.Ordered](entries []Scored[K]) (least, most float64) {
	for i, e := range entries {
		if i == 0 {
			least, most = e.Score, e.Score
		}
		least, most = min(least, e.Score), max(most, e.Score)
	}
	return least, most
}
