package gbdt

import (
	"math"
	"slices"

	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// histBins is the room for the bins of a column in a histogram: all that a
// byte can say.
const histBins = 256

// sampleRows is how many rows are looked at to find the bins of a column.
const sampleRows = 200_000

// minRowsInBin is the fewest sampled rows of a bin.
const minRowsInBin = 3

// column is one column of the dataset, cut into bins.
//
// A numeric column has the bins 0..len(upper) in the order of their values:
// bin i holds the values up to upper[i], the last one the rest. A categorical
// column has one bin for each of its most frequent categories, then one for
// all others and the unseen. Both then have one bin for missing values, if
// training saw any.
type column struct {
	at          int  // index into the dataset's columns
	categorical bool //
	values      int  // bins that hold values
	bins        int  // all bins, that of missing values included
	upper       []float64
	infinite    bool // training saw an infinite value
	monotone    int8
	codes       []uint8 // the bin of every row
}

func (c *column) hasMissing() bool { return c.bins > c.values }

// rest returns the bin for rare and unseen categories.
func (c *column) rest() int { return c.values - 1 }

// binColumn cuts one column of the dataset. Bins are found on the first fit
// rows only; all rows get codes.
func binColumn(values []float64, at, fit int, enc *encode.Column, s *settings) *column {
	c := &column{at: at, categorical: enc.Kind == encode.Category}
	if s.monotone != nil {
		c.monotone = s.monotone[at]
	}
	missing := slices.ContainsFunc(values[:fit], math.IsNaN)
	room := s.maxBin
	if missing {
		room--
	}
	if c.categorical {
		c.values = min(len(enc.Categories), room-1) + 1
	} else {
		c.upper, c.infinite = bounds(sample(values[:fit], s.seed), room)
		c.values = len(c.upper) + 1
	}
	c.bins = c.values
	if missing {
		c.bins++
	}
	c.codes = make([]uint8, len(values))
	if c.categorical {
		c.encodeCategories(values)
	} else {
		c.encodeNumbers(values)
	}
	return c
}

// missingBin returns the code of NaN. Where training saw none it is behind
// all bins: only validation rows have it.
func (c *column) missingBin() uint8 {
	if c.hasMissing() {
		return uint8(c.bins - 1)
	}
	return uint8(c.bins)
}

func (c *column) encodeCategories(values []float64) {
	rest, missing := float64(c.rest()), c.missingBin()
	for i, v := range values {
		switch {
		case v != v:
			c.codes[i] = missing
		case v >= 0 && v < rest:
			c.codes[i] = uint8(v)
		default:
			c.codes[i] = uint8(rest)
		}
	}
}

// encodeNumbers finds the bin of every value with the cuts that the ensemble
// will use.
func (c *column) encodeNumbers(values []float64) {
	cuts, missing := tree.NewCuts(c.upper), c.missingBin()
	var gaps [1024]uint32
	for len(values) > 0 {
		n := min(len(values), len(gaps))
		cuts.Gaps(gaps[:], values[:n])
		codes := c.codes[len(c.codes)-len(values):]
		for i, v := range values[:n] {
			codes[i] = uint8(gaps[i])
			if v != v {
				codes[i] = missing
			}
		}
		values = values[n:]
	}
}

// sample returns the values that bins are made from, sorted, without NaN.
func sample(values []float64, seed uint64) []float64 {
	picked := make([]float64, 0, min(len(values), sampleRows))
	if len(values) <= sampleRows {
		for _, v := range values {
			if v == v {
				picked = append(picked, v)
			}
		}
	} else {
		// One row from each of sampleRows equal stretches.
		stretch := float64(len(values)) / sampleRows
		for i := range sampleRows {
			from := int(float64(i) * stretch)
			width := max(int(float64(i+1)*stretch)-from, 1)
			v := values[from+int(mix(seed, uint64(i))%uint64(width))]
			if v == v {
				picked = append(picked, v)
			}
		}
	}
	sortFloats(picked)
	return picked
}

// mix hashes a number; close numbers give unrelated hashes.
func mix(seed, x uint64) uint64 {
	x = (x + seed + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>29
}

// bounds returns at most room-1 upper bounds of bins for sorted values, and
// whether an infinite value is among them. A value that would fill a bin by
// itself gets one; the others share what is left evenly.
func bounds(sorted []float64, room int) (upper []float64, infinite bool) {
	values, counts := distinct(sorted)
	if len(values) == 0 {
		return nil, false
	}
	infinite = math.IsInf(values[0], 0) || math.IsInf(values[len(values)-1], 0)
	large, restRows, restBins := largeValues(counts, len(sorted), room)
	size := float64(restRows) / float64(max(restBins, 1))
	if len(values) <= room {
		size = 0
	}
	inBin := 0
	for i := range len(values) - 1 {
		inBin += counts[i]
		if !large[i] {
			restRows -= counts[i]
		}
		full := large[i] || float64(inBin) >= size || large[i+1] && float64(inBin) >= max(1, size/2)
		if !full || inBin < minRowsInBin {
			continue
		}
		upper = append(upper, between(values[i], values[i+1]))
		if len(upper) == room-1 {
			break
		}
		inBin = 0
		if !large[i] && len(values) > room {
			restBins--
			size = float64(restRows) / float64(max(restBins, 1))
		}
	}
	return upper, infinite
}

// largeValues marks the values whose rows are more than the average bin
// holds, and returns what remains for the others.
func largeValues(counts []int, rows, room int) (large []bool, restRows, restBins int) {
	large = make([]bool, len(counts))
	mean := float64(rows) / float64(room)
	restRows, restBins = rows, room
	for i, n := range counts {
		if float64(n) >= mean {
			large[i] = true
			restRows -= n
			restBins--
		}
	}
	return large, restRows, restBins
}

func distinct(sorted []float64) (values []float64, counts []int) {
	for i, v := range sorted {
		if i > 0 && v == sorted[i-1] {
			counts[len(counts)-1]++
			continue
		}
		values = append(values, v)
		counts = append(counts, 1)
	}
	return values, counts
}

// between returns a finite threshold t with low <= t < high.
func between(low, high float64) float64 {
	low, high = max(low, -math.MaxFloat64), min(high, math.MaxFloat64)
	t := low/2 + high/2
	if t >= high || t < low {
		t = low
	}
	return t
}

// matrix holds the codes of the fitted rows again, row after row: eight
// columns, a group, to a word. One load then serves eight histograms, and the
// codes of a row lie together when only some rows are wanted.
type matrix struct {
	words  []uint64 // groups for each row
	groups []group
}

// group is the columns first..first+width, width at most eight.
type group struct{ first, width int }

func pack(columns []*column, fit, threads int) matrix {
	m := matrix{groups: make([]group, (len(columns)+7)/8)}
	for g := range m.groups {
		m.groups[g] = group{first: 8 * g, width: min(8, len(columns)-8*g)}
	}
	n := len(m.groups)
	m.words = make([]uint64, fit*n)
	blocks(threads, fit, func(_, from, to int) {
		for j, c := range columns {
			words, shift := m.words[from*n+j/8:], 8*(j%8)
			for i, code := range c.codes[from:to] {
				words[i*n] |= uint64(code) << shift
			}
		}
	})
	return m
}

// binDataset cuts all columns and drops those that have only one bin.
func binDataset(columns [][]float64, fit int, enc *encode.Encoder, s *settings) []*column {
	all := make([]*column, len(columns))
	parallel(s.threads, len(columns), func(i int) {
		all[i] = binColumn(columns[i], i, fit, &enc.Columns[i], s)
	})
	return slices.DeleteFunc(all, func(c *column) bool { return c.bins < 2 })
}
