package refdoc

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// file is a parsed source file.
type file struct {
	name   string // below the root, with slashes
	set    *token.FileSet
	parsed *ast.File
}

// sources parses the Go files below folders of the root, tests left out.
func sources(root string, folders ...string) ([]file, error) {
	var all []file
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			below, err := filepath.Rel(root, name)
			all = append(all, file{filepath.ToSlash(below), set, parsed})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("the sources below %s cannot be read: %w", folder, err)
		}
	}
	return all, nil
}

// house are the folders that the program is made of.
func house() []string {
	return []string{"app", "backends", "base", "decide", "flow", "guard", "model", "pattern", "spec", "store", "surface", "work"}
}

// constants maps the text values of a folder's constants to the comments
// beside them.
func constants(root, folder string) (map[string]string, error) {
	files, err := sources(root, folder)
	if err != nil {
		return nil, err
	}
	said := map[string]string{}
	for _, f := range files {
		ast.Inspect(f.parsed, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			if value, ok := text(v.Values[0]); ok && v.Comment != nil {
				said[value] = oneLine(v.Comment.Text())
			}
			return true
		})
	}
	return said, nil
}

// above returns the comment above the declaration of one constant, without
// the name that it begins with.
func above(root, folder, name string) (string, error) {
	files, err := sources(root, folder)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		for _, d := range f.parsed.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Doc == nil || len(gen.Specs) != 1 {
				continue
			}
			if v, ok := gen.Specs[0].(*ast.ValueSpec); ok && v.Names[0].Name == name {
				return strings.TrimPrefix(oneLine(gen.Doc.Text()), name+" is "), nil
			}
		}
	}
	return "", fmt.Errorf("%s in %s has no comment", name, folder)
}

// text returns the value of a text literal.
func text(x ast.Expr) (string, bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(lit.Value)
	return value, err == nil
}

// call is a call of a method or function with its arguments.
type call struct {
	file string
	name string // of the method or function, without what it is called on
	args []ast.Expr
}

// calls finds the calls of some names, in the order of files and lines.
func calls(files []file, names ...string) []call {
	var found []call
	for _, f := range files {
		ast.Inspect(f.parsed, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch fun := c.Fun.(type) {
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			case *ast.Ident:
				name = fun.Name
			}
			if slices.Contains(names, name) {
				found = append(found, call{f.name, name, c.Args})
			}
			return true
		})
	}
	return found
}

// part returns the Markdown of a part of a package's comment: what stands
// under a heading, or before the first one when heading is "".
func part(root, folder, heading string) (string, error) {
	files, err := sources(root, folder)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if filepath.ToSlash(filepath.Dir(f.name)) != folder || f.parsed.Doc == nil {
			continue
		}
		d := new(comment.Parser).Parse(f.parsed.Doc.Text())
		d.Content = under(d.Content, heading)
		if len(d.Content) == 0 {
			return "", fmt.Errorf("the comment of %s has nothing under %q", folder, heading)
		}
		return strings.ReplaceAll(string(new(comment.Printer).Markdown(d)), `\_`, "_"), nil
	}
	return "", fmt.Errorf("the package in %s has no comment", folder)
}

func under(blocks []comment.Block, heading string) (found []comment.Block) {
	inside := heading == ""
	for _, b := range blocks {
		if h, ok := b.(*comment.Heading); ok {
			inside = len(h.Text) == 1 && h.Text[0] == comment.Plain(heading)
			continue
		}
		if inside {
			found = append(found, b)
		}
	}
	return found
}
