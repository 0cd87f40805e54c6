package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
)

// maxFilter is how long a filter may be as JSON.
const maxFilter = 1 << 20

// ParseFilter reads a filter from JSON, strictly: an unknown or repeated
// member, a condition of two kinds, or a value without a type is Invalid.
// "null" is the nil Filter. The forms are
//
//	{"and": [FILTER, …]}   {"or": [FILTER, …]}   {"not": FILTER}
//	{"field": NAME, "eq": VALUE}
//	{"field": NAME, "in": [VALUE, …]}
//	{"field": NAME, "gt": VALUE, "lte": VALUE}     also gte and lt
//	{"field": NAME, "exists": true}
//
// and a VALUE is a string, a boolean, a number (without a fraction or an
// exponent an Int, else a Double) or {"time": "2026-11-22T10:00:00Z"}.
func ParseFilter(data []byte) (Filter, error) {
	if len(data) > maxFilter {
		return nil, fault.New(fault.TooLarge, "a filter of %d bytes is longer than %d", len(data), maxFilter)
	}
	r := filterReader{jsontext.NewDecoder(bytes.NewReader(data)), MaxConditions}
	f, err := r.filter(0)
	if err == nil {
		if _, more := r.ReadToken(); !errors.Is(more, io.EOF) {
			err = fault.New(fault.Invalid, "something follows the filter")
		}
	}
	if err == nil {
		err = CheckFilter(f)
	}
	if err != nil {
		if _, ok := errors.AsType[*fault.Error](err); !ok {
			err = fault.New(fault.Invalid, "the filter is not JSON").Because(err)
		}
		return nil, err
	}
	return f, nil
}

// filterReader reads a filter, of at most left parts.
type filterReader struct {
	*jsontext.Decoder
	left int
}

func (r *filterReader) filter(depth int) (Filter, error) {
	if r.left--; depth > MaxDepth || r.left < 0 {
		return nil, fault.New(fault.TooLarge, "a filter is deeper than %d or has more than %d parts", MaxDepth, MaxConditions)
	}
	if depth == 0 && r.PeekKind() == 'n' {
		_, err := r.ReadToken()
		return nil, err
	}
	var c condition
	err := r.object(func(member string) error {
		c.members = append(c.members, member)
		return r.member(&c, member, depth)
	})
	if err != nil {
		return nil, err
	}
	return c.filter()
}

// object reads an object, member by member.
func (r *filterReader) object(member func(name string) error) error {
	if r.PeekKind() != '{' {
		return r.unexpected("an object")
	}
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for r.PeekKind() != '}' {
		name, err := r.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

// array reads an array, item by item.
func (r *filterReader) array(item func() error) error {
	if r.PeekKind() != '[' {
		return r.unexpected("an array")
	}
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for r.PeekKind() != ']' {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

func (r *filterReader) unexpected(wanted string) error {
	token, err := r.ReadToken()
	if err != nil {
		return err
	}
	return fault.New(fault.Invalid, "a filter has %.100s where %s belongs", token.String(), wanted)
}

// condition is one object of a filter while it is read.
type condition struct {
	members  []string
	field    string
	parts    []Filter // of and, or, not
	values   []Value  // of eq, in
	exists   bool
	from, to *Value
}

func (r *filterReader) member(c *condition, name string, depth int) error {
	part := func() error {
		f, err := r.filter(depth + 1)
		c.parts = append(c.parts, f)
		return err
	}
	value := func() error {
		v, err := r.value()
		c.values = append(c.values, v)
		return err
	}
	switch name {
	case "and", "or":
		return r.array(part)
	case "not":
		return part()
	case "eq":
		return value()
	case "in":
		return r.array(value)
	case "gt", "gte":
		v, err := r.value()
		c.from = &v
		return err
	case "lt", "lte":
		v, err := r.value()
		c.to = &v
		return err
	case "field":
		if r.PeekKind() != '"' {
			return r.unexpected("the name of a field")
		}
		token, err := r.ReadToken()
		c.field = token.String()
		return err
	case "exists":
		if k := r.PeekKind(); k != 't' && k != 'f' {
			return r.unexpected("true or false")
		}
		token, err := r.ReadToken()
		c.exists = token.Kind() == 't'
		return err
	}
	return fault.New(fault.Invalid, "a filter has no member %.100q", name).Hint("use and, or, not, or field with eq, in, gt, gte, lt, lte or exists")
}

func (r *filterReader) value() (Value, error) {
	if r.left--; r.left < 0 {
		return Value{}, fault.New(fault.TooLarge, "a filter has more than %d parts", MaxConditions)
	}
	switch r.PeekKind() {
	case '"':
		token, err := r.ReadToken()
		return Text(token.String()), err
	case 't', 'f':
		token, err := r.ReadToken()
		return Truth(token.Kind() == 't'), err
	case '0':
		raw, err := r.ReadValue()
		if err != nil {
			return Value{}, err
		}
		return parseNumber(string(raw))
	case '{':
		return r.time()
	}
	return Value{}, r.unexpected("a value")
}

func (r *filterReader) time() (v Value, err error) {
	err = r.object(func(name string) error {
		if name != "time" || r.PeekKind() != '"' {
			return fault.New(fault.Invalid, "a value is an object that is no time").Hint(`write {"time": "2026-11-22T10:00:00Z"}`)
		}
		token, err := r.ReadToken()
		if err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339Nano, token.String())
		v = Time(at)
		return fault.Wrap(err, fault.Invalid, "%.100q is no time", token.String())
	})
	if err == nil && v.Kind != Timestamp {
		err = fault.New(fault.Invalid, "a value is an empty object")
	}
	return v, err
}

func parseNumber(s string) (Value, error) {
	if !strings.ContainsAny(s, ".eE") {
		n, err := strconv.ParseInt(s, 10, 64)
		return Integer(n), fault.Wrap(err, fault.Invalid, "%.100s does not fit into 64 bits", s)
	}
	f, err := strconv.ParseFloat(s, 64)
	return Number(f), fault.Wrap(err, fault.Invalid, "%.100s is beyond the range of a double", s)
}

// filter is the condition whose members were read.
func (c *condition) filter() (Filter, error) {
	slices.Sort(c.members)
	switch kind := strings.Join(c.members, " "); kind {
	case "and":
		return And(c.parts), nil
	case "or":
		return Or(c.parts), nil
	case "not":
		return Not{c.parts[0]}, nil
	case "eq field", "field in":
		return In{c.field, c.values}, nil
	case "exists field":
		if !c.exists {
			return Not{Exists{c.field}}, nil
		}
		return Exists{c.field}, nil
	case "field gt", "field gte", "field lt", "field lte", "field gt lt", "field gt lte", "field gte lt", "field gte lte":
		return Range{c.field, c.from, c.to, slices.Contains(c.members, "gt"), slices.Contains(c.members, "lt")}, nil
	default:
		return nil, fault.New(fault.Invalid, "a filter has the members %.200q, which do not belong together", kind).
			Hint("each object is one condition; join several with and")
	}
}

// AppendFilter appends a filter as the JSON that ParseFilter reads. The filter
// is one that Check let pass.
func AppendFilter(dst []byte, f Filter) []byte {
	switch f := f.(type) {
	case And:
		return appendParts(dst, "and", f)
	case Or:
		return appendParts(dst, "or", f)
	case Not:
		return append(AppendFilter(append(dst, `{"not":`...), f.Filter), '}')
	case In:
		dst = append(appendField(dst, f.Field), `,"in":[`...)
		for i, v := range f.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendValue(dst, v)
		}
		return append(dst, "]}"...)
	case Exists:
		return append(appendField(dst, f.Field), `,"exists":true}`...)
	case Range:
		return appendRange(dst, f)
	}
	return append(dst, "null"...)
}

func appendParts(dst []byte, name string, parts []Filter) []byte {
	dst = fmt.Appendf(dst, `{"%s":[`, name)
	for i, part := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendFilter(dst, part)
	}
	return append(dst, "]}"...)
}

func appendField(dst []byte, name string) []byte {
	return appendString(append(dst, `{"field":`...), name)
}

func appendRange(dst []byte, f Range) []byte {
	dst = appendField(dst, f.Field)
	for _, bound := range []struct {
		value        *Value
		out          bool
		strict, with string
	}{{f.From, f.Above, "gt", "gte"}, {f.To, f.Below, "lt", "lte"}} {
		if bound.value == nil {
			continue
		}
		name := bound.with
		if bound.out {
			name = bound.strict
		}
		dst = AppendValue(fmt.Appendf(dst, `,"%s":`, name), *bound.value)
	}
	return append(dst, '}')
}

// AppendValue appends a value as JSON, in the forms of ParseFilter. An
// infinite Double, which JSON has no number for, becomes the largest one.
func AppendValue(dst []byte, v Value) []byte {
	switch v.Kind {
	case String:
		return appendString(dst, v.Text)
	case Bool:
		return strconv.AppendBool(dst, v.Int != 0)
	case Int:
		return strconv.AppendInt(dst, v.Int, 10)
	case Double:
		f := max(-math.MaxFloat64, min(math.MaxFloat64, v.Double))
		before := len(dst)
		dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
		if !bytes.ContainsAny(dst[before:], ".e") {
			dst = append(dst, ".0"...)
		}
		return dst
	case Timestamp:
		dst = append(dst, `{"time":"`...)
		dst = time.UnixMicro(v.Int).UTC().AppendFormat(dst, time.RFC3339Nano)
		return append(dst, `"}`...)
	}
	return append(dst, "null"...)
}

// appendString appends a JSON string; bytes that are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error is about bytes that are no UTF-8
	return dst
}

// ParseValue reads one value, in the forms of ParseFilter.
func ParseValue(data []byte) (Value, error) {
	if len(data) > maxFilter {
		return Value{}, fault.New(fault.TooLarge, "a value of %d bytes is longer than %d", len(data), maxFilter)
	}
	r := filterReader{jsontext.NewDecoder(bytes.NewReader(data)), 1}
	v, err := r.value()
	if err == nil {
		if _, more := r.ReadToken(); !errors.Is(more, io.EOF) {
			err = fault.New(fault.Invalid, "something follows the value")
		}
	}
	if err == nil {
		err = v.check()
	}
	if _, ok := errors.AsType[*fault.Error](err); err != nil && !ok {
		err = fault.New(fault.Invalid, "the value is not JSON").Because(err)
	}
	return v, err
}
