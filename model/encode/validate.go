package encode

import (
	"math"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Bounds of a recipe, checked by Validate. A float64 holds every code below
// them exactly, and a recipe within them fits in memory many times over.
const (
	MaxColumns    = 1 << 16
	MaxCategories = 1 << 20 // of one column, or values
)

// Validate checks a recipe that came from a file: known types and kinds, no
// raw column under two types and no category twice, sizes within bounds. It
// reports every mistake.
func (e *Encoder) Validate() error {
	if len(e.Columns) > MaxColumns {
		return fault.New(fault.Invalid, "the recipe has %d columns, more than %d", len(e.Columns), MaxColumns)
	}
	var mistakes fault.List
	seen := make(map[string]*Column, len(e.Columns))
	for i := range e.Columns {
		c := &e.Columns[i]
		if first := seen[c.Name]; first == nil {
			seen[c.Name] = c
		} else if first.Type != c.Type {
			mistakes.Add(fault.New(fault.Invalid, "column %q is read as %s and as %s", c.Name, first.Type, c.Type))
		} else if c.Plain() && first.Plain() {
			mistakes.Add(fault.New(fault.Invalid, "column %q is encoded twice in the same way", c.Name))
		}
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
	case c.Kind != Numeric && c.Kind != Category && c.Kind != Value:
		return fault.New(fault.Invalid, "column %q has the unknown kind %q", c.Name, c.Kind)
	case c.Kind == Category:
		return c.validateText()
	}
	return c.validateNumber()
}

func (c *Column) validateText() error {
	switch {
	case c.Type != frame.String:
		return fault.New(fault.Invalid, "column %q has categories and is %s, not text", c.Name, c.Type)
	case c.Single || c.ZeroMissing || c.MissingZero || c.Round != Exact || len(c.Values) > 0:
		return fault.New(fault.Invalid, "column %q is text and has rules about numbers", c.Name)
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

func (c *Column) validateNumber() error {
	switch {
	case c.Type == frame.String:
		return fault.New(fault.Invalid, "column %q is text, not a number", c.Name)
	case len(c.Categories) > 0:
		return fault.New(fault.Invalid, "column %q is a number and has categories", c.Name)
	case c.UnseenMissing:
		return fault.New(fault.Invalid, "column %q is a number and has a rule about text", c.Name)
	case c.Kind == Numeric && (len(c.Values) > 0 || c.Round != Exact):
		return fault.New(fault.Invalid, "column %q is a number as it is, and has values", c.Name)
	case c.Round != Exact && c.Round != Down && c.Round != Truncate:
		return fault.New(fault.Invalid, "column %q has the unknown rounding %q", c.Name, c.Round)
	case len(c.Values) > MaxCategories:
		return fault.New(fault.Invalid, "column %q has %d values, more than %d", c.Name, len(c.Values), MaxCategories)
	}
	seen := make(map[float64]bool, len(c.Values))
	for _, v := range c.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.New(fault.Invalid, "column %q has the value %v", c.Name, v)
		}
		if seen[v] {
			return fault.New(fault.Invalid, "column %q has the value %v twice", c.Name, v)
		}
		seen[v] = true
	}
	return nil
}
