// Package lightgbm writes an ensemble of Leat as a LightGBM model file, so
// that a peer serves the very same trees and answers can be held equal.
package lightgbm

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/tree"
)

// Bits of LightGBM's decision_type.
const (
	defaultLeft  = 2
	missingIsNaN = 8
)

// Text writes a binary ensemble of numeric splits in LightGBM's text format.
func Text(d *tree.Definition) ([]byte, error) {
	if d.Task != model.Binary {
		return nil, fmt.Errorf("a %s ensemble cannot be written yet", d.Task)
	}
	var b bytes.Buffer
	names := make([]string, len(d.Encoder.Columns))
	ranges := make([]string, len(names))
	for i := range names {
		names[i], ranges[i] = d.Encoder.Columns[i].Name, "[-1e300:1e300]"
	}
	fmt.Fprintf(&b, "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=%d\n", len(names)-1)
	fmt.Fprintf(&b, "objective=binary sigmoid:1\nfeature_names=%s\nfeature_infos=%s\n\n", strings.Join(names, " "), strings.Join(ranges, " "))
	// What the sums start with becomes the first tree, so that both sides add
	// in the same order.
	if err := writeTree(&b, 0, &tree.Tree{Leaves: d.Base}); err != nil {
		return nil, err
	}
	for i := range d.Trees {
		if err := writeTree(&b, i+1, &d.Trees[i]); err != nil {
			return nil, err
		}
	}
	b.WriteString("end of trees\n\nparameters:\nend of parameters\n")
	return b.Bytes(), nil
}

func writeTree(b *bytes.Buffer, index int, t *tree.Tree) error {
	fmt.Fprintf(b, "Tree=%d\nnum_leaves=%d\nnum_cat=0\n", index, len(t.Leaves))
	if len(t.Splits) > 0 {
		columns := map[string][]string{}
		for i := range t.Splits {
			s := &t.Splits[i]
			if s.Set != nil {
				return fmt.Errorf("tree %d has a split by categories, which is not written yet", index)
			}
			kind := missingIsNaN
			if s.MissingLeft {
				kind |= defaultLeft
			}
			for name, value := range map[string]string{
				"split_feature": fmt.Sprint(s.Column), "threshold": fmt.Sprintf("%.17g", s.Threshold),
				"decision_type": fmt.Sprint(kind),
				"left_child":    fmt.Sprint(s.Left), "right_child": fmt.Sprint(s.Right), // ^leaf on both sides
			} {
				columns[name] = append(columns[name], value)
			}
		}
		for _, name := range []string{"split_feature", "threshold", "decision_type", "left_child", "right_child"} {
			fmt.Fprintf(b, "%s=%s\n", name, strings.Join(columns[name], " "))
		}
	}
	leaves := make([]string, len(t.Leaves))
	for i, v := range t.Leaves {
		leaves[i] = fmt.Sprintf("%.17g", v)
	}
	fmt.Fprintf(b, "leaf_value=%s\nis_linear=0\nshrinkage=1\n\n\n", strings.Join(leaves, " "))
	return nil
}
