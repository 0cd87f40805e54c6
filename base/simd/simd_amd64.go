package simd

import "golang.org/x/sys/cpu"

// fast tells whether the processor has the instructions of simd_amd64.s.
var fast = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// wide tells whether it has those of 512 bits.
var wide = fast && cpu.X86.HasAVX512F

// n is a multiple of 16, above zero.
//
//go:noescape
func dotInt8(a, b *int8, n int) int32

//go:noescape
func dotInt8Int16(a *int8, b *int16, n int) int32

// n is a multiple of 8, above zero.
//
//go:noescape
func expShift(x *float32, n int, shift float32, constants *[19]float32)

//go:noescape
func gelu(x *float32, n int, constants *[19]float32)

// multiply6 makes a tile of 6 × 16: out[r][c] = bias[c] + Σ a[r][k]·panel[k][c].
// Strides count numbers.
//
//go:noescape
func multiply6(out, a, panel, bias *float32, outStride, stride, inner int)

// multiply12 makes a tile of 12 × 16, each number by the same steps.
//
//go:noescape
func multiply12(out, a, panel, bias *float32, outStride, stride, inner int)

// multiply1 makes a tile of 1 × 16, each number by the same steps.
//
//go:noescape
func multiply1(out, a, panel, bias *float32, inner int)
