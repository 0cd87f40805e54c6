package tree

import (
	"math"
	"slices"
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
		if t.Output < 0 || t.Output >= len(d.Base) {
			return invalid("output %d does not exist", t.Output).At("tree %d", i)
		}
		if err := t.validate(d.Encoder); err != nil {
			return err.At("tree %d", i)
		}
		if d.Single && !allSingle(t.Leaves) {
			return invalid("a leaf is not a float32 number").At("tree %d", i)
		}
	}
	return nil
}

// validateHead checks all but the trees.
func (d *Definition) validateHead() error {
	if err := d.validateSums(); err != nil {
		return err
	}
	switch {
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
	for what, names := range map[string][]string{"class": d.Classes, "output": d.Names} {
		seen := make(map[string]bool, len(names))
		for _, name := range names {
			if seen[name] {
				return invalid("the %s %q stands there twice", what, name)
			}
			seen[name] = true
		}
	}
	return nil
}

// validateSums checks what sums there are and what becomes of them.
func (d *Definition) validateSums() error {
	if err := d.validateTask(); err != nil {
		return err
	}
	switch {
	case len(d.Base) > MaxOutputs:
		return invalid("the ensemble has %d outputs, more than %d", len(d.Base), MaxOutputs)
	case !allFinite(d.Base):
		return invalid("a base score is not a finite number")
	case d.Single && !allSingle(d.Base):
		return invalid("a base score is not a float32 number")
	case !finite(d.Scale):
		return invalid("the scale %v is not a finite number", d.Scale)
	case d.Average < 0:
		return invalid("an average of %d trees cannot be taken", d.Average)
	}
	return nil
}

// validateTask checks that task, classes, link and the number of sums agree.
func (d *Definition) validateTask() error {
	sums, classes := len(d.Base), len(d.Classes)
	switch d.Task {
	case model.Binary:
		if classes != 2 || sums != 1 && sums != 2 || d.Link == Softmax && sums != 2 {
			return invalid("a binary ensemble cannot have %d classes, %d base scores and the link %q", classes, sums, d.Link)
		}
	case model.Multiclass:
		if classes < 2 || sums != classes {
			return invalid("a multiclass ensemble cannot have %d classes and %d base scores", classes, sums)
		}
	case model.Regression, model.Custom:
		if classes != 0 || sums < 1 {
			return invalid("a %s ensemble cannot have %d classes and %d base scores", d.Task, classes, sums)
		}
	default:
		return invalid("%q is not a task of tree ensembles", d.Task)
	}
	named := d.Task == model.Regression || d.Task == model.Custom
	switch {
	case d.Names != nil && !named:
		return invalid("the outputs of a %s ensemble have their own names", d.Task)
	case d.Names != nil && len(d.Names) != sums:
		return invalid("the ensemble has %d names for %d outputs", len(d.Names), sums)
	case slices.Contains(d.Names, ""):
		return invalid("an output has no name")
	}
	switch d.Link {
	case Identity, Sigmoid, Softmax, Exp, Softplus, SignSquare, Step:
		return nil
	}
	return invalid("%q is not a link of tree ensembles", d.Link)
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
	if err := t.validateLinear(enc); err != nil {
		return err
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

// validateLinear checks the linear models of leaves.
func (t *Tree) validateLinear(enc *encode.Encoder) *fault.Error {
	if t.Linear == nil {
		return nil
	}
	if len(t.Linear) != len(t.Leaves) {
		return invalid("%d leaves have %d linear models", len(t.Leaves), len(t.Linear))
	}
	for i := range t.Linear {
		l := &t.Linear[i]
		if len(l.Columns) != len(l.Coefficients) {
			return invalid("the linear leaf %d has %d coefficients for %d columns", i, len(l.Coefficients), len(l.Columns))
		}
		if !finite(l.Constant) || !allFinite(l.Coefficients) {
			return invalid("the linear leaf %d has a coefficient that is not a finite number", i)
		}
		for _, column := range l.Columns {
			if column < 0 || column >= len(enc.Columns) {
				return invalid("column %d of the linear leaf %d does not exist", column, i)
			}
			if enc.Columns[column].Kind != encode.Numeric {
				return invalid("column %q of the linear leaf %d is not a number", enc.Columns[column].Name, i)
			}
		}
	}
	return nil
}

func (s *Split) validate(enc *encode.Encoder) *fault.Error {
	if s.Column < 0 || s.Column >= len(enc.Columns) {
		return invalid("column %d does not exist", s.Column)
	}
	col := &enc.Columns[s.Column]
	codes, coded := col.Codes()
	if s.Set == nil {
		if coded {
			return invalid("column %q has codes, but is compared with a threshold", col.Name)
		}
		if math.IsNaN(s.Threshold) {
			return invalid("the threshold of column %q is not a number", col.Name)
		}
		return nil
	}
	if !coded {
		return invalid("column %q is a number, but is split by codes", col.Name)
	}
	if words := (codes + 63) / 64; len(s.Set) > words {
		return invalid("a set of %d words is too large for the %d codes of column %q", len(s.Set), codes, col.Name)
	} else if rest := codes % 64; len(s.Set) == words && rest != 0 && s.Set[words-1]>>rest != 0 {
		return invalid("a set has what is not a code of column %q", col.Name)
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

// allSingle tells whether all values are float32 numbers.
func allSingle(values []float64) bool {
	for _, v := range values {
		if float64(float32(v)) != v {
			return false
		}
	}
	return true
}
