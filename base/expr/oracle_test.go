package expr

import (
	"math"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/frame"
)

// oracle evaluates an expression over one row by walking its tree: no types
// worked out before, no vectors, no kernels. What the program must agree with.
type oracle map[string]Value

func (o oracle) eval(n node) Value {
	switch n := n.(type) {
	case *literal:
		return n.value
	case *name:
		v := o[n.id]
		if v.Type == frame.Double && math.IsNaN(v.F) {
			v.Valid = false
		}
		return v
	case *unary:
		return o.unary(n)
	case *binary:
		return o.binary(n)
	case *isNull:
		return Bool(o.eval(n.x).Valid == n.not)
	case *between:
		x, lo, hi := o.eval(n.x), o.eval(n.lo), o.eval(n.hi)
		return negateIf(n.not, both(order(x, lo, ">="), order(x, hi, "<=")))
	case *in:
		return o.in(n)
	case *like:
		return o.like(n)
	case *when:
		for i, c := range n.conds {
			if v := o.eval(c); v.Valid && v.B {
				return o.eval(n.values[i])
			}
		}
		if n.other == nil {
			return Value{}
		}
		return o.eval(n.other)
	case *call:
		return o.call(n)
	case *cast:
		v, _ := convert(o.eval(n.x), frame.Type(n.to))
		return v
	}
	panic("unknown node")
}

func (o oracle) unary(n *unary) Value {
	v := o.eval(n.x)
	switch {
	case !v.Valid:
		return Value{}
	case n.op == "not":
		return Bool(!v.B)
	case v.Type == frame.Double:
		return Double(-v.F)
	}
	return wide(new(big.Int).Neg(big.NewInt(v.I)))
}

// wide is a big integer as an int, or NULL where it is too large.
func wide(x *big.Int) Value {
	if !x.IsInt64() {
		return Value{}
	}
	return Int(x.Int64())
}

func (o oracle) binary(n *binary) Value {
	x, y := o.eval(n.x), o.eval(n.y)
	switch n.op {
	case "and":
		return both(x, y)
	case "or":
		return negateIf(true, both(negateIf(true, x), negateIf(true, y)))
	}
	if !x.Valid || !y.Valid {
		return Value{}
	}
	switch n.op {
	case "||":
		return String(x.S + y.S)
	case "=", "<>", "<", "<=", ">", ">=":
		return order(x, y, n.op)
	}
	if x.Type == frame.Int && y.Type == frame.Int && n.op != "/" {
		return wholeNumbers(n.op, big.NewInt(x.I), big.NewInt(y.I))
	}
	if x.Type == frame.Date {
		return Int(int64(timeOf(x).Sub(timeOf(y)).Hours()) / 24)
	}
	a, _ := x.Number()
	b, _ := y.Number()
	switch n.op {
	case "+":
		return Double(a + b)
	case "-":
		return Double(a - b)
	case "*":
		return Double(a * b)
	}
	if b == 0 {
		return Value{}
	}
	if n.op == "/" {
		return Double(a / b)
	}
	return Double(math.Mod(a, b))
}

func wholeNumbers(op string, a, b *big.Int) Value {
	switch op {
	case "+":
		return wide(a.Add(a, b))
	case "-":
		return wide(a.Sub(a, b))
	case "*":
		return wide(a.Mul(a, b))
	}
	if b.Sign() == 0 {
		return Value{}
	}
	return wide(a.Rem(a, b))
}

func both(x, y Value) Value {
	switch {
	case x.Valid && !x.B, y.Valid && !y.B:
		return Bool(false)
	case !x.Valid || !y.Valid:
		return Value{}
	}
	return Bool(true)
}

func negateIf(not bool, v Value) Value {
	if v.Valid {
		v.B = v.B != not
	}
	return v
}

func order(x, y Value, op string) Value {
	if !x.Valid || !y.Valid {
		return Value{}
	}
	c := 0
	switch {
	case x.Type == frame.String:
		c = strings.Compare(x.S, y.S)
	case x.Type == frame.Bool:
		c = int(fromBool(x.B) - fromBool(y.B))
	case x.Type == y.Type && x.Type != frame.Double:
		c = big.NewInt(x.I).Cmp(big.NewInt(y.I))
	default:
		a, _ := x.Number()
		b, _ := y.Number()
		if a < b {
			c = -1
		} else if a > b {
			c = 1
		}
	}
	return Bool(map[string]bool{"=": c == 0, "<>": c != 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op])
}

func (o oracle) in(n *in) Value {
	x := o.eval(n.x)
	result := Bool(false)
	for _, item := range n.list {
		equal := order(x, o.eval(item), "=")
		if equal.Valid && equal.B {
			return negateIf(n.not, equal)
		}
		if !equal.Valid {
			result = equal
		}
	}
	return negateIf(n.not, result)
}

func (o oracle) like(n *like) Value {
	x := o.eval(n.x)
	if !x.Valid {
		return Value{}
	}
	pattern := regexp.QuoteMeta(o.eval(n.pattern).S)
	pattern = strings.ReplaceAll(strings.ReplaceAll(pattern, "%", ".*"), "_", ".")
	return Bool(regexp.MustCompile("(?s)^(?:"+pattern+")$").MatchString(x.S) != n.not)
}

func (o oracle) call(n *call) Value {
	args := make([]Value, len(n.args))
	strict := true
	for i, a := range n.args {
		args[i] = o.eval(a)
		strict = strict && args[i].Valid
	}
	switch n.fn {
	case "coalesce":
		for _, a := range args {
			if a.Valid {
				return a
			}
		}
		return Value{}
	case "least", "greatest":
		return extremeOf(args, map[string]string{"least": "<", "greatest": ">"}[n.fn])
	case "nullif":
		if v := order(args[0], args[1], "="); v.Valid && v.B {
			return Value{}
		}
		return args[0]
	case "if":
		if args[0].Valid && args[0].B {
			return args[1]
		}
		return args[2]
	}
	if !strict {
		return Value{}
	}
	return strictCall(n.fn, args)
}

func extremeOf(args []Value, op string) (best Value) {
	for _, a := range args {
		if v := order(a, best, op); a.Valid && (!best.Valid || v.B) {
			best = a
		}
	}
	return best
}

func strictCall(fn string, args []Value) Value {
	v := args[0]
	switch fn {
	case "abs":
		if v.Type == frame.Int {
			return wide(new(big.Int).Abs(big.NewInt(v.I)))
		}
		return Double(math.Abs(v.F))
	case "sqrt":
		return Double(math.Sqrt(v.F))
	case "log1p":
		if v.F <= -1 {
			return Value{}
		}
		return Double(math.Log1p(v.F))
	case "exp":
		return Double(math.Exp(v.F))
	case "floor":
		return Double(math.Floor(v.F))
	case "lower":
		return String(strings.ToLower(v.S))
	case "length":
		return Int(int64(len([]rune(v.S))))
	case "substr":
		return String(substrOf([]rune(v.S), args[1].I, args[2].I))
	case "contains":
		return Bool(strings.Contains(v.S, args[1].S))
	case "date_diff":
		return Int(int64(timeOf(args[2]).Truncate(24*time.Hour).Sub(timeOf(args[1]).Truncate(24*time.Hour)) / (24 * time.Hour)))
	}
	return timePart(fn, timeOf(v))
}

func substrOf(s []rune, start, n int64) string {
	const far = 1 << 40 // what is farther away is outside of every string, and sums of it would overflow
	start, n = min(max(start, -far), far), min(max(n, -4*far), 4*far)
	var out []rune
	if start < 0 {
		start += int64(len(s)) + 1
	}
	for i := range s {
		at := int64(i) + 1
		if at >= start && at < start+n || n < 0 && at >= start+n && at < start {
			out = append(out, s[i])
		}
	}
	return string(out)
}

func timeOf(v Value) time.Time {
	if v.Type == frame.Date {
		return time.Unix(v.I*86400, 0).UTC()
	}
	return time.UnixMicro(v.I).UTC()
}

func timePart(fn string, t time.Time) Value {
	switch fn {
	case "hour":
		return Int(int64(t.Hour()))
	case "minute":
		return Int(int64(t.Minute()))
	case "day":
		return Int(int64(t.Day()))
	case "month":
		return Int(int64(t.Month()))
	case "year":
		return Int(int64(t.Year()))
	case "dayofyear":
		return Int(int64(t.YearDay()))
	case "dayofweek":
		return Int(int64(t.Weekday()+6)%7 + 1)
	}
	panic("unknown function " + fn)
}
