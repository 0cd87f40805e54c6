package refdoc

import (
	"cmp"
	"go/ast"
	"reflect"
	"strconv"
	"strings"
)

// structs is what the comments of struct fields say, by the name that the
// OpenAPI document gives the struct and the name that JSON gives the field.
type structs map[string]map[string]string

// readStructs reads the comments of the house's structs. The document calls
// deploy.Release "DeployRelease", and those of package api by their own name.
func readStructs(root string) (structs, error) {
	files, err := sources(root, house()...)
	if err != nil {
		return nil, err
	}
	all, embeds := structs{}, map[string][]string{}
	for _, f := range files {
		pkg := f.parsed.Name.Name
		ast.Inspect(f.parsed, func(n ast.Node) bool {
			t, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if fields, ok := t.Type.(*ast.StructType); ok && t.Name.IsExported() {
				name := schemaName(pkg, t.Name.Name)
				all[name] = all.fields(fields)
				embeds[name] = embedded(pkg, fields)
			}
			return true
		})
	}
	for name, inner := range embeds {
		for _, from := range inner {
			for field, words := range all[from] {
				all[name][field] = cmp.Or(all[name][field], words)
			}
		}
	}
	return all, nil
}

func schemaName(pkg, name string) string {
	if pkg == "api" {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

func (structs) fields(t *ast.StructType) map[string]string {
	said := map[string]string{}
	for _, f := range t.Fields.List {
		words := oneLine(f.Doc.Text() + " " + f.Comment.Text())
		for _, name := range f.Names {
			said[jsonName(f, name.Name)] = inFiles(words, name.Name, jsonName(f, name.Name))
		}
	}
	return said
}

// inFiles lets a sentence that begins with the Go name of the field begin
// with the one of JSON.
func inFiles(words, name, json string) string {
	if rest, ok := strings.CutPrefix(words, name+" "); ok {
		return code(json) + " " + rest
	}
	return words
}

func jsonName(f *ast.Field, name string) string {
	if f.Tag == nil {
		return name
	}
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return name
	}
	switch first, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ","); first {
	case "":
		return name
	case "-": // written by whoever embeds the struct
		return strings.ToLower(name)
	default:
		return first
	}
}

// embedded names the structs whose fields a struct takes over.
func embedded(pkg string, t *ast.StructType) (names []string) {
	for _, f := range t.Fields.List {
		if len(f.Names) > 0 {
			continue
		}
		switch x := f.Type.(type) {
		case *ast.Ident:
			names = append(names, schemaName(pkg, x.Name))
		case *ast.SelectorExpr:
			if from, ok := x.X.(*ast.Ident); ok {
				names = append(names, schemaName(from.Name, x.Sel.Name))
			}
		}
	}
	return names
}
