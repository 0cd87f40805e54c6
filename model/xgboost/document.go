package xgboost

import (
	"math"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
)

// document reads a model value by value. What it does not ask for is skipped.
type document struct {
	lex  lexer
	path []string // of keys and positions, for messages
}

// object reads an object. member is called for each key and reads the value.
func (d *document) object(member func(name string) error) error {
	t, err := d.lex.next()
	if err != nil {
		return err
	}
	if t.kind != objectOpen {
		return d.wrong(t, "an object")
	}
	return d.members(member)
}

// members reads an object that is open already.
func (d *document) members(member func(name string) error) error {
	for {
		t, err := d.lex.next()
		if err != nil || t.kind == objectClose {
			return err
		}
		name := string(t.text)
		d.path = append(d.path, name)
		if err := member(name); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
	}
}

// array reads an array. element is called for each element with its first
// token and reads the rest of it.
func (d *document) array(element func(t token) error) error {
	t, err := d.lex.next()
	if err != nil {
		return err
	}
	if t.kind == packed {
		size := sizeOf(t.typ)
		for i := range t.count {
			if err := element(token{kind: number, value: elementAt(t, i, size)}); err != nil {
				return err
			}
		}
		return nil
	}
	if t.kind != arrayOpen {
		return d.wrong(t, "an array")
	}
	for {
		t, err := d.lex.next()
		if err != nil || t.kind == arrayClose {
			return err
		}
		if err := element(t); err != nil {
			return err
		}
	}
}

func elementAt(t token, i, size int) float64 { return element(t.typ, t.text[i*size:(i+1)*size]) }

// skip reads a value of any sort.
func (d *document) skip() error {
	depth := 0
	for {
		t, err := d.lex.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case objectOpen, arrayOpen:
			depth++
		case objectClose, arrayClose:
			depth--
		case key:
			continue
		case end:
			return malformed(d.lex.offset(), "a value is missing")
		}
		if depth == 0 {
			return nil
		}
	}
}

// text reads a string. A number counts too: versions differ in what they
// write in quotes.
func (d *document) text() (string, error) {
	t, err := d.lex.next()
	if err != nil {
		return "", err
	}
	switch {
	case t.kind == text, t.kind == number && t.text != nil:
		return string(t.text), nil
	case t.kind == number:
		return strconv.FormatFloat(t.value, 'g', -1, 64), nil
	}
	return "", d.wrong(t, "a string")
}

// count reads a string or number that is a whole number from 0 to most.
func (d *document) count(most int) (int, error) {
	s, err := d.text()
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, d.invalid("%q is not a count", shorten(s))
	}
	if n > most {
		return 0, d.invalid("%d is more than %d", n, most)
	}
	return n, nil
}

// floats appends the numbers of an array to dst, which is emptied first.
func (d *document) floats(dst []float32) ([]float32, error) {
	return numbers(d, dst, func(t token) (float32, error) {
		if t.text == nil {
			return float32(t.value), nil
		}
		v, err := strconv.ParseFloat(string(t.text), 32)
		if err != nil && !math.IsInf(v, 0) {
			return 0, d.invalid("%q is not a number", shorten(string(t.text)))
		}
		return float32(v), nil
	})
}

// ints appends the whole numbers of an array to dst, which is emptied first.
func (d *document) ints(dst []int32) ([]int32, error) {
	return numbers(d, dst, func(t token) (int32, error) {
		if t.text == nil {
			if t.value != math.Trunc(t.value) || math.Abs(t.value) > math.MaxInt32 {
				return 0, d.invalid("%v is not a whole number of 32 bits", t.value)
			}
			return int32(t.value), nil
		}
		v, err := strconv.ParseInt(string(t.text), 10, 32)
		if err != nil {
			return 0, d.invalid("%q is not a whole number of 32 bits", shorten(string(t.text)))
		}
		return int32(v), nil
	})
}

// doubles reads the numbers of an array.
func (d *document) doubles() ([]float64, error) {
	return numbers(d, nil, func(t token) (float64, error) {
		if t.text == nil {
			return t.value, nil
		}
		v, err := strconv.ParseFloat(string(t.text), 64)
		if err != nil {
			return 0, d.invalid("%q is not a number", shorten(string(t.text)))
		}
		return v, nil
	})
}

// numbers reads an array of numbers and truths.
func numbers[T int32 | float32 | float64](d *document, dst []T, convert func(token) (T, error)) ([]T, error) {
	dst = dst[:0]
	first, err := d.lex.next()
	if err != nil {
		return nil, err
	}
	if first.kind != packed && first.kind != arrayOpen {
		return nil, d.wrong(first, "an array of numbers")
	}
	if cap(dst) < first.count {
		dst = make([]T, 0, first.count)
	}
	if first.kind == packed {
		size := sizeOf(first.typ)
		for i := range first.count {
			v, err := convert(token{value: elementAt(first, i, size)})
			if err != nil {
				return nil, err
			}
			dst = append(dst, v)
		}
		return dst, nil
	}
	for {
		t, err := d.lex.next()
		if err != nil {
			return nil, err
		}
		switch t.kind {
		case arrayClose:
			return dst, nil
		case number, truth:
		default:
			return nil, d.wrong(t, "a number")
		}
		v, err := convert(t)
		if err != nil {
			return nil, err
		}
		dst = append(dst, v)
	}
}

// wrong is the fault of a value that is not of the sort that is wanted.
func (d *document) wrong(t token, wanted string) error {
	names := map[kind]string{
		objectOpen: "an object", arrayOpen: "an array", text: "a string", number: "a number",
		truth: "a truth value", null: "null", packed: "an array of numbers",
	}
	return d.invalid("%s stands where %s belongs", names[t.kind], wanted)
}

// invalid is the fault of a value that cannot be.
func (d *document) invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "the XGBoost model is not sound: "+format, args...).At("%s", d.where())
}

// where says where in the document the last value stood.
func (d *document) where() string {
	s := ""
	for i, name := range d.path {
		if i > 0 {
			s += "."
		}
		s += shorten(name)
	}
	return s + " (byte " + strconv.Itoa(d.lex.offset()) + ")"
}

// shorten keeps what a file says out of messages where it is long.
func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
