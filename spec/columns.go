package spec

import (
	"errors"
	"fmt"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// table is the declared columns that names and expressions are held against.
type table struct {
	name    string // of the source, for sentences
	columns []frame.Column
	types   map[string]frame.Type
}

func newTable(name string, columns []frame.Column) *table {
	t := &table{name, columns, make(map[string]frame.Type, len(columns))}
	for _, c := range columns {
		t.types[c.Name] = c.Type
	}
	return t
}

// column checks that a column exists. The empty name is an absent field.
func (c *checker) column(name, path string, t *table) {
	if _, ok := t.types[name]; ok || name == "" {
		return
	}
	err := c.bad(path, "%s reads %s, which is no column of %s", label(path), quote([]byte(name)), t.name)
	if c.mistakes.full() {
		return // nobody sees the hint, and it costs
	}
	var names []string
	for _, col := range t.columns {
		names = append(names, col.Name)
	}
	err.Hint("%s", meant(name, names))
}

// expression parses an expression.
func (c *checker) expression(src, path string) *expr.Expr {
	e, err := expr.Parse(src)
	if err != nil {
		c.point(path, err)
		c.broken(path, err)
		return nil
	}
	return e
}

// bind parses an expression and checks it against the columns of a table. It
// gives the type of the result.
func (c *checker) bind(src, path string, t *table) (frame.Type, bool) {
	e := c.expression(src, path)
	if e == nil {
		return "", false
	}
	// Only the columns that are read, because binding costs by their number.
	var read []frame.Column
	missing := ""
	for _, name := range e.Names() {
		if typ, ok := t.types[name]; ok {
			read = append(read, frame.Column{Name: name, Type: typ})
		} else if missing == "" {
			missing = name
		}
	}
	program, err := e.Bind(read)
	if err == nil {
		return program.Type(), true
	}
	c.point(path, err)
	if missing != "" {
		c.column(missing, path, t)
	} else {
		c.broken(path, err)
	}
	return "", false
}

// gate checks a condition over figures, all of which are numbers.
func (c *checker) gate(src, path string) {
	e := c.expression(src, path)
	if e == nil {
		return
	}
	var figures []frame.Column
	for _, name := range e.Names() {
		figures = append(figures, frame.Column{Name: name, Type: frame.Double})
	}
	program, err := e.Bind(figures)
	switch {
	case err != nil:
		c.point(path, err)
		c.broken(path, err)
	case program.Type() != frame.Bool:
		c.bad(path, "the gate %s is a %s, not a condition", quote([]byte(src)), program.Type()).Hint("compare it with something, as in %s >= 0.8", src)
	}
}

// point moves the place of a field to where in its text a mistake stands, if
// that can be known.
func (c *checker) point(path string, err error) {
	var f *fault.Error
	start, inside := c.starts[path], 0
	if start == 0 || !errors.As(err, &f) {
		return
	}
	if _, scanErr := fmt.Sscanf(f.Where, "column %d", &inside); scanErr == nil {
		at := c.places[path]
		c.places[path] = Position{at.File, at.Line, start + inside - 1}
	}
}

// broken notes a mistake that package expr found, without its own place where
// point has moved the field's.
func (c *checker) broken(path string, err error) {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.New(fault.Invalid, "%s", err)
	}
	what := f.What
	if c.starts[path] == 0 {
		what = f.Error()
	}
	c.bad(path, "%s is not an expression: %s", label(path), what).Hint("%s", f.Advice)
}
