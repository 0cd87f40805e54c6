package tree

import (
	"math"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// validate checks everything that the engines rely on, so that they need not:
// after it every index is in range and every path ends in a leaf.
func (d *Definition) validate() error {
	if d.Encoder == nil {
		return invalid("the ensemble has no encoder")
	}
	if err := d.Encoder.Validate(); err != nil {
		return err
	}
	if err := d.validateHead(); err != nil {
		return err
	}
	if len(d.Trees) > MaxTrees {
		return invalid("the ensemble has %d trees, more than %d", len(d.Trees), MaxTrees)
	}
	total := 0
	for i := range d.Trees {
		t := &d.Trees[i]
		if total += len(t.Splits); total > maxSplits {
			return invalid("the ensemble has more than %d splits", maxSplits)
		}
		if t.Output < 0 || t.Output >= d.outputs() {
			return invalid("output %d does not exist", t.Output).At("tree %d", i)
		}
		if err := t.validate(d.Encoder); err != nil {
			return err.At("tree %d", i)
		}
	}
	return nil
}

// validateHead checks all but the trees.
func (d *Definition) validateHead() error {
	links := map[model.Task]Link{model.Binary: Sigmoid, model.Multiclass: Softmax, model.Regression: Identity}
	link, known := links[d.Task]
	switch {
	case !known:
		return invalid("%q is not a task of tree ensembles", d.Task)
	case d.Link != link:
		return invalid("a %s ensemble has the link %q, not %q", d.Task, link, d.Link)
	case d.Task == model.Binary && len(d.Classes) != 2,
		d.Task == model.Multiclass && len(d.Classes) < 2,
		d.Task == model.Regression && len(d.Classes) != 0:
		return invalid("a %s ensemble cannot have %d classes", d.Task, len(d.Classes))
	case d.outputs() > MaxOutputs:
		return invalid("the ensemble has %d outputs, more than %d", d.outputs(), MaxOutputs)
	case len(d.Base) != d.outputs():
		return invalid("the ensemble has %d base scores for %d outputs", len(d.Base), d.outputs())
	case !allFinite(d.Base):
		return invalid("a base score is not a finite number")
	case !(d.Threshold >= 0 && d.Threshold <= 1):
		return invalid("the label threshold %v is not within 0 and 1", d.Threshold)
	case d.Importance != nil && len(d.Importance) != len(d.Encoder.Columns):
		return invalid("the ensemble has %d importances for %d columns", len(d.Importance), len(d.Encoder.Columns))
	case !allFinite(d.Importance):
		return invalid("an importance is not a finite number")
	}
	for i, v := range d.Importance {
		if v < 0 {
			return invalid("the importance of column %d is negative", i)
		}
	}
	seen := make(map[string]bool, len(d.Classes))
	for _, class := range d.Classes {
		if seen[class] {
			return invalid("the class %q stands there twice", class)
		}
		seen[class] = true
	}
	return nil
}

// validate checks that t is a tree: children stand behind their parents, so
// there is no cycle, and each is used once, so none is shared.
func (t *Tree) validate(enc *encode.Encoder) *fault.Error {
	if len(t.Leaves) != len(t.Splits)+1 {
		return invalid("%d splits have %d leaves", len(t.Splits), len(t.Leaves))
	}
	if !allFinite(t.Leaves) {
		return invalid("a leaf is not a finite number")
	}
	usedSplit, usedLeaf := make([]bool, len(t.Splits)), make([]bool, len(t.Leaves))
	for i := range t.Splits {
		s := &t.Splits[i]
		if err := s.validate(enc); err != nil {
			err.What += " (split " + strconv.Itoa(i) + ")"
			return err
		}
		for _, child := range [2]int{s.Left, s.Right} {
			used, at := usedSplit, child
			if child < 0 {
				used, at = usedLeaf, ^child
			} else if child <= i {
				return invalid("split %d has the child %d, which does not stand behind it", i, child)
			}
			if at >= len(used) {
				return invalid("split %d has the child %d, which does not exist", i, child)
			}
			if used[at] {
				return invalid("split %d has the child %d, which has a parent already", i, child)
			}
			used[at] = true
		}
	}
	return nil
}

func (s *Split) validate(enc *encode.Encoder) *fault.Error {
	if s.Column < 0 || s.Column >= len(enc.Columns) {
		return invalid("column %d does not exist", s.Column)
	}
	col := &enc.Columns[s.Column]
	if s.Set == nil {
		if col.Kind != encode.Numeric {
			return invalid("column %q has categories, but is compared with a threshold", col.Name)
		}
		if !finite(s.Threshold) {
			return invalid("the threshold %v of column %q is not a finite number", s.Threshold, col.Name)
		}
		return nil
	}
	if col.Kind != encode.Category {
		return invalid("column %q is a number, but is split by categories", col.Name)
	}
	if words := (len(col.Categories) + 63) / 64; len(s.Set) > words {
		return invalid("a set of %d words is too large for the %d categories of column %q", len(s.Set), len(col.Categories), col.Name)
	} else if rest := len(col.Categories) % 64; len(s.Set) == words && rest != 0 && s.Set[words-1]>>rest != 0 {
		return invalid("a set has codes that are not categories of column %q", col.Name)
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func allFinite(values []float64) bool {
	for _, v := range values {
		if !finite(v) {
			return false
		}
	}
	return true
}
