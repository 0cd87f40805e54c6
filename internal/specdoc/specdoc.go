// Package specdoc writes the pages about the resource language from the
// language itself: spec/schema.json for editors and
// docs/reference/language.md for people.
//
// Names, types and rules come from the struct tags (spec.RulesOf), sentences
// from the comments of spec/*.go. The test of this package compares what
// is committed with what is generated; "go generate ./spec" writes it anew.
package specdoc

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/leat-ai/leat/spec"
)

// Shape is a kind or a part of one: a struct of the language with its fields.
type Shape struct {
	Name   string
	Doc    string
	Fields []Field
}

// Field is a field of a shape.
type Field struct {
	spec.Rules
	Doc string
}

// Language lists the kinds, and after them the parts that they are made of in
// the order of their first use.
func Language(folder string) (kinds, parts []Shape, err error) {
	comments, err := readComments(folder)
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type, *[]Shape)
	walk = func(t reflect.Type, into *[]Shape) {
		t = element(t)
		rules := spec.RulesOf(t)
		if len(rules) == 0 || seen[t] {
			return
		}
		seen[t] = true
		s := Shape{Name: t.Name(), Doc: comments[t.Name()]}
		for _, r := range rules {
			s.Fields = append(s.Fields, Field{r, inFiles(comments[t.Name()+"."+r.GoName], r)})
		}
		*into = append(*into, s)
		for _, r := range rules {
			walk(r.Type, &parts)
		}
	}
	for _, k := range spec.Kinds() {
		walk(reflect.TypeOf(spec.New(k)), &kinds)
	}
	return kinds, parts, nil
}

// inFiles lets a sentence that begins with the name of the Go field begin with
// the name that files use.
func inFiles(doc string, r spec.Rules) string {
	if rest, ok := strings.CutPrefix(doc, r.GoName+" "); ok {
		return r.Name + " " + rest
	}
	return doc
}

// element takes pointers and lists away. The part of Features that has fields
// is the aggregate.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t == reflect.TypeFor[spec.FeatureDef]() {
		return reflect.TypeFor[spec.Aggregate]()
	}
	return t
}

// readComments maps "Type" and "Type.Field" of a folder's files to their
// comments, on one line.
func readComments(folder string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there are no kinds in %s: %w", folder, err)
	}
	all := make(map[string]string)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("the kinds cannot be read: %w", err)
		}
		gather(parsed, all)
	}
	return all, nil
}

func gather(parsed *ast.File, all map[string]string) {
	for _, decl := range parsed.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range gen.Specs {
			t, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			all[t.Name.Name] = oneLine(gen.Doc.Text())
			if fields, ok := t.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						all[t.Name.Name+"."+name.Name] = oneLine(f.Doc.Text())
					}
				}
			}
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
