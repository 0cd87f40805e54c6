package expr

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Function describes one function of the language, for reference pages.
type Function struct {
	Name  string
	Usage string // "substr(s, start, length)"
	Doc   string
}

// Functions lists the functions by name.
func Functions() []Function {
	list := make([]Function, 0, len(functions))
	for name, f := range functions {
		list = append(list, Function{name, f.usage, f.doc})
	}
	slices.SortFunc(list, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// function is one entry of the table: either forms, of which the first that
// fits is taken, or a bind of its own.
type function struct {
	usage, doc string
	forms      []form
	bind       func(b *binder, c *call) (*bound, error)
}

// form is one choice of argument types with its kernel.
type form struct {
	args   []frame.Type
	result frame.Type
	run    kernel
}

func takes(args ...frame.Type) form { return form{args: args} }

func (f form) gives(t frame.Type, run kernel) form {
	f.result, f.run = t, run
	return f
}

// functions is the table. A binder carries it along, because the functions that
// bind themselves bind their arguments, and so lead back to it.
var functions = merge(mathFunctions(), textFunctions(), timeFunctions(), choiceFunctions())

func merge(tables ...map[string]function) map[string]function {
	all := map[string]function{}
	for _, t := range tables {
		for name, f := range t {
			all[name] = f
		}
	}
	return all
}

// call binds a function call.
func (b *binder) call(c *call) (*bound, error) {
	f, ok := b.functions[c.fn]
	if !ok {
		return nil, b.unknownFunction(c)
	}
	if f.bind != nil {
		return f.bind(b, c)
	}
	args, err := b.all(c.args)
	if err != nil {
		return nil, err
	}
	form, err := b.pick(f, c, args)
	if err != nil {
		return nil, err
	}
	for i, t := range form.args {
		if args[i], err = b.as(args[i], t); err != nil {
			return nil, err
		}
	}
	return op(form.result, form.run, args...), nil
}

// pick takes the first form whose types are those of the arguments, and else
// the first that they fit.
func (b *binder) pick(f function, c *call, args []*bound) (form, error) {
	accepts := func(fm form, ok func(*bound, frame.Type) bool) bool {
		if len(fm.args) != len(args) {
			return false
		}
		for i, t := range fm.args {
			if !ok(args[i], t) {
				return false
			}
		}
		return true
	}
	same := func(x *bound, t frame.Type) bool { return x.typ == t }
	for _, ok := range []func(*bound, frame.Type) bool{same, fits} {
		for _, fm := range f.forms {
			if accepts(fm, ok) {
				return fm, nil
			}
		}
	}
	return form{}, b.misused(f, c, args)
}

func (b *binder) misused(f function, c *call, args []*bound) error {
	var types []string
	for _, a := range args {
		types = append(types, cmpOr(string(a.typ), "null"))
	}
	return b.fail(c.at(), "%s does not take (%s)", c.fn, clip(strings.Join(types, ", "))).Hint("write %s: %s", f.usage, f.doc)
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (b *binder) unknownFunction(c *call) error {
	names := make([]string, 0, len(b.functions))
	for name := range b.functions {
		names = append(names, name)
	}
	slices.Sort(names)
	err := b.fail(c.at(), "there is no function %q", clip(c.fn))
	if instead := elsewhere[c.fn]; instead != "" {
		return err.Hint("write %s", instead)
	}
	if near := fault.Nearest(c.fn, names); near != "" {
		return err.Hint("did you mean %s?", b.functions[near].usage)
	}
	return err.Hint("the functions are %s", strings.Join(names, ", "))
}

// elsewhere has what other languages call the same, for hints.
var elsewhere = map[string]string{
	"len": "length(s)", "char_length": "length(s)", "pow": "power(x, y)", "ifnull": "coalesce(x, y)",
	"isnull": "x is null", "nvl": "coalesce(x, y)", "iff": "if(condition, x, y)", "substring": "substr(s, start, length)",
	"regexp_matches": "regexp_match(s, 'pattern')", "to_timestamp": "strptime(s, 'format')", "try_strptime": "strptime(s, 'format')", "rlike": "regexp_match(s, 'pattern')", "ceiling": "ceil(x)",
	"datediff": "date_diff('day', a, b)", "weekday": "dayofweek(t)", "isodow": "dayofweek(t)", "concat": "a || b",
	"startswith": "starts_with(s, prefix)", "min": "least(x, y)", "max": "greatest(x, y)", "mod": "x % y",
	"sum": "a SQL feature, which aggregates rows", "avg": "a SQL feature, which aggregates rows",
	"count": "a SQL feature, which aggregates rows", "now": "a column with the time of the event; an expression has no clock",
	"random": "a column; an expression gives the same value for the same row", "try_cast": "cast(x as type), which gives NULL for what cannot be cast",
}

func mathFunctions() map[string]function {
	one := func(usage, doc string, f func(float64) float64) function {
		return function{usage: usage, doc: doc, forms: []form{
			takes(frame.Double).gives(frame.Double, map1(doubles, doubles, number(f)))}}
	}
	// above makes NULL of what is not above the lower end of f's domain.
	above := func(low float64, f func(float64) float64) func(float64) float64 {
		return func(x float64) float64 {
			if x <= low {
				return math.NaN()
			}
			return f(x)
		}
	}
	whole := func(usage, doc string, f func(float64) float64) function {
		fn := one(usage, doc, f)
		fn.forms = append(fn.forms, takes(frame.Int).gives(frame.Int, map1(ints, ints, sure(same))))
		return fn
	}
	round := whole("round(x, digits)", "x rounded to so many decimal digits, 0 when left out; halves go away from zero", math.Round)
	round.forms = append(round.forms,
		takes(frame.Int, frame.Int).gives(frame.Int, map2(ints, ints, ints, roundInt)),
		takes(frame.Double, frame.Int).gives(frame.Double, map2(doubles, ints, doubles, roundTo)))
	return map[string]function{
		"abs": {usage: "abs(x)", doc: "x without its sign", forms: []form{
			takes(frame.Int).gives(frame.Int, map1(ints, ints, absInt)),
			takes(frame.Double).gives(frame.Double, map1(doubles, doubles, number(math.Abs)))}},
		"ln":    one("ln(x)", "the natural logarithm; NULL unless x > 0", above(0, math.Log)),
		"log":   one("log(x)", "the natural logarithm; NULL unless x > 0", above(0, math.Log)),
		"log2":  one("log2(x)", "the logarithm to base 2; NULL unless x > 0", above(0, math.Log2)),
		"log10": one("log10(x)", "the logarithm to base 10; NULL unless x > 0", above(0, math.Log10)),
		"log1p": one("log1p(x)", "the natural logarithm of 1 + x; NULL unless x > -1", above(-1, math.Log1p)),
		"exp":   one("exp(x)", "e to the power of x", math.Exp),
		"sqrt":  one("sqrt(x)", "the square root; NULL for x < 0", math.Sqrt),
		"power": {usage: "power(x, y)", doc: "x to the power of y; NULL where that is not a real number", forms: []form{
			takes(frame.Double, frame.Double).gives(frame.Double, map2(doubles, doubles, doubles, power))}},
		"floor": whole("floor(x)", "the largest whole number not above x", math.Floor),
		"ceil":  whole("ceil(x)", "the smallest whole number not below x", math.Ceil),
		"round": round,
		"sign": {usage: "sign(x)", doc: "-1, 0 or 1", forms: []form{
			takes(frame.Int).gives(frame.Int, map1(ints, ints, sure(func(x int64) int64 { return signOf(x) }))),
			takes(frame.Double).gives(frame.Int, map1(doubles, ints, sure(func(x float64) int64 { return signOf(x) })))}},
	}
}

func same(x int64) int64 { return x }

func signOf[T int64 | float64](x T) int64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

func absInt(x int64) (int64, bool) {
	if x < 0 {
		return -x, x != math.MinInt64
	}
	return x, true
}

func power(x, y float64) (float64, bool) {
	z := math.Pow(x, y)
	return z, z == z
}

// roundTo rounds to decimal digits, or to tens, hundreds, … for negative ones.
func roundTo(x float64, digits int64) (float64, bool) {
	scale := math.Pow10(int(min(max(digits, -400), 400)))
	if digits < 0 {
		scale = math.Pow10(int(min(-max(digits, -400), 400)))
		if z := math.Round(x/scale) * scale; !math.IsInf(z, 0) && z == z {
			return z, true
		}
		return 0, true
	}
	if z := math.Round(x*scale) / scale; !math.IsInf(z, 0) && z == z {
		return z, true
	}
	return x, true
}

// roundInt rounds to tens, hundreds, … for negative digits; halves go away
// from zero, and what overflows is NULL.
func roundInt(x, digits int64) (int64, bool) {
	if digits >= 0 {
		return x, true
	}
	if digits < -19 {
		return 0, true
	}
	var scale uint64 = 1
	for range -digits {
		scale *= 10
	}
	size := uint64(x)
	if x < 0 {
		size = -size
	}
	rest := size % scale
	size -= rest
	if rest >= scale-rest {
		size += scale
	}
	switch {
	case x < 0 && size <= 1<<63:
		return int64(-size), true
	case x >= 0 && size < 1<<63:
		return int64(size), true
	}
	return 0, false
}

func textFunctions() map[string]function {
	s := frame.String
	one := func(usage, doc string, f func(string) string) function {
		return function{usage: usage, doc: doc, forms: []form{takes(s).gives(s, map1(texts, texts, sure(f)))}}
	}
	two := func(usage, doc string, f func(a, b string) bool) function {
		return function{usage: usage, doc: doc, forms: []form{
			takes(s, s).gives(frame.Bool, map2(texts, texts, bools, sure2(f)))}}
	}
	return map[string]function{
		"lower": one("lower(s)", "s in lower case", strings.ToLower),
		"upper": one("upper(s)", "s in upper case", strings.ToUpper),
		"trim":  one("trim(s)", "s without the spaces around it", func(s string) string { return strings.Trim(s, " ") }),
		"length": {usage: "length(s)", doc: "the number of characters (code points)", forms: []form{
			takes(s).gives(frame.Int, map1(texts, ints, sure(runes)))}},
		"substr": {usage: "substr(s, start, length)", doc: "the characters from start, the first being 1 and the last -1; to the end when length is left out", forms: []form{
			takes(s, frame.Int).gives(s, map2(texts, ints, texts, sure2(func(s string, start int64) string { return substr(s, start, math.MaxInt64) }))),
			takes(s, frame.Int, frame.Int).gives(s, map3(texts, ints, ints, texts, func(s string, start, n int64) (string, bool) { return substr(s, start, n), true }))}},
		"starts_with": two("starts_with(s, prefix)", "whether s starts with prefix", strings.HasPrefix),
		"ends_with":   two("ends_with(s, suffix)", "whether s ends with suffix", strings.HasSuffix),
		"contains":    two("contains(s, part)", "whether part stands somewhere in s", strings.Contains),
		"regexp_match": {usage: "regexp_match(s, 'pattern')", doc: "whether the RE2 pattern matches somewhere in s; ^ and $ stand for its ends",
			bind: (*binder).regexpMatch},
		"regexp_extract": {usage: "regexp_extract(s, 'pattern', group)", doc: "what the RE2 pattern, or the group of it with that number, matches first in s; an empty text where it does not",
			bind: (*binder).regexpExtract},
	}
}

// regexp binds the text and the pattern of a function of both.
func (b *binder) regexp(c *call) (s *bound, re *regexp.Regexp, err error) {
	if s, err = b.bind(c.args[0]); err != nil {
		return nil, nil, err
	}
	if s, err = b.as(s, frame.String); err != nil {
		return nil, nil, err
	}
	pattern, err := b.pattern(c.args[1], c.fn)
	if err != nil {
		return nil, nil, err
	}
	if re, err = regexp.Compile(pattern); err != nil {
		return nil, nil, b.fail(c.args[1].at(), "the pattern is not a regular expression").Because(err).
			Hint("the syntax is RE2's: no look-around and no back references")
	}
	return s, re, nil
}

func (b *binder) regexpMatch(c *call) (*bound, error) {
	if len(c.args) != 2 {
		return nil, b.fail(c.at(), "regexp_match takes two values, not %d", len(c.args)).Hint("write %s", b.functions[c.fn].usage)
	}
	s, re, err := b.regexp(c)
	if err != nil {
		return nil, err
	}
	return op(frame.Bool, map1(texts, bools, sure(re.MatchString)), s), nil
}

func (b *binder) regexpExtract(c *call) (*bound, error) {
	if len(c.args) != 2 && len(c.args) != 3 {
		return nil, b.fail(c.at(), "regexp_extract takes two or three values, not %d", len(c.args)).Hint("write %s", b.functions[c.fn].usage)
	}
	s, re, err := b.regexp(c)
	if err != nil {
		return nil, err
	}
	group := 0
	if len(c.args) == 3 {
		lit, _ := c.args[2].(*literal)
		if lit == nil || lit.value.Type != frame.Int || lit.value.I < 0 || lit.value.I > int64(re.NumSubexp()) {
			return nil, b.fail(c.args[2].at(), "the pattern has the groups 0 to %d, and the third value is none of them", re.NumSubexp())
		}
		group = int(lit.value.I)
	}
	first := func(s string) string {
		at := re.FindStringSubmatchIndex(s)
		if at == nil || at[2*group] < 0 {
			return ""
		}
		return s[at[2*group]:at[2*group+1]]
	}
	return op(frame.String, map1(texts, texts, sure(first)), s), nil
}

func choiceFunctions() map[string]function {
	return map[string]function{
		"coalesce": {usage: "coalesce(x, y, …)", doc: "the first value that is not NULL", bind: several(1, choosing, func(t frame.Type) kernel {
			return perType(t, coalesceKernel(ints), coalesceKernel(doubles), coalesceKernel(bools), coalesceKernel(texts))
		})},
		"least":    {usage: "least(x, y, …)", doc: "the least of the values that are not NULL", bind: several(1, "compare", extreme("<"))},
		"greatest": {usage: "greatest(x, y, …)", doc: "the greatest of the values that are not NULL", bind: several(1, "compare", extreme(">"))},
		"nullif": {usage: "nullif(x, y)", doc: "x, or NULL where x = y", bind: several(-2, "compare", func(t frame.Type) kernel {
			return perType(t, nullifKernel(ints), nullifKernel(doubles), nullifKernel(bools), nullifKernel(texts))
		})},
		"if": {usage: "if(condition, x, y)", doc: "x where the condition holds, and else y", bind: (*binder).ifCall},
	}
}

func extreme(sign string) func(frame.Type) kernel {
	rank := comparison[int64](sign)
	return func(t frame.Type) kernel {
		return perType(t,
			extremeKernel(ints, comparison[int64](sign)),
			extremeKernel(doubles, comparison[float64](sign)),
			extremeKernel(bools, func(a, b bool) bool { return rank(fromBool(a), fromBool(b)) }),
			extremeKernel(texts, comparison[string](sign)))
	}
}

// several binds a function of values of one type; it takes at least so many,
// or exactly so many when the number is negative.
func several(count int, verb string, run func(frame.Type) kernel) func(*binder, *call) (*bound, error) {
	return func(b *binder, c *call) (*bound, error) {
		if len(c.args) < count || count < 0 && len(c.args) != -count {
			return nil, b.fail(c.at(), "%s does not take %d values", c.fn, len(c.args)).Hint("write %s", b.functions[c.fn].usage)
		}
		args, err := b.all(c.args)
		if err != nil {
			return nil, err
		}
		args, t, err := b.unify(verb, c.at(), args)
		if err != nil {
			return nil, err
		}
		return op(t, run(t), args...), nil
	}
}

func (b *binder) ifCall(c *call) (*bound, error) {
	if len(c.args) != 3 {
		return nil, b.fail(c.at(), "if takes a condition and two values").Hint("write %s", b.functions[c.fn].usage)
	}
	args, err := b.all(c.args)
	if err != nil {
		return nil, err
	}
	cond, err := b.condition(args[0], "if")
	if err != nil {
		return nil, err
	}
	return b.choose(c.at(), []*bound{cond}, args[1:])
}
