package window

import (
	"math"
	"math/big"
)

// exact is the sum of doubles without any rounding: an expansion in the sense
// of Shewchuk ("Adaptive Precision Floating-Point Arithmetic", 1997), that is
// some doubles of growing magnitude that do not overlap and whose exact sum it
// is. Adding and taking away are therefore opposites, and the order of both
// does not matter. What comes near the ends of the exponent's range, and the
// infinities, are kept apart in more.
//
// The zero exact is zero.
type exact struct {
	n    int
	part [inlineParts]float64
	more *excess
}

// inlineParts is how many doubles a sum mostly needs: those of prices have two
// or three.
const inlineParts = 3

// excess is what has no place in the parts of an exact.
type excess struct {
	parts    []float64 // all of them, where they are more than inlineParts
	most     int       // of them before they are drawn together
	wide     big.Int   // times 2^-wideScale
	pos, neg int64     // infinities
}

const (
	wideScale  = 2148 // the bits behind the point of the least square there is
	wideSum    = 0x1p990
	wideSquare = 0x1p480
	tinySquare = 0x1p-400
	crowded    = 12 // parts that are not drawn together yet
)

// add adds x, which is not NaN.
func (e *exact) add(x float64) {
	if math.Abs(x) >= wideSum {
		e.addWide(x)
		return
	}
	e.grow(x)
}

// grow is Shewchuk's grow-expansion with the zeros left out.
func (e *exact) grow(x float64) {
	parts := e.parts()
	n := 0
	for _, y := range parts {
		sum := x + y
		back := sum - x
		err := (x - (sum - back)) + (y - back)
		if err != 0 {
			parts[n] = err
			n++
		}
		x = sum
	}
	switch {
	case x == 0:
	case n < len(parts):
		parts[n] = x
		n++
	default:
		e.n = n
		e.push(x)
		return
	}
	e.n = n
	if e.more != nil {
		e.settle()
	}
}

func (e *exact) parts() []float64 {
	if e.more != nil && e.more.parts != nil {
		return e.more.parts[:e.n]
	}
	return e.part[:e.n]
}

// push appends a part of the largest magnitude. Where there is no room for it,
// the parts are first drawn together.
func (e *exact) push(x float64) {
	if e.more != nil && e.more.parts != nil {
		m := e.more
		m.parts = append(m.parts[:e.n], x)
		e.n++
		if e.n > m.most {
			e.n = compress(m.parts)
			m.most = max(crowded, 2*e.n)
		}
		return
	}
	if e.n < inlineParts {
		e.part[e.n] = x
		e.n++
		return
	}
	var room [inlineParts + 1]float64
	copy(room[:], e.part[:])
	room[inlineParts] = x
	e.n = 0
	for _, part := range room[:compress(room[:])] {
		e.put(part)
	}
}

// compress draws parts together where several of them fit one, and returns how
// many there are then: Shewchuk's algorithm of that name.
func compress(parts []float64) int {
	top := parts[len(parts)-1]
	bottom := len(parts) - 1
	for i := len(parts) - 2; i >= 0; i-- {
		sum := top + parts[i]
		err := parts[i] - (sum - top)
		top = sum
		if err != 0 {
			parts[bottom] = top
			bottom--
			top = err
		}
	}
	n := 0
	for i := bottom + 1; i < len(parts); i++ {
		sum := parts[i] + top
		err := top - (sum - parts[i])
		top = sum
		if err != 0 {
			parts[n] = err
			n++
		}
	}
	if top != 0 {
		parts[n] = top
		n++
	}
	return n
}

func (e *exact) excess() *excess {
	if e.more == nil {
		e.more = new(excess)
	}
	return e.more
}

// settle gives up the excess that is not needed any more.
func (e *exact) settle() {
	m := e.more
	if m.parts != nil && e.n <= inlineParts {
		copy(e.part[:], m.parts[:e.n])
		m.parts = nil
	}
	if m.parts == nil && m.wide.Sign() == 0 && m.pos == 0 && m.neg == 0 {
		e.more = nil
	}
}

// addWide adds what could overflow on the way, and infinities.
func (e *exact) addWide(x float64) {
	m := e.excess()
	switch {
	case math.IsInf(x, 1):
		m.pos++
	case math.IsInf(x, -1):
		m.neg++
	default:
		m.wide.Add(&m.wide, scaled(x))
	}
	e.settle()
}

// take takes away what add added: the opposite number, except of infinities.
func (e *exact) take(x float64) {
	if math.IsInf(x, 0) {
		m := e.excess()
		if x > 0 {
			m.pos--
		} else {
			m.neg--
		}
		e.settle()
		return
	}
	e.add(-x)
}

// scaled is x times 2^wideScale.
func scaled(x float64) *big.Int {
	frac, exp := math.Frexp(x)
	z := big.NewInt(int64(frac * (1 << 53)))
	shift := exp - 53 + wideScale
	if shift >= 0 {
		return z.Lsh(z, uint(shift))
	}
	return z.Rsh(z, uint(-shift)) // exact: the bits behind are zeros
}

// addSquare adds the square of x, or takes it away where sign is -1.
func (e *exact) addSquare(x, sign float64) {
	a := math.Abs(x)
	switch {
	case math.IsInf(x, 0):
		e.excess().pos += int64(sign)
		e.settle()
	case a >= wideSquare || a < tinySquare && a != 0:
		z := scaled(x)
		z.Mul(z, z).Rsh(z, wideScale) // exact: no square has finer bits
		if sign < 0 {
			z.Neg(z)
		}
		m := e.excess()
		m.wide.Add(&m.wide, z)
		e.settle()
	default:
		p := float64(x * x)
		e.grow(sign * math.FMA(x, x, -p))
		e.grow(sign * p)
	}
}

// merge adds another sum, or takes it away where sign is -1.
func (e *exact) merge(o *exact, sign float64) {
	for _, x := range o.parts() {
		e.grow(sign * x)
	}
	if o.more == nil {
		return
	}
	m := e.excess()
	if sign > 0 {
		m.wide.Add(&m.wide, &o.more.wide)
	} else {
		m.wide.Sub(&m.wide, &o.more.wide)
	}
	m.pos += int64(sign) * o.more.pos
	m.neg += int64(sign) * o.more.neg
	e.settle()
}

// value rounds the sum once, to the nearest double, ties to even. It is NaN
// where infinities of both signs are in it.
func (e *exact) value() float64 {
	if e.more == nil {
		return rounded(e.part[:e.n])
	}
	if inf, ok := e.infinite(); ok {
		return inf
	}
	if e.more.wide.Sign() == 0 {
		return rounded(e.parts())
	}
	f, _ := e.big().Float64()
	return f
}

func (e *exact) infinite() (float64, bool) {
	switch m := e.more; {
	case m == nil || m.pos == 0 && m.neg == 0:
		return 0, false
	case m.neg == 0:
		return math.Inf(1), true
	case m.pos == 0:
		return math.Inf(-1), true
	}
	return math.NaN(), true
}

// rounded is the nearest double to the sum of parts that do not overlap, the
// largest last. Adding from the large end is exact until the first error; the
// sum before it is right but for a tie, which the parts below decide.
func rounded(parts []float64) float64 {
	i := len(parts) - 1
	if i < 0 {
		return 0
	}
	sum, err := parts[i], 0.0
	for i > 0 && err == 0 {
		i--
		x := sum
		sum = x + parts[i]
		err = parts[i] - (sum - x)
	}
	if i > 0 && (err < 0) == (parts[i-1] < 0) && err != 0 {
		if twice := 2 * err; (sum+twice)-sum == twice {
			sum += twice
		}
	}
	return sum
}

// big is the sum with all of its bits.
func (e *exact) big() *big.Float {
	var z big.Int
	for _, x := range e.parts() {
		z.Add(&z, scaled(x))
	}
	if e.more != nil {
		z.Add(&z, &e.more.wide)
	}
	return unscaled(&z, wideScale)
}

// unscaled is z times 2^-scale, with all of its bits.
func unscaled(z *big.Int, scale int) *big.Float {
	f := new(big.Float).SetPrec(uint(max(z.BitLen(), 64))).SetInt(z)
	return f.SetMantExp(f, -scale)
}

// integer is the sum of whole numbers; false where it is no int64.
func (e *exact) integer() (int64, bool) {
	if v := e.value(); math.Abs(v) < 0x1p62 {
		sum := int64(0)
		for _, x := range e.parts() {
			sum += int64(x)
		}
		return sum, true
	}
	i, _ := e.big().Int(nil)
	return i.Int64(), i.IsInt64()
}

// canonical makes the parts those that any expansion of the same sum has: the
// nearest double, the nearest one to what is left, and so on.
func (e *exact) canonical() {
	if e.n < 2 && (e.more == nil || e.more.parts == nil) {
		return
	}
	rest := exact{n: e.n, part: e.part}
	if e.more != nil && e.more.parts != nil {
		rest.more = &excess{parts: append([]float64(nil), e.more.parts[:e.n]...)}
	}
	var parts []float64
	for rest.n > 0 {
		top := rounded(rest.parts())
		parts = append(parts, top)
		rest.grow(-top)
	}
	e.n = 0
	if e.more != nil {
		e.more.parts = nil
	}
	for i := len(parts) - 1; i >= 0; i-- {
		e.put(parts[i])
	}
	if e.more != nil {
		e.settle()
	}
}

// put appends a part as it is.
func (e *exact) put(x float64) {
	switch {
	case e.more != nil && e.more.parts != nil:
		e.more.parts = append(e.more.parts[:e.n], x)
	case e.n < inlineParts:
		e.part[e.n] = x
	default:
		m := e.excess()
		m.parts, m.most = append(append(make([]float64, 0, 2*inlineParts), e.part[:]...), x), crowded
	}
	e.n++
}

// deviation is the standard deviation of n values as a sample, by their sum
// and the sum of their squares: the root of (n·squares − sum²) / (n·(n−1)),
// where the numerator is exact and rounded once. NaN stands for none.
func deviation(n int64, sum, squares *exact) float64 {
	if _, inf := squares.infinite(); n < 2 || inf {
		return math.NaN()
	}
	if squares.more != nil && squares.more.wide.Sign() != 0 {
		return wideDeviation(n, sum, squares)
	}
	var numerator exact
	count := float64(n)
	for _, q := range squares.parts() {
		numerator.product(count, q)
	}
	parts := sum.parts()
	for i, x := range parts {
		numerator.product(-x, x)
		for _, y := range parts[:i] {
			numerator.product(-2*x, y)
		}
	}
	return math.Sqrt(max(0, numerator.value()) / (count * (count - 1)))
}

// product adds x times y.
func (e *exact) product(x, y float64) {
	p := float64(x * y)
	e.grow(math.FMA(x, y, -p))
	e.grow(p)
}

// wideDeviation is deviation where squares do not fit a double. It rounds
// where deviation does.
func wideDeviation(n int64, sum, squares *exact) float64 {
	const enough = 3 * wideScale
	s := new(big.Float).SetPrec(2 * enough).Set(sum.big())
	numerator := new(big.Float).SetPrec(2*enough).Mul(squares.big(), new(big.Float).SetInt64(n))
	numerator.Sub(numerator, s.Mul(s, s))
	if numerator.Sign() <= 0 {
		return 0
	}
	count := float64(n)
	numerator.SetPrec(53)
	quotient := new(big.Float).SetPrec(53).Quo(numerator, big.NewFloat(count*(count-1)))
	f, _ := quotient.Sqrt(quotient).Float64()
	return f
}
