package encode

import (
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Bounds of a recipe, checked by Validate. A float64 holds every code below
// them exactly, and a recipe within them fits in memory many times over.
const (
	MaxColumns    = 1 << 16
	MaxCategories = 1 << 16 // of one column
)

// Validate checks a recipe that came from a file: known types and kinds, no
// name and no category twice, sizes within bounds. It reports every mistake.
func (e *Encoder) Validate() error {
	if len(e.Columns) > MaxColumns {
		return fault.New(fault.Invalid, "the recipe has %d columns, more than %d", len(e.Columns), MaxColumns)
	}
	var mistakes fault.List
	seen := make(map[string]bool, len(e.Columns))
	for i := range e.Columns {
		c := &e.Columns[i]
		if seen[c.Name] {
			mistakes.Add(fault.New(fault.Invalid, "column %q is encoded twice", c.Name))
		}
		seen[c.Name] = true
		mistakes.Add(c.validate())
	}
	if err := mistakes.Err(); err != nil {
		return fault.Wrap(err, fault.Invalid, "the encoder is not valid")
	}
	return nil
}

func (c *Column) validate() error {
	switch {
	case c.Name == "":
		return fault.New(fault.Invalid, "a column has no name")
	case !slices.Contains(frame.Types(), c.Type):
		return fault.New(fault.Invalid, "column %q has the unknown type %q", c.Name, c.Type)
	case c.Kind == Numeric && c.Type == frame.String:
		return fault.New(fault.Invalid, "column %q is text, not a number", c.Name)
	case c.Kind == Numeric && len(c.Categories) > 0:
		return fault.New(fault.Invalid, "column %q is a number and has categories", c.Name)
	case c.Kind == Category && c.Type != frame.String:
		return fault.New(fault.Invalid, "column %q has categories and is %s, not text", c.Name, c.Type)
	case c.Kind != Numeric && c.Kind != Category:
		return fault.New(fault.Invalid, "column %q has the unknown kind %q", c.Name, c.Kind)
	case len(c.Categories) > MaxCategories:
		return fault.New(fault.Invalid, "column %q has %d categories, more than %d", c.Name, len(c.Categories), MaxCategories)
	}
	seen := make(map[string]bool, len(c.Categories))
	for _, text := range c.Categories {
		if seen[text] {
			return fault.New(fault.Invalid, "column %q has the category %q twice", c.Name, text)
		}
		seen[text] = true
	}
	return nil
}
