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
		return nil, b.fail(x.at, "%s stands where %s should", a(x.typ), a(t)).Hint("write cast(x as %s)", t)
	case x.value == nil:
		z := op(t, conversions[pair{x.typ, t}], x)
		z.at = x.at
		return z, nil
	}
	v, ok := convert(*x.value, t)
	if !ok && x.value.Valid {
		return nil, b.fail(x.at, "%s is not %s", clip(x.value.Text()), a(t)).Hint("%s", temporalHint)
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
			return nil, "", b.fail(at, "cannot %s %s and %s", verb, a(t), a(x.typ)).Hint("%s", unifyHint(verb, t, x.typ))
		}
		t = next
	}
	if t == "" {
		t = frame.Double
	}
	out := make([]*bound, len(xs))
	for i, x := range xs {
		if !fits(x, t) {
			return nil, "", b.fail(at, "cannot %s %s and %s", verb, a(x.typ), a(t)).Hint("%s", unifyHint(verb, x.typ, t))
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

func unifyHint(verb string, x, y frame.Type) string {
	if x != frame.String {
		x, y = y, x
	}
	if x == frame.String && (y == frame.Int || y == frame.Double) && verb != choosing {
		return "write the number without quotes, or cast(x as " + string(y) + ")"
	}
	return "write cast(x as type) to have both of one type"
}

// choosing is what case, if and coalesce do with their values.
const choosing = "choose between"

// a is a type with its article, for sentences.
func a(t frame.Type) string {
	switch t {
	case "":
		return "NULL"
	case frame.Int:
		return "an int"
	}
	return "a " + string(t)
}
