package gbdt

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSortFloatsSorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SliceOfN(rapid.OneOf(
			rapid.Float64(),
			rapid.Float64Range(-1, 1),
			rapid.SampledFrom([]float64{0, 1, -1, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}),
		).Filter(func(v float64) bool { return v == v }), 1, 300).Draw(t, "values")
		values := slices.Repeat(few, 1+1500/len(few))
		want := slices.Sorted(slices.Values(values))
		sortFloats(values)
		if !slices.Equal(values, want) {
			t.Fatal("the values are not in order")
		}
	})
}
