package oip

import (
	"strconv"

	"github.com/leat-ai/leat/base/plain"
)

// parsePlain reads what most requests are: an id and tensors of numbers, flat,
// without parameters. For anything else it gives up, and parse reads the body
// from its beginning. A test holds both to the same answers.
func parsePlain(body []byte) (*request, bool) {
	s := scanner{plain.Scanner{Text: body}}
	q := &request{}
	var seen members
	ok := s.object(func(name string) (ok bool) {
		switch name {
		case "id":
			q.id, ok = s.text()
			return ok && seen.first(0)
		case "inputs":
			q.inputs, ok = s.tensors()
			return ok && seen.first(1)
		}
		return false
	})
	return q, ok && s.End()
}

// members are those of an object that were there already: JSON of this
// protocol names none twice.
type members [4]bool

func (m *members) first(i int) bool {
	before := m[i]
	m[i] = true
	return !before
}

type scanner struct{ plain.Scanner }

// object reads an object with at least one member, whose values member reads.
func (s *scanner) object(member func(name string) bool) bool {
	if !s.TakeAfterSpace('{') {
		return false
	}
	for {
		name, ok := s.Name()
		if !ok {
			return false
		}
		if s.Space(); !member(name) {
			return false
		}
		if s.TakeAfterSpace('}') {
			return true
		}
		if !s.Take(',') {
			return false
		}
	}
}

// array reads an array with at least one element, each of which element reads.
func (s *scanner) array(element func() bool) bool {
	if !s.TakeAfterSpace('[') {
		return false
	}
	for {
		if s.Space(); !element() {
			return false
		}
		if s.TakeAfterSpace(']') {
			return true
		}
		if !s.Take(',') {
			return false
		}
	}
}

func (s *scanner) text() (string, bool) {
	text, ok := s.String()
	return string(text), ok
}

func (s *scanner) tensors() (tensors []tensor, ok bool) {
	ok = s.array(func() bool {
		tensors = append(tensors, tensor{})
		return s.tensor(&tensors[len(tensors)-1])
	})
	return tensors, ok
}

func (s *scanner) tensor(t *tensor) bool {
	var seen members
	var c plainContent
	ok := s.object(func(name string) (ok bool) {
		switch name {
		case "name":
			t.name, ok = s.text()
			return ok && seen.first(0)
		case "datatype":
			var text []byte
			text, ok = s.String()
			t.datatype = datatypeNamed(text)
			return ok && t.datatype != "" && seen.first(1)
		case "shape":
			return s.shape(t) && seen.first(2)
		case "data":
			return s.numbers(&c) && seen.first(3)
		}
		return false
	})
	c.depth = len(t.shape)
	t.content = c
	return ok && seen == members{true, true, true, true}
}

// datatypeNamed is the datatype of a name, without a copy of it; "" for none.
func datatypeNamed(name []byte) datatype {
	for _, d := range [...]datatype{fp64Type, fp32Type, int64Type} { // of numbers, the common ones
		if string(name) == string(d) {
			return d
		}
	}
	return ""
}

func (s *scanner) shape(t *tensor) bool {
	return s.array(func() bool {
		number, ok := s.Number()
		if !ok {
			return false
		}
		d, err := strconv.ParseInt(number, 10, 64)
		t.shape = append(t.shape, d)
		return err == nil
	})
}

func (s *scanner) numbers(c *plainContent) bool {
	start := s.At
	c.values = make([]float64, 0, 32)
	ok := s.array(func() bool {
		number, ok := s.Number()
		if !ok {
			return false
		}
		v, err := strconv.ParseFloat(number, 64)
		c.values = append(c.values, v)
		return err == nil
	})
	c.data = s.Text[start:s.At]
	return ok
}

// plainContent is numbers that are read already; as what a column of another
// type takes, they are read again.
type plainContent struct {
	jsonContent
	values []float64
}

func (c plainContent) holds(n int) error { return exactly(len(c.values), n) }

func (c plainContent) doubles() func(int) float64 {
	return func(i int) float64 { return c.values[i] }
}
