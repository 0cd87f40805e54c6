package expr

import (
	"fmt"
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// bound is a part of an expression whose type is known: a constant, a column,
// or a kernel over other parts. Parts may be shared; there are no cycles.
type bound struct {
	typ    frame.Type // "": a NULL that may still become any type
	at     int        // byte offset in the source
	value  *Value     // of a constant
	column int        // of a column; -1 otherwise
	run    kernel     // nil for constants and columns
	args   []*bound
}

// binder turns nodes into bound parts. Every node is bound once, so that a
// subject shared by many arms of a case stays one part.
type binder struct {
	src     string
	columns []frame.Column
	index   map[string]int
	done    map[node]*bound

	functions map[string]function
}

func newBinder(src string, columns []frame.Column, table map[string]function) *binder {
	b := &binder{src: src, columns: columns, index: make(map[string]int, len(columns)),
		done: map[node]*bound{}, functions: table}
	for i, c := range columns {
		if _, twice := b.index[c.Name]; !twice {
			b.index[c.Name] = i
		}
	}
	return b
}

func (b *binder) fail(at int, format string, args ...any) *fault.Error {
	return failAt(b.src, at, format, args...)
}

func (b *binder) bind(n node) (*bound, error) {
	if x, ok := b.done[n]; ok {
		return x, nil
	}
	x, err := b.bindNew(n)
	if err == nil {
		x.at = n.at()
		b.done[n] = x
	}
	return x, err
}

func (b *binder) bindNew(n node) (*bound, error) {
	switch n := n.(type) {
	case *literal:
		return constant(n.value), nil
	case *name:
		return b.name(n)
	case *unary:
		return b.unary(n)
	case *binary:
		return b.binary(n)
	case *isNull:
		x, err := b.bind(n.x)
		if err != nil {
			return nil, err
		}
		if x.typ == "" {
			x = retyped(x, frame.Bool)
		}
		return op(frame.Bool, isNullKernel(n.not), x), nil
	case *between:
		return b.between(n)
	case *in:
		return b.in(n)
	case *like:
		return b.like(n)
	case *when:
		return b.when(n)
	case *call:
		return b.call(n)
	case *cast:
		x, err := b.bind(n.x)
		if err != nil {
			return nil, err
		}
		return b.castTo(x, frame.Type(n.to), n.at())
	}
	return nil, fault.New(fault.Internal, "a part of an expression that the binder does not know")
}

func op(t frame.Type, run kernel, args ...*bound) *bound {
	return &bound{typ: t, column: -1, run: run, args: args}
}

func constant(v Value) *bound { return &bound{typ: v.Type, column: -1, value: &v} }

// retyped gives a bare NULL a type.
func retyped(x *bound, t frame.Type) *bound {
	n := constant(Null(t))
	n.at = x.at
	return n
}

func (b *binder) name(n *name) (*bound, error) {
	i, ok := b.index[n.id]
	if !ok {
		return nil, b.unknown(n)
	}
	x := &bound{typ: b.columns[i].Type, column: i}
	if x.typ.Arrow() == nil {
		return nil, b.fail(n.at(), "column %q is of type %q, which expressions cannot read", clip(n.id), x.typ)
	}
	return x, nil
}

func (b *binder) unknown(n *name) error {
	names := make([]string, len(b.columns))
	for i, c := range b.columns {
		names[i] = c.Name
	}
	err := b.fail(n.at(), "there is no column %q", clip(n.id))
	if near := fault.Nearest(n.id, names); near != "" {
		return err.Hint("did you mean %s?", clip(quoteName(near)))
	}
	return err.Hint("%s", available(names))
}

// available lists the first names of a schema for a hint.
func available(names []string) string {
	const most = 12
	switch {
	case len(names) == 0:
		return "there are no columns to read here"
	case len(names) > most:
		return fmt.Sprintf("the columns are %s and %d more", clipAll(names[:most]), len(names)-most)
	}
	return "the columns are " + clipAll(names)
}

func (b *binder) unary(n *unary) (*bound, error) {
	x, err := b.bind(n.x)
	if err != nil {
		return nil, err
	}
	if n.op == "not" {
		x, err = b.condition(x, "not")
		return op(frame.Bool, map1(bools, bools, sure(func(a bool) bool { return !a })), x), err
	}
	switch x.typ {
	case "", frame.Double:
		x, err = b.as(x, frame.Double)
		return op(frame.Double, map1(doubles, doubles, sure(func(a float64) float64 { return -a })), x), err
	case frame.Int:
		return op(frame.Int, map1(ints, ints, func(a int64) (int64, bool) { return -a, a != math.MinInt64 }), x), nil
	}
	return nil, b.fail(n.at(), "- takes a number, not %s", a(x.typ))
}

func (b *binder) binary(n *binary) (*bound, error) {
	x, err := b.bind(n.x)
	if err != nil {
		return nil, err
	}
	y, err := b.bind(n.y)
	if err != nil {
		return nil, err
	}
	switch n.op {
	case "and", "or":
		return b.connect(n.op, x, y)
	case "||":
		return b.concat(n, x, y)
	case "+", "-", "*", "/", "%":
		return b.arithmetic(n, x, y)
	}
	return b.compare(n.op, n.at(), x, y)
}

func (b *binder) connect(word string, x, y *bound) (*bound, error) {
	x, err := b.condition(x, word)
	if err != nil {
		return nil, err
	}
	if y, err = b.condition(y, word); err != nil {
		return nil, err
	}
	if word == "and" {
		return op(frame.Bool, andKernel, x, y), nil
	}
	return op(frame.Bool, orKernel, x, y), nil
}

// condition is x as a bool, for the word that asks for one.
func (b *binder) condition(x *bound, word string) (*bound, error) {
	switch x.typ {
	case frame.Bool:
		return x, nil
	case "":
		return retyped(x, frame.Bool), nil
	}
	return nil, b.fail(x.at, "%s takes a bool, not %s", word, a(x.typ)).Hint("compare the value with another")
}

func (b *binder) concat(n *binary, x, y *bound) (*bound, error) {
	args := []*bound{x, y}
	for i, arg := range args {
		switch arg.typ {
		case frame.String:
		case "":
			args[i] = retyped(arg, frame.String)
		default:
			return nil, b.fail(n.at(), "|| joins strings, not %s", a(arg.typ)).Hint("write cast(x as string)")
		}
	}
	return op(frame.String, map2(texts, texts, texts, sure2(func(a, b string) string { return a + b })), args...), nil
}

func (b *binder) arithmetic(n *binary, x, y *bound) (*bound, error) {
	if x.typ == frame.Date || y.typ == frame.Date {
		return b.dateArithmetic(n, x, y)
	}
	for _, arg := range []*bound{x, y} {
		if t := arg.typ; t != "" && t != frame.Int && t != frame.Double {
			return nil, b.fail(n.at(), "%s takes numbers, not %s", n.op, a(t)).Hint("%s", arithmeticHint(t, n.op))
		}
	}
	if n.op != "/" && x.typ == frame.Int && y.typ == frame.Int {
		return op(frame.Int, map2(ints, ints, ints, intArithmetic(n.op)), x, y), nil
	}
	x, err := b.as(x, frame.Double)
	if err != nil {
		return nil, err
	}
	if y, err = b.as(y, frame.Double); err != nil {
		return nil, err
	}
	return op(frame.Double, map2(doubles, doubles, doubles, doubleArithmetic(n.op)), x, y), nil
}

func arithmeticHint(t frame.Type, op string) string {
	switch {
	case t == frame.Timestamp:
		return "write epoch(t) for seconds, or date_diff('hour', a, b)"
	case t == frame.String && op == "+":
		return "write || to join strings, or cast(x as double)"
	case t == frame.Bool:
		return "write cast(x as int) for 0 and 1"
	}
	return "write cast(x as double)"
}

// dateArithmetic moves a date by days, or counts the days between two.
func (b *binder) dateArithmetic(n *binary, x, y *bound) (*bound, error) {
	isDays := func(t frame.Type) bool { return t == frame.Int || t == "" }
	move := map2(ints, ints, ints, func(a, b int64) (int64, bool) { return dateInRange(addInt(a, b)) })
	switch {
	case n.op == "-" && x.typ == frame.Date && y.typ == frame.Date:
		return op(frame.Int, map2(ints, ints, ints, intArithmetic("-")), x, y), nil
	case n.op == "+" && x.typ == frame.Date && isDays(y.typ):
		y, err := b.as(y, frame.Int)
		return op(frame.Date, move, x, y), err
	case n.op == "+" && isDays(x.typ) && y.typ == frame.Date:
		x, err := b.as(x, frame.Int)
		return op(frame.Date, move, x, y), err
	case n.op == "-" && x.typ == frame.Date && isDays(y.typ):
		y, err := b.as(y, frame.Int)
		back := map2(ints, ints, ints, func(a, b int64) (int64, bool) {
			if b == math.MinInt64 {
				return 0, false
			}
			return dateInRange(addInt(a, -b))
		})
		return op(frame.Date, back, x, y), err
	}
	return nil, b.fail(n.at(), "%s does not go with a date here", n.op).
		Hint("write date + days, date - days, date - date, or date_diff('month', a, b)")
}

// dateInRange is false for days that an Arrow date cannot hold.
func dateInRange(days int64, ok bool) (int64, bool) {
	return days, ok && days == int64(int32(days))
}

func (b *binder) compare(sign string, at int, x, y *bound) (*bound, error) {
	args, t, err := b.unify("compare", at, []*bound{x, y})
	if err != nil {
		return nil, err
	}
	return op(frame.Bool, compareKernel(sign, t), args...), nil
}

func (b *binder) between(n *between) (*bound, error) {
	var parts [3]*bound
	for i, p := range []node{n.x, n.lo, n.hi} {
		var err error
		if parts[i], err = b.bind(p); err != nil {
			return nil, err
		}
	}
	low, high, join := ">=", "<=", kernel(andKernel)
	if n.not {
		low, high, join = "<", ">", orKernel
	}
	lo, err := b.compare(low, n.at(), parts[0], parts[1])
	if err != nil {
		return nil, err
	}
	hi, err := b.compare(high, n.at(), parts[0], parts[2])
	if err != nil {
		return nil, err
	}
	return op(frame.Bool, join, lo, hi), nil
}

func (b *binder) in(n *in) (*bound, error) {
	parts, err := b.all(append([]node{n.x}, n.list...))
	if err != nil {
		return nil, err
	}
	parts, t, err := b.unify("look up", n.at(), parts)
	if err != nil {
		return nil, err
	}
	x := inSet(t, parts)
	if x == nil {
		x = op(frame.Bool, perType(t, inKernel(ints), inKernel(doubles), inKernel(bools), inKernel(texts)), parts...)
	}
	if n.not {
		x = op(frame.Bool, map1(bools, bools, sure(func(a bool) bool { return !a })), x)
	}
	return x, nil
}

// inSet is the lookup among literals alone, or nil where some are not.
func inSet(t frame.Type, parts []*bound) *bound {
	items := make([]Value, 0, len(parts))
	null := false
	for _, p := range parts[1:] {
		switch {
		case p.value == nil:
			return nil
		case p.value.Valid:
			items = append(items, *p.value)
		default:
			null = true
		}
	}
	run := perType(t,
		inSetKernel(ints, setOf(items, func(v Value) int64 { return v.I }), null),
		inSetKernel(doubles, setOf(items, func(v Value) float64 { return v.F }), null),
		inSetKernel(bools, setOf(items, func(v Value) bool { return v.B }), null),
		inSetKernel(texts, setOf(items, func(v Value) string { return v.S }), null))
	return op(frame.Bool, run, parts[0])
}

func setOf[T comparable](items []Value, of func(Value) T) map[T]struct{} {
	set := make(map[T]struct{}, len(items))
	for _, v := range items {
		set[of(v)] = struct{}{}
	}
	return set
}

func (b *binder) like(n *like) (*bound, error) {
	x, err := b.bind(n.x)
	if err != nil {
		return nil, err
	}
	if x, err = b.as(x, frame.String); err != nil {
		return nil, err
	}
	pattern, err := b.pattern(n.pattern, "like")
	if err != nil {
		return nil, err
	}
	matches := likeMatcher(pattern)
	return op(frame.Bool, map1(texts, bools, sure(func(s string) bool { return matches(s) != n.not })), x), nil
}

// pattern is the literal that a matching operator needs.
func (b *binder) pattern(n node, word string) (string, error) {
	lit, ok := n.(*literal)
	if !ok || lit.value.Type != frame.String {
		return "", b.fail(n.at(), "the pattern of %s must be a string literal", word).
			Hint("use contains or starts_with for a pattern that comes from a column")
	}
	if len(lit.value.S) > MaxRegexp {
		return "", b.fail(n.at(), "the pattern of %s has %d bytes, more than %d", word, len(lit.value.S), MaxRegexp)
	}
	return lit.value.S, nil
}

func (b *binder) when(n *when) (*bound, error) {
	conds, err := b.all(n.conds)
	if err != nil {
		return nil, err
	}
	for i, c := range conds {
		if conds[i], err = b.condition(c, "when"); err != nil {
			return nil, err
		}
	}
	values, err := b.all(n.values)
	if err != nil {
		return nil, err
	}
	other := constant(Value{})
	if n.other != nil {
		if other, err = b.bind(n.other); err != nil {
			return nil, err
		}
	}
	return b.choose(n.at(), conds, append(values, other))
}

// choose picks the value of the first condition that holds; there is one value
// more than there are conditions.
func (b *binder) choose(at int, conds, values []*bound) (*bound, error) {
	values, t, err := b.unify(choosing, at, values)
	if err != nil {
		return nil, err
	}
	run := perType(t, caseKernel(ints), caseKernel(doubles), caseKernel(bools), caseKernel(texts))
	return op(t, run, append(conds[:len(conds):len(conds)], values...)...), nil
}

func (b *binder) all(nodes []node) ([]*bound, error) {
	out := make([]*bound, len(nodes))
	for i, n := range nodes {
		var err error
		if out[i], err = b.bind(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}
