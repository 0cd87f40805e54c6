package spec

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// decoder fills a spec from the nodes of its document. It goes on after a
// mistake, so that all of them are found in one reading; what a field means
// beyond its type is checked afterwards (check.go), on the filled spec.
type decoder struct {
	*document
	mistakes *mistakes
	vars     *vars
}

// laterFields names what the language will have, so that somebody who read of
// it is told the truth instead of "unknown".
func laterFields() map[string]string {
	return map[string]string{"deploy.strategy": "canary releases", "signals.auc": "signals of quality"}
}

// fail notes a mistake at a node.
func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) *fault.Error {
	d.failed[path] = true
	return d.mistakes.add(d.at(n), fault.Invalid, format, args...)
}

// wants notes that a value has the wrong shape.
func (d *decoder) wants(n *yaml.Node, path, what string) *fault.Error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return d.fail(n, path, "%s has no value", label(path)).Hint("give it %s or leave the line out", what)
	}
	return d.fail(n, path, "%s wants %s, not %s", label(path), what, shape(n))
}

// label names a field by its path in a sentence.
func label(path string) string { return strconv.Quote(path) }

func (d *decoder) value(n *yaml.Node, v reflect.Value, r Rules, path string) {
	d.places[path] = d.at(n)
	switch p := v.Addr().Interface().(type) {
	case *Columns:
		d.columns(n, p, path)
		return
	case *Features:
		d.features(n, p, path)
		return
	case *Names:
		d.names(n, p, path)
		return
	case *Durations:
		d.durations(n, p, path)
		return
	case encoding.TextUnmarshaler:
		d.text(n, p, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), r, path)
	case reflect.Struct:
		d.fields(n, v, path)
	case reflect.Slice:
		d.list(n, v, r, path)
	case reflect.Map:
		d.mapping(n, v, r, path)
	default:
		d.scalar(n, v, r, path)
	}
}

// fields fills a struct. An empty path is the document itself.
func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wants(n, path, "a mapping").Hint("its fields are %s", join(fieldNames(RulesOf(v.Type()))))
		return
	}
	known := RulesOf(v.Type())
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if path == "" && key.Value == "kind" {
			continue
		}
		at := slices.IndexFunc(known, func(r Rules) bool { return r.Name == key.Value })
		if at < 0 {
			d.unknown(key, path, known)
			continue
		}
		r := known[at]
		d.value(n.Content[i+1], v.Field(r.index), r, below(path, r.Name))
	}
}

func (d *decoder) unknown(key *yaml.Node, path string, known []Rules) {
	d.strange[path] = true
	full := below(path, key.Value)
	for name, what := range laterFields() {
		if strings.HasSuffix(indexes.ReplaceAllString(full, ""), name) {
			d.mistakes.add(d.at(key), fault.Unsupported, "%s: %s are not built yet", label(full), what).
				Hint("leave it out for now")
			return
		}
	}
	of := string(d.kind)
	if path != "" {
		of = label(path)
	}
	names := fieldNames(known)
	d.mistakes.add(d.at(key), fault.Invalid, "%s has no field %s", of, quote([]byte(key.Value))).
		Hint("%s", meant(key.Value, names))
	// A misspelt field is not also reported as missing.
	if best := fault.Nearest(key.Value, names); best != "" {
		d.failed[below(path, best)] = true
	}
}

var indexes = regexp.MustCompile(`\[\d+\]`)

func fieldNames(rules []Rules) []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Name
	}
	return names
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (d *decoder) list(n *yaml.Node, v reflect.Value, r Rules, path string) {
	if n.Kind != yaml.SequenceNode {
		d.wants(n, path, "a list").Hint("put it in brackets: [%s], or on lines that begin with a dash", example(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.value(c, v.Index(i), r, element(path, i))
	}
}

func example(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && len(n.Value) < 60 {
		return quoteIfNeeded(n.Value)
	}
	return "…"
}

func quoteIfNeeded(text string) string {
	if strings.ContainsAny(text, " :,[]{}#&*!|>'\"%@`") {
		return strconv.Quote(text)
	}
	return text
}

// names reads a list of names, or one name without brackets.
func (d *decoder) names(n *yaml.Node, out *Names, path string) {
	items := n.Content
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		items = []*yaml.Node{n}
	} else if n.Kind != yaml.SequenceNode {
		d.wants(n, path, "a name or a list of names")
		return
	}
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		var name string
		at := element(path, i)
		d.places[at] = d.at(item)
		d.scalar(item, reflect.ValueOf(&name).Elem(), Rules{}, at)
		if seen[name] && !d.failed[at] {
			d.fail(item, at, "%s lists %s twice", label(path), quote([]byte(name)))
		}
		seen[name] = true
		*out = append(*out, name)
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, r Rules, path string) {
	if n.Kind != yaml.MappingNode {
		d.wants(n, path, "a mapping of names to values")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	for i := 0; i < len(n.Content); i += 2 {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], item, r, below(path, n.Content[i].Value))
		v.SetMapIndex(reflect.ValueOf(n.Content[i].Value), item)
	}
}

func (d *decoder) columns(n *yaml.Node, out *Columns, path string) {
	if n.Kind != yaml.MappingNode {
		d.wants(n, path, "a mapping of column names to types").Hint("write it like {id: string, amount: double}")
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		var word string
		name := n.Content[i].Value
		at := below(path, name)
		d.places[at] = d.at(n.Content[i+1])
		d.scalar(n.Content[i+1], reflect.ValueOf(&word).Elem(), Rules{}, at)
		if !d.failed[at] && !slices.Contains(frame.Types(), frame.Type(word)) {
			d.fail(n.Content[i+1], at, "column %s has no type %s", quote([]byte(name)), quote([]byte(word))).
				Hint("%s", meantType(word))
		}
		*out = append(*out, frame.Column{Name: name, Type: frame.Type(word)})
	}
}

// meantType knows the names that other systems give to the six types.
func meantType(word string) string {
	others := map[string]frame.Type{"float": frame.Double, "number": frame.Double, "decimal": frame.Double,
		"integer": frame.Int, "bigint": frame.Int, "long": frame.Int, "text": frame.String, "varchar": frame.String,
		"category": frame.String, "boolean": frame.Bool, "datetime": frame.Timestamp, "time": frame.Timestamp}
	if t, ok := others[strings.ToLower(word)]; ok {
		return fmt.Sprintf("did you mean %q?", t)
	}
	var names []string
	for _, t := range frame.Types() {
		names = append(names, string(t))
	}
	return meant(word, names)
}

func (d *decoder) features(n *yaml.Node, out *Features, path string) {
	if n.Kind != yaml.MappingNode {
		d.wants(n, path, "a mapping of feature names to expressions or aggregates").
			Hint("write it like {share: amount / limit, spend: {sum: amount, window: 24h}}")
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		f := FeatureDef{Name: n.Content[i].Value}
		item, at := n.Content[i+1], below(path, f.Name)
		d.places[at] = d.at(item)
		if item.Kind == yaml.MappingNode {
			f.Aggregate = new(Aggregate)
			d.fields(item, reflect.ValueOf(f.Aggregate).Elem(), at)
		} else {
			d.scalar(item, reflect.ValueOf(&f.Expr).Elem(), Rules{Scalar: true}, at)
		}
		*out = append(*out, f)
	}
}

// durations reads a list of lengths of time, or one without brackets.
func (d *decoder) durations(n *yaml.Node, out *Durations, path string) {
	items := n.Content
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		items = []*yaml.Node{n}
	} else if n.Kind != yaml.SequenceNode {
		d.wants(n, path, "a length of time or a list of them")
		return
	}
	for i, item := range items {
		var v Duration
		at := element(path, i)
		d.places[at] = d.at(item)
		d.text(item, &v, at)
		*out = append(*out, v)
	}
}

// text reads a value that has a text form of its own.
func (d *decoder) text(n *yaml.Node, out encoding.TextUnmarshaler, path string) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Tag == "!!bool" {
		d.wants(n, path, "one value")
		return
	}
	value, ok := d.substitute(n, path)
	if !ok {
		return
	}
	if err := out.UnmarshalText([]byte(value)); err != nil {
		d.fail(n, path, "%s: %s", label(path), err).Hint("%s", fault.HintOf(err))
	}
}

// scalar reads text, a number or true/false.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, r Rules, path string) {
	what := map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "true or false",
		reflect.Int: "a whole number", reflect.Int64: "a whole number", reflect.Float64: "a number"}[v.Kind()]
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.wants(n, path, what)
		return
	}
	value, ok := d.substitute(n, path)
	if !ok {
		return
	}
	substituted := value != n.Value
	number := substituted || n.Tag != "!!str" // "7" in quotes is text
	switch v.Kind() {
	case reflect.String:
		if !r.Scalar && !substituted && (n.Tag == "!!int" || n.Tag == "!!float" || n.Tag == "!!bool") {
			d.wants(n, path, "text").Hint("put it in quotes: %q", n.Value)
			return
		}
		v.SetString(value)
		if !substituted {
			d.remember(n, path)
		}
		return
	case reflect.Bool:
		if value == "true" || value == "false" {
			v.SetBool(value == "true")
			return
		}
	case reflect.Int, reflect.Int64:
		if x, err := strconv.ParseInt(strings.ReplaceAll(value, "_", ""), 10, 64); err == nil && number {
			v.SetInt(x)
			return
		}
	case reflect.Float64:
		if x, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(x) && !math.IsInf(x, 0) && number {
			v.SetFloat(x)
			return
		}
	}
	err := d.wants(n, path, what)
	switch strings.ToLower(value) {
	case "yes", "on", "y":
		err.Hint("write true")
	case "no", "off", "n":
		err.Hint("write false")
	}
}
