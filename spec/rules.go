package spec

import (
	"reflect"
	"strconv"
	"strings"
)

// Rules are what the struct tags of a field say: its name in files and what
// Load checks. The reference and the JSON Schema are written from them, so
// neither can differ from what is checked.
type Rules struct {
	Name     string // in files and in JSON
	GoName   string // of the struct field, to look up its comment
	Type     reflect.Type
	Required bool
	Default  string // as written in a file; "" for none
	Enum     []string
	Refs     []string // kinds, or RefLake
	Expr     bool
	Gate     bool
	Cron     bool
	Secret   bool
	Location bool
	Scalar   bool
	OneOf    bool
	Min, Max *float64

	index int
}

// RefLake among Rules.Refs allows lake://table.
const RefLake = "lake"

// RulesOf lists the fields of a struct of this package in order; nil for any
// other type.
func RulesOf(t reflect.Type) []Rules {
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[Source]().PkgPath() {
		return nil
	}
	var all []Rules
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		r := Rules{Name: name, GoName: f.Name, Type: f.Type, index: i}
		if tag := f.Tag.Get("spec"); tag != "" {
			for _, word := range strings.Split(tag, ",") {
				r.add(word)
			}
		}
		all = append(all, r)
	}
	return all
}

// add reads one rule of a tag and tells whether it is known.
func (r *Rules) add(rule string) bool {
	key, value, _ := strings.Cut(rule, "=")
	switch key {
	case "required":
		r.Required = true
	case "default":
		r.Default = value
	case "enum":
		r.Enum = strings.Split(value, "|")
	case "ref":
		r.Refs = strings.Split(value, "|")
	case "expr":
		r.Expr = true
	case "gate":
		r.Gate = true
	case "cron":
		r.Cron = true
	case "secret":
		r.Secret = true
	case "location":
		r.Location = true
	case "scalar":
		r.Scalar = true
	case "oneof":
		r.OneOf = true
	case "min", "max":
		bound, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return false
		}
		if key == "min" {
			r.Min = &bound
		} else {
			r.Max = &bound
		}
	default:
		return false
	}
	return true
}
