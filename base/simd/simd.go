// Package simd has the few sums of products that searching vectors and running
// transformers spend their time in, by the vector instructions of the
// processor where there are any for it here (AVX2 with FMA on amd64) and in
// plain Go elsewhere.
//
// It stands in base and knows numbers only. What is of integers is the same on
// every machine; what is of floats may differ in the last bits between one
// that has the instructions and one that has not, and is the same from call to
// call on either.
package simd

// DotInt8 returns the sum of a[i] × b[i]; b is as long as a. It is exact for
// up to 131,072 numbers.
func DotInt8(a, b []int8) int32 {
	b = b[:len(a)]
	return dotInt8(a, b)
}

// DotInt8Int16 returns the sum of a[i] × b[i]; b is as long as a. It is exact
// where the sum of all |a[i] × b[i]| fits an int32.
func DotInt8Int16(a []int8, b []int16) int32 {
	b = b[:len(a)]
	return dotInt8Int16(a, b)
}

func plainInt8(a, b []int8) int32 {
	var s0, s1 int32
	n := len(a) &^ 1
	for i := 0; i < n; i += 2 {
		s0 += int32(a[i]) * int32(b[i])
		s1 += int32(a[i+1]) * int32(b[i+1])
	}
	if n < len(a) {
		s0 += int32(a[n]) * int32(b[n])
	}
	return s0 + s1
}

func plainInt8Int16(a []int8, b []int16) int32 {
	var s0, s1 int32
	n := len(a) &^ 1
	for i := 0; i < n; i += 2 {
		s0 += int32(a[i]) * int32(b[i])
		s1 += int32(a[i+1]) * int32(b[i+1])
	}
	if n < len(a) {
		s0 += int32(a[n]) * int32(b[n])
	}
	return s0 + s1
}
