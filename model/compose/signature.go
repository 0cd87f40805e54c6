package compose

import (
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// union gathers input columns of several models. A column that two read must
// have one type.
type union struct {
	fields   []model.Field
	by       map[string]int
	mistakes fault.List
}

func newUnion() *union { return &union{by: map[string]int{}} }

// add takes a column that a part reads.
func (u *union) add(f model.Field, who string) {
	at, known := u.by[f.Name]
	if !known {
		u.by[f.Name] = len(u.fields)
		u.fields = append(u.fields, f)
		return
	}
	have := &u.fields[at]
	if have.Type != f.Type {
		u.mistakes.Add(fault.New(fault.Invalid, "%s reads %q as %s, another part as %s", who, f.Name, f.Type, have.Type))
	}
	have.Required = have.Required || f.Required
	if len(have.Categories) == 0 {
		have.Categories = f.Categories
	}
}

// alike checks that two parts answer the same columns and mean the same.
func alike(a, b *part) error {
	x, y := a.reads, b.reads
	if x.Task != y.Task || !slices.Equal(x.Classes, y.Classes) {
		return fault.New(fault.Invalid, "%s says %s %v, %s says %s %v", a.Reference, x.Task, x.Classes, b.Reference, y.Task, y.Classes).
			Hint("only models of one task, with the same classes in the same order, can stand beside each other")
	}
	same := slices.EqualFunc(x.Outputs, y.Outputs, func(f, g model.Field) bool { return f.Name == g.Name && f.Type == g.Type })
	if !same {
		return fault.New(fault.Invalid, "%s answers %s, %s answers %s", a.Reference, columnNames(x.Outputs), b.Reference, columnNames(y.Outputs)).
			Hint("only models with the same outputs can stand beside each other")
	}
	return nil
}

func columnNames(fields []model.Field) string {
	text := ""
	for i, f := range fields {
		if i > 0 {
			text += ", "
		}
		text += f.Name + " (" + string(f.Type) + ")"
	}
	return text
}
