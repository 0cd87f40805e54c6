package ingest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// field is a column as a run reads it.
type field struct {
	frame.Column
	order order // of dates
	// firm: a date such as 31/1/2011 has shown that order is the right one.
	firm bool
	// fixed: the type is declared, or that of the table, and stays; a cell
	// that does not fit it makes its row bad.
	fixed bool
	// open: the sample had no value, so the type is a guess in the dark.
	open bool
}

// plan is what a pass reads the input as. It is immutable.
type plan struct {
	fields []field
	// complete: the schema is declared, and what else the input has is left
	// out.
	complete bool
}

func (p *plan) columns() []frame.Column {
	out := make([]frame.Column, len(p.fields))
	for i, f := range p.fields {
		out[i] = f.Column
	}
	return out
}

func (p *plan) index(name string) int {
	return slices.IndexFunc(p.fields, func(f field) bool { return f.Name == name })
}

// changed names the columns that p has and old had otherwise.
func (p *plan) changed(old *plan) []string {
	var out []string
	for _, f := range p.fields {
		if at := old.index(f.Name); at < 0 || old.fields[at] != f {
			out = append(out, f.Name)
		}
	}
	return out
}

// sampled is a column as the sample shows it.
type sampled struct {
	name  string
	guess guess
	typ   frame.Type // of formats that say it themselves; "" otherwise
}

// planOf settles the types: declared ones, then those of the table, then what
// the sample shows.
func (j *job) planOf(columns []sampled) (*plan, error) {
	if len(j.src.Schema) > 0 {
		return j.declared(columns)
	}
	if len(columns) > j.limits.MaxColumns {
		return nil, fault.New(fault.TooLarge, "source %q has %d columns, more than %d", j.src.Name, len(columns), j.limits.MaxColumns)
	}
	p := &plan{}
	for _, c := range columns {
		f := field{Column: frame.Column{Name: c.name, Type: c.typ}, order: anyOrder, fixed: c.typ != ""}
		if c.typ == "" {
			f.Type, f.order = c.guess.decide()
			f.firm = c.guess.firm()
			f.open = c.guess.total() == 0
		}
		p.fields = append(p.fields, j.fitTable(f))
	}
	if len(p.fields) == 0 {
		return nil, fault.New(fault.Invalid, "source %q has no columns", j.src.Name).Hint("is the input empty?")
	}
	return p, nil
}

// fitTable gives a field the type that the table has for it, where that is at
// least as wide. Where it is not, committing says so.
func (j *job) fitTable(f field) field {
	for _, c := range j.existing {
		if c.Name != f.Name {
			continue
		}
		if f.open || wider(c.Type, f.Type) == c.Type {
			f.Type, f.fixed, f.open = c.Type, true, false
		}
	}
	return f
}

// declared is the plan of a source with a schema. The sample only settles in
// which order dates are written, and that the columns are there.
func (j *job) declared(columns []sampled) (*plan, error) {
	p := &plan{complete: true}
	var names []string
	byName := map[string]sampled{}
	for _, c := range columns {
		names = append(names, c.name)
		byName[c.name] = c
	}
	var mistakes fault.List
	for _, c := range j.src.Schema {
		if c.Type.Arrow() == nil {
			mistakes.Add(fault.New(fault.Invalid, "column %q of source %q has an unknown type %q", c.Name, j.src.Name, c.Type))
			continue
		}
		found, there := byName[c.Name]
		if !there {
			mistakes.Add(absent(j.src.Name, c.Name, names))
			continue
		}
		f := field{Column: c, order: anyOrder, fixed: true}
		if g := found.guess; g.dates+g.times > 0 {
			f.order, f.firm = g.order(), g.firm()
		}
		p.fields = append(p.fields, f)
	}
	return p, mistakes.Err()
}

func absent(source, column string, names []string) error {
	err := fault.New(fault.Invalid, "source %q has no column %q, which its schema declares", source, column)
	for _, n := range names {
		if strings.EqualFold(strings.TrimSpace(n), column) {
			return err.Hint("did you mean %q? The input has %s", n, listed(names))
		}
	}
	return err.Hint("the input has %s", listed(names))
}

func listed(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// findings are what a pass learns about the columns beyond the plan.
type findings struct {
	fields []finding // as the plan's
	added  []sampled // columns that the plan lacks
}

type finding struct {
	values  int64      // cells with a value
	unfit   int64      // cells that are not of the type, or of any wider one but text
	want    frame.Type // a wider type that a cell needs; "" for none
	order   order      // an order of dates that a cell needs; 0 for none
	guesses guess      // of an open field
}

func newFindings(p *plan) findings { return findings{fields: make([]finding, len(p.fields))} }

func (f *findings) merge(o findings) {
	for i := range f.fields {
		a, b := &f.fields[i], o.fields[i]
		a.values += b.values
		a.unfit += b.unfit
		a.order |= b.order
		a.guesses.merge(b.guesses)
		switch {
		case a.want == "":
			a.want = b.want
		case b.want != "":
			a.want = wider(a.want, b.want)
		}
	}
	for _, c := range o.added {
		f.add(c)
	}
}

func (f *findings) add(c sampled) {
	for i := range f.added {
		if f.added[i].name == c.name {
			f.added[i].guess.merge(c.guess)
			return
		}
	}
	f.added = append(f.added, c)
}

// urgent tells, in the middle of a pass, that its plan cannot stay.
func (f *findings) urgent() bool {
	if len(f.added) > 0 {
		return true
	}
	for _, x := range f.fields {
		if x.want != "" || x.order != 0 {
			return true
		}
	}
	return false
}

// revise returns the plan that the findings ask for, or nil when p stays.
func (p *plan) revise(f findings) *plan {
	next := &plan{fields: slices.Clone(p.fields), complete: p.complete}
	for i, x := range f.fields {
		n := &next.fields[i]
		switch {
		case n.fixed:
			if x.order != 0 {
				n.order, n.firm = x.order, true
			}
		case n.open && x.guesses.total() > 0:
			n.Type, n.order = x.guesses.decide()
			n.firm, n.open = x.guesses.firm(), false
		case x.unfit > strays(x.values):
			n.Type, n.order = frame.String, anyOrder
		case x.want != "":
			n.Type = wider(n.Type, x.want)
		case x.order != 0:
			n.order, n.firm = x.order, true
		}
	}
	if !p.complete {
		for _, c := range f.added {
			n := field{Column: frame.Column{Name: c.name, Type: c.typ}, order: anyOrder, fixed: c.typ != ""}
			if c.typ == "" {
				n.Type, n.order = c.guess.decide()
				n.firm = c.guess.firm()
			}
			next.fields = append(next.fields, n)
		}
	}
	if len(next.changed(p)) == 0 {
		return nil
	}
	return next
}
