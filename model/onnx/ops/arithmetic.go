package ops

import (
	"math"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// run2 computes a run of two inputs with strides of 0 or 1.
type run2[T, R element] func(out []R, a, b []T, sa, sb int)

func add[T number](out, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] + b[i*sb]
	}
}

func sub[T number](out, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] - b[i*sb]
	}
}

func mul[T number](out, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] * b[i*sb]
	}
}

func div[T float](out, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = a[i*sa] / b[i*sb]
	}
}

// divInts answers 0 where others crash.
func divInts(out, a, b []int64, sa, sb int) {
	for i := range out {
		if out[i] = 0; b[i*sb] != 0 {
			out[i] = a[i*sa] / b[i*sb]
		}
	}
}

// mod has the sign of the divisor.
func mod[T float](out, a, b []T, sa, sb int) {
	for i := range out {
		x, y := float64(a[i*sa]), float64(b[i*sb])
		rest := math.Mod(x, y)
		if rest != 0 && (rest < 0) != (y < 0) {
			rest += y
		}
		out[i] = T(rest)
	}
}

func modInts(out, a, b []int64, sa, sb int) {
	fmodInts(out, a, b, sa, sb)
	for i, rest := range out {
		if y := b[i*sb]; rest != 0 && (rest < 0) != (y < 0) {
			out[i] = rest + y
		}
	}
}

// fmodInts answers 0 where others crash.
func fmodInts(out, a, b []int64, sa, sb int) {
	for i := range out {
		if out[i] = 0; b[i*sb] != 0 {
			out[i] = a[i*sa] % b[i*sb]
		}
	}
}

// fmod has the sign of the dividend.
func fmod[T float](out, a, b []T, sa, sb int) {
	for i := range out {
		out[i] = T(math.Mod(float64(a[i*sa]), float64(b[i*sb])))
	}
}

func power[T number](out, a, b []T, sa, sb int) {
	for i := range out {
		switch x, y := a[i*sa], b[i*sb]; y {
		case 1:
			out[i] = x
		case 2:
			out[i] = x * x
		default:
			out[i] = T(math.Pow(float64(x), float64(y)))
		}
	}
}

func least[T number](out, a, b []T, sa, sb int) {
	for i := range out {
		x, y := a[i*sa], b[i*sb]
		if y < x || y != y {
			x = y
		}
		out[i] = x
	}
}

func greatest[T number](out, a, b []T, sa, sb int) {
	for i := range out {
		x, y := a[i*sa], b[i*sb]
		if y > x || y != y {
			x = y
		}
		out[i] = x
	}
}

func relu[T number](out, a, b []T, sa, sb int) { // PRelu: b is the slope below 0
	for i := range out {
		x := a[i*sa]
		if x < 0 {
			x *= b[i*sb]
		}
		out[i] = x
	}
}

// arithmetic builds an operator of two tensors of numbers of one type.
func arithmetic(f run2[float32, float32], d run2[float64, float64], i run2[int64, int64]) func(*node) (kernel, error) {
	return func(n *node) (kernel, error) {
		if n.version < 7 && n.has("axis") {
			return nil, unsupported("broadcasting along an axis, of versions before 7")
		}
		return func(r *run, in, out []*Tensor) error {
			return combine(r, in[0], in[1], out[0], f, d, i)
		}, nil
	}
}

func combine(r *run, a, b, out *Tensor, f run2[float32, float32], d run2[float64, float64], i run2[int64, int64]) error {
	if a.Type != b.Type {
		return invalid("%s and %s are not of one type", a.Type, b.Type)
	}
	switch kindOf(a.Type) {
	case floats:
		return pairwise(r, a, b, out, a.Type, f)
	case doubles:
		return pairwise(r, a, b, out, a.Type, d)
	case integers:
		if err := pairwise(r, a, b, out, a.Type, i); err != nil {
			return err
		}
		wrap(out)
		return nil
	}
	return invalid("%s has no numbers", a.Type)
}

// wrap cuts integers to the width of their type.
func wrap(t *Tensor) {
	if t.Type == proto.Int64 {
		return
	}
	for i, v := range t.I {
		t.I[i] = narrowed(t.Type, v)
	}
}

func narrowed(typ proto.Type, v int64) int64 {
	switch typ {
	case proto.Int32:
		return int64(int32(v))
	case proto.Int16:
		return int64(int16(v))
	case proto.Int8:
		return int64(int8(v))
	case proto.Uint8:
		return int64(uint8(v))
	case proto.Uint16:
		return int64(uint16(v))
	case proto.Uint32:
		return int64(uint32(v))
	}
	return v
}

func buildPow(*node) (kernel, error) {
	return func(r *run, in, out []*Tensor) error {
		a, b := in[0], in[1]
		if a.Type != b.Type { // an exponent of another type
			cast := &r.spare
			if err := r.cast(b, cast, a.Type); err != nil {
				return err
			}
			b = cast
		}
		return combine(r, a, b, out[0], power[float32], power[float64], power[int64])
	}, nil
}

func buildMod(n *node) (kernel, error) {
	if n.int("fmod", 0) != 0 {
		return arithmetic(fmod[float32], fmod[float64], fmodInts)(n)
	}
	return arithmetic(mod[float32], mod[float64], modInts)(n)
}

// variadic builds an operator that joins any number of tensors, two by two.
func variadic(f run2[float32, float32], d run2[float64, float64], i run2[int64, int64], mean bool) func(*node) (kernel, error) {
	return func(*node) (kernel, error) {
		return func(r *run, in, out []*Tensor) error {
			sum := in[0]
			var halves [2]Tensor // a result is not computed over its own input
			for at, t := range in[1:] {
				to := out[0]
				if at < len(in)-2 {
					to = &halves[at%2]
				}
				if err := combine(r, sum, t, to, f, d, i); err != nil {
					return err
				}
				sum = to
			}
			if len(in) == 1 {
				out[0].alias(in[0], in[0].Dims)
			}
			if !mean || len(in) == 1 {
				return nil
			}
			return divide(out[0], len(in))
		}, nil
	}
}

func divide(t *Tensor, by int) error {
	switch kindOf(t.Type) {
	case floats:
		for i := range t.F {
			t.F[i] /= float32(by)
		}
	case doubles:
		for i := range t.D {
			t.D[i] /= float64(by)
		}
	default:
		return invalid("%s has no mean", t.Type)
	}
	return nil
}

// unary builds an operator that works on each element of floats, and of
// integers if i is given.
func unary(f func(float64) float64, i func(int64) int64) func(*node) (kernel, error) {
	return func(*node) (kernel, error) {
		return func(r *run, in, out []*Tensor) error { return r.apply(in[0], out[0], f, i) }, nil
	}
}

// unaryOf is unary for functions with settings.
func unaryOf(build func(n *node) func(float64) float64) func(*node) (kernel, error) {
	return func(n *node) (kernel, error) {
		f := build(n)
		return func(r *run, in, out []*Tensor) error { return r.apply(in[0], out[0], f, nil) }, nil
	}
}

// apply computes in double and rounds once.
func (r *run) apply(a, out *Tensor, f func(float64) float64, i func(int64) int64) error {
	if err := r.make(out, a.Type, a.Dims); err != nil {
		return err
	}
	switch k := kindOf(a.Type); {
	case k == floats:
		for at, v := range a.F {
			out.F[at] = float32(f(float64(v)))
		}
	case k == doubles:
		for at, v := range a.D {
			out.D[at] = f(v)
		}
	case k == integers && i != nil:
		for at, v := range a.I {
			out.I[at] = i(v)
		}
		wrap(out)
	default:
		return invalid("the operator does not take %s", a.Type)
	}
	return nil
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

func signInt(x int64) int64 { return int64(sign(float64(x))) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func negative(x int64) int64 { return -x }

func absolute(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}

func reciprocal(x float64) float64 { return 1 / x }

func softplus(x float64) float64 { return math.Log1p(math.Exp(-math.Abs(x))) + max(x, 0) }

func rectified(x float64) float64 {
	if x < 0 {
		return 0
	}
	return x
}

func rectifiedInt(x int64) int64 { return max(x, 0) }

func buildLeakyRelu(n *node) func(float64) float64 {
	alpha := float64(n.float("alpha", 0.01))
	return func(x float64) float64 {
		if x < 0 {
			return alpha * x
		}
		return x
	}
}

func buildElu(n *node) func(float64) float64 {
	alpha := float64(n.float("alpha", 1))
	return func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x)
		}
		return x
	}
}

func buildHardSigmoid(n *node) func(float64) float64 {
	alpha, beta := float64(n.float("alpha", 0.2)), float64(n.float("beta", 0.5))
	return func(x float64) float64 { return max(0, min(1, alpha*x+beta)) }
}

func buildBinarizer(n *node) func(float64) float64 {
	threshold := float64(n.float("threshold", 0))
	return func(x float64) float64 {
		if x > threshold {
			return 1
		}
		return 0
	}
}

// buildClip bounds numbers by attributes, or since version 11 by inputs.
func buildClip(n *node) (kernel, error) {
	low, high := n.float("min", -math.MaxFloat32), n.float("max", math.MaxFloat32)
	if n.version >= 11 {
		low, high = float32(math.Inf(-1)), float32(math.Inf(1))
	}
	return func(r *run, in, out []*Tensor) error {
		switch kindOf(in[0].Type) {
		case floats:
			return clip(r, in, out[0], low, high)
		case doubles:
			return clip(r, in, out[0], float64(low), float64(high))
		case integers:
			return clip(r, in, out[0], int64(math.MinInt64), int64(math.MaxInt64))
		}
		return invalid("%s cannot be clipped", in[0].Type)
	}, nil
}

func clip[T number](r *run, in []*Tensor, out *Tensor, low, high T) error {
	for i, bound := range []*T{&low, &high} {
		if len(in) <= i+1 || in[i+1] == nil {
			continue
		}
		v := *values[T](in[i+1])
		if len(v) != 1 {
			return invalid("the bound of a clip has %d elements", len(v))
		}
		*bound = v[0]
	}
	if err := r.make(out, in[0].Type, in[0].Dims); err != nil {
		return err
	}
	x, y := *values[T](in[0]), *values[T](out)
	for i, v := range x {
		if v < low {
			v = low
		}
		if v > high {
			v = high
		}
		y[i] = v
	}
	return nil
}
