package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestDotsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 300 {
		a, b, c := make([]int8, n), make([]int8, n), make([]int16, n)
		var ab, ac int32
		for i := range n {
			a[i], b[i], c[i] = int8(r.IntN(255)-127), int8(r.IntN(255)-127), int16(r.IntN(16383)-8191)
			ab += int32(a[i]) * int32(b[i])
			ac += int32(a[i]) * int32(c[i])
		}
		if got := DotInt8(a, b); got != ab {
			t.Fatalf("%d int8: %d, want %d", n, got, ab)
		}
		if got := DotInt8Int16(a, c); got != ac {
			t.Fatalf("%d int16: %d, want %d", n, got, ac)
		}
	}
}

func TestExpAndGelu(t *testing.T) {
	for _, n := range []int{1, 7, 8, 1003} {
		x, g := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = float32(i-n/2) * 0.11
			g[i] = float32(i-n/2) * 0.013
		}
		e := append([]float32(nil), x...)
		Exp(e, 1.5)
		for i, v := range x {
			arg := float64(v - 1.5)
			if arg < -87 || arg > 88 {
				continue
			}
			if want := math.Exp(arg); math.Abs(float64(e[i])-want) > 3e-7*want {
				t.Fatalf("exp(%g) is %g, want %g", arg, e[i], want)
			}
		}
		was := append([]float32(nil), g...)
		Gelu(g)
		for i, v := range was {
			want := 0.5 * float64(v) * (1 + math.Erf(float64(v)/math.Sqrt2))
			if math.Abs(float64(g[i])-want) > 3e-7*max(1, math.Abs(float64(v))) {
				t.Fatalf("gelu(%g) is %g, want %g", v, g[i], want)
			}
		}
	}
}

func TestExpOfExtremes(t *testing.T) {
	x := []float32{-1e30, float32(math.Inf(-1)), -100, 0, 88, 1e30, 0, 0, -1e30, 200}
	Exp(x, 0)
	for i, v := range x {
		if !(v >= 0) || math.IsInf(float64(v), 0) {
			t.Errorf("%d: %g", i, v)
		}
	}
	if x[0] > 1.3e-38 || x[3] != 1 {
		t.Errorf("%v", x)
	}
}

func random(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		rows, inner, columns := 1+r.IntN(40), 1+r.IntN(40), 1+r.IntN(50)
		stride, outStride := inner+r.IntN(3), columns+r.IntN(3)
		a, b, bias := random(r, rows*stride), random(r, inner*columns), random(r, columns)
		flipped := make([]float32, len(b))
		for k := range inner {
			for c := range columns {
				flipped[c*inner+k] = b[k*columns+c]
			}
		}
		var m, f Matrix
		m.Pack(b, inner, columns, columns)
		f.PackTransposed(flipped, columns, inner, inner)
		out, same := make([]float32, rows*outStride), make([]float32, rows*outStride)
		m.Times(out, outStride, a, rows, stride, bias)
		f.Times(same, outStride, a, rows, stride, bias)
		one := make([]float32, columns)
		for i := range rows {
			m.Times(one, columns, a[i*stride:], 1, stride, bias)
			for c := range columns {
				want := float64(bias[c])
				for k := range inner {
					want += float64(a[i*stride+k]) * float64(b[k*columns+c])
				}
				got := out[i*outStride+c]
				if math.Abs(float64(got)-want) > 1e-4 {
					t.Fatalf("%d×%d×%d at %d, %d: %g, want %g", rows, inner, columns, i, c, got, want)
				}
				if got != same[i*outStride+c] || got != one[c] {
					t.Fatalf("a number hangs on how it was asked for: %g, %g, %g", got, same[i*outStride+c], one[c])
				}
			}
		}
	}
}

// The plain loops are what other machines run.
func TestPlainProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	a, panel, bias, out := random(r, 33), random(r, 33*tileColumns), random(r, tileColumns), make([]float32, tileColumns)
	multiplyRow(out, a, panel, bias)
	for c, got := range out {
		want := float64(bias[c])
		for k, x := range a {
			want += float64(x) * float64(panel[k*tileColumns+c])
		}
		if math.Abs(float64(got)-want) > 1e-4 {
			t.Errorf("column %d: %g, want %g", c, got, want)
		}
	}
}

func BenchmarkDotInt8Int16(b *testing.B) {
	x, y := make([]int8, 384), make([]int16, 384)
	for b.Loop() {
		DotInt8Int16(x, y)
	}
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(2, 2))
	var m Matrix
	m.PackTransposed(random(r, 384*1536), 1536, 384, 384)
	a, out := random(r, 258*384), make([]float32, 258*1536)
	for b.Loop() {
		m.Times(out, 1536, a, 258, 384, nil)
	}
	b.ReportMetric(2*258*384*1536*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gflop/s")
}

func BenchmarkGelu(b *testing.B) {
	x := make([]float32, 1536)
	for b.Loop() {
		Gelu(x)
	}
}
