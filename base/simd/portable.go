package simd

func dotInt8(a, b []int8) int32              { return plainInt8(a, b) }
func dotInt8Int16(a []int8, b []int16) int32 { return plainInt8Int16(a, b) }
