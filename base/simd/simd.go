// Package simd has the few loops over numbers that searching vectors and
// running transformers spend their time in, by the vector instructions of the
// processor where there are any for it here (AVX2 with FMA on amd64) and in
// plain Go elsewhere.
//
// It stands in base and knows numbers only. What is of integers is the same on
// every machine; what is of floats may differ in the last bits between one
// that has the instructions and one that has not, and is the same from call to
// call on either: a row of Matrix.Times hangs on nothing but that row.
package simd

import "math"

// DotInt8 returns the sum of a[i] × b[i]; b is at least as long as a. It is
// exact for up to 131,072 numbers.
func DotInt8(a, b []int8) int32 {
	b = b[:len(a)]
	n := 0
	var sum int32
	if fast {
		if n = len(a) &^ 15; n > 0 {
			sum = dotInt8(&a[0], &b[0], n)
		}
	}
	for i, x := range a[n:] {
		sum += int32(x) * int32(b[n+i])
	}
	return sum
}

// DotInt8Int16 returns the sum of a[i] × b[i]; b is at least as long as a. It
// is exact where the sum of all |a[i] × b[i]| fits an int32.
func DotInt8Int16(a []int8, b []int16) int32 {
	b = b[:len(a)]
	n := 0
	var sum int32
	if fast {
		if n = len(a) &^ 15; n > 0 {
			sum = dotInt8Int16(&a[0], &b[0], n)
		}
	}
	for i, x := range a[n:] {
		sum += int32(x) * int32(b[n+i])
	}
	return sum
}

// Exp replaces every x by e to the x - shift, within two units in the last
// place; what is below the smallest normal number may become it.
func Exp(x []float32, shift float32) {
	n := 0
	if fast {
		if n = len(x) &^ 7; n > 0 {
			expShift(&x[0], n, shift, &constants)
		}
	}
	for i, v := range x[n:] {
		x[n+i] = exp32(v - shift)
	}
}

// Gelu replaces every x by x·Φ(x), Φ being the normal distribution, within
// 3e-7 for |x| up to 1 and 3e-7·|x| beyond.
func Gelu(x []float32) {
	n := 0
	if fast {
		if n = len(x) &^ 7; n > 0 {
			gelu(&x[0], n, &constants)
		}
	}
	for i, v := range x[n:] {
		x[n+i] = gelu32(v)
	}
}

// The constants of exp and erf, in the order in which the instructions read
// them.
//
// e^x is 2^n · e^r with n the nearest whole number to x/ln 2, and e^r the first
// eight terms of its series: |r| is at most 0.35. ln 2 comes in two parts, the
// first of few bits so that n times it is exact.
//
// erf is formula 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical
// Functions: 1 - (a1·t + … + a5·t⁵)·e^(-x²) with t = 1/(1 + p·x).
var constants = [...]float32{
	0: -87.3, 1: 88.3, 2: math.Log2E, 3: 0.693359375, 4: -2.12194440e-4,
	5: 1.0 / 5040, 6: 1.0 / 720, 7: 1.0 / 120, 8: 1.0 / 24, 9: 1.0 / 6, 10: 0.5, 11: 1,
	12: math.Sqrt2 / 2, 13: 0.3275911,
	14: 1.061405429, 15: -1.453152027, 16: 1.421413741, 17: -0.284496736, 18: 0.254829592,
}

func exp32(x float32) float32 {
	c := &constants
	x = max(min(x, c[1]), c[0])
	n := float32(math.RoundToEven(float64(x * c[2])))
	r := x - n*c[3]
	r -= n * c[4]
	p := c[5]
	for _, k := range c[6:11] {
		p = p*r + k
	}
	p = (p*r+c[11])*r + c[11]
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

func gelu32(x float32) float32 {
	c := &constants
	a := float32(math.Abs(float64(x))) * c[12]
	t := 1 / (1 + c[13]*a)
	p := c[14]
	for _, k := range c[15:19] {
		p = p*t + k
	}
	tail := p * t * exp32(-a*a) // 1 - erf
	if x >= 0 {
		return x * (1 - 0.5*tail)
	}
	return x * 0.5 * tail
}
