package ingest

import (
	"bytes"
	"slices"

	"github.com/leat-ai/leat/base/frame"
)

// guess counts what the cells of a column look like.
type guess struct {
	ints, zeros, doubles, bools, dates, times, texts int64
	orders                                           [3]int64 // cells that fit yearFirst, monthFirst, dayFirst
}

func (g *guess) observe(cell []byte) {
	if looksMissing(cell) {
		return
	}
	if _, ok := parseInt(cell); ok {
		g.ints++
		// Postcodes and account numbers: reading them as numbers loses zeros.
		if cell[0] == '0' && len(cell) > 1 {
			g.zeros++
		}
		return
	}
	if _, ok := parseDouble(cell); ok {
		if len(bytes.TrimLeft(cell, "+-0123456789")) == 0 {
			g.texts++ // an integer too long for 64 bits is a name, not a quantity
			return
		}
		g.doubles++
		return
	}
	if _, ok := parseBool(cell); ok {
		g.bools++
		return
	}
	if _, fits, ok := parseTime(cell, anyOrder); ok {
		if _, _, rest := parseDay(cell, anyOrder); len(rest) > 0 {
			g.times++
		} else {
			g.dates++
		}
		for i := range g.orders {
			if fits&(1<<i) != 0 {
				g.orders[i]++
			}
		}
		return
	}
	g.texts++
}

func (g *guess) merge(o guess) {
	g.ints += o.ints
	g.zeros += o.zeros
	g.doubles += o.doubles
	g.bools += o.bools
	g.dates += o.dates
	g.times += o.times
	g.texts += o.texts
	for i := range g.orders {
		g.orders[i] += o.orders[i]
	}
}

// total is how many cells had a value.
func (g *guess) total() int64 {
	return g.ints + g.doubles + g.bools + g.dates + g.times + g.texts
}

// strays is how many cells of n may be of another type than the rest before
// the rest no longer decides: dirt is put aside, a mixture is text.
func strays(n int64) int64 {
	if n < 100 {
		return 0
	}
	return n / 100
}

// decide returns the narrowest type that all cells but a few strays have.
func (g *guess) decide() (frame.Type, order) {
	total := g.total()
	least := total - strays(total)
	switch {
	case total == 0:
		return frame.String, anyOrder
	case g.bools >= least:
		return frame.Bool, anyOrder
	case g.zeros > strays(total):
		return frame.String, anyOrder
	case g.ints >= least && g.doubles == 0:
		return frame.Int, anyOrder
	case g.ints+g.doubles >= least:
		return frame.Double, anyOrder
	case g.dates+g.times >= least:
		o := g.order()
		if g.orders[bit(o)] < least {
			return frame.String, anyOrder
		}
		if g.times > 0 {
			return frame.Timestamp, o
		}
		return frame.Date, o
	}
	return frame.String, anyOrder
}

// order is the one that most cells fit; of equals the first, so that
// 1/2/2011 is the second of January unless something speaks against it.
func (g *guess) order() order {
	best := slices.Index(g.orders[:], max(g.orders[0], g.orders[1], g.orders[2]))
	return 1 << best
}

// firm tells whether some cell fits only one order of day and month.
func (g *guess) firm() bool { return g.orders[1] != g.orders[2] }

func bit(o order) int {
	switch o {
	case monthFirst:
		return 1
	case dayFirst:
		return 2
	}
	return 0
}

// wider returns the narrowest type that holds both a and b.
func wider(a, b frame.Type) frame.Type {
	switch {
	case a == b:
		return a
	case a == frame.Int && b == frame.Double || a == frame.Double && b == frame.Int:
		return frame.Double
	case a == frame.Date && b == frame.Timestamp || a == frame.Timestamp && b == frame.Date:
		return frame.Timestamp
	}
	return frame.String
}
