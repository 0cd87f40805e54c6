package vector

import (
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/simd"
)

// codes are vectors of length one, quantised: one byte a dimension, the factor
// that makes numbers of them, and the length of what they leave out.
type codes struct {
	dim   int
	bytes []int8    // n × dim
	scale []float32 // n; 0 where there is no vector
	miss  []float32 // n: length of vector minus scale × code, rounded up
}

func (c *codes) len() int           { return len(c.scale) }
func (c *codes) row(i int32) []int8 { return c.bytes[int(i)*c.dim:][:c.dim] }

// add appends a vector of length one, or none where unit is nil.
func (c *codes) add(unit []float32) {
	at := len(c.bytes)
	c.bytes = append(c.bytes, make([]int8, c.dim)...)
	if unit == nil {
		c.scale, c.miss = append(c.scale, 0), append(c.miss, 0)
		return
	}
	scale, miss := quantise(c.bytes[at:], unit)
	c.scale, c.miss = append(c.scale, scale), append(c.miss, miss)
}

// quantise writes the codes of a vector that is not zero and returns their
// factor and the length of the error.
func quantise(code []int8, unit []float32) (scale, miss float32) {
	var most float64
	for _, x := range unit {
		most = max(most, math.Abs(float64(x)))
	}
	scale = float32(most / 127)
	if scale == 0 { // most of it is below what a float32 can be divided into
		return math.SmallestNonzeroFloat32, 1
	}
	var sum float64
	for i, x := range unit {
		n := math.Round(float64(x) / float64(scale))
		n = min(max(n, -127), 127)
		code[i] = int8(n)
		e := float64(x) - float64(n*float64(scale))
		sum += float64(e * e)
	}
	return scale, math.Nextafter32(float32(math.Sqrt(sum)), 2)
}

// similarity is the product of two vectors as their codes have them.
func (c *codes) similarity(a, b int32) float32 {
	return float32(float32(simd.DotInt8(c.row(a), c.row(b)))*c.scale[a]) * c.scale[b]
}

// A probe is a vector that codes are compared with, quantised more finely.
type probe struct {
	bytes []int16
	scale float32
	miss  float64 // length of the error
	size  float64 // length of what scale × bytes stands for
	full  []float32
}

// probeMost is the largest number of a probe: 13 bits, and fewer where a sum
// over all dimensions could leave 32 bits.
func probeMost(dim int) float64 { return float64(min(8191, math.MaxInt32/(127*dim))) }

// newProbe quantises a query. A query of zeros is similar to nothing.
func newProbe(query []float32) (*probe, error) {
	unit, err := normalise(query)
	if err != nil || unit == nil {
		return nil, err
	}
	p := &probe{bytes: make([]int16, len(unit)), full: unit}
	var most float64
	for _, x := range unit {
		most = max(most, math.Abs(float64(x)))
	}
	limit := probeMost(len(unit))
	p.scale = float32(most / limit)
	var missed, size float64
	for i, x := range unit {
		n := math.Round(float64(x) / float64(p.scale))
		n = min(max(n, -limit), limit)
		p.bytes[i] = int16(n)
		v := n * float64(p.scale)
		e := float64(x) - float64(v)
		missed += float64(e * e)
		size += float64(v * v)
	}
	p.miss, p.size = math.Sqrt(missed), math.Sqrt(size)
	return p, nil
}

// score is what the codes of a vector say.
func (p *probe) score(c *codes, i int32) float32 {
	return float32(float32(simd.DotInt8Int16(c.row(i), p.bytes))*p.scale) * c.scale[i]
}

// error is by how much the score of the codes may miss the true one: by
// Cauchy-Schwarz, what either side leaves out times the length of the other,
// and a little for the rounding of both sums.
func (p *probe) error(c *codes, i int32) float32 {
	const rounding = 4e-6
	return float32(p.size*float64(c.miss[i])+p.miss) + rounding
}

// normalise returns a vector of length one, nil for a vector of zeros, and an
// error for numbers that are none.
func normalise(v []float32) ([]float32, error) {
	var sum float64
	for _, x := range v {
		sum += float64(float64(x) * float64(x))
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return nil, fault.New(fault.Invalid, "a vector holds numbers that are not finite")
	}
	if sum == 0 {
		return nil, nil
	}
	length := math.Sqrt(sum)
	unit := make([]float32, len(v))
	for i, x := range v {
		unit[i] = float32(float64(x) / length)
	}
	return unit, nil
}

// cosine is the score of two vectors of length one, in one order of addition
// on every machine.
func cosine(a, b []float32) float64 {
	var s0, s1, s2, s3 float64
	n := len(a) &^ 3
	b = b[:len(a)]
	for i := 0; i < n; i += 4 {
		s0 += float64(float64(a[i]) * float64(b[i]))
		s1 += float64(float64(a[i+1]) * float64(b[i+1]))
		s2 += float64(float64(a[i+2]) * float64(b[i+2]))
		s3 += float64(float64(a[i+3]) * float64(b[i+3]))
	}
	for i := n; i < len(a); i++ {
		s0 += float64(float64(a[i]) * float64(b[i]))
	}
	return min(max((s0+s1)+(s2+s3), -1), 1)
}
