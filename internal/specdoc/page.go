package specdoc

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

const head = `# The resource language

<!-- Written by "go generate ./spec" from spec/*.go; a test compares. -->

A project is a folder of YAML files. Each document is one resource: its
` + "`kind`" + `, its ` + "`name`" + `, and the fields of its kind below. Files may hold several
documents, parted by a line of three dashes; names and folders are yours to
choose, hidden ones are left out.

The language is strict: a field that does not exist, a value of the wrong type,
a name that leads nowhere is an error with file, line, column and what was
probably meant, and all errors are shown at once. Anchors, aliases and tags of
YAML are not part of it. A file has at most 1 MiB. Whole projects to read and
to begin from are in [examples](../../examples).

| written | means |
|---|---|
| text | as it is; in quotes where it looks like a number or true/false |
| name | small letters, digits, - and _; begins with a letter |
| names | a list of names; one alone needs no brackets |
| percent | ` + "`20%` or `0.2`" + ` |
| rate | ` + "`500/s`, `10/m`, `3/h`" + ` |
| size | ` + "`16MiB`, `10MB`, `4096`" + ` |
| duration | ` + "`250ms`, `10m`, `1h30m`, `7d`" + ` |
| schedule | ` + "`@daily`, `@every 10m`" + `, or five fields: minute, hour, day, month, weekday |
| expression | over columns, as in SQL: ` + "`amount / limit`, `country is not null`" + ` |
| secret | a reference, ` + "`env:NAME` or `file:PATH`" + `, never the secret itself |
| ` + "`${name}`" + ` | inside any value: the variable of the chosen Environment; ` + "`$${`" + ` is the two characters themselves |

`

// Page writes the reference of the language.
func Page(folder string) ([]byte, error) {
	kinds, parts, err := Language(folder)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("Types of columns: " + columnTypes() + ".\n\n## Kinds\n")
	for _, k := range kinds {
		write(&b, "###", k)
	}
	b.WriteString("\n## Parts\n")
	for _, p := range parts {
		write(&b, "###", p)
	}
	return []byte(b.String()), nil
}

func columnTypes() string {
	var names []string
	for _, t := range frame.Types() {
		names = append(names, "`"+string(t)+"`")
	}
	return strings.Join(names, ", ")
}

func write(b *strings.Builder, level string, s Shape) {
	fmt.Fprintf(b, "\n%s %s\n\n%s\n\n", level, s.Name, s.Doc)
	if s.Fields[0].OneOf {
		b.WriteString("Exactly one of the fields marked ◆ is given.\n\n")
	}
	b.WriteString("| field | value | means |\n|---|---|---|\n")
	for _, f := range s.Fields {
		name := "`" + f.Name + "`"
		if f.Required {
			name = "**" + name + "**"
		}
		if f.OneOf {
			name += " ◆"
		}
		doc := f.Doc
		if rest, ok := strings.CutPrefix(doc, f.Name+" "); ok {
			doc = "`" + f.Name + "` " + rest
		}
		if f.Default != "" {
			doc += " Default `" + f.Default + "`."
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, kindOf(f.Type, f.Rules), strings.ReplaceAll(doc, "|", `\|`))
	}
}

// kindOf names what a field's value is, with a link where it is a part.
func kindOf(t reflect.Type, r spec.Rules) string {
	switch t {
	case reflect.TypeFor[spec.Columns]():
		return "mapping of column names to types"
	case reflect.TypeFor[spec.Features]():
		return "mapping of names to expressions or [aggregates](#aggregate)"
	case reflect.TypeFor[spec.Names]():
		return "names" + of(r)
	case reflect.TypeFor[spec.Durations]():
		return "duration or list of durations"
	case reflect.TypeFor[spec.Percent]():
		return "percent"
	case reflect.TypeFor[spec.Rate]():
		return "rate"
	case reflect.TypeFor[spec.Bytes]():
		return "size"
	case reflect.TypeFor[spec.Duration]():
		return "duration"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem(), r)
	case reflect.Struct:
		return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name()))
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String && (r.Expr || r.Gate) {
			return "list of expressions"
		}
		return "list of " + kindOf(t.Elem(), r)
	case reflect.Map:
		return "mapping of names to " + kindOf(t.Elem(), r)
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number" + bounds(r)
	case reflect.Float64:
		return "number" + bounds(r)
	}
	return words(r)
}

func of(r spec.Rules) string {
	if r.Refs == nil {
		return ""
	}
	return " of " + refs(r)
}

func refs(r spec.Rules) string {
	var kinds []string
	for _, k := range r.Refs {
		if k == spec.RefLake {
			kinds = append(kinds, "`lake://table`")
			continue
		}
		kinds = append(kinds, fmt.Sprintf("[%s](#%s)", k, strings.ToLower(k)))
	}
	return strings.Join(kinds, " or ")
}

func bounds(r spec.Rules) string {
	switch {
	case r.Min != nil && r.Max != nil:
		return fmt.Sprintf(", %v to %d", *r.Min, int64(*r.Max))
	case r.Min != nil:
		return fmt.Sprintf(", at least %v", *r.Min)
	}
	return ""
}

func words(r spec.Rules) string {
	switch {
	case r.Enum != nil:
		return "`" + strings.Join(r.Enum, "`, `") + "`"
	case r.Refs != nil:
		return "name of " + refs(r)
	case r.Expr, r.Gate:
		return "expression"
	case r.Cron:
		return "schedule"
	case r.Secret:
		return "secret"
	case r.Name == "name" && r.Required:
		return "name"
	}
	return "text"
}
