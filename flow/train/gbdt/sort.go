package gbdt

import (
	"math"
	"slices"
)

// sortFloats sorts numbers, none of them NaN. Bins are found in large samples
// of every column, where sorting by digits is many times faster than by
// comparison.
func sortFloats(values []float64) {
	if len(values) < 1<<10 {
		slices.Sort(values)
		return
	}
	const digits, base = 8, 256
	keys, other := make([]uint64, len(values)), make([]uint64, len(values))
	var counts [digits][base]int
	for i, v := range values {
		k := orderedBits(v)
		keys[i] = k
		for d := range digits {
			counts[d][k>>(8*d)&0xff]++
		}
	}
	for d := range digits {
		shift := 8 * d
		if counts[d][keys[0]>>shift&0xff] == len(keys) {
			continue // all have the same digit
		}
		at := 0
		for i, n := range counts[d] {
			counts[d][i] = at
			at += n
		}
		for _, k := range keys {
			next := &counts[d][k>>shift&0xff]
			other[*next] = k
			*next++
		}
		keys, other = other, keys
	}
	for i, k := range keys {
		values[i] = fromOrderedBits(k)
	}
}

// orderedBits maps numbers to whole numbers in the same order.
func orderedBits(v float64) uint64 {
	b := math.Float64bits(v)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func fromOrderedBits(b uint64) float64 {
	if b>>63 == 1 {
		return math.Float64frombits(b &^ (1 << 63))
	}
	return math.Float64frombits(^b)
}
