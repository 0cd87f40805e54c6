package house

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// TestPackageVariablesStay wants package variables that are set once, where
// they are declared: state lives in values that app builds, and tests need no
// hooks. It compares names only, so a local variable of the same name in the
// same function hides a mistake; it never invents one.
func TestPackageVariablesStay(t *testing.T) {
	variables := make(map[string]map[string]bool) // by folder
	eachSource(t, func(s source) {
		for _, d := range s.parsed.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, v := range gen.Specs {
				for _, name := range v.(*ast.ValueSpec).Names {
					if name.Name == "_" {
						continue
					}
					if variables[s.folder] == nil {
						variables[s.folder] = make(map[string]bool)
					}
					variables[s.folder][name.Name] = true
				}
			}
		}
	})
	eachSource(t, func(s source) {
		if ast.IsGenerated(s.parsed) {
			return
		}
		for _, d := range s.parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			locals := declared(f)
			for _, target := range assigned(f.Body) {
				if variables[s.folder][target.Name] && !locals[target.Name] {
					t.Errorf("%s changes the package variable %s: keep it in a value that app builds", s.set.Position(target.Pos()), target.Name)
				}
			}
		}
	})
}

// assigned lists the names that a body assigns to, directly or through a
// field, an index or a pointer.
func assigned(body *ast.BlockStmt) (names []*ast.Ident) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				return true
			}
			for _, x := range n.Lhs {
				if id := rootName(x); id != nil {
					names = append(names, id)
				}
			}
		case *ast.IncDecStmt:
			if id := rootName(n.X); id != nil {
				names = append(names, id)
			}
		}
		return true
	})
	return names
}

func rootName(x ast.Expr) *ast.Ident {
	for {
		switch y := x.(type) {
		case *ast.Ident:
			return y
		case *ast.SelectorExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.StarExpr:
			x = y.X
		case *ast.ParenExpr:
			x = y.X
		default:
			return nil
		}
	}
}

// declared lists every name that a function declares itself: receiver,
// parameters, results and locals, those of function literals included.
func declared(f *ast.FuncDecl) map[string]bool {
	names := make(map[string]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.AssignStmt:
			for _, x := range n.Lhs {
				if id, ok := x.(*ast.Ident); ok && n.Tok == token.DEFINE {
					names[id.Name] = true
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.RangeStmt:
			for _, x := range []ast.Expr{n.Key, n.Value} {
				if id, ok := x.(*ast.Ident); ok && n.Tok == token.DEFINE {
					names[id.Name] = true
				}
			}
		}
		return true
	})
	return names
}

// TestErrorsAreNotRead wants errors told apart by kind (fault.Is, errors.Is),
// never by their text: strings.Contains(err.Error(), "…") breaks with the next
// version of whoever wrote the text. Conformance suites may check that a
// sentence names what it is about.
func TestErrorsAreNotRead(t *testing.T) {
	eachSource(t, func(s source) {
		if strings.HasSuffix(s.folder, "test") {
			return
		}
		ast.Inspect(s.parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isFrom(call.Fun, "strings") {
				return true
			}
			for _, arg := range call.Args {
				inner, ok := arg.(*ast.CallExpr)
				if !ok {
					continue
				}
				sel, ok := inner.Fun.(*ast.SelectorExpr)
				if ok && sel.Sel.Name == "Error" && len(inner.Args) == 0 && textReaders[s.file] == "" {
					t.Errorf("%s reads the text of an error: ask for its kind", s.set.Position(call.Pos()))
				}
			}
			return true
		})
	})
}

func isFrom(f ast.Expr, pkg string) bool {
	sel, ok := f.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}
