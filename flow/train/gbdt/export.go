package gbdt

import (
	"fmt"
	"math"

	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/tree"
)

// artifact turns the grown trees into an ensemble and its files.
func (b *booster) artifact(d *train.Dataset, used map[string]float64) (*train.Artifact, error) {
	def := tree.Definition{
		Task: d.Task, Classes: d.Classes, Encoder: d.Encoder, Base: b.base,
		Link:       map[model.Task]tree.Link{model.Binary: tree.Sigmoid, model.Multiclass: tree.Softmax, model.Regression: tree.Identity}[d.Task],
		Importance: make([]float64, len(d.Columns)),
	}
	for _, round := range b.trees {
		for k, t := range round {
			if t == nil {
				continue
			}
			def.Trees = append(def.Trees, b.export(t, k))
			for i := range t.splits {
				def.Importance[b.columns[t.splits[i].column].at] += t.splits[i].gain
			}
		}
	}
	e, err := tree.New(def)
	if err != nil {
		return nil, err
	}
	files, err := e.Files()
	if err != nil {
		return nil, err
	}
	return &train.Artifact{Format: tree.FormatName, Files: files, Model: e, Params: used, Notes: b.notes()}, nil
}

// notes says how training ended.
func (b *booster) notes() []string {
	rounds := len(b.trees)
	switch {
	case rounds == b.settings.trees:
		return nil
	case !math.IsNaN(b.loss):
		return []string{fmt.Sprintf("stopped early: round %d of %d was best on the validation rows, with a loss of %.5g", rounds, b.settings.trees, b.loss)}
	}
	return []string{fmt.Sprintf("stopped after round %d of %d: no split gained anything", rounds, b.settings.trees)}
}

// export writes a tree of bins as a tree of thresholds and category sets.
func (b *booster) export(t *grown, output int) tree.Tree {
	out := tree.Tree{Output: output, Leaves: t.values, Splits: make([]tree.Split, len(t.splits))}
	for i := range t.splits {
		s := &t.splits[i]
		c := b.columns[s.column]
		to := tree.Split{Column: c.at, Left: s.left, Right: s.right, MissingLeft: s.missingLeft}
		switch {
		case c.categorical:
			to.Set = c.codesOf(&s.set, len(b.encoder.Columns[c.at].Categories))
		case s.bin < len(c.upper):
			to.Threshold = c.upper[s.bin]
		default:
			to.Threshold = math.MaxFloat64 // all but the missing values go left
		}
		out.Splits[i] = to
	}
	return out
}

// codesOf returns the category codes of the bins in set. The bin of a
// category has its code as index; the bin of missing values has none.
func (c *column) codesOf(set *bitset, categories int) []uint64 {
	words := make([]uint64, (categories+63)/64)
	for bin := range c.rest() {
		if set.has(bin) {
			words[bin/64] |= 1 << (bin % 64)
		}
	}
	return words
}
