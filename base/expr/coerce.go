package expr

import (
	"github.com/leat-ai/leat/base/frame"
)

// Types give way in these cases only, so that no comparison means something
// else than it says: int to double, date to timestamp, a bare NULL to
// anything, and a string literal to a date or timestamp. Everything else is
// written out with cast.

// fits tells whether x may stand where a value of type t is asked for.
func fits(x *bound, t frame.Type) bool {
	switch {
	case x.typ == t, x.typ == "":
		return true
	case t == frame.Double:
		return x.typ == frame.Int
	case t == frame.Timestamp && x.typ == frame.Date:
		return true
	}
	return isText(x) && (t == frame.Timestamp || t == frame.Date)
}

// isText tells whether x is a string literal.
func isText(x *bound) bool { return x.value != nil && x.typ == frame.String && x.value.Valid }

// as is x as a value of type t, which it fits.
func (b *binder) as(x *bound, t frame.Type) (*bound, error) {
	switch {
	case x.typ == t:
		return x, nil
	case x.typ == "":
		return retyped(x, t), nil
	case !fits(x, t):
		return nil, b.fail(x.at, "a %s stands where a %s should", x.typ, t).Hint("write cast(x as %s)", t)
	case x.value == nil:
		z := op(t, conversions[pair{x.typ, t}], x)
		z.at = x.at
		return z, nil
	}
	v, ok := convert(*x.value, t)
	if !ok && x.value.Valid {
		return nil, b.fail(x.at, "%s is not a %s", x.value.Text(), t).Hint("%s", temporalHint)
	}
	z := constant(v)
	z.at = x.at
	return z, nil
}

// unify finds the one type of several values and makes them all of it. The
// verb is for the sentence when there is none.
func (b *binder) unify(verb string, at int, xs []*bound) ([]*bound, frame.Type, error) {
	var t frame.Type
	for _, x := range xs {
		next, ok := common(t, x)
		if !ok {
			return nil, "", b.fail(at, "cannot %s a %s and a %s", verb, t, x.typ).Hint("%s", unifyHint(t, x.typ))
		}
		t = next
	}
	if t == "" {
		t = frame.Double
	}
	out := make([]*bound, len(xs))
	for i, x := range xs {
		if !fits(x, t) {
			return nil, "", b.fail(at, "cannot %s a %s and a %s", verb, x.typ, t).Hint("%s", unifyHint(x.typ, t))
		}
		var err error
		if out[i], err = b.as(x, t); err != nil {
			return nil, "", err
		}
	}
	return out, t, nil
}

// common is the type that values of t and x can both have.
func common(t frame.Type, x *bound) (frame.Type, bool) {
	switch {
	case t == "":
		return x.typ, true
	case x.typ == "" || t == x.typ:
		return t, true
	case fits(x, t):
		return t, true
	case fits(&bound{typ: t}, x.typ):
		return x.typ, true
	case t == frame.String && (x.typ == frame.Timestamp || x.typ == frame.Date):
		return x.typ, true // the string may be a literal; unify sees to it
	}
	return "", false
}

func unifyHint(a, b frame.Type) string {
	if a == frame.String || b == frame.String {
		other := a
		if other == frame.String {
			other = b
		}
		if other == frame.Int || other == frame.Double {
			return "write the number without quotes, or cast(x as " + string(other) + ")"
		}
	}
	return "write cast(x as type) to have both of one type"
}
