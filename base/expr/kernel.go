package expr

import (
	"cmp"
	"math"

	"github.com/leat-ai/leat/base/frame"
)

// kernel computes the first n values of out from as many of each input. It
// reads value i of the inputs for value i of the output and nothing else:
// that is what makes a row's value independent of its batch.
type kernel func(n int, out *vec, in []*vec)

// lane picks one of the four slices of a vec.
type lane[T any] func(*vec) []T

// map1 lifts a function of one value to a kernel. NULL gives NULL without a
// call; a function that returns false gives NULL too.
func map1[A, Z any](la lane[A], lz lane[Z], f func(A) (Z, bool)) kernel {
	return func(n int, out *vec, in []*vec) {
		a, z := la(in[0])[:n], lz(out)[:n]
		nulls := out.strict(n, in)
		for i := range z {
			if nulls && !out.valid[i] {
				continue
			}
			x, ok := f(a[i])
			if z[i] = x; !ok {
				out.null(i, n)
			}
		}
	}
}

// map2 is map1 for two values.
func map2[A, B, Z any](la lane[A], lb lane[B], lz lane[Z], f func(A, B) (Z, bool)) kernel {
	return func(n int, out *vec, in []*vec) {
		a, b, z := la(in[0])[:n], lb(in[1])[:n], lz(out)[:n]
		nulls := out.strict(n, in)
		for i := range z {
			if nulls && !out.valid[i] {
				continue
			}
			x, ok := f(a[i], b[i])
			if z[i] = x; !ok {
				out.null(i, n)
			}
		}
	}
}

// map3 is map1 for three values.
func map3[A, B, C, Z any](la lane[A], lb lane[B], lc lane[C], lz lane[Z], f func(A, B, C) (Z, bool)) kernel {
	return func(n int, out *vec, in []*vec) {
		a, b, c, z := la(in[0])[:n], lb(in[1])[:n], lc(in[2])[:n], lz(out)[:n]
		nulls := out.strict(n, in)
		for i := range z {
			if nulls && !out.valid[i] {
				continue
			}
			x, ok := f(a[i], b[i], c[i])
			if z[i] = x; !ok {
				out.null(i, n)
			}
		}
	}
}

// sure turns a function that always has an answer into one for map1.
func sure[A, Z any](f func(A) Z) func(A) (Z, bool) {
	return func(a A) (Z, bool) { return f(a), true }
}

func sure2[A, B, Z any](f func(A, B) Z) func(A, B) (Z, bool) {
	return func(a A, b B) (Z, bool) { return f(a, b), true }
}

// number turns a function of doubles into one for map1: NaN is NULL.
func number(f func(float64) float64) func(float64) (float64, bool) {
	return func(a float64) (float64, bool) {
		z := f(a)
		return z, z == z
	}
}

// perType picks the kernel of the slice that values of a type lie in.
func perType(t frame.Type, i, f, b, s kernel) kernel {
	switch t {
	case frame.Double:
		return f
	case frame.Bool:
		return b
	case frame.String:
		return s
	}
	return i
}

// intArithmetic has the operators on ints; what overflows is NULL.
func intArithmetic(op string) func(a, b int64) (int64, bool) {
	switch op {
	case "+":
		return addInt
	case "-":
		return func(a, b int64) (int64, bool) {
			z := a - b
			return z, (a^b)&(a^z) >= 0
		}
	case "*":
		return mulInt
	}
	return func(a, b int64) (int64, bool) {
		switch b {
		case 0:
			return 0, false
		case -1: // math.MinInt64 % -1 traps on some processors
			return 0, true
		}
		return a % b, true
	}
}

func addInt(a, b int64) (int64, bool) {
	z := a + b
	return z, (a^z)&(b^z) >= 0
}

func mulInt(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	z := a * b
	if a == -1 || b == -1 {
		return z, z != math.MinInt64
	}
	return z, z/b == a
}

// doubleArithmetic has the operators on doubles; NaN is NULL, and so is a
// division by zero.
func doubleArithmetic(op string) func(a, b float64) (float64, bool) {
	switch op {
	case "+":
		return func(a, b float64) (float64, bool) { z := a + b; return z, z == z }
	case "-":
		return func(a, b float64) (float64, bool) { z := a - b; return z, z == z }
	case "*":
		return func(a, b float64) (float64, bool) { z := a * b; return z, z == z }
	case "/":
		return func(a, b float64) (float64, bool) { z := a / b; return z, z == z && b != 0 }
	}
	return func(a, b float64) (float64, bool) {
		if b == 0 {
			return 0, false
		}
		z := math.Mod(a, b)
		return z, z == z
	}
}

// comparison has the six comparisons. Strings are compared by their bytes.
func comparison[T cmp.Ordered](op string) func(a, b T) bool {
	switch op {
	case "=":
		return func(a, b T) bool { return a == b }
	case "<>":
		return func(a, b T) bool { return a != b }
	case "<":
		return func(a, b T) bool { return a < b }
	case "<=":
		return func(a, b T) bool { return a <= b }
	case ">":
		return func(a, b T) bool { return a > b }
	}
	return func(a, b T) bool { return a >= b }
}

// compareKernel compares two values of a type; false is before true.
func compareKernel(op string, t frame.Type) kernel {
	rank := comparison[int64](op)
	return perType(t,
		map2(ints, ints, bools, sure2(comparison[int64](op))),
		map2(doubles, doubles, bools, sure2(comparison[float64](op))),
		map2(bools, bools, bools, sure2(func(a, b bool) bool { return rank(fromBool(a), fromBool(b)) })),
		map2(texts, texts, bools, sure2(comparison[string](op))))
}

func fromBool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// andKernel: false wins over NULL, NULL over true.
func andKernel(n int, out *vec, in []*vec) { connect(n, out, in, false) }

// orKernel: true wins over NULL, NULL over false.
func orKernel(n int, out *vec, in []*vec) { connect(n, out, in, true) }

func connect(n int, out *vec, in []*vec, winner bool) {
	x, y := in[0], in[1]
	out.nulls = false
	for i := range n {
		xNull, yNull := x.isNull(i), y.isNull(i)
		switch {
		case !xNull && x.b[i] == winner, !yNull && y.b[i] == winner:
			out.b[i] = winner
		case xNull || yNull:
			out.null(i, n)
		default:
			out.b[i] = !winner
		}
	}
}

// isNullKernel asks for NULL, or with not for the opposite. It is never NULL.
func isNullKernel(not bool) kernel {
	return func(n int, out *vec, in []*vec) {
		out.nulls = false
		for i := range n {
			out.b[i] = in[0].isNull(i) != not
		}
	}
}

// caseKernel takes k conditions, k values and the value otherwise.
func caseKernel[T any](l lane[T]) kernel {
	return func(n int, out *vec, in []*vec) {
		k := len(in) / 2
		z := l(out)
		out.nulls = false
		for i := range n {
			from := in[2*k]
			for c, cond := range in[:k] {
				if cond.b[i] && !cond.isNull(i) {
					from = in[k+c]
					break
				}
			}
			if from.isNull(i) {
				out.null(i, n)
			} else {
				z[i] = l(from)[i]
			}
		}
	}
}

// coalesceKernel takes the first value that is not NULL.
func coalesceKernel[T any](l lane[T]) kernel {
	return func(n int, out *vec, in []*vec) {
		z := l(out)
		out.nulls = false
	rows:
		for i := range n {
			for _, x := range in {
				if !x.isNull(i) {
					z[i] = l(x)[i]
					continue rows
				}
			}
			out.null(i, n)
		}
	}
}

// extremeKernel takes the value that comes before all others, NULLs left out.
func extremeKernel[T any](l lane[T], before func(a, b T) bool) kernel {
	return func(n int, out *vec, in []*vec) {
		z := l(out)
		out.nulls = false
		for i := range n {
			found := false
			for _, x := range in {
				if v := l(x); !x.isNull(i) && (!found || before(v[i], z[i])) {
					z[i], found = v[i], true
				}
			}
			if !found {
				out.null(i, n)
			}
		}
	}
}

// nullifKernel is NULL where both values are equal, and else the first.
func nullifKernel[T comparable](l lane[T]) kernel {
	return func(n int, out *vec, in []*vec) {
		z, x, y := l(out), l(in[0]), l(in[1])
		out.nulls = false
		for i := range n {
			if in[0].isNull(i) || !in[1].isNull(i) && x[i] == y[i] {
				out.null(i, n)
			} else {
				z[i] = x[i]
			}
		}
	}
}

// inKernel looks the first value up among the others. Where it is not among
// them and one of them is NULL, the answer is not known: NULL.
func inKernel[T comparable](l lane[T]) kernel {
	return func(n int, out *vec, in []*vec) {
		x := l(in[0])
		out.nulls = false
		for i := range n {
			found, unknown := false, in[0].isNull(i)
			for _, item := range in[1:] {
				if item.isNull(i) {
					unknown = true
				} else if l(item)[i] == x[i] {
					found = true
					break
				}
			}
			if out.b[i] = found; in[0].isNull(i) || unknown && !found {
				out.null(i, n)
			}
		}
	}
}

// inSetKernel is inKernel for literals, which it finds in one step.
func inSetKernel[T comparable](l lane[T], set map[T]struct{}, null bool) kernel {
	return map1(l, bools, func(x T) (bool, bool) {
		_, found := set[x]
		return found, found || !null
	})
}
