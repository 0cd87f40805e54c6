package tree

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// anySingle draws float32 numbers of every sort: all bit patterns, and those
// at the ends of the ranges more often.
func anySingle(t *rapid.T) float32 {
	special := []float32{0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
		math.MaxFloat32, -math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
		0x1p-126, -0x1p-126, math.Nextafter32(0x1p-126, 0), 1, -1, math.Nextafter32(1, 2), math.Nextafter32(1, 0)}
	if rapid.Bool().Draw(t, "special") {
		return rapid.SampledFrom(special).Draw(t, "number")
	}
	return math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
}

// near draws doubles around a float32: itself, the ties beside it, and their
// neighbours.
func near(t *rapid.T, around float32) float64 {
	if rapid.IntRange(0, 3).Draw(t, "anything") == 0 {
		return math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
	}
	up := float64(math.Nextafter32(around, float32(math.Inf(1))))
	down := float64(math.Nextafter32(around, float32(math.Inf(-1))))
	x := rapid.SampledFrom([]float64{float64(around), up, down, float64(around)/2 + up/2, float64(around)/2 + down/2,
		math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.Inf(-1),
		math.MaxFloat32 + 0x1p103, -math.MaxFloat32 - 0x1p103}).Draw(t, "x")
	switch rapid.IntRange(0, 2).Draw(t, "way") {
	case 1:
		return math.Nextafter(x, math.Inf(1))
	case 2:
		return math.Nextafter(x, math.Inf(-1))
	}
	return x
}

// TestSingleThresholdsAreExact compares the thresholds with the comparisons
// that they stand for.
func TestSingleThresholdsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		threshold := anySingle(t)
		x := near(t, threshold)
		for _, c := range []struct {
			name  string
			of    func(float32) (float64, bool)
			naive bool
		}{
			{"below", BelowSingle, float32(x) < threshold},
			{"at most", AtMostSingle, float32(x) <= threshold},
			{"double below", func(t float32) (float64, bool) { return Below(float64(t)) }, x < float64(threshold)},
		} {
			at, ok := c.of(threshold)
			if math.IsNaN(at) {
				t.Fatalf("%s %v is the threshold NaN", c.name, threshold)
			}
			if got := ok && x <= at; got != c.naive {
				t.Fatalf("%v is %s %v: %v, by the threshold %v: %v", x, c.name, threshold, c.naive, at, got)
			}
		}
	})
}
