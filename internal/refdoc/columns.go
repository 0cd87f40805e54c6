package refdoc

import (
	"fmt"
	"go/ast"
	"strings"

	"github.com/leat-ai/leat/decide/record"
)

// tablesPage describes the tables that Leat itself writes.
func tablesPage(root string) ([]byte, error) {
	p := newPage("Tables that Leat writes", "decide/record, flow/ingest and pattern/batch")
	p.say(`
Beside the tables of your sources, for ` + "`leat sql`" + ` and any other reader of the lake.

## decisions

One row for each decision, readable at once. A batch has one row for the whole
run: its table is its record.
`)
	words, err := readStructs(root)
	if err != nil {
		return nil, err
	}
	said := words["RecordDecision"]
	p.table("column", "type", "is")
	for _, c := range record.Columns() {
		p.row(code(c.Name), string(c.Type), said[c.Name])
	}
	for _, t := range []struct{ title, intro, folder, function string }{
		{"SOURCE__quarantine", "Rows of a source that broke a rule or could not be read.", "flow/ingest", "quarantineColumns"},
		{"TARGET__failed", "Rows of a batch that got no answer.", "pattern/batch", "failedColumns"},
	} {
		columns, err := columnsOf(root, t.folder, t.function)
		if err != nil {
			return nil, err
		}
		p.say("\n## %s\n\n%s\n", t.title, t.intro)
		p.table("column", "type", "is")
		for _, c := range columns {
			p.row(code(c[0]), c[1], c[2])
		}
	}
	p.say(`
## The target of a batch

The columns that the batch keeps (without ` + "`keep`" + `: the row's position, ` + "`row`" + `), then
` + "`decision_id`" + `, the outputs of the model with the decision, and ` + "`release`" + `.
`)
	return p.bytes(), nil
}

// columnsOf reads the list of columns that a function returns: name, type and
// the comment beside each.
func columnsOf(root, folder, function string) ([][3]string, error) {
	files, err := sources(root, folder)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		for _, d := range f.parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == function {
				return f.columns(fn), nil
			}
		}
	}
	return nil, fmt.Errorf("%s has no function %s", folder, function)
}

func (f file) columns(fn *ast.FuncDecl) (found [][3]string) {
	beside := map[int]string{} // by line
	for _, c := range f.parsed.Comments {
		beside[f.set.Position(c.Pos()).Line] = oneLine(c.Text())
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || lit.Type != nil {
			return true
		}
		column := [3]string{2: beside[f.set.Position(lit.Pos()).Line]}
		for _, e := range lit.Elts {
			pair, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := pair.Key.(*ast.Ident); key.Name {
			case "Name":
				column[0] = f.constant(pair.Value)
			case "Type":
				if t, ok := pair.Value.(*ast.SelectorExpr); ok {
					column[1] = strings.ToLower(t.Sel.Name)
				}
			}
		}
		found = append(found, column)
		return false
	})
	return found
}

// constant returns the text of a literal, or of a constant of the same file.
func (f file) constant(x ast.Expr) string {
	if t, ok := text(x); ok {
		return t
	}
	id, ok := x.(*ast.Ident)
	if !ok {
		return ""
	}
	value := ""
	ast.Inspect(f.parsed, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && v.Names[0].Name == id.Name {
			value, _ = text(v.Values[0])
		}
		return true
	})
	return value
}
