package tree

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCutsCountThresholdsBelow draws thresholds that are even, crowded or as
// far apart as doubles go, and values on, beside and between them.
func TestCutsCountThresholdsBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(
			rapid.Float64Range(-1, 1),
			rapid.Map(rapid.IntRange(-300, 300), func(i int) float64 { return float64(i) / 8 }),
			rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64),
		)
		thresholds := rapid.SliceOfN(number, 0, 300).Draw(t, "thresholds")
		slices.Sort(thresholds)
		thresholds = slices.Compact(thresholds)
		x := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)}
		for _, v := range thresholds {
			x = append(x, v, math.Nextafter(v, math.Inf(1)), math.Nextafter(v, math.Inf(-1)))
		}
		x = append(x, rapid.SliceOf(number).Draw(t, "x")...)
		at := make([]uint32, len(x))
		NewCuts(thresholds).Gaps(at, x)
		for i, v := range x {
			want := 0
			for _, threshold := range thresholds {
				if threshold < v {
					want++
				}
			}
			if int(at[i]) != want {
				t.Fatalf("%v is in gap %d, want %d", v, at[i], want)
			}
		}
	})
}
