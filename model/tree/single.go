package tree

import "math"

// Below returns the threshold at for which x <= at asks x < t. Nothing is
// below -Inf and NaN: then ok is false, and the question is that of a split
// by an empty set.
func Below(t float64) (at float64, ok bool) {
	if !(t > math.Inf(-1)) {
		return 0, false
	}
	return math.Nextafter(t, math.Inf(-1)), true
}

// BelowSingle returns the threshold at for which x <= at asks whether x,
// rounded to float32, is below t. ok is false when nothing is, as with Below.
func BelowSingle(t float32) (at float64, ok bool) {
	if !(float64(t) > math.Inf(-1)) {
		return 0, false
	}
	return AtMostSingle(math.Nextafter32(t, float32(math.Inf(-1))))
}

// AtMostSingle returns the threshold at for which x <= at asks whether x,
// rounded to float32, is at most t. ok is false for NaN.
//
// It is the largest double that is rounded to t: half way to the next float32,
// or the double before, because a tie goes to the even of the two.
func AtMostSingle(t float32) (at float64, ok bool) {
	switch {
	case t != t:
		return 0, false
	case math.IsInf(float64(t), 1):
		return math.Inf(1), true
	}
	if t == 0 {
		t = 0 // both zeros have the same neighbour
	}
	next := float64(math.Nextafter32(t, float32(math.Inf(1))))
	lower := float64(t)
	switch {
	case math.IsInf(next, 1): // what would be next, had float32 more exponents
		next = 1 << 128
	case math.IsInf(lower, -1):
		lower = -(1 << 128)
	}
	middle := lower + (next-lower)/2 // exact
	if float32(middle) != t {
		middle = math.Nextafter(middle, math.Inf(-1))
	}
	return middle, true
}
