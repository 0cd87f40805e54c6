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
	return marshalOrdered(len(c), func(i int) (string, any) { return c[i].Name, string(c[i].Type) })
}

// UnmarshalJSON reads an object of name: type.
func (c *Columns) UnmarshalJSON(data []byte) error {
	*c = nil
	return unmarshalOrdered(data, func(name string, value json.RawMessage) error {
		var t frame.Type
		if err := json.Unmarshal(value, &t); err != nil {
			return fault.New(fault.Invalid, "the value of %s is not text", name)
		}
		*c = append(*c, frame.Column{Name: name, Type: t})
		return nil
	})
}

// MarshalJSON writes an object of name: expression or aggregate.
func (f Features) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(f), func(i int) (string, any) {
		if f[i].Aggregate != nil {
			return f[i].Name, f[i].Aggregate
		}
		return f[i].Name, f[i].Expr
	})
}

// UnmarshalJSON reads an object of name: expression or aggregate.
func (f *Features) UnmarshalJSON(data []byte) error {
	*f = nil
	return unmarshalOrdered(data, func(name string, value json.RawMessage) error {
		def, into := FeatureDef{Name: name}, any(nil)
		if value[0] == '{' {
			def.Aggregate = new(Aggregate)
			into = def.Aggregate
		} else {
			into = &def.Expr
		}
		if err := json.Unmarshal(value, into); err != nil {
			return fault.Wrap(err, fault.Invalid, "the value of %s is neither an expression nor an aggregate", name)
		}
		*f = append(*f, def)
		return nil
	})
}

func marshalOrdered(n int, pair func(int) (name string, value any)) ([]byte, error) {
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

func unmarshalOrdered(data []byte, add func(name string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		if err == nil && tok == nil {
			return nil
		}
		return fault.New(fault.Invalid, "a mapping of names is expected")
	}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return fault.New(fault.Invalid, "a mapping of names is broken").Because(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fault.Wrap(err, fault.Invalid, "the value of %s is broken", name)
		}
		if err := add(name, value); err != nil {
			return err
		}
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
