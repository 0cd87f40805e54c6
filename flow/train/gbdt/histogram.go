package gbdt

import (
	"math"
	"math/bits"
)

// A histogram holds, for every bin of every column, the sums of the gradients
// and hessians of a leaf's rows. Both are quantised to whole numbers and
// packed into one int64: the hessian in the low bits, the gradient, which may
// be negative, above. One addition then serves both, and because whole
// numbers add up to the same in any order, neither the threads nor the
// difference parent minus child leave a trace in the result.
type histogram []int64 // histBins for each column, those of a group together

// packing is how one tree's derivatives become whole numbers.
type packing struct {
	shift         uint    // bits of the hessian's sum
	gradient      float64 // one step of the gradient
	hessian       float64 // one step of the hessian
	hessianLevels float64
	levels        float64 // of the gradient, to each side
}

// newPacking shares 63 bits between the sums of n rows of both derivatives.
func newPacking(n int, largestGradient, largestHessian float64, constantHessian bool) packing {
	rowBits := bits.Len(uint(n))
	free := 63 - 2*rowBits
	hessianBits := min(free*2/5, 20)
	if constantHessian {
		hessianBits = 0
	}
	gradientBits := min(free-hessianBits, 30)
	p := packing{
		shift:         uint(rowBits + hessianBits),
		levels:        float64(int64(1) << gradientBits),
		hessianLevels: float64(int64(1) << hessianBits),
	}
	p.gradient, p.hessian = largestGradient/p.levels, largestHessian/p.hessianLevels
	return p
}

// finite tells whether the derivatives were numbers that can be packed.
func (p *packing) finite() bool {
	return p.gradient <= math.MaxFloat64 && p.hessian <= math.MaxFloat64
}

// unpack returns the sums of gradient and hessian that v stands for.
func (p *packing) unpack(v int64) (gradient, hessian float64) {
	return float64(v>>p.shift) * p.gradient, float64(v&(1<<p.shift-1)) * p.hessian
}

// quantise packs the derivatives of all fitted rows. A value between two
// steps is rounded up or down at random, in proportion: so the sums of many
// small values keep their mean, however coarse the steps are. The random
// number depends on the row and the tree only.
func quantise(d derivatives, packed []int64, seed uint64, threads int) packing {
	n := len(packed)
	largest := make([]extremes, blockCount(n))
	blocks(threads, n, func(b, from, to int) { largest[b] = extremesOf(d, from, to) })
	all := largest[0]
	for _, e := range largest[1:] {
		all = extremes{max(all.gradient, e.gradient), min(all.lowHessian, e.lowHessian), max(all.hessian, e.hessian)}
	}
	p := newPacking(n, float64(all.gradient), float64(all.hessian), all.lowHessian == all.hessian)
	if all.gradient == 0 || all.hessian == 0 || !p.finite() {
		clear(packed)
		return p
	}
	scaleG, scaleH := 1/p.gradient, 1/p.hessian
	constant := all.lowHessian == all.hessian
	blocks(threads, n, func(_, from, to int) {
		gradient, hessian, out := d.gradient[from:to], d.hessian[from:to], packed[from:to]
		for i := range out {
			noise := mix(seed, uint64(from+i))
			// Shifted to be positive, so that truncation rounds down.
			g := int64(float64(gradient[i])*scaleG+p.levels+float64(noise>>40)*0x1p-24) - int64(p.levels)
			h := int64(1)
			if !constant {
				h = int64(float64(hessian[i])*scaleH + float64(noise&(1<<24-1))*0x1p-24)
			}
			out[i] = g<<p.shift + h
		}
	})
	return p
}

// extremes are the largest derivatives by size, and the smallest hessian.
type extremes struct{ gradient, lowHessian, hessian float32 }

// extremesOf compares bits instead of numbers: those of numbers that are not
// negative have the same order, and whole numbers compare faster.
func extremesOf(d derivatives, from, to int) extremes {
	gradient, low, high := uint32(0), uint32(math.MaxUint32), uint32(0)
	hessian := d.hessian[from:to]
	for i, g := range d.gradient[from:to] {
		gradient = max(gradient, math.Float32bits(g)&^(1<<31))
		h := math.Float32bits(hessian[i])
		low, high = min(low, h), max(high, h)
	}
	return extremes{math.Float32frombits(gradient), math.Float32frombits(low), math.Float32frombits(high)}
}

// room returns how many columns' histograms add writes to: those of the group,
// rounded up to what it is unrolled for.
func (g group) room() int {
	switch {
	case g.width == 1:
		return 1
	case g.width <= 4:
		return 4
	}
	return 8
}

// add adds rows to the histograms h of group g; packed[i] belongs to rows[i].
func (m *matrix) add(g int, h histogram, rows []int32, packed []int64) {
	words, stride := m.words[g:], len(m.groups)
	switch m.groups[g].room() {
	case 1:
		add1((*[histBins]int64)(h), words, stride, rows, packed)
	case 4:
		add4((*[4 * histBins]int64)(h), words, stride, rows, packed)
	default:
		add8((*[8 * histBins]int64)(h), words, stride, rows, packed)
	}
}

func add8(h *[8 * histBins]int64, words []uint64, stride int, rows []int32, packed []int64) {
	packed = packed[:len(rows)]
	for i, row := range rows {
		w, v := words[int(row)*stride], packed[i]
		h[w&0xff] += v
		h[w>>8&0xff+1*histBins] += v
		h[w>>16&0xff+2*histBins] += v
		h[w>>24&0xff+3*histBins] += v
		h[w>>32&0xff+4*histBins] += v
		h[w>>40&0xff+5*histBins] += v
		h[w>>48&0xff+6*histBins] += v
		h[w>>56+7*histBins] += v
	}
}

func add4(h *[4 * histBins]int64, words []uint64, stride int, rows []int32, packed []int64) {
	packed = packed[:len(rows)]
	for i, row := range rows {
		w, v := words[int(row)*stride], packed[i]
		h[w&0xff] += v
		h[w>>8&0xff+1*histBins] += v
		h[w>>16&0xff+2*histBins] += v
		h[w>>24&0xff+3*histBins] += v
	}
}

func add1(h *[histBins]int64, words []uint64, stride int, rows []int32, packed []int64) {
	packed = packed[:len(rows)]
	for i, row := range rows {
		h[words[int(row)*stride]&0xff] += packed[i]
	}
}

func (h histogram) subtract(other histogram) {
	other = other[:len(h)]
	for i := range h {
		h[i] -= other[i]
	}
}

func (h histogram) add(other histogram) {
	other = other[:len(h)]
	for i := range h {
		h[i] += other[i]
	}
}
