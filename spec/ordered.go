package spec

import (
	"bytes"
	"encoding/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Columns and Features are mappings whose order means something: that of the
// columns of a table, that in which features are shown. In JSON they are
// objects too, written and read in order, so one JSON Schema describes files
// and stored specs alike. (A store that reorders keys, such as PostgreSQL's
// jsonb, must not hold them.)

// MarshalJSON writes an object of name: type.
func (c Columns) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(c), func(i int) (string, string) { return c[i].Name, string(c[i].Type) })
}

// UnmarshalJSON reads an object of name: type.
func (c *Columns) UnmarshalJSON(data []byte) error {
	*c = nil
	return unmarshalOrdered(data, func(name, value string) {
		*c = append(*c, frame.Column{Name: name, Type: frame.Type(value)})
	})
}

// MarshalJSON writes an object of name: expression.
func (f Features) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(f), func(i int) (string, string) { return f[i].Name, f[i].Expr })
}

// UnmarshalJSON reads an object of name: expression.
func (f *Features) UnmarshalJSON(data []byte) error {
	*f = nil
	return unmarshalOrdered(data, func(name, value string) {
		*f = append(*f, FeatureDef{Name: name, Expr: value})
	})
}

func marshalOrdered(n int, pair func(int) (name, value string)) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		name, value := pair(i)
		b.Write(canonical(name))
		b.WriteByte(':')
		b.Write(canonical(value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func unmarshalOrdered(data []byte, add func(name, value string)) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		if err == nil && tok == nil {
			return nil
		}
		return fault.New(fault.Invalid, "a mapping of names is expected")
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "a mapping of names is broken")
		}
		var value string
		if err := dec.Decode(&value); err != nil {
			return fault.Wrap(err, fault.Invalid, "the value of %v is not text", name)
		}
		add(name.(string), value)
	}
	return nil
}

// canonical is the one JSON form of a value that hashes are taken of: fields
// in the order of the struct, map keys sorted, no escapes for HTML.
func canonical(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Specs hold only text, finite numbers, lists and maps: they encode.
		return nil
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
