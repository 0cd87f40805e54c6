package specdoc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// schema is the part of JSON Schema that the language needs, in the order in
// which it is written.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Const       string             `json:"const,omitempty"`
	Type        any                `json:"type,omitempty"` // a name or a list of names
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Default     any                `json:"default,omitempty"` // text or a number, as written in a file
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  properties         `json:"properties,omitempty"`
	Values      any                `json:"additionalProperties,omitempty"` // false or a schema
	Required    []string           `json:"required,omitempty"`
	OneOf       []*schema          `json:"oneOf,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Defs        map[string]*schema `json:"$defs,omitempty"`
}

// properties keep the order of the struct, which editors show.
type properties []property

type property struct {
	name   string
	schema *schema
}

// MarshalJSON writes the object in its order.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(x.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(x.schema)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// variable lets any value be written as text with a ${name} in it.
const variable = `\$\{`

// Schema writes the JSON Schema of one resource document.
func Schema(folder string) ([]byte, error) {
	kinds, parts, err := Language(folder)
	if err != nil {
		return nil, err
	}
	root := &schema{
		Schema: "https://json-schema.org/draft/2020-12/schema",
		Title:  "A resource of Leat",
		Type:   "object",
		Defs:   make(map[string]*schema),
	}
	for _, k := range kinds {
		s := object(k)
		s.Properties = append(properties{{"kind", &schema{Const: k.Name}}}, s.Properties...)
		s.Required = append([]string{"kind"}, s.Required...)
		root.Defs[k.Name] = s
		root.OneOf = append(root.OneOf, &schema{Ref: "#/$defs/" + k.Name})
	}
	for _, p := range parts {
		root.Defs[p.Name] = object(p)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func object(s Shape) *schema {
	o := &schema{Description: s.Doc, Type: "object", Values: false}
	for _, f := range s.Fields {
		v := value(f.Type, f.Rules)
		v.Description = f.Doc
		if f.Default != "" {
			v.Default = literal(f.Default)
		}
		o.Properties = append(o.Properties, property{f.Name, v})
		if f.Required {
			o.Required = append(o.Required, f.Name)
		}
		if f.OneOf {
			o.OneOf = append(o.OneOf, &schema{Required: []string{f.Name}})
		}
	}
	return o
}

func literal(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return text
}

// value describes a field of a type. The rules of a list are those of its
// items.
func value(t reflect.Type, r spec.Rules) *schema {
	switch t {
	case reflect.TypeFor[spec.Columns]():
		var types []string
		for _, t := range frame.Types() {
			types = append(types, string(t))
		}
		return &schema{Type: "object", Values: &schema{Enum: types}}
	case reflect.TypeFor[spec.Features]():
		return &schema{Type: "object", Values: &schema{AnyOf: []*schema{
			{Type: []string{"string", "number", "boolean"}},
			{Ref: "#/$defs/" + reflect.TypeFor[spec.Aggregate]().Name()}}}}
	case reflect.TypeFor[spec.Names]():
		return &schema{AnyOf: []*schema{{Type: "string"}, {Type: "array", Items: &schema{Type: "string"}}}}
	case reflect.TypeFor[spec.Durations]():
		one := value(reflect.TypeFor[spec.Duration](), r)
		return &schema{AnyOf: []*schema{one, {Type: "array", Items: one}}}
	case reflect.TypeFor[spec.Percent]():
		return &schema{Type: []string{"string", "number"}, Pattern: `^[0-9.]+ *%?$|` + variable}
	case reflect.TypeFor[spec.Rate]():
		return &schema{Type: "string", Pattern: `^[0-9.]+ */ *[smhd]$|` + variable}
	case reflect.TypeFor[spec.Bytes]():
		return &schema{Type: []string{"string", "integer"}, Pattern: `^[0-9]+ *([KMGT]i?B|kB|B)?$|` + variable}
	case reflect.TypeFor[spec.Duration]():
		return &schema{Type: "string", Pattern: `^([0-9.]+(d|h|m|s|ms|us|µs|ns))+$|` + variable}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return value(t.Elem(), r)
	case reflect.Struct:
		return &schema{Ref: "#/$defs/" + t.Name()}
	case reflect.Slice:
		return &schema{Type: "array", Items: value(t.Elem(), r)}
	case reflect.Map:
		return &schema{Type: "object", Values: value(t.Elem(), r)}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int, reflect.Int64, reflect.Float64:
		return number(t, r)
	}
	return text(r)
}

func number(t reflect.Type, r spec.Rules) *schema {
	kind := "integer"
	if t.Kind() == reflect.Float64 {
		kind = "number"
	}
	return &schema{AnyOf: []*schema{
		{Type: kind, Minimum: r.Min, Maximum: r.Max},
		{Type: "string", Pattern: variable},
	}}
}

func text(r spec.Rules) *schema {
	s := &schema{Type: "string"}
	switch {
	case r.Scalar:
		s.Type = []string{"string", "number", "boolean"}
	case r.Enum != nil:
		s.Enum = r.Enum
	case r.Secret:
		s.Pattern = `^(env:|file:)`
	case r.Name == "name" && strings.EqualFold(r.GoName, "Name"):
		s.Pattern = `^[a-z][a-z0-9_-]*$`
	}
	return s
}
