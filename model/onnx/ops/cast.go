package ops

import (
	"math"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/model/onnx/proto"
)

func convert[T float](from []T, out *Tensor, text func(T) string) error {
	switch kindOf(out.Type) {
	case floats:
		for i, v := range from {
			out.F[i] = float32(v)
		}
	case doubles:
		for i, v := range from {
			out.D[i] = float64(v)
		}
	case integers:
		for i, v := range from {
			out.I[i] = narrowed(out.Type, whole(float64(v)))
		}
	case texts:
		for i, v := range from {
			out.S[i] = text(v)
		}
	case bools:
		for i, v := range from {
			out.B[i] = v != 0
		}
	}
	return nil
}

// whole cuts the fraction off. What no integer holds is the lowest one, as
// processors have it.
func whole(v float64) int64 {
	if !(v > math.MinInt64 && v < math.MaxInt64) {
		return math.MinInt64
	}
	return int64(v)
}

// floatText writes a number as ONNX Runtime does: with eight digits that
// matter, of a double too.
func floatText[T float](v T) string {
	x := float64(v)
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 1):
		return "INF"
	case math.IsInf(x, -1):
		return "-INF"
	}
	return general(x, 8)
}

// general is C's %.{digits}g.
func general(x float64, digits int) string {
	exponent := strconv.FormatFloat(x, 'e', digits-1, 64)
	at := strings.IndexByte(exponent, 'e')
	e, _ := strconv.Atoi(exponent[at+1:])
	if e < -4 || e >= digits {
		mantissa := exponent[:at]
		if strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		return mantissa + exponent[at:]
	}
	fixed := strconv.FormatFloat(x, 'f', digits-1-e, 64)
	if strings.Contains(fixed, ".") {
		fixed = strings.TrimRight(strings.TrimRight(fixed, "0"), ".")
	}
	return fixed
}

func convertInts(from []int64, out *Tensor) error {
	switch kindOf(out.Type) {
	case floats:
		for i, v := range from {
			out.F[i] = float32(v)
		}
	case doubles:
		for i, v := range from {
			out.D[i] = float64(v)
		}
	case integers:
		for i, v := range from {
			out.I[i] = narrowed(out.Type, v)
		}
	case texts:
		for i, v := range from {
			out.S[i] = strconv.FormatInt(v, 10)
		}
	case bools:
		for i, v := range from {
			out.B[i] = v != 0
		}
	}
	return nil
}

func convertBools(from []bool, out *Tensor) error {
	for i, v := range from {
		n := int64(0)
		if v {
			n = 1
		}
		switch kindOf(out.Type) {
		case floats:
			out.F[i] = float32(n)
		case doubles:
			out.D[i] = float64(n)
		case integers:
			out.I[i] = n
		case texts:
			out.S[i] = strconv.FormatInt(n, 10)
		}
	}
	return nil
}

// parse reads numbers from text.
func parse(from []string, out *Tensor) error {
	for i, text := range from {
		switch kindOf(out.Type) {
		case floats, doubles:
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil && !math.IsInf(v, 0) {
				return invalid("%.40q is no number", text)
			}
			if out.Type == proto.Double {
				out.D[i] = v
			} else {
				out.F[i] = float32(v)
			}
		case integers:
			v, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				return invalid("%.40q is no integer", text)
			}
			out.I[i] = narrowed(out.Type, v)
		default:
			return unsupported("a cast from string to %s", out.Type)
		}
	}
	return nil
}
