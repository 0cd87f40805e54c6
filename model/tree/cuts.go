package tree

import (
	"math"
	"math/bits"
)

// Cuts are ascending thresholds that cut a column into gaps. Trainers bin with
// them and the ensemble asks with them, so both see a value in the same gap.
//
// The range of the thresholds is divided into cells of equal width, each of
// which knows how many thresholds are before it; a value is then compared
// with those of its own cell only. Where thresholds crowd into few cells a
// binary search takes over. Neither way has a branch that depends on values.
type Cuts struct {
	table []float64 // thresholds, then +Inf up to a power of two
	count int       // thresholds

	low, high, scale float64
	cells            []uint16 // thresholds in the cells before each; nil for a binary search
	perCell          int      // thresholds in the fullest cell
}

// Bounds of the cells of Cuts.
const (
	cellsPerCut = 4
	mostCells   = 1 << 12
	// mostPerCell is how many comparisons are worth leaving the binary search.
	mostPerCell = 5
)

// NewCuts makes cuts of finite, ascending, distinct thresholds.
func NewCuts(thresholds []float64) *Cuts {
	c := &Cuts{table: append([]float64(nil), thresholds...), count: len(thresholds)}
	for len(c.table) < 1<<bits.Len(uint(c.count)) {
		c.table = append(c.table, math.Inf(1))
	}
	if c.count > 1 && c.count <= math.MaxUint16 {
		c.divide()
	}
	return c
}

// Count returns the number of thresholds; there is one gap more.
func (c *Cuts) Count() int { return c.count }

// divide fills the cells. The cell of a value is a rounded but monotone
// function of it: so a threshold in a lower cell than a value's is below it.
func (c *Cuts) divide() {
	size := min(1<<bits.Len(uint(cellsPerCut*c.count)), mostCells)
	c.low, c.high = c.table[0], c.table[c.count-1]
	c.scale = float64(size-1) / (c.high - c.low)
	if !finite(c.scale) || c.scale == 0 {
		return
	}
	counts := make([]int, size)
	for _, t := range c.table[:c.count] {
		cell := int((t - c.low) * c.scale)
		counts[cell]++
		c.perCell = max(c.perCell, counts[cell])
	}
	if c.perCell > mostPerCell {
		return
	}
	c.cells = make([]uint16, size)
	before := 0
	for i, in := range counts {
		c.cells[i] = uint16(before)
		before += in
	}
}

// Gaps writes for each x its gap: how many thresholds are below it, 0 for NaN.
// at has room for all x.
func (c *Cuts) Gaps(at []uint32, x []float64) {
	at = at[:len(x)]
	switch {
	case c.count == 0:
		clear(at)
	case c.cells != nil:
		c.byCell(at, x)
	default:
		c.bySearch(at, x)
	}
}

func (c *Cuts) byCell(at []uint32, x []float64) {
	table, cells := c.table, c.cells
	low, high, scale, perCell := c.low, c.high, c.scale, c.perCell
	for i, v := range x {
		// Which integer NaN becomes depends on the machine, so it is not used.
		cell := uint(int((min(max(v, low), high) - low) * scale))
		count := uint(cells[cell&uint(len(cells)-1)]) &^ uint(isNaN(v))
		for range perCell {
			count += below(table, count, v)
		}
		at[i] = uint32(count)
	}
}

func (c *Cuts) bySearch(at []uint32, x []float64) {
	table := c.table
	for i, v := range x {
		count := uint(0)
		for step := uint(len(table)) / 2; step > 0; step /= 2 {
			count += step & -below(table, count+step-1, v)
		}
		at[i] = uint32(count)
	}
}

// isNaN is all ones for NaN, else 0. Working on bits, it does not wait for
// anything but v.
func isNaN(v float64) uint64 {
	const infinity = 0x7ff0000000000000
	return uint64(int64(infinity-math.Float64bits(v)&^(1<<63)) >> 63)
}

// below is 1 when table[at] < v, else 0. The length of table is a power of two
// and at is within it.
func below(table []float64, at uint, v float64) uint {
	less := uint(0)
	if table[at&(uint(len(table))-1)] < v {
		less = 1
	}
	return less
}
