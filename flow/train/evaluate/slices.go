package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Bounds of slices: how many values of a column are shown, and the fewest
// rows a measure is taken of. Smaller ones are measured together.
const (
	maxValues    = 12
	minSliceRows = 50
	ranges       = 4 // of a number with many values
)

// Names of the slices that are no value of their column.
const (
	MissingValue = "(missing)"
	OtherValue   = "(other)"
)

// SliceByText measures the rows of each value of a text column; present tells
// which rows have one. The slices come largest first.
func (p *Predictions) SliceByText(column string, value []string, present func(row int) bool) []Slice {
	groups := map[string][]int{}
	for row := range p.Rows() {
		key := MissingValue
		if present(row) {
			key = value[row]
		}
		groups[key] = append(groups[key], row)
	}
	return p.slices(column, groups, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(groups[b]), len(groups[a])), cmp.Compare(a, b))
	})
}

// SliceByNumber measures the rows of each value of a number, or of quarters of
// the rows by value when it has many, in ascending order. NaN is missing.
func (p *Predictions) SliceByNumber(column string, value []float64) []Slice {
	name := numberNames(value)
	groups, least := map[string][]int{}, map[string]float64{}
	for row, v := range value {
		key := name(v)
		groups[key] = append(groups[key], row)
		if low, seen := least[key]; !seen || v < low {
			least[key] = v
		}
	}
	least[MissingValue] = math.Inf(1)
	return p.slices(column, groups, func(a, b string) int { return cmp.Compare(least[a], least[b]) })
}

// numberNames returns how a value's slice is called.
func numberNames(values []float64) func(v float64) string {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	distinct := len(slices.Compact(slices.Clone(sorted)))
	var bounds []float64
	if distinct > maxValues {
		for i := 1; i < ranges; i++ {
			bounds = append(bounds, Quantile(sorted, float64(i)/ranges))
		}
		bounds = slices.Compact(bounds)
	}
	return func(v float64) string {
		switch at, _ := slices.BinarySearch(bounds, v); {
		case math.IsNaN(v):
			return MissingValue
		case bounds == nil:
			return fmt.Sprintf("%.6g", v)
		case at == 0:
			return fmt.Sprintf("≤ %.4g", bounds[0])
		case at == len(bounds):
			return fmt.Sprintf("> %.4g", bounds[at-1])
		default:
			return fmt.Sprintf("%.4g … %.4g", bounds[at-1], bounds[at])
		}
	}
}

// slices measures groups of rows in the order of their names.
func (p *Predictions) slices(column string, groups map[string][]int, order func(a, b string) int) []Slice {
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.SortFunc(names, order)
	var (
		out   []Slice
		other []int
	)
	for i, name := range names {
		if rows := groups[name]; i >= maxValues || len(rows) < minSliceRows {
			other = append(other, rows...)
		} else {
			out = append(out, Slice{Column: column, Value: name, Rows: len(rows), Metrics: p.Subset(rows).Metrics()})
		}
	}
	if len(other) > 0 {
		slices.Sort(other)
		out = append(out, Slice{Column: column, Value: OtherValue, Rows: len(other), Metrics: p.Subset(other).Metrics()})
	}
	return out
}
