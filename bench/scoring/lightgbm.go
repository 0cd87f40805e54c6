package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/leat-ai/leat/model/tree"
)

// lightGBM writes a binary ensemble of numeric splits in LightGBM's text
// format, so that the peer scores the very same trees.
func lightGBM(d *tree.Definition) []byte {
	var b bytes.Buffer
	names := make([]string, len(d.Encoder.Columns))
	infos := make([]string, len(names))
	for i := range names {
		names[i], infos[i] = d.Encoder.Columns[i].Name, "[-1e300:1e300]"
	}
	fmt.Fprintf(&b, "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=%d\n", len(names)-1)
	fmt.Fprintf(&b, "objective=binary sigmoid:1\nfeature_names=%s\nfeature_infos=%s\n\n", strings.Join(names, " "), strings.Join(infos, " "))
	// What sums start with is a tree of its own, to be added first as we do.
	writeTree(&b, 0, &tree.Tree{Leaves: d.Base})
	for i := range d.Trees {
		writeTree(&b, i+1, &d.Trees[i])
	}
	b.WriteString("end of trees\n\nparameters:\nend of parameters\n")
	return b.Bytes()
}

func writeTree(b *bytes.Buffer, index int, t *tree.Tree) {
	var columns, thresholds, kinds, lefts, rights, leaves []string
	for _, s := range t.Splits {
		const missingIsNaN, defaultLeft = 8, 2
		kind := missingIsNaN
		if s.MissingLeft {
			kind |= defaultLeft
		}
		columns = append(columns, fmt.Sprint(s.Column))
		thresholds = append(thresholds, fmt.Sprintf("%.17g", s.Threshold))
		kinds = append(kinds, fmt.Sprint(kind))
		lefts = append(lefts, fmt.Sprint(s.Left)) // ^leaf, as there
		rights = append(rights, fmt.Sprint(s.Right))
	}
	for _, v := range t.Leaves {
		leaves = append(leaves, fmt.Sprintf("%.17g", v))
	}
	fmt.Fprintf(b, "Tree=%d\nnum_leaves=%d\nnum_cat=0\n", index, len(t.Leaves))
	if len(t.Splits) > 0 {
		for _, part := range []struct {
			name   string
			values []string
		}{
			{"split_feature", columns}, {"threshold", thresholds}, {"decision_type", kinds},
			{"left_child", lefts}, {"right_child", rights},
		} {
			fmt.Fprintf(b, "%s=%s\n", part.name, strings.Join(part.values, " "))
		}
	}
	fmt.Fprintf(b, "leaf_value=%s\nis_linear=0\nshrinkage=1\n\n\n", strings.Join(leaves, " "))
}
