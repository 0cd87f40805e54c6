//go:build !amd64

package simd

const fast, wide = false, false

func dotInt8(_, _ *int8, _ int) int32                       { return 0 }
func dotInt8Int16(_ *int8, _ *int16, _ int) int32           { return 0 }
func expShift(_ *float32, _ int, _ float32, _ *[19]float32) {}
func gelu(_ *float32, _ int, _ *[19]float32)                {}
func multiply6(_, _, _, _ *float32, _, _, _ int)            {}
func multiply1(_, _, _, _ *float32, _ int)                  {}
func multiply12(_, _, _, _ *float32, _, _, _ int)           {}
