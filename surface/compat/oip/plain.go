package oip

import (
	"strconv"

	"github.com/leat-ai/leat/base/plain"
)

// parsePlain reads what most requests are: an id, tensors of numbers, flat, or
// of bytes, outputs by name, and no other parameters than those of bytes. For
// anything else it gives up, and parse reads the body from its beginning. A
// test holds both to the same answers.
func parsePlain(text, blob []byte) (*request, bool) {
	s := scanner{plain.Scanner{Text: text}, blob}
	q := &request{}
	var seen members
	var binary []*bool // of each output, what it says itself
	ok := s.object(func(name string) (ok bool) {
		switch name {
		case "id":
			q.id, ok = s.text()
			return ok && seen.first(0)
		case "inputs":
			q.inputs, ok = s.tensors()
			return ok && seen.first(1)
		case "parameters":
			q.binary, ok = s.flag("binary_data_output")
			return ok && seen.first(2)
		case "outputs":
			q.outputs, binary, ok = s.outputs()
			return ok && seen.first(3)
		}
		return false
	})
	for i, own := range binary {
		q.outputs[i].binary = q.binary
		if own != nil {
			q.outputs[i].binary = *own
		}
	}
	return q, ok && seen[1] && s.End() && len(s.blob) == 0
}

// members are those of an object that were there already: JSON of this
// protocol names none twice.
type members [4]bool

func (m *members) first(i int) bool {
	before := m[i]
	m[i] = true
	return !before
}

type scanner struct {
	plain.Scanner
	blob []byte // bytes of tensors that none has taken yet
}

// flag reads an object of one truth value.
func (s *scanner) flag(name string) (v, ok bool) {
	var seen members
	ok = s.object(func(member string) bool {
		v = s.Word("true")
		return (v || s.Word("false")) && member == name && seen.first(0)
	})
	return v, ok
}

func (s *scanner) outputs() (outputs []wanted, binary []*bool, ok bool) {
	ok = s.array(func() bool {
		var w wanted
		var own *bool
		var seen members
		ok := s.object(func(name string) (ok bool) {
			switch name {
			case "name":
				w.name, ok = s.text()
				return ok && seen.first(0)
			case "parameters":
				var v bool
				v, ok = s.flag("binary_data")
				own = &v
				return ok && seen.first(1)
			}
			return false
		})
		outputs, binary = append(outputs, w), append(binary, own)
		return ok && seen[0]
	})
	return outputs, binary, ok
}

// bytes takes as many of the bytes of tensors as an object of their size says.
func (s *scanner) bytes() (raw []byte, ok bool) {
	var seen members
	ok = s.object(func(name string) bool {
		number, ok := s.Number()
		size, err := strconv.ParseInt(number, 10, 64)
		if !ok || err != nil || name != "binary_data_size" || size < 0 || size > int64(len(s.blob)) || !seen.first(0) {
			return false
		}
		raw, s.blob = s.blob[:size], s.blob[size:]
		return true
	})
	return raw, ok
}

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
	var raw []byte
	isRaw := false
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
		case "parameters":
			isRaw = true
			raw, ok = s.bytes()
			return ok && seen.first(3)
		}
		return false
	})
	c.depth = len(t.shape)
	t.content = c
	if isRaw {
		t.content = rawContent{t.datatype, raw}
	}
	return ok && seen == members{true, true, true, true}
}

// datatypeNamed is the datatype of a name, without a copy of it; "" for none of
// the common ones.
func datatypeNamed(name []byte) datatype {
	for _, d := range [...]datatype{fp64Type, fp32Type, int64Type, bytesType, boolType} {
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
